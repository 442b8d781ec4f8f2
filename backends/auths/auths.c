/* SPDX-License-Identifier: Apache-2.0 */
#include "auths.h"

#include <string.h>

#include "base/error.h"
#include "base/secret.h"
#include "base/text.h"

#define SOURCE "file"
#define TOKEN_USERNAME "<token>"
/* Docker pads a password with NULs up to the size of its base64 groups at most. */
#define DECODED_MAX (PULLKEY_USERNAME_MAX + 1 + PULLKEY_SECRET_MAX + 16)

int auths_map(const struct json *document, cJSON **ret, struct pullkey_error *error)
{
    cJSON *map;

    if (!cJSON_IsObject(document->root))
        return json_error(document, document->root, error, "must be an object");
    map = json_member(document->root, "auths");
    if (!map || cJSON_IsNull(map)) {
        *ret = NULL;
        return 0;
    }
    if (!cJSON_IsObject(map))
        return json_error(document, map, error, "must be an object");
    *ret = map;
    return 0;
}

/* False for a member that is not there, null or "". */
static bool has_member(const cJSON *entry, const char *name)
{
    const cJSON *member = json_member(entry, name);

    if (!member || cJSON_IsNull(member))
        return false;
    return !cJSON_IsString(member) || member->valuestring[0] != '\0';
}

/* What is malformed is not absent: it must be an error when it is asked for. */
bool auths_is_absent(const struct pullkey_host *host, const cJSON *entry)
{
    if (!cJSON_IsObject(entry))
        return false;
    if (has_member(entry, "auth") || has_member(entry, "identitytoken") ||
        has_member(entry, "username") || has_member(entry, "password"))
        return false;
    if (has_member(entry, "registrytoken")) {
        const char *at = strrchr(entry->string, '@'); /* a password may stand before it */

        host->log(SOURCE, "the entry %s has only a registrytoken, which is not used",
                  at ? at : entry->string);
    }
    return true;
}

const cJSON *auths_find(const struct pullkey_host *host, const cJSON *map,
                        const struct pullkey_request *request)
{
    const cJSON *best = NULL, *entry;
    int best_rank = 0;

    if (!map)
        return NULL;
    cJSON_ArrayForEach(entry, map) {
        int rank = host->match(request, entry->string, true);

        if (rank > best_rank && !auths_is_absent(host, entry)) {
            best = entry;
            best_rank = rank;
        }
    }
    return best;
}

/* Docker Hub's other names end in docker.com, and an IPv6 address can be written in many ways. */
static bool may_be_for(const char *key, const struct pullkey_request *request)
{
    return strcasestr(key, request->host) || strchr(key, '*') ||
           (request->host[0] == '[' && strchr(key, '[')) ||
           (strcmp(request->host, "docker.io") == 0 && strcasestr(key, "docker.com"));
}

enum pullkey_scope auths_scope(const struct pullkey_host *host, const cJSON *map,
                               const struct pullkey_request *request)
{
    struct pullkey_request whole = *request;
    const cJSON *entry;

    whole.text = "";
    whole.path = "";
    cJSON_ArrayForEach(entry, map) {
        if (may_be_for(entry->string, request) && host->match(&whole, entry->string, false) == 0)
            return PULLKEY_SCOPE_IMAGE;
    }
    return PULLKEY_SCOPE_REGISTRY;
}

/* Parts of an entry; they point into the tree or into `decoded`. */
struct parts {
    const char *username;
    size_t username_length;
    const char *secret;
    size_t secret_length;
    enum pullkey_credential_kind kind;
    struct buffer decoded;
};

static void parts_done(struct parts *parts)
{
    buffer_done(&parts->decoded);
}

#define cleanup_parts __attribute__((cleanup(parts_done)))

static int string_member(const struct json *document, const cJSON *entry, const char *name,
                         const char **ret, struct pullkey_error *error)
{
    const cJSON *member = json_member(entry, name);

    *ret = "";
    if (!member || cJSON_IsNull(member))
        return 0;
    if (!cJSON_IsString(member))
        return json_error(document, member, error, "must be a string");
    *ret = member->valuestring;
    return 0;
}

static int split_auth(const struct json *document, const cJSON *entry, const char *auth,
                      struct parts *parts, struct pullkey_error *error)
{
    const cJSON *item = json_member(entry, "auth");
    struct pullkey_error cause;
    const char *colon;

    if (text_base64_decode(auth, strlen(auth), &parts->decoded, &cause) < 0) {
        if (cause.code == PULLKEY_INTERNAL)
            return error_memory(error);
        return json_error(document, item, error, "%s", cause.message);
    }
    colon = memchr(parts->decoded.data, ':', parts->decoded.length);
    if (!colon)
        return json_error(document, item, error, "holds no \"user:password\"");
    parts->username = parts->decoded.data;
    parts->username_length = (size_t)(colon - parts->decoded.data);
    parts->secret = colon + 1;
    parts->secret_length = parts->decoded.length - parts->username_length - 1;
    while (parts->secret_length > 0 && parts->secret[parts->secret_length - 1] == '\0')
        parts->secret_length--;
    return 0;
}

static int split_entry(const struct json *document, const cJSON *entry, struct parts *parts,
                       struct pullkey_error *error)
{
    const char *auth, *token, *username, *password;

    if (!cJSON_IsObject(entry))
        return json_error(document, entry, error, "must be an object");
    if (string_member(document, entry, "auth", &auth, error) < 0 ||
        string_member(document, entry, "identitytoken", &token, error) < 0 ||
        string_member(document, entry, "username", &username, error) < 0 ||
        string_member(document, entry, "password", &password, error) < 0)
        return -(int)error->code;
    parts->kind = PULLKEY_PASSWORD;
    if (token[0] != '\0') {
        parts->username = TOKEN_USERNAME;
        parts->username_length = strlen(TOKEN_USERNAME);
        parts->secret = token;
        parts->secret_length = strlen(token);
        parts->kind = PULLKEY_IDENTITY_TOKEN;
        return 0;
    }
    if (auth[0] != '\0')
        return split_auth(document, entry, auth, parts, error);
    parts->username = username;
    parts->username_length = strlen(username);
    parts->secret = password;
    parts->secret_length = strlen(password);
    return 0;
}

static int check_parts(const struct json *document, const cJSON *entry, const struct parts *parts,
                       struct pullkey_error *error)
{
    if (parts->username_length > PULLKEY_USERNAME_MAX)
        return json_error(document, entry, error, "the user name is longer than %d bytes",
                          PULLKEY_USERNAME_MAX);
    if (parts->secret_length > PULLKEY_SECRET_MAX)
        return json_error(document, entry, error, "the secret is longer than %d bytes",
                          PULLKEY_SECRET_MAX);
    if (memchr(parts->username, '\0', parts->username_length) ||
        memchr(parts->secret, '\0', parts->secret_length))
        return json_error(document, entry, error, "there is a NUL in it");
    if (!text_is_utf8(parts->username, parts->username_length) ||
        !text_is_utf8(parts->secret, parts->secret_length))
        return json_error(document, entry, error, "there is invalid UTF-8 in it");
    return 0;
}

/* Memory that the host will release. */
static char *host_copy(const struct pullkey_host *host, const char *bytes, size_t length)
{
    char *copy = host->alloc(length + 1);

    if (copy && length > 0)
        memcpy(copy, bytes, length);
    return copy;
}

int auths_read(const struct pullkey_host *host, const struct json *document, const cJSON *entry,
               struct pullkey_credential *ret, struct pullkey_error *error)
{
    cleanup_parts struct parts parts = { .decoded = BUFFER_INIT(DECODED_MAX) };
    char *username, *secret;
    int r = split_entry(document, entry, &parts, error);

    if (r == 0)
        r = check_parts(document, entry, &parts, error);
    if (r < 0)
        return r;
    username = host_copy(host, parts.username, parts.username_length);
    secret = host_copy(host, parts.secret, parts.secret_length);
    if (!username || !secret) {
        host->release(username);
        host->release(secret);
        return error_memory(error);
    }
    *ret = (struct pullkey_credential){
        .username = username,
        .secret = { .bytes = secret, .length = parts.secret_length },
        .kind = parts.kind,
    };
    return 0;
}

bool auths_has_alias(const struct pullkey_host *host, const cJSON *map,
                     const struct pullkey_request *request)
{
    const cJSON *entry;

    if (!map)
        return false;
    cJSON_ArrayForEach(entry, map) {
        if (host->match(request, entry->string, false) > 0)
            return true;
    }
    return false;
}

bool auths_remove(const struct pullkey_host *host, cJSON *map,
                  const struct pullkey_request *request)
{
    bool removed = false;

    if (!map)
        return false;
    for (cJSON *entry = map->child, *next; entry; entry = next) {
        next = entry->next;
        if (host->match(request, entry->string, false) > 0) {
            cJSON_Delete(cJSON_DetachItemViaPointer(map, entry));
            removed = true;
        }
    }
    return removed;
}

static int add_auth(cJSON *entry, const char *username, const struct pullkey_secret *password,
                    struct pullkey_error *error)
{
    cleanup_buffer struct buffer plain = BUFFER_INIT(DECODED_MAX);
    cleanup_buffer struct buffer coded = BUFFER_INIT(2 * DECODED_MAX);
    int r;

    buffer_append_text(&plain, username);
    buffer_append_text(&plain, ":");
    if (password)
        buffer_append(&plain, password->bytes, password->length);
    r = buffer_check(&plain, error);
    if (r < 0)
        return r;
    text_base64_encode(&coded, plain.data, plain.length);
    r = buffer_check(&coded, error);
    if (r < 0)
        return r;
    return cJSON_AddStringToObject(entry, "auth", coded.data) ? 0 : error_memory(error);
}

static int fill_entry(cJSON *entry, const struct pullkey_credential *credential,
                      struct pullkey_error *error)
{
    const char *name = "password";

    if (credential->kind == PULLKEY_IDENTITY_TOKEN) {
        int r = add_auth(entry, TOKEN_USERNAME, NULL, error);

        if (r < 0)
            return r;
        name = "identitytoken";
    } else if (!strchr(credential->username, ':')) {
        return add_auth(entry, credential->username, &credential->secret, error);
    } else if (!cJSON_AddStringToObject(entry, "username", credential->username)) {
        return error_memory(error);
    }
    return cJSON_AddStringToObject(entry, name, credential->secret.bytes) ? 0 : error_memory(error);
}

int auths_check(const struct pullkey_credential *credential, struct pullkey_error *error)
{
    size_t username_length = strnlen(credential->username, PULLKEY_USERNAME_MAX + 1);
    const struct pullkey_secret *secret = &credential->secret;

    if (username_length > PULLKEY_USERNAME_MAX)
        return error_set(error, PULLKEY_INVALID, "the user name is longer than %d bytes",
                         PULLKEY_USERNAME_MAX);
    if (secret->length > PULLKEY_SECRET_MAX)
        return error_set(error, PULLKEY_INVALID, "the secret is longer than %d bytes",
                         PULLKEY_SECRET_MAX);
    if (secret->length > 0 && memchr(secret->bytes, '\0', secret->length))
        return error_set(error, PULLKEY_INVALID, "there is a NUL in the secret");
    if (!text_is_utf8(credential->username, username_length) ||
        !text_is_utf8(secret->bytes, secret->length))
        return error_set(error, PULLKEY_INVALID,
                         "there is invalid UTF-8 in the user name or the secret");
    return 0;
}

static int obtain_map(struct json *document, cJSON **ret, struct pullkey_error *error)
{
    cJSON *map;
    int r = auths_map(document, &map, error);

    if (r < 0)
        return r;
    if (!map) {
        cJSON_DeleteItemFromObjectCaseSensitive(document->root, "auths");
        map = cJSON_AddObjectToObject(document->root, "auths");
        if (!map)
            return error_memory(error);
    }
    *ret = map;
    return 0;
}

int auths_put(const struct pullkey_host *host, struct json *document,
              const struct pullkey_request *request, const struct pullkey_credential *credential,
              struct pullkey_error *error)
{
    cJSON *map = NULL, *entry;
    int r = auths_check(credential, error);

    if (r == 0)
        r = obtain_map(document, &map, error);
    if (r < 0)
        return r;
    (void)auths_remove(host, map, request);
    entry = cJSON_AddObjectToObject(map, request->text);
    return entry ? fill_entry(entry, credential, error) : error_memory(error);
}

int auths_list(const struct pullkey_host *host, const struct json *document,
               struct pullkey_list *list, struct pullkey_error *error)
{
    const cJSON *entry;
    cJSON *map;
    size_t left_out = 0;
    int r = auths_map(document, &map, error);

    if (r < 0 || !map)
        return r;
    cJSON_ArrayForEach(entry, map) {
        struct pullkey_credential credential = { 0 };
        struct pullkey_error cause;

        if (auths_is_absent(host, entry))
            continue;
        /* Where it stands is looked for once: that reads the whole document. */
        r = auths_read(host, left_out == 0 ? document : NULL, entry, &credential, &cause);
        if (r == -PULLKEY_INVALID) {
            if (left_out++ == 0)
                host->log(SOURCE, "left out of the list: %s", cause.message);
            continue;
        }
        if (r < 0) {
            *error = cause;
            return r;
        }
        r = host->list_add(list, entry->string, credential.username, error);
        host->release(credential.username);
        host->release(credential.secret.bytes);
        if (r < 0)
            return r;
    }
    if (left_out > 1)
        host->log(SOURCE, "left out of the list: %zu more", left_out - 1);
    return 0;
}
