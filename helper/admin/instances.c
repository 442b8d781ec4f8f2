/* SPDX-License-Identifier: Apache-2.0 */
#include "instances.h"

#include <string.h>

#include "base/error.h"
#include "base/secret.h"
#include "base/text.h"
#include "file/store.h"

static bool is_known(const struct instances *instances, const struct config_instance *instance)
{
    for (size_t i = 0; i < instances->count; i++)
        if (instances->items[i].options == instance->options &&
            strcmp(instances->items[i].name, instance->name) == 0)
            return true;
    return false;
}

static void add(struct instances *instances, const struct config_instance *instance)
{
    if (!is_known(instances, instance))
        instances->items[instances->count++] = *instance;
}

/* A declaration that a nearer file replaces is no instance. */
static bool is_replaced(const struct config *config, size_t document, const char *name)
{
    for (size_t i = 0; i < document; i++)
        if (json_member(json_member(config->documents[i].root, "backends"), name))
            return true;
    return false;
}

static void add_declared(const struct config *config, struct instances *instances)
{
    for (size_t i = 0; i < config->document_count; i++) {
        const struct json *document = &config->documents[i];
        const cJSON *backends = json_member(document->root, "backends");

        for (const cJSON *item = backends ? backends->child : NULL; item; item = item->next) {
            struct config_instance instance;

            /* Keys that begin with "x-" declare nothing, and have whatever value they like. */
            if (strncmp(item->string, "x-", 2) == 0 || is_replaced(config, i, item->string))
                continue;
            config_set_instance(document, item->string, item, &instance);
            add(instances, &instance);
        }
    }
}

int instances_collect(const struct config *config, struct instances *ret,
                      struct pullkey_error *error)
{
    struct instances instances = { 0 };
    size_t room = config->default_count;

    for (size_t i = 0; i < config->document_count; i++)
        room += (size_t)cJSON_GetArraySize(json_member(config->documents[i].root, "backends"));
    for (size_t i = 0; i < config->rule_count; i++)
        room += config->rules[i].chain_count;
    instances.items = secret_alloc((room + 1) * sizeof(*instances.items));
    if (!instances.items)
        return error_memory(error);
    add_declared(config, &instances);
    for (size_t i = 0; i < config->rule_count; i++)
        for (size_t j = 0; j < config->rules[i].chain_count; j++)
            add(&instances, &config->rules[i].chain[j]);
    for (size_t i = 0; i < config->default_count; i++)
        add(&instances, &config->default_chain[i]);
    *ret = instances;
    return 0;
}

void instances_done(struct instances *instances)
{
    secret_release(instances->items);
    *instances = (struct instances){ 0 };
}

void instances_where(const struct json *document, const cJSON *item, struct buffer *ret)
{
    if (document && item)
        buffer_printf(ret, "%s:%zu", document->name, json_line(document, item));
    else
        buffer_append_text(ret, "built in");
}

int instances_find(const struct json *document, const cJSON *item, struct buffer *ret,
                   struct pullkey_error *error)
{
    buffer_done(ret);
    instances_where(document, item, ret);
    return buffer_check(ret, error);
}

int instances_default(const struct config *config, struct buffer *ret, struct pullkey_error *error)
{
    for (size_t i = 0; i < config->document_count; i++) {
        const cJSON *item = json_member(config->documents[i].root, "default");

        if (item)
            return instances_find(&config->documents[i], item, ret, error);
    }
    return instances_find(NULL, NULL, ret, error);
}

static bool contains_any_case(const char *text, const char *word)
{
    for (; *text != '\0'; text++) {
        size_t i = 0;

        while (word[i] != '\0' && text_lower(text[i]) == word[i])
            i++;
        if (word[i] == '\0')
            return true;
    }
    return false;
}

/* The env backend's "password" is the name of a variable, which is worth seeing. */
static bool is_variable_name(const char *value)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";

    return strchr(value, '_') && value[strspn(value, allowed)] == '\0';
}

/* "token_url", which loses its query, "refresh_token_file", "subject_token_type" */
static bool is_place_or_kind(const char *name, char *value)
{
    const char *end = strrchr(name, '_');

    if (end && strcmp(end, "_url") == 0) {
        value[strcspn(value, "?")] = '\0';
        return true;
    }
    return end && (strcmp(end, "_file") == 0 || strcmp(end, "_type") == 0);
}

/*
 * No option of ours holds a secret. This is for the password that somebody wrote into the wrong
 * place.
 */
static bool mask(cJSON *tree)
{
    for (cJSON *item = tree->child; item; item = item->next) {
        if (item->child && !mask(item))
            return false;
        if (!cJSON_IsString(item) || !item->string || is_variable_name(item->valuestring) ||
            is_place_or_kind(item->string, item->valuestring))
            continue;
        if ((contains_any_case(item->string, "password") ||
             contains_any_case(item->string, "token")) &&
            !cJSON_SetValuestring(item, "***"))
            return false;
    }
    return true;
}

static void delete_tree(cJSON **tree)
{
    cJSON_Delete(*tree);
}

int instances_options(const struct config_instance *instance, struct buffer *ret,
                      struct pullkey_error *error)
{
    static const char *const own[] = { "type", "on_error", "optional" };
    __attribute__((cleanup(delete_tree))) cJSON *copy = NULL;

    if (!instance->options) {
        buffer_append_text(ret, "{}");
        return buffer_check(ret, error);
    }
    copy = cJSON_Duplicate(instance->options, true);
    if (!copy)
        return error_memory(error);
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
        cJSON_DeleteItemFromObjectCaseSensitive(copy, own[i]);
    if (!mask(copy))
        return error_memory(error);
    return json_write_tree(ret, copy, false, error);
}

int instances_write(const struct config_instance *instance, struct buffer *json,
                    struct pullkey_error *error)
{
    cleanup_buffer struct buffer where = BUFFER_INIT(JSON_SIZE_MAX);
    int r = instances_find(instance->document, instance->options, &where, error);

    if (r < 0)
        return r;
    json_write_format(json, "{\"name\":%s,\"type\":%s,\"from\":%s", instance->name, instance->type,
                      where.data);
    if (instance->implicit)
        buffer_append_text(json, ",\"implicit\":true");
    if (instance->on_error_next)
        buffer_append_text(json, ",\"on_error\":\"next\"");
    if (instance->optional)
        buffer_append_text(json, ",\"optional\":true");
    buffer_append_text(json, ",\"options\":");
    r = instances_options(instance, json, error);
    return r < 0 ? r : buffer_check(json, error);
}

void instances_place(const struct resolve_opened *opened, struct buffer *ret)
{
    const struct store *store = opened->state;

    if (strcmp(opened->backend->module.type, "file") != 0)
        return;
    for (size_t i = 0; i < store->path_count; i++)
        buffer_printf(ret, "%s%s", i > 0 ? ", " : "", store->paths[i]);
    if (store->key_path)
        buffer_printf(ret, ", encrypted with %s", store->key_path);
    if (store->read_only)
        buffer_append_text(ret, ", only read");
}
