/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keyring backend: credentials in the desktop's own secret store, beside those of
 * docker-credential-secretservice, with its faults mended. The newest of several entries counts, a
 * store leaves one, a locked keyring is no empty one, and nothing is said to be gone that is not.
 */
#include <pullkey/backend.h>

#include <cjson/cJSON.h>
#include <string.h>
#include <sys/mman.h>

#include "base/error.h"
#include "base/file.h"
#include "base/lock.h"
#include "base/secret.h"
#include "base/text.h"
#include "service.h"

#define TOKEN_USER "<token>"

/* How often somebody may replace what is just being read. */
#define ATTEMPTS 10

enum { VANISHED = 1 };

struct keyring {
    const struct pullkey_host *host;
    char *collection; /* NULL: the default one */
};

static void keyring_close(void *state)
{
    struct keyring *keyring = state;

    secret_release(keyring->collection);
    secret_release(keyring);
}

/* The host has checked them, so base/json and its errors would be here for nothing. */
static bool read_options(struct keyring *keyring, const char *text)
{
    cJSON *options = cJSON_ParseWithLength(text, strlen(text));
    const cJSON *collection = cJSON_GetObjectItemCaseSensitive(options, "collection");
    bool is_read = options;

    if (cJSON_IsString(collection)) {
        keyring->collection = secret_copy(collection->valuestring, strlen(collection->valuestring));
        is_read = keyring->collection;
    }
    cJSON_Delete(options);
    return is_read;
}

static int keyring_open(const struct pullkey_host *host, const struct pullkey_instance *instance,
                        void **ret, struct pullkey_error *error)
{
    struct keyring *keyring;

    if (instance->system)
        return error_set(error, PULLKEY_UNSUPPORTED,
                         "a keyring belongs to somebody's session: system programs have none");
    keyring = secret_alloc(sizeof(*keyring));
    if (!keyring)
        return error_memory(error);
    keyring->host = host;
    if (!read_options(keyring, instance->options)) {
        keyring_close(keyring);
        return error_memory(error);
    }
    *ret = keyring;
    return 0;
}

static void service_init(const struct keyring *keyring, int64_t deadline_ms, struct service *ret)
{
    *ret = (struct service){
        .host = keyring->host,
        .collection = keyring->collection,
        .deadline_ms = deadline_ms,
    };
}

static int not_found(const struct pullkey_request *request, struct pullkey_error *error)
{
    return error_set(error, PULLKEY_NOT_FOUND, "the keyring has no credential for %s",
                     request->text);
}

/* -- Which servers of the keyring are meant --------------------------------------------------- */

/* The server whose key serves the request best, of equal ones the newest. NULL: none. Release with
 * g_free. */
static int find_best(const struct keyring *keyring, struct service *service,
                     const struct pullkey_request *request, gchar **ret,
                     struct pullkey_error *error)
{
    GPtrArray *entries;
    const char *best = NULL;
    int most = 0;
    int r = service_list(service, &entries, error);

    if (r < 0)
        return r;
    for (guint i = 0; i < entries->len; i++) {
        const struct service_entry *entry = g_ptr_array_index(entries, i);
        const int rank = keyring->host->match(request, entry->server, true);

        if (rank > most) {
            most = rank;
            best = entry->server;
        }
    }
    *ret = g_strdup(best);
    g_ptr_array_unref(entries);
    return 0;
}

/* The items of every server that is the request's, or an alias of it with the same path. */
static int find_aliases(const struct keyring *keyring, struct service *service,
                        const struct pullkey_request *request, GList **ret,
                        struct pullkey_error *error)
{
    GHashTable *seen = g_hash_table_new(g_str_hash, g_str_equal);
    GPtrArray *entries = NULL;
    GList *items = NULL;
    int r = service_list(service, &entries, error);

    for (guint i = 0; r == 0 && i < entries->len; i++) {
        const struct service_entry *entry = g_ptr_array_index(entries, i);
        GList *more;

        if (keyring->host->match(request, entry->server, false) == 0 ||
            !g_hash_table_add(seen, entry->server))
            continue;
        r = service_find(service, entry->server, &more, error);
        if (r == 0)
            items = g_list_concat(items, more);
    }
    g_hash_table_unref(seen);
    if (entries)
        g_ptr_array_unref(entries);
    if (r < 0)
        service_free_items(items);
    else
        *ret = items;
    return r;
}

/* -- get -------------------------------------------------------------------------------------- */

static bool is_newer(SecretItem *one, SecretItem *other)
{
    return service_compare_age(secret_item_get_modified(one),
                               g_dbus_proxy_get_object_path(G_DBUS_PROXY(one)),
                               secret_item_get_modified(other),
                               g_dbus_proxy_get_object_path(G_DBUS_PROXY(other))) > 0;
}

static SecretItem *newest_of(GList *items)
{
    SecretItem *newest = NULL;

    for (GList *item = items; item; item = item->next)
        if (!newest || is_newer(item->data, newest))
            newest = item->data;
    return newest;
}

static int copy_user(SecretItem *item, struct pullkey_credential *ret, struct pullkey_error *error)
{
    GHashTable *attributes = secret_item_get_attributes(item);
    const char *username = g_hash_table_lookup(attributes, "username");
    const bool is_named = username && username[0] != '\0';

    if (is_named) {
        ret->username = secret_copy(username, strlen(username));
        if (strcmp(username, TOKEN_USER) == 0)
            ret->kind = PULLKEY_IDENTITY_TOKEN;
    }
    g_hash_table_unref(attributes);
    return is_named && !ret->username ? error_memory(error) : 0;
}

static int read_item(SecretItem *item, const struct pullkey_request *request,
                     struct pullkey_credential *ret, struct pullkey_error *error)
{
    SecretValue *value = secret_item_get_secret(item);
    const char *bytes;
    gsize length = 0;
    int r = copy_user(item, ret, error);

    bytes = value ? secret_value_get(value, &length) : NULL;
    if (r == 0 && (!ret->username || length == 0))
        r = error_set(error, PULLKEY_INVALID, "the keyring's entry for %s has no %s: log in again",
                      request->text, ret->username ? "password" : "user name");
    if (r == 0)
        r = secret_set(&ret->secret, bytes, length, error);
    /* As libsecret has its own copy. Where too much is locked already it is in ordinary memory. */
    if (r == 0)
        (void)mlock(ret->secret.bytes, ret->secret.length);
    if (value)
        secret_value_unref(value);
    return r;
}

/* VANISHED where it was removed, or replaced, after it was found. */
static int get_from(const struct keyring *keyring, struct service *service,
                    const struct pullkey_request *request, struct pullkey_credential *ret,
                    struct pullkey_error *error)
{
    GList *items = NULL, newest = { 0 };
    gchar *server = NULL;
    int r = service_find(service, request->text, &items, error);

    if (r == 0 && !items) {
        r = find_best(keyring, service, request, &server, error);
        if (r == 0 && server)
            r = service_find(service, server, &items, error);
        g_free(server);
    }
    if (r < 0)
        return r;
    newest.data = newest_of(items);
    if (!newest.data)
        return not_found(request, error);
    r = service_unlock(service, &newest, error);
    if (r == 0)
        r = service_load(service, newest.data, error);
    if (r == -PULLKEY_NOT_FOUND)
        r = VANISHED;
    if (r == 0)
        r = read_item(newest.data, request, ret, error);
    service_free_items(items);
    return r;
}

static int keyring_get(void *state, const struct pullkey_request *request,
                       struct pullkey_credential *ret, struct pullkey_error *error)
{
    const struct keyring *keyring = state;
    struct service service;
    int r;

    service_init(keyring, request->deadline_ms, &service);
    r = service_open(&service, error);
    if (r == 0) {
        for (int i = 0; (r = get_from(keyring, &service, request, ret, error)) == VANISHED; i++)
            if (i == ATTEMPTS)
                break;
    }
    service_close(&service);
    return r == VANISHED
               ? error_set(error, PULLKEY_UNREACHABLE,
                           "the keyring's entry for %s is replaced again and again", request->text)
               : r;
}

/* -- store and erase -------------------------------------------------------------------------- */

/*
 * One at a time: of two at once, each would leave the entry of the other. Where no lock can be made
 * they have to get on without.
 */
static int take_turn(const struct pullkey_request *request, struct lock *ret,
                     struct pullkey_error *error)
{
    char directory[FILE_PATH_MAX], path[FILE_PATH_MAX];
    struct pullkey_error why;
    int r = file_place(FILE_RUNTIME_HOME, directory, &why);

    if (r == 0)
        r = file_join(path, directory, "keyring.lock", &why);
    if (r == 0)
        r = file_make_parents(path, &why);
    if (r == 0)
        r = lock_take(path, request->deadline_ms, ret, &why);
    if (r != -PULLKEY_UNREACHABLE)
        return 0;
    *error = why;
    return r;
}

static int check_limits(const struct pullkey_credential *credential, struct pullkey_error *error)
{
    const size_t length = strnlen(credential->username, PULLKEY_USERNAME_MAX + 1);
    const struct pullkey_secret *secret = &credential->secret;

    if (length <= PULLKEY_USERNAME_MAX && secret->length <= PULLKEY_SECRET_MAX &&
        text_is_utf8(credential->username, length) && text_is_utf8(secret->bytes, secret->length) &&
        !memchr(secret->bytes, 0, secret->length))
        return 0;
    return error_set(error, PULLKEY_INVALID,
                     "the user name or the secret is no text, or longer than %d and %d bytes",
                     PULLKEY_USERNAME_MAX, PULLKEY_SECRET_MAX);
}

static bool is_at(SecretItem *item, const char *path)
{
    return g_strcmp0(g_dbus_proxy_get_object_path(G_DBUS_PROXY(item)), path) == 0;
}

/* Whether one of the servers of the items has any other entry than the one of that path. */
static int find_left(struct service *service, GList *items, const char *kept, bool *ret,
                     struct pullkey_error *error)
{
    GHashTable *seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    int r = 0;

    *ret = false;
    for (GList *item = items; r == 0 && item; item = item->next) {
        GHashTable *attributes = secret_item_get_attributes(item->data);
        gchar *server = g_strdup(g_hash_table_lookup(attributes, "server"));
        GList *left = NULL;

        g_hash_table_unref(attributes);
        if (!g_hash_table_add(seen, server))
            continue;
        r = service_find(service, server, &left, error);
        for (GList *one = left; one; one = one->next)
            *ret = *ret || !is_at(one->data, kept);
        service_free_items(left);
    }
    g_hash_table_unref(seen);
    return r;
}

/* Deletes the items but the one of that path, if any, and then looks whether they are gone. */
static int delete_others(struct service *service, const struct pullkey_request *request,
                         GList *items, const char *kept, struct pullkey_error *error)
{
    bool is_left = false;
    int r = 0;

    for (GList *item = items; r == 0 && item; item = item->next) {
        if (is_at(item->data, kept))
            continue;
        r = service_delete(service, item->data, error);
        /* Somebody else was faster. */
        if (r == -PULLKEY_NOT_FOUND)
            r = 0;
    }
    if (r == 0)
        r = find_left(service, items, kept, &is_left, error);
    if (r == 0 && is_left)
        r = error_set(error, PULLKEY_DENIED,
                      "the keyring still has a credential for %s after it was removed: remove it "
                      "by the keyring's own program",
                      request->text);
    return r;
}

/* A locked keyring leaves it to the next store, unless it has what would be found before that one.
 */
static int refuse_shadow(const struct keyring *keyring, struct service *service,
                         const struct pullkey_request *request, struct pullkey_error *error)
{
    struct pullkey_error problem;
    gchar *server = NULL;
    int r = find_best(keyring, service, request, &server, &problem);

    if (r < 0)
        *error = problem;
    else if (server)
        error->code = PULLKEY_LOCKED;
    g_free(server);
    return -(int)error->code;
}

static int store_in(const struct keyring *keyring, struct service *service,
                    const struct pullkey_request *request,
                    const struct pullkey_credential *credential, struct pullkey_error *error)
{
    GList *items = NULL;
    gchar *path = NULL;
    int r = find_aliases(keyring, service, request, &items, error);

    if (r < 0)
        return r;
    /* What cannot be removed afterwards might be found before the new one. */
    r = service_unlock(service, items, error);
    if (r == 0)
        r = service_store(service, request->text, credential, &path, error);
    if (r == -PULLKEY_UNSUPPORTED)
        r = refuse_shadow(keyring, service, request, error);
    if (r == 0)
        r = delete_others(service, request, items, path, error);
    g_free(path);
    service_free_items(items);
    return r;
}

static int keyring_store(void *state, const struct pullkey_request *request,
                         const struct pullkey_credential *credential, struct pullkey_error *error)
{
    const struct keyring *keyring = state;
    cleanup_lock struct lock turn = LOCK_INIT;
    struct service service;
    int r = check_limits(credential, error);

    if (r < 0)
        return r;
    service_init(keyring, request->deadline_ms, &service);
    r = service_open(&service, error);
    if (r == 0)
        r = service_start_session(&service, error);
    if (r == 0)
        r = take_turn(request, &turn, error);
    if (r == 0)
        r = store_in(keyring, &service, request, credential, error);
    service_close(&service);
    return r;
}

static int erase_from(const struct keyring *keyring, struct service *service,
                      const struct pullkey_request *request, struct pullkey_error *error)
{
    GList *items = NULL;
    int r = find_aliases(keyring, service, request, &items, error);

    if (r < 0)
        return r;
    r = items ? service_unlock(service, items, error) : not_found(request, error);
    if (r == 0)
        r = delete_others(service, request, items, NULL, error);
    service_free_items(items);
    return r;
}

static int keyring_erase(void *state, const struct pullkey_request *request,
                         struct pullkey_error *error)
{
    const struct keyring *keyring = state;
    cleanup_lock struct lock turn = LOCK_INIT;
    struct service service;
    int r;

    service_init(keyring, request->deadline_ms, &service);
    r = service_open(&service, error);
    if (r == 0)
        r = take_turn(request, &turn, error);
    if (r == 0)
        r = erase_from(keyring, &service, request, error);
    service_close(&service);
    return r;
}

/* -- list ------------------------------------------------------------------------------------- */

static int keyring_list(void *state, int64_t deadline_ms, struct pullkey_list *ret,
                        struct pullkey_error *error)
{
    const struct keyring *keyring = state;
    GPtrArray *entries = NULL;
    struct service service;
    int r;

    service_init(keyring, deadline_ms, &service);
    r = service_open(&service, error);
    if (r == 0)
        r = service_list(&service, &entries, error);
    for (guint i = 0; r == 0 && i < entries->len; i++) {
        const struct service_entry *entry = g_ptr_array_index(entries, i);

        r = keyring->host->list_add(ret, entry->server, entry->username, error);
    }
    if (entries)
        g_ptr_array_unref(entries);
    service_close(&service);
    return r;
}

/* -- unlock ----------------------------------------------------------------------------------- */

static int keyring_unlock(void *state, const struct pullkey_secret *password, int64_t deadline_ms,
                          enum pullkey_unlock *ret, struct pullkey_error *error)
{
    const struct keyring *keyring = state;
    struct service service;
    int r;

    service_init(keyring, deadline_ms, &service);
    r = service_open(&service, error);
    if (r == 0)
        r = service_unlock_all(&service, password, ret, error);
    service_close(&service);
    return r;
}

static const struct pullkey_option options[] = {
    { "collection", PULLKEY_OPTION_STRING, false },
    { NULL, 0, false },
};

extern const struct pullkey_backend keyring_backend;
const struct pullkey_backend keyring_backend = {
    .module = {
        .abi_major = PULLKEY_ABI_MAJOR,
        .abi_minor = PULLKEY_ABI_MINOR,
        .size = sizeof(keyring_backend),
        .kind = PULLKEY_KIND_BACKEND,
        .type = "keyring",
        .capabilities = PULLKEY_CAN_GET | PULLKEY_CAN_STORE | PULLKEY_CAN_LIST,
        .options = options,
    },
    .open = keyring_open,
    .get = keyring_get,
    .store = keyring_store,
    .erase = keyring_erase,
    .list = keyring_list,
    .close = keyring_close,
    .unlock = keyring_unlock,
};

PULLKEY_EXPORT_MODULE(keyring_backend);
