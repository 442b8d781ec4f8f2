/* SPDX-License-Identifier: Apache-2.0 */
#include "admin.h"

#include <string.h>

#include "base/error.h"
#include "base/secret.h"
#include "core/resolve-chain.h"
#include "instances.h"
#include "output.h"

#define TEXT_MAX (8u * JSON_SIZE_MAX)

static void write_text(struct buffer *json, const char *text)
{
    json_write_string(json, text, strlen(text));
}

static int write_instance(struct buffer *json, const struct config_instance *instance,
                          struct pullkey_error *error)
{
    cleanup_buffer struct buffer where = BUFFER_INIT(TEXT_MAX);

    instances_where(instance->document, instance->options, &where);
    buffer_append_text(json, "{\"name\":");
    write_text(json, instance->name);
    buffer_append_text(json, ",\"type\":");
    write_text(json, instance->type);
    buffer_append_text(json, ",\"from\":");
    write_text(json, where.data ? where.data : "");
    if (instance->implicit)
        buffer_append_text(json, ",\"implicit\":true");
    if (instance->on_error_next)
        buffer_append_text(json, ",\"on_error\":\"next\"");
    buffer_append_text(json, ",\"options\":");
    if (instances_options(instance, json, error) < 0)
        return -(int)error->code;
    buffer_append_text(json, "}");
    return buffer_check(json, error);
}

static int write_chain(struct buffer *json, const struct config_instance *const *chain,
                       size_t count, struct pullkey_error *error)
{
    int r = 0;

    buffer_append_text(json, "[");
    for (size_t i = 0; r == 0 && i < count; i++) {
        if (i > 0)
            buffer_append_text(json, ",");
        r = write_instance(json, chain[i], error);
    }
    buffer_append_text(json, "]");
    return r;
}

/* The file that the default chain comes from. */
static void find_default(const struct config *config, struct buffer *where)
{
    for (size_t i = 0; i < config->document_count; i++) {
        const cJSON *item = json_member(config->documents[i].root, "default");

        if (item) {
            instances_where(&config->documents[i], item, where);
            return;
        }
    }
    instances_where(NULL, NULL, where);
}

static int write_rule(struct buffer *json, const struct config_rule *rule,
                      struct pullkey_error *error)
{
    const struct config_instance *chain[CONFIG_CHAIN_MAX];
    cleanup_buffer struct buffer where = BUFFER_INIT(TEXT_MAX);
    const cJSON *when = json_member(rule->item, "when");
    int r;

    instances_where(rule->document, rule->item, &where);
    buffer_append_text(json, "{\"from\":");
    write_text(json, where.data ? where.data : "");
    buffer_append_text(json, ",\"match\":");
    r = json_write_tree(json, rule->match, false, error);
    if (r == 0 && when) {
        buffer_append_text(json, ",\"when\":");
        r = json_write_tree(json, when, false, error);
    }
    if (r < 0)
        return r;
    if (rule->ignore_store)
        buffer_append_text(json, ",\"on_store\":\"ignore\"");
    for (size_t i = 0; i < rule->chain_count; i++)
        chain[i] = &rule->chain[i];
    buffer_append_text(json, ",\"use\":");
    r = write_chain(json, chain, rule->chain_count, error);
    buffer_append_text(json, "}");
    return r;
}

static int write_config(struct buffer *json, const struct config *config,
                        const struct instances *instances, struct pullkey_error *error)
{
    const struct config_instance *chain[CONFIG_CHAIN_MAX];
    cleanup_buffer struct buffer where = BUFFER_INIT(TEXT_MAX);
    int r = 0;

    buffer_printf(json, "{\"system\":%s,\"files\":[", config->system ? "true" : "false");
    for (size_t i = 0; i < config->document_count; i++) {
        if (i > 0)
            buffer_append_text(json, ",");
        write_text(json, config->documents[i].name);
    }
    buffer_append_text(json, "],\"backends\":[");
    for (size_t i = 0; r == 0 && i < instances->count; i++) {
        if (i > 0)
            buffer_append_text(json, ",\n ");
        r = write_instance(json, &instances->items[i], error);
    }
    buffer_append_text(json, "],\n\"rules\":[");
    for (size_t i = 0; r == 0 && i < config->rule_count; i++) {
        if (i > 0)
            buffer_append_text(json, ",\n ");
        r = write_rule(json, &config->rules[i], error);
    }
    if (r < 0)
        return r;
    find_default(config, &where);
    buffer_append_text(json, "],\n\"default\":{\"from\":");
    write_text(json, where.data ? where.data : "");
    buffer_append_text(json, ",\"use\":");
    for (size_t i = 0; i < config->default_count; i++)
        chain[i] = &config->default_chain[i];
    r = write_chain(json, chain, config->default_count, error);
    buffer_append_text(json, "}");
    if (config->store) {
        buffer_append_text(json, ",\"store\":");
        write_text(json, config->store);
    }
    buffer_append_text(json, "}\n");
    return r;
}

static void print_instances(const struct instances *instances)
{
    output_line("Backends:");
    for (size_t i = 0; i < instances->count; i++) {
        const struct config_instance *instance = &instances->items[i];
        cleanup_buffer struct buffer where = BUFFER_INIT(TEXT_MAX);
        cleanup_buffer struct buffer options = BUFFER_INIT(TEXT_MAX);
        struct pullkey_error ignored;

        instances_where(instance->document, instance->options, &where);
        (void)instances_options(instance, &options, &ignored);
        output_line("  %s (%s, %s)%s%s", instance->name, instance->type,
                    where.data ? where.data : "", instance->options ? " " : "",
                    instance->options && options.data ? options.data : "");
    }
}

static void name_chain(const struct config_instance *chain, size_t count, struct buffer *names)
{
    if (count == 0)
        buffer_append_text(names, "nobody");
    for (size_t i = 0; i < count; i++)
        buffer_printf(names, "%s%s", i > 0 ? ", " : "", chain[i].name);
}

static void print_rule(const struct config_rule *rule)
{
    cleanup_buffer struct buffer match = BUFFER_INIT(TEXT_MAX);
    cleanup_buffer struct buffer when = BUFFER_INIT(TEXT_MAX);
    cleanup_buffer struct buffer use = BUFFER_INIT(TEXT_MAX);
    cleanup_buffer struct buffer where = BUFFER_INIT(TEXT_MAX);
    const cJSON *condition = json_member(rule->item, "when");
    struct pullkey_error ignored;

    (void)json_write_tree(&match, rule->match, false, &ignored);
    if (condition) {
        buffer_append_text(&when, " when ");
        (void)json_write_tree(&when, condition, false, &ignored);
    }
    name_chain(rule->chain, rule->chain_count, &use);
    instances_where(rule->document, rule->item, &where);
    output_line("  %s%s: %s (%s)%s", match.data ? match.data : "", when.data ? when.data : "",
                use.data ? use.data : "", where.data ? where.data : "",
                rule->ignore_store ? ", logins are ignored" : "");
}

static void print_config(const struct config *config, const struct instances *instances)
{
    cleanup_buffer struct buffer names = BUFFER_INIT(TEXT_MAX);
    cleanup_buffer struct buffer where = BUFFER_INIT(TEXT_MAX);

    if (config->document_count == 0)
        output_line("There is no configuration file.");
    else
        output_line("Files, nearest first:");
    for (size_t i = 0; i < config->document_count; i++)
        output_line("  %s", config->documents[i].name);
    print_instances(instances);
    if (config->rule_count > 0)
        output_line("Rules, the first that matches is the one:");
    for (size_t i = 0; i < config->rule_count; i++)
        print_rule(&config->rules[i]);
    name_chain(config->default_chain, config->default_count, &names);
    find_default(config, &where);
    output_line("Everything else: %s (%s)", names.data ? names.data : "",
                where.data ? where.data : "");
    if (config->store)
        output_line("Logins go to: %s", config->store);
}

static int show_registry(const struct admin_call *call, const struct config *config,
                         const struct registry_reference *reference, struct pullkey_error *error)
{
    const struct resolve resolve = admin_resolve(config);
    cleanup_buffer struct buffer json = BUFFER_INIT(TEXT_MAX);
    cleanup_buffer struct buffer where = BUFFER_INIT(TEXT_MAX);
    char canonical[REGISTRY_CANONICAL_MAX];
    char name[CONFIG_RULE_NAME_MAX];
    struct resolve_chain chain;
    int r;

    resolve_chain_find(&resolve, reference, &chain);
    config_rule_name(chain.rule, name);
    registry_canonical(reference, canonical);
    if (chain.rule)
        instances_where(chain.rule->document, chain.rule->item, &where);
    else
        find_default(config, &where);
    if (call->values[ADMIN_JSON]) {
        buffer_append_text(&json, "{\"registry\":");
        write_text(&json, canonical);
        buffer_append_text(&json, ",\"rule\":");
        write_text(&json, name);
        buffer_append_text(&json, ",\"from\":");
        write_text(&json, where.data ? where.data : "");
        buffer_append_text(&json, ",\"use\":");
        r = write_chain(&json, chain.items, chain.count, error);
        buffer_append_text(&json, "}\n");
        return r < 0 ? r : output_buffer(&json, error);
    }
    output_line("%s: %s (%s)", canonical, name, where.data ? where.data : "");
    if (chain.count == 0)
        output_line("  nobody is asked");
    for (size_t i = 0; i < chain.count; i++) {
        buffer_done(&where);
        instances_where(chain.items[i]->document, chain.items[i]->options, &where);
        output_line("  %zu. %s (%s, %s)", i + 1, chain.items[i]->name, chain.items[i]->type,
                    where.data ? where.data : "");
    }
    return 0;
}

int admin_config_show(const struct admin_call *call, struct pullkey_error *error)
{
    cleanup_config struct config config = { 0 };
    cleanup_instances struct instances instances = { 0 };
    cleanup_buffer struct buffer json = BUFFER_INIT(TEXT_MAX);
    struct registry_reference reference;
    int r = 0;

    if (call->argument_count > 0)
        r = admin_reference(call->arguments[0], &reference, error);
    if (r == 0)
        r = admin_load(call, &config, error);
    if (r < 0)
        return r;
    if (call->argument_count > 0)
        return show_registry(call, &config, &reference, error);
    r = instances_collect(&config, &instances, error);
    if (r < 0)
        return r;
    if (!call->values[ADMIN_JSON]) {
        print_config(&config, &instances);
        return 0;
    }
    r = write_config(&json, &config, &instances, error);
    return r < 0 ? r : output_buffer(&json, error);
}
