/* SPDX-License-Identifier: Apache-2.0 */
#include "reply.h"

#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"

#define NOT_FOUND "credentials not found in native keychain"
#define IDENTITY_TOKEN "<token>"
#define SAID_MAX 160

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

/* A word of a language, or a short number: what a credential that went the wrong way is not. */
static bool is_plain_word(const char *word, size_t length)
{
    size_t letters = 0, digits = 0;

    while (length > 0 && strchr("('`", word[0])) {
        word++;
        length--;
    }
    while (length > 0 && strchr(".,:;!?)'`", word[length - 1]))
        length--;
    for (size_t i = 0; i < length; i++) {
        char c = text_lower(word[i]);

        if ((c >= 'a' && c <= 'z') || c == '-' || c == '\'')
            letters++;
        else if (c >= '0' && c <= '9')
            digits++;
        else
            return false;
    }
    return (letters == 0 && digits <= 4) || (digits == 0 && letters <= 20);
}

/* Covers every other word. */
static void mask_words(const char *said, char ret[SAID_MAX + 1])
{
    size_t used = 0;

    for (size_t at = 0; said[at] != '\0';) {
        size_t length = strcspn(said + at, " ");
        const char *shown = said + at;
        size_t shown_length = length;

        if (!is_plain_word(shown, length)) {
            shown = "***";
            shown_length = 3;
        }
        if (used + shown_length + 1 > SAID_MAX)
            break;
        memcpy(ret + used, shown, shown_length);
        used += shown_length;
        at += length;
        if (said[at] == ' ') {
            ret[used++] = ' ';
            at++;
        }
    }
    ret[used] = '\0';
}

int reply_error(const struct buffer *output, int status, struct pullkey_error *error)
{
    char masked[SAID_MAX + 1];
    char said[SAID_MAX + 1];

    first_line(output, said);
    if (strcmp(said, NOT_FOUND) == 0)
        return error_set(error, PULLKEY_NOT_FOUND, "it has none");
    if (strcasestr(said, "not implemented"))
        return error_set(error, PULLKEY_UNSUPPORTED, "it cannot do that");
    /*
     * Something in braces or quotes, or a single word, may be a credential that went the wrong way.
     * Only a sentence is passed on, without what is no plain word in it.
     */
    if (!strchr(said, ' ') || strpbrk(said, "{}\""))
        return error_set(error, PULLKEY_DENIED, "it failed with status %d", status);
    mask_words(said, masked);
    return error_set(error, PULLKEY_DENIED, "it failed with status %d: %s", status, masked);
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
