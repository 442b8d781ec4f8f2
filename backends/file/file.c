/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file backend: credentials in a document of pullkey's own, plain or encrypted, or in documents
 * that others write.
 */
#include <pullkey/backend.h>

#include <string.h>

#include "auths/auths.h"
#include "base/error.h"
#include "base/file.h"
#include "base/lock.h"
#include "base/secret.h"
#include "store.h"

static int file_open(const struct pullkey_host *host, const struct pullkey_instance *instance,
                     void **ret, struct pullkey_error *error)
{
    struct store *store = host->alloc(sizeof(*store));
    int r;

    if (!store)
        return error_memory(error);
    r = store_init(store, host, instance, error);
    if (r < 0) {
        host->release(store);
        return r;
    }
    *ret = store;
    return 0;
}

static void file_close(void *state)
{
    struct store *store = state;
    const struct pullkey_host *host;

    if (!store)
        return;
    host = store->host;
    store_done(store);
    host->release(store);
}

static int not_found(const struct pullkey_request *request, struct pullkey_error *error)
{
    return error_set(error, PULLKEY_NOT_FOUND, "there is no credential for %s", request->text);
}

static int get_from(const struct store *store, size_t index, const struct pullkey_request *request,
                    struct pullkey_credential *ret, struct pullkey_error *error)
{
    cleanup_json struct json document = { 0 };
    const cJSON *entry;
    cJSON *map;
    int r = store_load(store, index, &document, error);

    if (r == 0)
        r = auths_map(&document, &map, error);
    if (r < 0)
        return r;
    entry = auths_find(store->host, map, request);
    if (!entry)
        return not_found(request, error);
    r = auths_read(store->host, &document, entry, ret, error);
    /* The files before this one may have something for another path. */
    if (r == 0)
        ret->scope = index > 0 ? PULLKEY_SCOPE_IMAGE : auths_scope(store->host, map, request);
    return r;
}

static int file_get(void *state, const struct pullkey_request *request,
                    struct pullkey_credential *ret, struct pullkey_error *error)
{
    const struct store *store = state;

    for (size_t i = 0; i < store->path_count; i++) {
        int r = get_from(store, i, request, ret, error);

        if (r != -PULLKEY_NOT_FOUND)
            return r;
    }
    return not_found(request, error);
}

static int refuse_read_only(const struct store *store, struct pullkey_error *error)
{
    return error_set(error, PULLKEY_UNSUPPORTED, "%s is only read: %s", store->paths[0],
                     store->credential ? "the service manager provides it"
                                       : "it belongs to another program");
}

static int file_writable(void *state, struct pullkey_error *error)
{
    const struct store *store = state;

    return store->read_only ? refuse_read_only(store, error) : 0;
}

static int file_store(void *state, const struct pullkey_request *request,
                      const struct pullkey_credential *credential, struct pullkey_error *error)
{
    const struct store *store = state;
    cleanup_json struct json document = { 0 };
    cleanup_lock struct lock lock = LOCK_INIT;
    bool is_new;
    int r;

    if (store->read_only)
        return refuse_read_only(store, error);
    r = file_make_parents(store->paths[0], error);
    if (r == 0)
        r = store_lock(store, request->deadline_ms, &lock, error);
    if (r < 0)
        return r;
    r = store_load(store, 0, &document, error);
    is_new = r == -PULLKEY_NOT_FOUND;
    if (is_new)
        r = json_parse(&document, store->paths[0], "{}", 2, 0, error);
    if (r == 0)
        r = auths_put(store->host, &document, request, credential, error);
    if (r < 0)
        return r;
    return store_save(store, &document, is_new, request->deadline_ms, error);
}

/* A store without the entry is left alone: neither it nor its directory needs to be writable. */
static int check_erasable(const struct store *store, const struct pullkey_request *request,
                          struct pullkey_error *error)
{
    cleanup_json struct json document = { 0 };
    cJSON *map;
    int r = store_load(store, 0, &document, error);

    if (r == 0)
        r = auths_map(&document, &map, error);
    if (r == -PULLKEY_NOT_FOUND || (r == 0 && !auths_has_alias(store->host, map, request)))
        return not_found(request, error);
    return r;
}

static int file_erase(void *state, const struct pullkey_request *request,
                      struct pullkey_error *error)
{
    const struct store *store = state;
    cleanup_json struct json document = { 0 };
    cleanup_lock struct lock lock = LOCK_INIT;
    cJSON *map;
    int r;

    if (store->read_only)
        return refuse_read_only(store, error);
    r = check_erasable(store, request, error);
    if (r == 0)
        r = store_lock(store, request->deadline_ms, &lock, error);
    if (r == 0)
        r = store_load(store, 0, &document, error);
    if (r == 0)
        r = auths_map(&document, &map, error);
    if (r < 0)
        return r;
    if (!auths_remove(store->host, map, request))
        return not_found(request, error);
    return store_save(store, &document, false, request->deadline_ms, error);
}

static void discard(const struct pullkey_host *host, struct pullkey_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        host->release(list->entries[i].server);
        host->release(list->entries[i].username);
    }
    host->release(list->entries);
}

static int file_list(void *state, int64_t deadline_ms, struct pullkey_list *ret,
                     struct pullkey_error *error)
{
    const struct store *store = state;
    struct pullkey_list list = { 0 };

    (void)deadline_ms; /* nothing here waits */
    for (size_t i = 0; i < store->path_count; i++) {
        cleanup_json struct json document = { 0 };
        int r = store_load(store, i, &document, error);

        if (r == -PULLKEY_NOT_FOUND)
            continue;
        if (r == 0)
            r = auths_list(store->host, &document, &list, error);
        if (r < 0) {
            discard(store->host, &list);
            return r;
        }
    }
    *ret = list;
    return 0;
}

static const struct pullkey_option options[] = {
    { "path", PULLKEY_OPTION_STRING, false },     { "encryption", PULLKEY_OPTION_STRING, false },
    { "key", PULLKEY_OPTION_STRING, false },      { "credential", PULLKEY_OPTION_STRING, false },
    { "sources", PULLKEY_OPTION_STRINGS, false }, { NULL, PULLKEY_OPTION_STRING, false },
};

extern const struct pullkey_backend file_backend;
const struct pullkey_backend file_backend = {
    .module = {
        .abi_major = PULLKEY_ABI_MAJOR,
        .abi_minor = PULLKEY_ABI_MINOR,
        .size = sizeof(file_backend),
        .kind = PULLKEY_KIND_BACKEND,
        .type = "file",
        .capabilities = PULLKEY_CAN_GET | PULLKEY_CAN_STORE | PULLKEY_CAN_LIST,
        .options = options,
    },
    .open = file_open,
    .get = file_get,
    .store = file_store,
    .erase = file_erase,
    .list = file_list,
    .close = file_close,
    .writable = file_writable,
};
