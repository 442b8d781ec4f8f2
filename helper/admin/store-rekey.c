/* SPDX-License-Identifier: Apache-2.0 */
#include "admin.h"

#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/secret.h"
#include "core/resolve-chain.h"
#include "key/key.h"
#include "file/rekey.h"
#include "instances.h"
#include "base/output.h"

/*
 * The encrypted stores of a configuration. What the file backend's open() gives is a struct store.
 */
struct stores {
    struct resolve_opened *opened;
    size_t count;
    size_t rekeyed;
    struct buffer json; /* their paths */
};

static void stores_done(struct stores *stores)
{
    for (size_t i = 0; i < stores->count; i++)
        resolve_opened_done(&stores->opened[i]);
    secret_release(stores->opened);
    buffer_done(&stores->json);
}

#define cleanup_stores __attribute__((cleanup(stores_done)))

static const struct store *store_at(const struct stores *stores, size_t at)
{
    return stores->opened[at].state;
}

static int open_stores(const struct resolve *resolve, const struct instances *instances,
                       struct stores *stores, struct pullkey_error *error)
{
    stores->opened = secret_alloc((instances->count + 1) * sizeof(*stores->opened));
    if (!stores->opened)
        return error_memory(error);
    for (size_t i = 0; i < instances->count; i++) {
        struct resolve_opened *opened = &stores->opened[stores->count];
        int r;

        if (strcmp(instances->items[i].type, "file") != 0)
            continue;
        r = resolve_open(resolve, &instances->items[i], opened, error);
        if (r == -PULLKEY_NO_IDENTITY)
            continue; /* a credential of a service manager that is not here */
        if (r < 0)
            return error_wrap(error, "%s", instances->items[i].name);
        if (store_at(stores, stores->count)->key_path)
            stores->count++;
        else
            resolve_opened_done(opened);
    }
    return 0;
}

static int tell(const struct admin_call *call, struct stores *stores, const struct store *store,
                struct pullkey_error *error)
{
    stores->rekeyed++;
    if (!call->values[ADMIN_JSON]) {
        output_line("%s is encrypted with a new key", store->paths[0]);
        return 0;
    }
    buffer_append_text(&stores->json, stores->json.length > 0 ? "," : "");
    json_write_string(&stores->json, store->paths[0], strlen(store->paths[0]));
    return buffer_check(&stores->json, error);
}

/* A new key waits beside the old one, under a name that must be nobody else's. */
static int check_next(const struct stores *stores, const char *key_path,
                      struct pullkey_error *error)
{
    char next[FILE_PATH_MAX];
    int r = key_next(key_path, next, error);

    for (size_t i = 0; r == 0 && i < stores->count; i++)
        if (rekey_is_same(store_at(stores, i)->key_path, next))
            r = error_set(error, PULLKEY_INVALID,
                          "%s is the key of another store, and the place of the new one for %s: "
                          "give one of the keys another name",
                          next, key_path);
    return r;
}

/* Stores that share a key get the new one together. */
static int rekey_group(const struct admin_call *call, struct stores *stores, size_t first,
                       int64_t deadline_ms, struct pullkey_error *error)
{
    const char *key_path = store_at(stores, first)->key_path;
    const struct store *group[REKEY_STORES_MAX];
    struct rekey_done done;
    size_t count = 0;
    int r;

    for (size_t i = 0; i < stores->count; i++) {
        if (!rekey_is_same(store_at(stores, i)->key_path, key_path))
            continue;
        if (i < first)
            return 0; /* done with an earlier one */
        if (count == REKEY_STORES_MAX)
            return error_set(error, PULLKEY_UNSUPPORTED, "more than %d stores have the key %s",
                             REKEY_STORES_MAX, key_path);
        group[count++] = store_at(stores, i);
    }
    r = check_next(stores, key_path, error);
    if (r == 0)
        r = rekey_stores(group, count, deadline_ms, &done, error);
    if (r == -PULLKEY_NOT_FOUND)
        return 0;
    for (size_t i = 0; r == 0 && i < done.count; i++)
        r = tell(call, stores, done.stores[i], error);
    if (r == 0 && done.old_key_path[0] != '\0')
        output_note("A store that has this key is not there, so the old one is kept as %s",
                    done.old_key_path);
    return r;
}

static int report(const struct admin_call *call, const struct stores *stores,
                  struct pullkey_error *error)
{
    cleanup_buffer struct buffer json = BUFFER_INIT(JSON_SIZE_MAX);

    if (stores->count == 0)
        return error_set(error, PULLKEY_UNSUPPORTED,
                         "the configuration has no encrypted store that pullkey writes");
    if (call->values[ADMIN_JSON]) {
        buffer_printf(&json, "{\"rekeyed\":[%s]}\n", stores->json.data ? stores->json.data : "");
        return output_buffer(&json, error);
    }
    if (stores->rekeyed == 0)
        output_line("Nothing is stored yet, so there is no key to replace");
    return 0;
}

int admin_store_rekey(const struct admin_call *call, struct pullkey_error *error)
{
    cleanup_config struct config config = { 0 };
    cleanup_instances struct instances instances = { 0 };
    cleanup_stores struct stores stores = { .json = BUFFER_INIT(JSON_SIZE_MAX / 2) };
    struct resolve resolve;
    int r = admin_load(call, &config, error);

    if (r == 0)
        r = instances_collect(&config, &instances, error);
    if (r < 0)
        return r;
    resolve = admin_resolve(&config);
    r = open_stores(&resolve, &instances, &stores, error);
    for (size_t i = 0; r == 0 && i < stores.count; i++)
        r = rekey_group(call, &stores, i, resolve.deadline_ms, error);
    return r < 0 ? r : report(call, &stores, error);
}
