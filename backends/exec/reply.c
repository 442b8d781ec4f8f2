/* SPDX-License-Identifier: Apache-2.0 */
#include "reply.h"

#include <string.h>
#include <strings.h>

#include "base/depth.h"
#include "base/error.h"
#include "base/json.h"
#include "base/text.h"

#define NOT_FOUND "credentials not found in native keychain"
#define IDENTITY_TOKEN "<token>"
#define SAID_MAX 160
#define UNSUPPORTED_WORDS_MAX 6

/* The first line of an output, without outer blanks. */
static void first_line(const struct buffer *output, char ret[SAID_MAX + 1])
{
    const char *text = output->data ? output->data : "";
    size_t length;

    text += strspn(text, " \t\r\n");
    length = strcspn(text, "\r\n");
    while (length > 0 && (text[length - 1] == ' ' || text[length - 1] == '\t'))
        length--;
    if (length > SAID_MAX)
        length = SAID_MAX;
    memcpy(mempcpy(ret, text, length), "", 1);
}

/* "not implemented", or a short sentence that ends so; what only mentions it is another error. */
static bool says_unsupported(const char *said)
{
    static const char *const ends[] = { "not implemented", "unimplemented" };
    size_t length = strlen(said), blanks = 0;

    if (length > 0 && said[length - 1] == '.')
        length--;
    for (size_t i = 0; i < length; i++)
        blanks += said[i] == ' ';
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        size_t end = strlen(ends[i]);

        if (length >= end && strncasecmp(said + length - end, ends[i], end) == 0)
            return blanks < UNSUPPORTED_WORDS_MAX;
    }
    return false;
}

int reply_error(const struct buffer *output, const char *verb, int status,
                struct pullkey_error *error)
{
    char said[SAID_MAX + 1];

    first_line(output, said);
    if (strcmp(said, NOT_FOUND) == 0)
        return error_set(error, PULLKEY_NOT_FOUND, "it has none");
    if (strcmp(verb, "get") != 0 && says_unsupported(said))
        return error_set(error, PULLKEY_UNSUPPORTED, "it cannot do that");
    /* Of our own words below it. */
    if (strstr(said, DEPTH_LOOP))
        return error_set(error, PULLKEY_INVALID, DEPTH_LOOP);
    /* What it said is not passed on: it may be a credential that went the wrong way. */
    return error_set(error, PULLKEY_DENIED, "it failed with status %d; run it by hand to see why",
                     status);
}

static char *copy_text(const struct pullkey_host *host, const char *text, size_t length)
{
    char *copy = host->alloc(length + 1);

    if (copy)
        memcpy(copy, text, length);
    return copy;
}

static const char *find_text(const cJSON *object, const char *key)
{
    for (const cJSON *item = object->child; item; item = item->next)
        if (text_equal_any_case(item->string, key) && cJSON_IsString(item))
            return item->valuestring;
    return "";
}

int reply_credential(const struct pullkey_host *host, const struct buffer *output,
                     struct pullkey_credential *ret, struct pullkey_error *error)
{
    cleanup_json struct json json = { 0 };
    const char *username, *secret;
    size_t length;
    int r = json_parse(&json, "its answer", output->data ? output->data : "", output->length,
                       JSON_ANY_CASE, error);

    if (r < 0)
        return r;
    if (!cJSON_IsObject(json.root))
        return error_set(error, PULLKEY_INVALID, "its answer is not a JSON object");
    username = find_text(json.root, "Username");
    secret = find_text(json.root, "Secret");
    length = strlen(secret);
    if (username[0] == '\0' && length == 0)
        return error_set(error, PULLKEY_NOT_FOUND, "it has none");
    if (username[0] == '\0' || length == 0)
        return error_set(error, PULLKEY_INVALID, "its answer lacks Username or Secret");
    ret->username = copy_text(host, username, strlen(username));
    ret->secret.bytes = copy_text(host, secret, length);
    if (!ret->username || !ret->secret.bytes) {
        host->release(ret->username);
        host->release(ret->secret.bytes);
        *ret = (struct pullkey_credential){ 0 };
        return error_memory(error);
    }
    ret->secret.length = length;
    ret->kind = strcmp(username, IDENTITY_TOKEN) == 0 ? PULLKEY_IDENTITY_TOKEN : PULLKEY_PASSWORD;
    return 0;
}

int reply_list(const struct pullkey_host *host, const struct buffer *output,
               struct pullkey_list *ret, struct pullkey_error *error)
{
    cleanup_json struct json json = { 0 };
    int r;

    if (!output->data || output->data[strspn(output->data, " \t\r\n")] == '\0')
        return 0;
    r = json_parse(&json, "its answer", output->data, output->length, 0, error);
    if (r < 0 || cJSON_IsNull(json.root))
        return r;
    if (!cJSON_IsObject(json.root))
        return error_set(error, PULLKEY_INVALID, "its answer is not a JSON object");
    for (const cJSON *item = json.root->child; r == 0 && item; item = item->next)
        if (cJSON_IsString(item) && item->string[0] != '\0')
            r = host->list_add(ret, item->string, item->valuestring, error);
    return r;
}
