/* SPDX-License-Identifier: Apache-2.0 */
/* Patterns of the kubelet beside the rules of pullkey's own configuration. */
#include "kubelet.h"

#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "base/text.h"

/* -- A rule in the kubelet's form ------------------------------------------------------------- */

/* A rule says "v2" in front of a path only where its path begins so itself. */
static const char *skip_version(const char *path)
{
    return strncmp(path, "/v1/", 4) == 0 || strncmp(path, "/v2/", 4) == 0 ? path + 3 : path;
}

int kubelet_pattern_write(const char *rule, struct buffer *ret, struct pullkey_error *error)
{
    struct registry_reference reference;
    struct pullkey_error ignored;
    struct kubelet_pattern parts;
    const char *path = strchr(rule, '/');
    size_t length;

    if (strcmp(rule, "**") == 0)
        return error_set(error, PULLKEY_UNSUPPORTED,
                         "no pattern of the kubelet means all registries: name them");
    if (strncasecmp(rule, "http://", 7) == 0)
        return error_set(error, PULLKEY_UNSUPPORTED, "the kubelet sends no http:// in its names");
    length = path ? (size_t)(path - rule) : strlen(rule);
    if (registry_parse(rule, length, &reference, &ignored) == 0 &&
        strcmp(reference.host, "docker.io") == 0) {
        buffer_append_text(ret, reference.host);
    } else {
        for (size_t i = 0; i < length; i++)
            buffer_append(ret, (char[]){ text_lower(rule[i]) }, 1);
    }
    path = path ? skip_version(path) : "";
    length = strlen(path);
    while (length > 0 && path[length - 1] == '/')
        length--;
    buffer_append(ret, path, length);
    if (buffer_check(ret, error) < 0)
        return -(int)error->code;
    if (kubelet_pattern_read(ret->data, &parts) == KUBELET_ADDRESS)
        return error_set(error, PULLKEY_UNSUPPORTED,
                         "the kubelet matches an IPv6 address only with its port");
    return 0;
}

/* -- Do they meet? ---------------------------------------------------------------------------- */

/* Label by label: no '*' stands for a dot. */
static bool hosts_meet(const char *pattern, const char *rule)
{
    for (;;) {
        size_t one = strcspn(pattern, "."), other = strcspn(rule, ".");

        if (!kubelet_globs_meet(pattern, one, rule, other))
            return false;
        if (pattern[one] == '\0' || rule[other] == '\0')
            return pattern[one] == rule[other];
        pattern += one + 1;
        rule += other + 1;
    }
}

/* The kubelet compares characters, a rule whole segments. */
static bool paths_meet(const char *pattern, const char *rule)
{
    size_t one = strlen(pattern), other = strlen(rule);

    if (one <= other)
        return strncmp(pattern, rule, one) == 0;
    return strncmp(pattern, rule, other) == 0 && pattern[other] == '/';
}

/* A rule without a port serves 443 too. */
static bool ports_meet(const char *pattern, const char *rule)
{
    return strcmp(pattern, rule) == 0 || (rule[0] == '\0' && strcmp(pattern, "443") == 0) ||
           (pattern[0] == '\0' && strcmp(rule, "443") == 0);
}

bool kubelet_pattern_matches(const char *pattern, const char *image)
{
    struct kubelet_pattern one, other;
    const enum kubelet_flaw flaw = kubelet_pattern_read(pattern, &one);

    if (flaw >= KUBELET_REFUSED && flaw <= KUBELET_ADDRESS)
        return false;
    (void)kubelet_pattern_read(image, &other);
    return hosts_meet(one.host, other.host) && strcmp(one.port, other.port) == 0 &&
           strncmp(one.path, other.path, strlen(one.path)) == 0;
}

enum meeting { APART, APART_BY_PORT, TOGETHER };

static enum meeting meet(const char *pattern, const char *rule)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(PULLKEY_KEY_MAX + 64);
    struct kubelet_pattern one, other;
    struct pullkey_error ignored;

    if (strcmp(rule, "**") == 0)
        return TOGETHER;
    if (kubelet_pattern_write(rule, &text, &ignored) < 0)
        return APART;
    (void)kubelet_pattern_read(pattern, &one);
    (void)kubelet_pattern_read(text.data, &other);
    if (!hosts_meet(one.host, other.host) || !paths_meet(one.path, other.path))
        return APART;
    return ports_meet(one.port, other.port) ? TOGETHER : APART_BY_PORT;
}

static enum meeting better(enum meeting a, enum meeting b)
{
    return a > b ? a : b;
}

static bool serves_kubelet(const struct config_rule *rule)
{
    return (rule->callers & CONFIG_KUBELET) != 0;
}

static enum meeting meet_rules(const struct config *config, const char *pattern)
{
    enum meeting found = APART;

    for (size_t i = 0; i < config->rule_count; i++) {
        const struct config_rule *rule = &config->rules[i];

        for (const cJSON *item = serves_kubelet(rule) ? config_first(rule->match) : NULL; item;
             item = config_next(rule->match, item))
            found = better(found, meet(pattern, item->valuestring));
    }
    return found;
}

static enum meeting meet_patterns(const struct kubelet_check *check, const char *rule)
{
    enum meeting found = APART;

    for (size_t i = 0; i < check->provider_count; i++) {
        const struct kubelet_provider *provider = &check->providers[i];

        if (!provider->is_ours || !provider->match)
            continue;
        for (const cJSON *item = provider->match->child; item; item = item->next)
            if (kubelet_type(provider->file, item) == KUBELET_TYPE_STRING)
                found = better(found, meet(item->valuestring, rule));
    }
    return found;
}

/* -- Findings --------------------------------------------------------------------------------- */

/* What is in vain by itself was said already. */
static bool is_of_use(const char *pattern)
{
    struct kubelet_pattern ignored;
    enum kubelet_flaw flaw = kubelet_pattern_read(pattern, &ignored);

    return flaw == KUBELET_FINE || flaw == KUBELET_PREFIX || flaw == KUBELET_HUB_SHORT;
}

static void check_provider(struct kubelet_check *check, const struct kubelet_provider *provider)
{
    for (const cJSON *item = provider->match ? provider->match->child : NULL; item;
         item = item->next) {
        enum meeting found;

        if (kubelet_type(provider->file, item) != KUBELET_TYPE_STRING ||
            !is_of_use(item->valuestring))
            continue;
        found = meet_rules(check->config, item->valuestring);
        if (found != TOGETHER)
            kubelet_find(check, provider->file, item, OUTPUT_WARNING, "no-rule",
                         found == APART_BY_PORT
                             ? "write the same port here and in the rule"
                             : "add a rule for it, with \"when\": {\"caller\": [\"kubelet\"]}",
                         "\"%s\" is served by no rule of pullkey's that names the kubelet%s",
                         item->valuestring,
                         found == APART_BY_PORT ? ": a rule for the host has another port" : "");
    }
}

static void check_rule(struct kubelet_check *check, const struct config_rule *rule)
{
    for (const cJSON *item = config_first(rule->match); item;
         item = config_next(rule->match, item)) {
        enum meeting found;

        /* The kubelet cannot name these. */
        if (strcmp(item->valuestring, "**") == 0)
            continue;
        found = meet_patterns(check, item->valuestring);
        if (found != TOGETHER)
            findings_add(&check->findings, OUTPUT_WARNING, "rule-not-reached", rule->document->name,
                         json_line(rule->document, item),
                         "add it to matchImages, as \"pullkey kubelet config\" prints it",
                         "\"%s\" names the kubelet, whose patterns do not reach it%s",
                         item->valuestring,
                         found == APART_BY_PORT ? ": one for the host has another port" : "");
    }
}

/* What the kubelet keeps answers by, or NULL. 1.33 has no field for it, and this one type. */
static const char *cache_type(const struct kubelet_check *check,
                              const struct kubelet_provider *provider)
{
    const char *type = kubelet_string(provider->file, provider->tokens, "cacheType");
    bool is_implied = provider->tokens && !json_member(provider->tokens, "cacheType") &&
                      kubelet_is_since(&check->node.version, KUBELET_TOKENS) &&
                      kubelet_is_before(&check->node.version, KUBELET_TOKENS_BETA);

    if (is_implied)
        return "ServiceAccount";
    return type && (strcmp(type, "Token") == 0 || strcmp(type, "ServiceAccount") == 0) ? type
                                                                                       : NULL;
}

/* The kubelet's cache must be what pullkey takes it for, or an answer for one pod serves others. */
static void check_cache_type(struct kubelet_check *check, const struct kubelet_provider *provider)
{
    const cJSON *item = json_member(provider->tokens, "cacheType");
    const char *expected = check->config->kubelet.token_cache ? "Token" : "ServiceAccount";
    const char *type = cache_type(check, provider);

    if (!type || strcmp(type, expected) == 0)
        return;
    if (strcmp(type, "Token") == 0)
        kubelet_find(check, provider->file, item, OUTPUT_WARNING, "cache-type-differs",
                     "write the same here and in \"kubelet\": {\"cache_type\": ...} of pullkey's",
                     "pullkey's configuration takes the cache for ServiceAccount, and lets the "
                     "kubelet keep less than it could");
    else
        kubelet_find(
            check, provider->file, item ? item : provider->tokens, OUTPUT_ERROR,
            "cache-type-differs",
            "write \"cache_type\": \"ServiceAccount\" in \"kubelet\" of pullkey's, or Token "
            "here, since 1.34",
            "pullkey's configuration takes the cache for Token, and it is "
            "ServiceAccount%s: what one pod may have is given to others",
            item ? "" : " in 1.33");
}

static void check_audience(struct kubelet_check *check, const struct kubelet_provider *provider)
{
    static const char key[] = "serviceAccountTokenAudience";
    const char *sent = kubelet_string(provider->file, provider->tokens, key);
    const char *expected = check->config->kubelet.audience;

    if (sent && expected && strcmp(sent, expected) != 0)
        kubelet_find(check, provider->file, json_member(provider->tokens, key), OUTPUT_ERROR,
                     "audience-differs",
                     "write the same here and in \"kubelet\": {\"audience\": ...} of pullkey's",
                     "pullkey's configuration takes only tokens for \"%s\"", expected);
}

void kubelet_check_rules(struct kubelet_check *check)
{
    const struct kubelet_provider *ours = NULL;
    size_t rules = 0;

    for (size_t i = 0; i < check->provider_count; i++)
        if (check->providers[i].is_ours)
            ours = &check->providers[i];
    for (size_t i = 0; check->config && i < check->config->rule_count; i++)
        rules += serves_kubelet(&check->config->rules[i]);
    if (!ours || !check->config)
        return;
    if (rules == 0) {
        kubelet_find(check, ours->file, ours->item, OUTPUT_WARNING, "no-kubelet-rule",
                     "add rules with \"when\": {\"caller\": [\"kubelet\"]}",
                     "%s has nothing to answer: no rule of pullkey's names the kubelet",
                     ours->name);
        return;
    }
    for (size_t i = 0; i < check->provider_count; i++) {
        if (!check->providers[i].is_ours)
            continue;
        check_provider(check, &check->providers[i]);
        check_cache_type(check, &check->providers[i]);
        check_audience(check, &check->providers[i]);
    }
    for (size_t i = 0; i < check->config->rule_count; i++)
        if (serves_kubelet(&check->config->rules[i]))
            check_rule(check, &check->config->rules[i]);
}
