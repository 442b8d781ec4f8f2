/* SPDX-License-Identifier: Apache-2.0 */
#include "admin.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "core/resolve-chain.h"
#include "instances.h"
#include "base/output.h"

#define TEXT_MAX (8u * JSON_SIZE_MAX)

/* Findings go to stdout as they come, or into the JSON. */
struct findings {
    const struct admin_call *call;
    size_t count[OUTPUT_NOTE + 1];
    struct buffer json;
    const char *added; /* the file with a rule that is new, or NULL */
    bool is_in_way;    /* that rule hides another, or is hidden */
};

static void findings_done(struct findings *findings)
{
    buffer_done(&findings->json);
}

#define cleanup_findings __attribute__((cleanup(findings_done)))

static void find(struct findings *findings, enum output_level level, const char *text)
{
    findings->count[level]++;
    if (!findings->call->values[ADMIN_JSON]) {
        output_finding(level, text);
        return;
    }
    if (findings->json.length > 0)
        buffer_append_text(&findings->json, ",\n ");
    buffer_printf(&findings->json, "{\"level\":\"%s\",\"message\":", output_level_name(level));
    json_write_string(&findings->json, text, strlen(text));
    buffer_append_text(&findings->json, "}");
}

/* A finding at an item of a file. */
__attribute__((format(printf, 5, 6))) static void
find_at(struct findings *findings, enum output_level level, const struct json *document,
        const cJSON *item, const char *format, ...)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(TEXT_MAX);
    char message[PULLKEY_ERROR_SIZE];
    va_list arguments;

    va_start(arguments, format);
    if (vsnprintf(message, sizeof(message), format, arguments) < 0)
        message[0] = '\0';
    va_end(arguments);
    /* Errors of the configuration name their place themselves. */
    if (document && strncmp(message, document->name, strlen(document->name)) != 0) {
        instances_where(document, item, &text);
        buffer_append_text(&text, ": ");
    }
    buffer_append_text(&text, message);
    find(findings, level, text.state == BUFFER_FINE ? text.data : message);
}

/* Opening does not touch the network; a store of ours is read as well, to see that it opens. */
static int try_instance(const struct resolve *resolve, const struct config_instance *instance,
                        struct pullkey_error *error)
{
    cleanup_opened struct resolve_opened opened = { 0 };
    cleanup_list struct pullkey_list list = { 0 };
    int r = resolve_open(resolve, instance, &opened, error);

    if (r == 0 && strcmp(instance->type, "file") == 0)
        r = opened.backend->list(opened.state, resolve->deadline_ms, &list, error);
    return r;
}

static void check_instance(const struct resolve *resolve, const struct config_instance *instance,
                           struct findings *findings)
{
    struct pullkey_error why;
    int r = try_instance(resolve, instance, &why);

    if (r == 0)
        return;
    /* What nobody named may be absent. */
    if (instance->implicit && (r == -PULLKEY_UNSUPPORTED || r == -PULLKEY_NO_IDENTITY))
        return;
    find_at(findings, OUTPUT_ERROR, instance->document, instance->options, "%s: %s", instance->name,
            why.message);
}

/*
 * True if `earlier` takes everything that `pattern` matches. A '*' in `pattern` is only covered by
 * the same text and by "**".
 */
static bool covers(const char *earlier, const char *pattern)
{
    struct registry_reference reference;
    struct pullkey_error ignored;

    if (strcmp(earlier, "**") == 0 || strcmp(earlier, pattern) == 0)
        return true;
    if (strchr(pattern, '*') || registry_parse(pattern, strlen(pattern), &reference, &ignored) < 0)
        return false;
    return registry_pattern_matches(earlier, &reference);
}

static bool rule_covers(const struct config_rule *earlier, const struct config_rule *rule,
                        const char *pattern)
{
    if ((rule->callers & ~earlier->callers) || earlier->namespaces || earlier->service_accounts)
        return false;
    for (const cJSON *item = config_first(earlier->match); item;
         item = config_next(earlier->match, item))
        if (covers(item->valuestring, pattern))
            return true;
    return false;
}

static bool is_added(const struct findings *findings, const struct config_rule *rule)
{
    return findings->added && !rule->item->prev->next &&
           strcmp(rule->document->name, findings->added) == 0;
}

static void check_pattern(const struct config *config, size_t number, const cJSON *item,
                          struct findings *findings)
{
    const struct config_rule *rule = &config->rules[number];

    for (size_t i = 0; i < number; i++) {
        cleanup_buffer struct buffer where = BUFFER_INIT(TEXT_MAX);

        if (!rule_covers(&config->rules[i], rule, item->valuestring))
            continue;
        findings->is_in_way = findings->is_in_way || is_added(findings, rule) ||
                              is_added(findings, &config->rules[i]);
        instances_where(config->rules[i].document, config->rules[i].item, &where);
        find_at(findings, OUTPUT_WARNING, rule->document, item,
                "\"%s\" is never reached: the rule at %s comes first", item->valuestring,
                where.data ? where.data : "");
        return;
    }
    if (strchr(item->valuestring, '/') && (rule->callers & (CONFIG_DOCKER | CONFIG_HOSTS)))
        find_at(findings, OUTPUT_NOTE, rule->document, item,
                "\"%s\" has a path: docker, podman, nerdctl and containerd never send one, "
                "crane, cosign and kaniko do",
                item->valuestring);
}

static void check_rules(const struct config *config, struct findings *findings)
{
    for (size_t i = 0; i < config->rule_count; i++) {
        const struct config_rule *rule = &config->rules[i];

        for (const cJSON *item = config_first(rule->match); item;
             item = config_next(rule->match, item))
            check_pattern(config, i, item, findings);
    }
}

static void check_all(const struct config *config, const struct instances *instances,
                      struct findings *findings)
{
    const struct resolve resolve = admin_resolve(config);

    for (size_t i = 0; i < instances->count; i++)
        check_instance(&resolve, &instances->items[i], findings);
    check_rules(config, findings);
}

static int report(const struct config *config, const struct instances *instances,
                  struct findings *findings, struct pullkey_error *error)
{
    cleanup_buffer struct buffer json = BUFFER_INIT(2 * TEXT_MAX);
    bool fine = findings->count[OUTPUT_ERROR] + findings->count[OUTPUT_WARNING] == 0;
    int r = buffer_check(&findings->json, error);

    if (r < 0)
        return r;
    if (findings->call->values[ADMIN_JSON]) {
        buffer_append_text(&json, "{\"files\":[");
        for (size_t i = 0; i < config->document_count; i++) {
            buffer_append_text(&json, i > 0 ? "," : "");
            json_write_string(&json, config->documents[i].name, strlen(config->documents[i].name));
        }
        buffer_printf(&json, "],\"findings\":[%s]}\n",
                      findings->json.data ? findings->json.data : "");
        r = output_buffer(&json, error);
        if (r < 0)
            return r;
    } else if (fine) {
        output_line("No problem found in %zu file%s with %zu rule%s and %zu backend%s",
                    config->document_count, config->document_count == 1 ? "" : "s",
                    config->rule_count, config->rule_count == 1 ? "" : "s", instances->count,
                    instances->count == 1 ? "" : "s");
    }
    return fine ? 0 : ADMIN_PROBLEM;
}

int admin_check_config(const struct admin_call *call, const struct config *config,
                       const char *added, struct buffer *json, struct pullkey_error *error)
{
    cleanup_findings struct findings findings = {
        .call = call,
        .json = BUFFER_INIT(TEXT_MAX),
        .added = added,
    };
    cleanup_instances struct instances instances = { 0 };
    int r = instances_collect(config, &instances, error);

    if (r == 0)
        check_all(config, &instances, &findings);
    if (findings.json.data)
        buffer_append_text(json, findings.json.data);
    if (r < 0 || findings.count[OUTPUT_ERROR] > 0)
        return r < 0 ? r : ADMIN_PROBLEM;
    if (!findings.is_in_way || call->values[ADMIN_YES])
        return 0;
    output_note("Name other registries with --match, or say with --yes that this is meant");
    return ADMIN_PROBLEM;
}

int admin_config_check(const struct admin_call *call, struct pullkey_error *error)
{
    cleanup_findings struct findings findings = { .call = call, .json = BUFFER_INIT(TEXT_MAX) };
    cleanup_config struct config config = { 0 };
    cleanup_instances struct instances instances = { 0 };
    struct pullkey_error why;
    int r = admin_load(call, &config, &why);

    if (r == 0)
        r = instances_collect(&config, &instances, error);
    else
        find(&findings, OUTPUT_ERROR, why.message);
    if (config.documents) {
        if (r < 0)
            return r;
        check_all(&config, &instances, &findings);
    }
    return report(&config, &instances, &findings, error);
}
