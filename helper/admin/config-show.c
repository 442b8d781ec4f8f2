/* SPDX-License-Identifier: Apache-2.0 */
#include "admin.h"

#include <string.h>

#include "base/error.h"
#include "base/secret.h"
#include "instances.h"
#include "base/output.h"

#define TEXT_MAX (8u * JSON_SIZE_MAX)

static int write_instance(struct buffer *json, const struct config_instance *instance,
                          struct pullkey_error *error)
{
    int r = instances_write(instance, json, error);

    buffer_append_text(json, "}");
    return r;
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

static int write_rule(struct buffer *json, const struct config_rule *rule,
                      struct pullkey_error *error)
{
    const struct config_instance *chain[CONFIG_CHAIN_MAX];
    cleanup_buffer struct buffer where = BUFFER_INIT(TEXT_MAX);
    const cJSON *when = json_member(rule->item, "when");
    int r = instances_find(rule->document, rule->item, &where, error);

    if (r < 0)
        return r;
    json_write_format(json, "{\"from\":%s,\"match\":", where.data);
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
        json_write_format(json, i > 0 ? ",%s" : "%s", config->documents[i].name);
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
    if (r == 0)
        r = instances_default(config, &where, error);
    if (r < 0)
        return r;
    json_write_format(json, "],\n\"default\":{\"from\":%s,\"use\":", where.data);
    for (size_t i = 0; i < config->default_count; i++)
        chain[i] = &config->default_chain[i];
    r = write_chain(json, chain, config->default_count, error);
    buffer_append_text(json, "}");
    if (config->store)
        json_write_format(json, ",\"store\":%s", config->store);
    buffer_append_text(json, "}\n");
    return r;
}

static int print_instance(const struct config_instance *instance, struct pullkey_error *error)
{
    cleanup_buffer struct buffer where = BUFFER_INIT(TEXT_MAX);
    cleanup_buffer struct buffer options = BUFFER_INIT(TEXT_MAX);
    int r = instances_find(instance->document, instance->options, &where, error);

    if (r == 0)
        r = instances_options(instance, &options, error);
    if (r < 0)
        return r;
    output_line("  %s (%s, %s)%s%s%s%s", instance->name, instance->type, where.data,
                instance->options ? " " : "", instance->options ? options.data : "",
                instance->optional ? ", optional" : "",
                instance->on_error_next ? ", the next after an error" : "");
    return 0;
}

static int name_chain(const struct config_instance *chain, size_t count, struct buffer *names,
                      struct pullkey_error *error)
{
    if (count == 0)
        buffer_append_text(names, "nobody");
    for (size_t i = 0; i < count; i++)
        buffer_printf(names, "%s%s", i > 0 ? ", " : "", chain[i].name);
    return buffer_check(names, error);
}

static int print_rule(const struct config_rule *rule, struct pullkey_error *error)
{
    cleanup_buffer struct buffer match = BUFFER_INIT(TEXT_MAX);
    cleanup_buffer struct buffer when = BUFFER_INIT(TEXT_MAX);
    cleanup_buffer struct buffer use = BUFFER_INIT(TEXT_MAX);
    cleanup_buffer struct buffer where = BUFFER_INIT(TEXT_MAX);
    const cJSON *condition = json_member(rule->item, "when");
    int r = json_write_tree(&match, rule->match, false, error);

    if (r == 0 && condition) {
        buffer_append_text(&when, " when ");
        r = json_write_tree(&when, condition, false, error);
    }
    if (r == 0)
        r = name_chain(rule->chain, rule->chain_count, &use, error);
    if (r == 0)
        r = instances_find(rule->document, rule->item, &where, error);
    if (r < 0)
        return r;
    output_line("  %s%s: %s (%s)%s", match.data, condition ? when.data : "", use.data, where.data,
                rule->ignore_store ? ", logins are ignored" : "");
    return 0;
}

static int print_default(const struct config *config, struct pullkey_error *error)
{
    cleanup_buffer struct buffer names = BUFFER_INIT(TEXT_MAX);
    cleanup_buffer struct buffer where = BUFFER_INIT(TEXT_MAX);
    int r = name_chain(config->default_chain, config->default_count, &names, error);

    if (r == 0)
        r = instances_default(config, &where, error);
    if (r == 0)
        output_line("Everything else: %s (%s)", names.data, where.data);
    return r;
}

static int print_config(const struct config *config, const struct instances *instances,
                        struct pullkey_error *error)
{
    int r = 0;

    if (config->document_count == 0)
        output_line("There is no configuration file.");
    else
        output_line("Files, nearest first:");
    for (size_t i = 0; i < config->document_count; i++)
        output_line("  %s", config->documents[i].name);
    output_line("Backends:");
    for (size_t i = 0; r == 0 && i < instances->count; i++)
        r = print_instance(&instances->items[i], error);
    if (r == 0 && config->rule_count > 0)
        output_line("Rules, the first that matches is the one:");
    for (size_t i = 0; r == 0 && i < config->rule_count; i++)
        r = print_rule(&config->rules[i], error);
    if (r == 0)
        r = print_default(config, error);
    if (r == 0 && config->store)
        output_line("Logins go to: %s", config->store);
    return r;
}

int admin_config_show(const struct admin_call *call, struct pullkey_error *error)
{
    cleanup_config struct config config = { 0 };
    cleanup_instances struct instances instances = { 0 };
    cleanup_buffer struct buffer json = BUFFER_INIT(TEXT_MAX);
    int r = admin_load(call, &config, error);

    if (r == 0)
        r = instances_collect(&config, &instances, error);
    if (r < 0)
        return r;
    if (!call->values[ADMIN_JSON])
        return print_config(&config, &instances, error);
    r = write_config(&json, &config, &instances, error);
    return r < 0 ? r : output_buffer(&json, error);
}
