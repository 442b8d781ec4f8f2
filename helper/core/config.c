/* SPDX-License-Identifier: Apache-2.0 */
#include "core/config.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/secret.h"
#include "core/config-parts.h"

/* True if the draft is asked before this document. Of config.d the last name is the nearest. */
static bool is_nearer(const struct config_source *source, const char *draft, const char *document)
{
    const char *slash = strrchr(draft, '/');
    const size_t length = (size_t)(slash - draft);

    if (source->user_directory && strncmp(source->user_directory, draft, length) == 0 &&
        source->user_directory[length] == '\0')
        return true;
    if (strncmp(draft, document, length + 1) == 0 && !strchr(document + length + 1, '/'))
        return strcmp(draft, document) > 0;
    return strcmp(strrchr(document, '/'), "/config.json") == 0 &&
           strncmp(document, source->system_directory, strlen(source->system_directory)) == 0;
}

static int put_draft(const struct config_source *source, const struct config_draft *draft,
                     struct config *config, struct pullkey_error *error)
{
    cleanup_json struct json document = { 0 };
    size_t at = 0, rest;
    int r = json_parse(&document, draft->path, draft->text, draft->length, JSON_COMMENTS, error);

    if (r == 0)
        r = config_check(&document, error);
    if (r < 0)
        return r;
    while (at < config->document_count && strcmp(config->documents[at].name, draft->path) != 0 &&
           !is_nearer(source, draft->path, config->documents[at].name))
        at++;
    if (at < config->document_count && strcmp(config->documents[at].name, draft->path) == 0) {
        json_done(&config->documents[at]);
    } else if (config->document_count == CONFIG_DOCUMENTS_MAX) {
        return error_set(error, PULLKEY_INVALID, "there are more than %d configuration files",
                         CONFIG_DOCUMENTS_MAX);
    } else {
        rest = config->document_count++ - at;
        memmove(&config->documents[at + 1], &config->documents[at],
                rest * sizeof(config->documents[0]));
    }
    config->documents[at] = document;
    document = (struct json){ 0 };
    return 0;
}

int config_load(const struct config_source *source, struct config *ret, struct pullkey_error *error)
{
    return config_load_draft(source, NULL, ret, error);
}

int config_load_draft(const struct config_source *source, const struct config_draft *draft,
                      struct config *ret, struct pullkey_error *error)
{
    struct config config = { .session_bus = source->session_bus, .system = source->system };
    int r;

    config.documents = secret_alloc(CONFIG_DOCUMENTS_MAX * sizeof(*config.documents));
    if (!config.documents)
        return error_memory(error);
    r = config_read(source, &config, error);
    if (r == 0 && draft)
        r = put_draft(source, draft, &config, error);
    if (r == 0)
        r = config_merge(source, &config, error);
    if (r < 0) {
        config_done(&config);
        /* "Not found" would read as "no credential" to a caller. */
        if (error->code == PULLKEY_NOT_FOUND)
            error->code = PULLKEY_INVALID;
        return -(int)error->code;
    }
    *ret = config;
    return 0;
}

void config_done(struct config *config)
{
    for (size_t i = 0; i < config->document_count; i++)
        json_done(&config->documents[i]);
    secret_release(config->documents);
    secret_release(config->rules);
    *config = (struct config){ 0 };
}

/* `names` NULL: any name, and none, will do. */
static bool contains(const cJSON *names, const char *name)
{
    if (!names)
        return true;
    for (const cJSON *item = config_first(names); name && item; item = config_next(names, item))
        if (strcmp(item->valuestring, name) == 0)
            return true;
    return false;
}

/* Whom a rule serves besides does not matter: another workload may be asked for next. */
bool config_divides_registry(const struct config *config,
                             const struct registry_reference *reference,
                             const struct config_asker *asker)
{
    for (size_t i = 0; i < config->rule_count; i++) {
        const struct config_rule *rule = &config->rules[i];

        if (!(rule->callers & asker->caller))
            continue;
        for (const cJSON *item = config_first(rule->match); item;
             item = config_next(rule->match, item))
            if (registry_pattern_divides(item->valuestring, reference))
                return true;
    }
    return false;
}

int config_rule_fit(const struct config_rule *rule, const struct registry_reference *reference,
                    const struct config_asker *asker)
{
    int best = REGISTRY_OTHER_HOST;

    if (!(rule->callers & asker->caller))
        return CONFIG_OTHER_CALLER;
    if (!contains(rule->namespaces, asker->namespace_name))
        return CONFIG_OTHER_NAMESPACE;
    if (!contains(rule->service_accounts, asker->service_account))
        return CONFIG_OTHER_ACCOUNT;
    for (const cJSON *item = config_first(rule->match); item && best < REGISTRY_FITS;
         item = config_next(rule->match, item)) {
        int fit = (int)registry_pattern_fit(item->valuestring, reference);

        best = fit > best ? fit : best;
    }
    return CONFIG_OTHER_REGISTRY + best;
}

const struct config_rule *config_find_rule(const struct config *config,
                                           const struct registry_reference *reference,
                                           const struct config_asker *asker)
{
    for (size_t i = 0; i < config->rule_count; i++)
        if (config_rule_fit(&config->rules[i], reference, asker) == CONFIG_FITS)
            return &config->rules[i];
    return NULL;
}

void config_rule_name(const struct config_rule *rule, char ret[CONFIG_RULE_NAME_MAX])
{
    if (rule)
        (void)snprintf(ret, CONFIG_RULE_NAME_MAX, "rule %zu of %s", rule->number + 1,
                       rule->document->name);
    else
        (void)snprintf(ret, CONFIG_RULE_NAME_MAX, "the default chain");
}
