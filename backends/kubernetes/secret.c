/* SPDX-License-Identifier: Apache-2.0 */
#include "secret.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auths/auths.h"
#include "base/error.h"
#include "base/secret.h"
#include "base/text.h"

#define CONTENT_MAX (1024 * 1024)
#define LITERAL 100000 /* any key that is spelled out comes before any with a '*' */

static const struct {
    const char *name, *key;
} types[] = {
    [SECRET_DOCKERCONFIGJSON] = { "kubernetes.io/dockerconfigjson", ".dockerconfigjson" },
    [SECRET_DOCKERCFG] = { "kubernetes.io/dockercfg", ".dockercfg" },
    [SECRET_BASIC_AUTH] = { "kubernetes.io/basic-auth", "password" },
};

static const char *string_of(const cJSON *object, const char *key)
{
    const cJSON *item = json_member(object, key);

    return cJSON_IsString(item) ? item->valuestring : NULL;
}

/* One label of a host against one of a pattern: '*' is any number of its bytes. */
static bool label_matches(const char *pattern, size_t pattern_length, const char *label,
                          size_t length)
{
    size_t at = 0, from = 0, star = SIZE_MAX, taken = 0;

    while (from < length) {
        if (at < pattern_length && pattern[at] == '*') {
            star = at++;
            taken = from;
        } else if (at < pattern_length && text_lower(pattern[at]) == label[from]) {
            at++;
            from++;
        } else if (star != SIZE_MAX) {
            at = star + 1;
            from = ++taken;
        } else {
            return false;
        }
    }
    while (at < pattern_length && pattern[at] == '*')
        at++;
    return at == pattern_length;
}

static bool host_matches(const char *pattern, size_t pattern_length, const char *host)
{
    size_t length = strlen(host);

    for (;;) {
        size_t part = strcspn(host, ".");
        const char *dot = memchr(pattern, '.', pattern_length);
        size_t pattern_part = dot ? (size_t)(dot - pattern) : pattern_length;

        if (!label_matches(pattern, pattern_part, host, part))
            return false;
        if (!dot || part == length)
            return !dot && part == length;
        pattern_length -= pattern_part + 1;
        pattern += pattern_part + 1;
        length -= part + 1;
        host += part + 1;
    }
}

static bool read_port(const char *text, size_t length, unsigned long *ret)
{
    if (length == 0 || length > 5 || strspn(text, "0123456789") != length || text[0] == '0')
        return false;
    *ret = strtoul(text, NULL, 10);
    return *ret <= UINT16_MAX;
}

/* 0, or more for a longer path. */
static int match_pattern(const struct pullkey_request *request, const char *key)
{
    const char *path, *colon;
    size_t authority, host, length;
    unsigned long port = 0;

    if (strncmp(key, "https://", 8) == 0)
        key += 8;
    authority = strcspn(key, "/");
    path = key + authority + strspn(key + authority, "/");
    if (strncmp(path, "v1/", 3) == 0 || strncmp(path, "v2/", 3) == 0)
        path += 3;
    length = strlen(path);
    while (length > 0 && path[length - 1] == '/')
        length--;
    colon = memchr(key, ':', authority);
    host = colon ? (size_t)(colon - key) : authority;
    if (!memchr(key, '*', host) || memchr(key, '[', host) ||
        (colon && !read_port(colon + 1, authority - host - 1, &port)) ||
        (port == 443 ? 0 : port) != request->port || !host_matches(key, host, request->host))
        return 0;
    if (strncmp(request->path, path, length) != 0 ||
        (length > 0 && request->path[length] != '\0' && request->path[length] != '/'))
        return 0;
    return 1 + (int)length;
}

int secret_match(const struct pullkey_host *host, const struct pullkey_request *request,
                 const char *key, bool any_scheme)
{
    int rank;

    if (any_scheme && !request->http && strncmp(key, "http://", 7) == 0)
        key += 7;
    rank = strchr(key, '*') ? 0 : host->match(request, key, true);
    if (rank > 0)
        return LITERAL + rank;
    return request->host[0] != '\0' && !request->http ? match_pattern(request, key) : 0;
}

static int decode(const char *name, const char *key, const char *text, struct buffer *ret,
                  struct pullkey_error *error)
{
    int r = text_base64_decode(text, strlen(text), ret, error);

    return r < 0 ? error_wrap(error, "%s: %s", name, key) : 0;
}

/* Text is about to be put around it: it must be whole without. */
static int check_alone(const struct secret *secret, const struct buffer *content,
                       struct pullkey_error *error)
{
    cleanup_json struct json json = { 0 };

    return json_parse(&json, secret->name, content->data ? content->data : "", content->length,
                      JSON_LARGE, error);
}

static int read_document(const cJSON *data, struct secret *secret, struct pullkey_error *error)
{
    const char *key = types[secret->type].key, *coded = string_of(data, key);
    cleanup_buffer struct buffer text = BUFFER_INIT(CONTENT_MAX + 64);
    cleanup_buffer struct buffer content = BUFFER_INIT(CONTENT_MAX);
    cJSON *map;
    int r;

    if (!coded)
        return error_set(error, PULLKEY_INVALID, "%s has the type %s, and no %s in its data",
                         secret->name, types[secret->type].name, key);
    r = decode(secret->name, key, coded, &content, error);
    if (r < 0)
        return r;
    if (secret->type == SECRET_DOCKERCFG) {
        r = check_alone(secret, &content, error);
        if (r < 0)
            return r;
        buffer_append_text(&text, "{\"auths\":");
    }
    buffer_append(&text, content.data ? content.data : "", content.length);
    if (secret->type == SECRET_DOCKERCFG)
        buffer_append_text(&text, "}");
    r = buffer_check(&text, error);
    if (r == 0)
        r = json_parse(&secret->document, secret->name, text.data ? text.data : "", text.length,
                       JSON_LARGE, error);
    return r < 0 ? r : auths_map(&secret->document, &map, error);
}

static int read_pair(const struct pullkey_host *host, const cJSON *data, struct secret *secret,
                     struct pullkey_error *error)
{
    const char *username = string_of(data, "username"), *password = string_of(data, "password");
    cleanup_buffer struct buffer user = BUFFER_INIT(PULLKEY_USERNAME_MAX);
    cleanup_buffer struct buffer text = BUFFER_INIT(PULLKEY_SECRET_MAX);
    struct pullkey_credential *credential = &secret->credential;
    struct pullkey_credential view;
    int r = 0;

    if (!username && !password)
        return error_set(error, PULLKEY_INVALID, "%s has neither username nor password",
                         secret->name);
    if (username)
        r = decode(secret->name, "username", username, &user, error);
    if (r == 0 && password)
        r = decode(secret->name, "password", password, &text, error);
    if (r < 0)
        return r;
    view = (struct pullkey_credential){
        .username = user.data ? user.data : (char[]){ "" },
        .secret = { .bytes = text.data ? text.data : (char[]){ "" }, .length = text.length },
    };
    if (memchr(view.username, '\0', user.length) || memchr(view.secret.bytes, '\0', text.length) ||
        auths_check(&view, error) < 0)
        return error_set(error, PULLKEY_INVALID, "%s: its username or password is no text",
                         secret->name);
    credential->username = host->alloc(user.length + 1);
    credential->secret.bytes = host->alloc(text.length + 1);
    if (!credential->username || !credential->secret.bytes)
        return error_memory(error);
    memcpy(credential->username, view.username, user.length);
    memcpy(credential->secret.bytes, view.secret.bytes, text.length);
    credential->secret.length = text.length;
    return 0;
}

bool secret_is_for_any(const cJSON *object)
{
    const char *type = string_of(object, "type");

    return type && strcmp(type, types[SECRET_BASIC_AUTH].name) == 0;
}

int secret_read(const struct pullkey_host *host, const cJSON *object, struct secret *ret,
                struct pullkey_error *error)
{
    const cJSON *metadata = json_member(object, "metadata"), *data = json_member(object, "data");
    const char *name = string_of(metadata, "name"), *type = string_of(object, "type");
    const char *namespace_name = string_of(metadata, "namespace");
    int r = 0;

    *ret = (struct secret){
        .resource_version = string_of(metadata, "resourceVersion"),
        .is_immutable = cJSON_IsTrue(json_member(object, "immutable")),
    };
    if (!name || !namespace_name || !type)
        return error_set(error, PULLKEY_INVALID,
                         "the API server answers with something else than "
                         "a secret");
    (void)snprintf(ret->name, sizeof(ret->name), "secret %s/%s", namespace_name, name);
    for (size_t i = SECRET_DOCKERCONFIGJSON; i < sizeof(types) / sizeof(types[0]); i++)
        if (strcmp(types[i].name, type) == 0)
            ret->type = (enum secret_type)i;
    if (ret->type == SECRET_BASIC_AUTH)
        r = read_pair(host, data, ret, error);
    else if (ret->type != SECRET_OTHER)
        r = read_document(data, ret, error);
    if (r < 0)
        secret_close(host, ret);
    return r;
}

void secret_close(const struct pullkey_host *host, struct secret *secret)
{
    json_done(&secret->document);
    host->release(secret->credential.username);
    host->release(secret->credential.secret.bytes);
    secret->credential = (struct pullkey_credential){ 0 };
}

int secret_rank(const struct pullkey_host *host, const struct secret *secret,
                const struct pullkey_request *request, const cJSON **ret_entry)
{
    const cJSON *map = json_member(secret->document.root, "auths"), *entry;
    int best = 0;

    *ret_entry = NULL;
    if (secret->type == SECRET_BASIC_AUTH)
        return 1;
    cJSON_ArrayForEach(entry, map) {
        int rank = secret_match(host, request, entry->string, secret->any_scheme);

        if (rank > best && !auths_is_absent(host, entry)) {
            *ret_entry = entry;
            best = rank;
        }
    }
    return best;
}

enum pullkey_scope secret_scope(const struct pullkey_host *host, const struct secret *secret,
                                const struct pullkey_request *request)
{
    /* Of the pair the path is not asked. */
    return auths_scope(host, json_member(secret->document.root, "auths"), request);
}

int secret_get(const struct pullkey_host *host, struct secret *secret, const cJSON *entry,
               struct pullkey_credential *ret, struct pullkey_error *error)
{
    if (entry)
        return auths_read(host, &secret->document, entry, ret, error);
    *ret = secret->credential;
    secret->credential = (struct pullkey_credential){ 0 };
    return 0;
}

static int set_data(cJSON *data, const char *key, const char *bytes, size_t length,
                    struct pullkey_error *error)
{
    cleanup_buffer struct buffer coded = BUFFER_INIT(2 * CONTENT_MAX);
    cJSON *item;

    text_base64_encode(&coded, bytes, length);
    if (buffer_check(&coded, error) < 0)
        return -(int)error->code;
    item = cJSON_CreateString(coded.data ? coded.data : "");
    if (!item)
        return error_memory(error);
    if (json_member(data, key) ? cJSON_ReplaceItemInObjectCaseSensitive(data, key, item)
                               : cJSON_AddItemToObject(data, key, item))
        return 0;
    cJSON_Delete(item);
    return error_memory(error);
}

static int write_document(const struct secret *secret, cJSON *data, struct pullkey_error *error)
{
    const cJSON *tree = secret->document.root;
    cleanup_buffer struct buffer text = BUFFER_INIT(CONTENT_MAX);
    int r;

    if (secret->type == SECRET_DOCKERCFG)
        tree = json_member(tree, "auths");
    if (tree)
        r = json_write_tree(&text, tree, false, error);
    else
        r = (buffer_append_text(&text, "{}"), buffer_check(&text, error));
    if (r < 0)
        return error_wrap(error, "%s", secret->name);
    return set_data(data, types[secret->type].key, text.data, text.length, error);
}

int secret_write(const struct secret *secret, cJSON *object, struct pullkey_error *error)
{
    const struct pullkey_credential *credential = &secret->credential;
    cJSON *data = json_member(object, "data");
    int r;

    if (!cJSON_IsObject(data)) {
        cJSON_DeleteItemFromObjectCaseSensitive(object, "data");
        data = cJSON_AddObjectToObject(object, "data");
    }
    if (!data)
        return error_memory(error);
    if (secret->type != SECRET_BASIC_AUTH)
        return write_document(secret, data, error);
    r = set_data(data, "username", credential->username, strlen(credential->username), error);
    return r < 0 ? r
                 : set_data(data, "password", credential->secret.bytes, credential->secret.length,
                            error);
}

int secret_list(const struct pullkey_host *host, struct secret *secret, struct pullkey_list *list,
                struct pullkey_error *error)
{
    cJSON *map;

    if (secret->type != SECRET_DOCKERCONFIGJSON && secret->type != SECRET_DOCKERCFG)
        return 0;
    if (auths_map(&secret->document, &map, error) < 0)
        return -(int)error->code;
    for (cJSON *entry = map ? map->child : NULL, *next; entry; entry = next) {
        next = entry->next;
        if (strchr(entry->string, '*'))
            cJSON_Delete(cJSON_DetachItemViaPointer(map, entry));
    }
    return auths_list(host, &secret->document, list, error);
}
