/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store that behaves: one JSON file, a list of entries, named by the option "path". The contract suite is run against it as it
 * would be against anybody's module.
 */
#include "fake.h"

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/secret.h"
#include "base/text.h"

struct store {
    char path[FILE_PATH_MAX];
    struct json json;
};

static const struct pullkey_option options[] = {
    { "path", PULLKEY_OPTION_STRING, true },
    { NULL },
};

static int read_path(const char *text, char ret[FILE_PATH_MAX], struct pullkey_error *error)
{
    cleanup_json struct json json = { 0 };
    const char *path;
    int r = json_parse(&json, "options", text, strlen(text), 0, error);

    if (r < 0)
        return r;
    path = cJSON_GetStringValue(json_member(json.root, "path"));
    if (!path || path[0] != '/' || strlen(path) >= FILE_PATH_MAX)
        return error_set(error, PULLKEY_INVALID, "\"path\" is no absolute path");
    memcpy(ret, path, strlen(path) + 1);
    return 0;
}

static int load(struct store *store, struct pullkey_error *error)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(JSON_SIZE_MAX);
    int r = file_read(store->path, FILE_OURS, FILE_PRIVATE, &text, NULL, error);

    if (r < 0 && r != -PULLKEY_NOT_FOUND)
        return r;
    if (r == 0)
        return json_parse(&store->json, "store", text.data, text.length, 0, error);
    return json_parse(&store->json, "store", "[]", 2, 0, error);
}

static int save(const struct store *store, struct pullkey_error *error)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(JSON_SIZE_MAX);
    int r = json_write_tree(&text, store->json.root, false, error);

    return r < 0 ? r : file_replace(store->path, text.data, text.length, 0600, error);
}

static void close_store(void *state)
{
    struct store *store = state;

    json_done(&store->json);
    secret_release(store);
}

static int open_store(const struct pullkey_host *host, const struct pullkey_instance *instance,
                      void **ret, struct pullkey_error *error)
{
    struct store *store = host->alloc(sizeof(*store));
    int r;

    fake_host = host;
    if (!store)
        return error_memory(error);
    r = read_path(instance->options, store->path, error);
    if (r == 0)
        r = load(store, error);
    if (r < 0)
        close_store(store);
    else
        *ret = store;
    return r;
}

static const char *text_of(const cJSON *entry, const char *name)
{
    const char *text = cJSON_GetStringValue(json_member(entry, name));

    return text ? text : "";
}

static int get(void *state, const struct pullkey_request *request, struct pullkey_credential *ret,
               struct pullkey_error *error)
{
    const struct store *store = state;
    struct pullkey_credential credential = { 0 };
    const cJSON *entry, *best = NULL;
    int highest = 0, r;

    cJSON_ArrayForEach(entry, store->json.root) {
        int value = fake_host->match(request, text_of(entry, "server"), true);

        if (value > highest) {
            highest = value;
            best = entry;
        }
    }
    if (!best)
        return error_set(error, PULLKEY_NOT_FOUND, "there is none for %s", request->text);
    r = secret_set(&credential.secret, text_of(best, "secret"), strlen(text_of(best, "secret")),
                   error);
    if (r < 0)
        return r;
    credential.username = secret_copy(text_of(best, "username"), strlen(text_of(best, "username")));
    if (!credential.username) {
        secret_done(&credential.secret);
        return error_memory(error);
    }
    if (cJSON_IsTrue(json_member(best, "token")))
        credential.kind = PULLKEY_IDENTITY_TOKEN;
    *ret = credential;
    return 0;
}

/* True if there was one. */
static bool drop(struct store *store, const struct pullkey_request *request)
{
    cJSON *next;
    bool found = false;

    for (cJSON *entry = store->json.root->child; entry; entry = next) {
        next = entry->next;
        if (!fake_host->match(request, text_of(entry, "server"), false))
            continue;
        cJSON_Delete(cJSON_DetachItemViaPointer(store->json.root, entry));
        found = true;
    }
    return found;
}

static bool is_text(const char *bytes, size_t length, size_t limit)
{
    return length > 0 && length <= limit && !memchr(bytes, '\0', length) &&
           text_is_utf8(bytes, length);
}

static int put(void *state, const struct pullkey_request *request,
               const struct pullkey_credential *credential, struct pullkey_error *error)
{
    struct store *store = state;
    cJSON *entry;

    if (!is_text(credential->username, strlen(credential->username), PULLKEY_USERNAME_MAX) ||
        !is_text(credential->secret.bytes, credential->secret.length, PULLKEY_SECRET_MAX))
        return error_set(error, PULLKEY_INVALID, "the credential is no text, or too long");
    entry = cJSON_CreateObject();
    if (!cJSON_AddStringToObject(entry, "server", request->text) ||
        !cJSON_AddStringToObject(entry, "username", credential->username) ||
        !cJSON_AddStringToObject(entry, "secret", credential->secret.bytes) ||
        !cJSON_AddBoolToObject(entry, "token", credential->kind == PULLKEY_IDENTITY_TOKEN)) {
        cJSON_Delete(entry);
        return error_memory(error);
    }
    (void)drop(store, request);
    (void)cJSON_AddItemToArray(store->json.root, entry);
    return save(store, error);
}

static int erase(void *state, const struct pullkey_request *request, struct pullkey_error *error)
{
    if (!drop(state, request))
        return error_set(error, PULLKEY_NOT_FOUND, "there is none for %s", request->text);
    return save(state, error);
}

static int list(void *state, int64_t deadline_ms, struct pullkey_list *ret,
                struct pullkey_error *error)
{
    const struct store *store = state;
    const cJSON *entry;
    int r = 0;

    (void)deadline_ms;
    cJSON_ArrayForEach(entry, store->json.root)
        if (r == 0)
            r = fake_host->list_add(ret, text_of(entry, "server"), text_of(entry, "username"), error);
    return r;
}

static const struct pullkey_backend backend = {
    .module = {
        .abi_major = PULLKEY_ABI_MAJOR,
        .abi_minor = PULLKEY_ABI_MINOR,
        .size = sizeof(backend),
        .kind = PULLKEY_KIND_BACKEND,
        .type = "fake-store",
        .capabilities = PULLKEY_CAN_GET | PULLKEY_CAN_STORE | PULLKEY_CAN_LIST,
        .options = options,
    },
    .open = open_store,
    .get = get,
    .store = put,
    .erase = erase,
    .list = list,
    .close = close_store,
};

PULLKEY_EXPORT_MODULE(backend);
