/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol.h"

#include <stdlib.h>
#include <string.h>

#include "base/depth.h"
#include "base/error.h"
#include "base/json.h"
#include "base/secret.h"
#include "base/text.h"
#include "core/resolve.h"

#define NOT_FOUND "credentials not found in native keychain"
#define NO_SERVER "no credentials server URL"
#define NO_USERNAME "no credentials username"
#define IDENTITY_TOKEN "<token>"

enum protocol_verb protocol_verb(int argc, char *const argv[])
{
    static const struct {
        const char *name;
        enum protocol_verb verb;
    } verbs[] = {
        { "get", PROTOCOL_GET },         { "store", PROTOCOL_STORE },
        { "erase", PROTOCOL_ERASE },     { "list", PROTOCOL_LIST },
        { "version", PROTOCOL_VERSION }, { "--version", PROTOCOL_VERSION },
        { "-v", PROTOCOL_VERSION },      { "--help", PROTOCOL_HELP },
        { "-h", PROTOCOL_HELP },
    };

    if (argc != 2)
        return PROTOCOL_USAGE;
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
        if (strcmp(argv[1], verbs[i].name) == 0)
            return verbs[i].verb;
    return PROTOCOL_UNKNOWN;
}

bool protocol_reads_input(enum protocol_verb verb)
{
    return verb == PROTOCOL_GET || verb == PROTOCOL_STORE || verb == PROTOCOL_ERASE;
}

static bool is_blank(const char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (!strchr(" \t\r\n", bytes[i]) || bytes[i] == '\0')
            return false;
    return true;
}

static int parse_server(const char *bytes, size_t length, struct registry_reference *ret,
                        struct pullkey_error *error)
{
    if (is_blank(bytes, length))
        return error_set(error, PULLKEY_INVALID, NO_SERVER);
    return registry_parse(bytes, length, ret, error);
}

static void append_member(struct buffer *buffer, const char *key, const char *bytes, size_t length)
{
    buffer_append_text(buffer, key);
    json_write_string(buffer, bytes, length);
}

static int get(const struct resolve *resolve, const struct buffer *input, struct buffer *ret,
               struct pullkey_error *error)
{
    cleanup_credential struct pullkey_credential credential = { 0 };
    struct registry_reference reference;
    const char *username;
    int r = parse_server(input->data, input->length, &reference, error);

    if (r == 0)
        r = resolve_get(resolve, &reference, &credential, NULL, error);
    if (r < 0)
        return r;
    if (!text_is_utf8(credential.username, strlen(credential.username)) ||
        !text_is_utf8(credential.secret.bytes, credential.secret.length))
        return error_set(error, PULLKEY_INVALID,
                         "the credential for %s is not UTF-8, which this protocol cannot carry",
                         reference.text);
    username = credential.kind == PULLKEY_IDENTITY_TOKEN ? IDENTITY_TOKEN : credential.username;
    append_member(ret, "{\"ServerURL\":", reference.text, strlen(reference.text));
    append_member(ret, ",\"Username\":", username, strlen(username));
    append_member(ret, ",\"Secret\":", credential.secret.bytes, credential.secret.length);
    buffer_append_text(ret, "}\n");
    return buffer_check(ret, error);
}

/* A member whose key matches in any case, as Go reads it. Duplicates were refused before. NULL text
 * if absent or null. */
static int find_text(const struct json *json, const char *key, const char **ret,
                     struct pullkey_error *error)
{
    *ret = NULL;
    for (const cJSON *item = json->root->child; item; item = item->next) {
        if (!text_equal_any_case(item->string, key) || cJSON_IsNull(item))
            continue;
        if (!cJSON_IsString(item))
            return json_error(json, item, error, "must be a string");
        *ret = item->valuestring;
    }
    return 0;
}

static int store(const struct resolve *resolve, const struct buffer *input,
                 struct pullkey_error *error)
{
    cleanup_json struct json json = { 0 };
    cleanup_credential struct pullkey_credential credential = { 0 };
    struct registry_reference reference;
    const char *server = NULL, *username = NULL, *secret = NULL;
    int r = json_parse(&json, "input", input->data, input->length, JSON_ANY_CASE, error);

    if (r < 0)
        return r;
    if (!cJSON_IsObject(json.root) && !cJSON_IsNull(json.root))
        return error_set(error, PULLKEY_INVALID,
                         "the input must be an object with ServerURL, Username and Secret");
    r = find_text(&json, "ServerURL", &server, error);
    if (r == 0)
        r = find_text(&json, "Username", &username, error);
    if (r == 0)
        r = find_text(&json, "Secret", &secret, error);
    if (r < 0)
        return r;
    if (!server || server[0] == '\0')
        return error_set(error, PULLKEY_INVALID, NO_SERVER);
    if (!username || username[0] == '\0')
        return error_set(error, PULLKEY_INVALID, NO_USERNAME);
    /* An entry without a secret could never be told from "not found" by the clients that ask for
     * it. */
    if (!secret || secret[0] == '\0')
        return error_set(error, PULLKEY_INVALID, "no credentials secret");
    r = parse_server(server, strlen(server), &reference, error);
    if (r < 0)
        return r;
    credential.username = secret_copy(username, strlen(username));
    if (!credential.username)
        return error_memory(error);
    r = secret_set(&credential.secret, secret, strlen(secret), error);
    if (r < 0)
        return r;
    if (strcmp(username, IDENTITY_TOKEN) == 0)
        credential.kind = PULLKEY_IDENTITY_TOKEN;
    return resolve_store(resolve, &reference, &credential, NULL, error);
}

static int erase(const struct resolve *resolve, const struct buffer *input,
                 struct pullkey_error *error)
{
    struct registry_reference reference;
    int r = parse_server(input->data, input->length, &reference, error);

    if (r == 0)
        r = resolve_erase(resolve, &reference, error);
    /* What is not there is erased: clients take an error for a failed logout. */
    return r == -PULLKEY_NOT_FOUND ? 0 : r;
}

static int list(const struct resolve *resolve, struct buffer *ret, struct pullkey_error *error)
{
    cleanup_resolve_list struct resolve_list entries = { 0 };
    int r = resolve_list(resolve, &entries, error);

    if (r < 0)
        return r;
    buffer_append_text(ret, "{");
    for (size_t i = 0; i < entries.count; i++) {
        const struct resolve_entry *entry = &entries.entries[i];

        if (!text_is_utf8(entry->server, strlen(entry->server)) ||
            !text_is_utf8(entry->username, strlen(entry->username)))
            continue;
        append_member(ret, ret->length > 1 ? "," : "", entry->server, strlen(entry->server));
        append_member(ret, ":", entry->username, strlen(entry->username));
    }
    buffer_append_text(ret, "}\n");
    return buffer_check(ret, error);
}

static int serve(enum protocol_verb verb, const struct resolve *resolve, const struct buffer *input,
                 struct buffer *ret, struct pullkey_error *error)
{
    if (verb == PROTOCOL_GET)
        return get(resolve, input, ret, error);
    if (verb == PROTOCOL_STORE)
        return store(resolve, input, error);
    if (verb == PROTOCOL_ERASE)
        return erase(resolve, input, error);
    return list(resolve, ret, error);
}

int protocol_serve(enum protocol_verb verb, const struct buffer *input, int64_t deadline_ms,
                   struct buffer *ret, struct pullkey_error *error)
{
    cleanup_config struct config config = { 0 };
    struct config_source source;
    struct resolve resolve = {
        .config = &config,
        .asker = { .caller = CONFIG_DOCKER },
        .deadline_ms = deadline_ms,
    };
    int r;

    if (protocol_reads_input(verb) && is_blank(input->data, input->length) &&
        verb != PROTOCOL_STORE)
        return error_set(error, PULLKEY_INVALID, NO_SERVER);
    r = depth_read(&resolve.depth, error);
    if (r == 0)
        r = config_source_default(false, &source, error);
    if (r == 0)
        r = config_load(&source, &config, error);
    if (r == 0)
        r = serve(verb, &resolve, input, ret, error);
    if (r == -PULLKEY_NOT_FOUND)
        return error_set(error, PULLKEY_NOT_FOUND, NOT_FOUND);
    return r;
}
