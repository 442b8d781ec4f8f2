/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/secret.h"
#include "resolve-chain.h"

void resolve_list_done(struct resolve_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        secret_release(list->entries[i].server);
        secret_release(list->entries[i].username);
    }
    secret_release(list->entries);
    *list = (struct resolve_list){ 0 };
}

static bool is_same(const struct config_instance *a, const struct config_instance *b)
{
    return a->options == b->options && strcmp(a->name, b->name) == 0;
}

/* True if a get for the key would ask the instance: what is listed must be of use. */
static bool serves_key(const struct resolve *resolve, const struct config_instance *instance,
                       const char *key)
{
    struct registry_reference reference;
    struct pullkey_error ignored;
    struct resolve_chain chain;

    if (registry_parse(key, strlen(key), &reference, &ignored) < 0)
        return false;
    resolve_chain_find(resolve, &reference, &chain);
    for (size_t i = 0; i < chain.count; i++)
        if (is_same(chain.items[i], instance))
            return true;
    return false;
}

/* Moves the entries that are of use to the end of *ret. */
static int take_entries(const struct resolve *resolve, const struct config_instance *instance,
                        size_t rank, struct pullkey_list *list, struct resolve_list *ret,
                        struct pullkey_error *error)
{
    struct resolve_entry *grown;

    if (list->count == 0)
        return 0;
    grown = secret_alloc((ret->count + list->count) * sizeof(*grown));
    if (!grown)
        return error_memory(error);
    if (ret->count > 0)
        memcpy(grown, ret->entries, ret->count * sizeof(*grown));
    secret_release(ret->entries);
    ret->entries = grown;
    for (size_t i = 0; i < list->count; i++) {
        struct pullkey_entry *entry = &list->entries[i];

        if (!serves_key(resolve, instance, entry->server))
            continue;
        grown[ret->count++] =
            (struct resolve_entry){ entry->server, entry->username, instance, rank };
        *entry = (struct pullkey_entry){ 0 };
    }
    return 0;
}

static int list_instance(const struct resolve *resolve, const struct config_instance *instance,
                         size_t rank, struct resolve_list *ret, struct pullkey_error *error)
{
    cleanup_opened struct resolve_opened opened = { 0 };
    cleanup_list struct pullkey_list list = { 0 };
    int r = resolve_open(resolve, instance, &opened, error);

    if (r == 0 && !(opened.backend->module.capabilities & PULLKEY_CAN_LIST))
        return 0;
    if (r == 0)
        r = opened.backend->list(opened.state, resolve_deadline(resolve), &list, error);
    r = resolve_judge(instance, r, error);
    if (r == -PULLKEY_NOT_FOUND)
        return 0;
    return r < 0 ? r : take_entries(resolve, instance, rank, &list, ret, error);
}

static int order_entries(const void *a, const void *b)
{
    const struct resolve_entry *first = a, *second = b;
    int order = strcmp(first->server, second->server);

    if (order != 0)
        return order;
    return first->rank < second->rank ? -1 : first->rank > second->rank;
}

static void sort_unique(struct resolve_list *list)
{
    size_t kept = 0;

    if (list->count == 0)
        return;
    qsort(list->entries, list->count, sizeof(*list->entries), order_entries);
    for (size_t i = 0; i < list->count; i++) {
        struct resolve_entry entry = list->entries[i];

        if (kept > 0 && strcmp(list->entries[kept - 1].server, entry.server) == 0) {
            secret_release(entry.server);
            secret_release(entry.username);
        } else {
            list->entries[kept++] = entry;
        }
    }
    list->count = kept;
}

/* An instance that serves several rules is listed once: at its first place. */
static bool is_first(const struct config *config, size_t rule, size_t at)
{
    const struct config_instance *instance = &config->rules[rule].chain[at];

    for (size_t i = 0; i <= rule; i++)
        for (size_t j = 0; j < (i == rule ? at : config->rules[i].chain_count); j++)
            if (is_same(&config->rules[i].chain[j], instance))
                return false;
    for (size_t i = 0; i < config->default_count; i++)
        if (is_same(&config->default_chain[i], instance))
            return false;
    return true;
}

static int list_all(const struct resolve *resolve, struct resolve_list *ret,
                    struct pullkey_error *error)
{
    const struct config *config = resolve->config;
    size_t rank = 0;
    int r = 0;

    for (size_t i = 0; r == 0 && i < config->default_count; i++)
        r = list_instance(resolve, &config->default_chain[i], rank++, ret, error);
    for (size_t i = 0; r == 0 && i < config->rule_count; i++)
        for (size_t j = 0; r == 0 && j < config->rules[i].chain_count; j++)
            if (is_first(config, i, j))
                r = list_instance(resolve, &config->rules[i].chain[j], rank++, ret, error);
    return r;
}

int resolve_list(const struct resolve *resolve, struct resolve_list *ret,
                 struct pullkey_error *error)
{
    cleanup_resolve_list struct resolve_list list = { 0 };
    int r = list_all(resolve, &list, error);

    if (r < 0)
        return r;
    sort_unique(&list);
    *ret = list;
    list = (struct resolve_list){ 0 };
    return 0;
}
