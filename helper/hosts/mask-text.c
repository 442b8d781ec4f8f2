/* SPDX-License-Identifier: Apache-2.0 */
#include "mask-text.h"

#include <string.h>

#include "base/error.h"
#include "base/secret.h"
#include "base/text.h"
#include "hosts-file.h"
#include "mask.h"

#define BLANKS " \t"
#define ENDS " \t\"'\r\n"

static const char *const words[] = { "password", "passwd", "passphrase", "secret", "token",
                                     "api_key",  "apikey", "api-key",    "auth",   "identity" };
static const char *const schemes[] = { "Basic", "Bearer" };

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

bool mask_means_secret(const char *key)
{
    for (size_t i = 0; i < COUNT(words); i++)
        if (strcasestr(key, words[i]))
            return true;
    return false;
}

bool mask_is_headers(const char *key)
{
    return hosts_key_is(key, "header") || text_equal_any_case(key, "headers");
}

int mask_places(const struct toml_item *item, bool (*means_secret)(const char *key), bool is_secret,
                struct edits *edits, struct pullkey_error *error)
{
    static const char masked[] = "\"" MASK_TEXT "\"";
    bool is_value = item->kind != TOML_TABLE && item->kind != TOML_ARRAY;
    int r = 0;

    if (is_value && is_secret && item->kind != TOML_BOOLEAN && item->end > item->begin)
        return edits_add(edits, item->begin, item->end, masked, sizeof(masked) - 1, error);
    for (const struct toml_item *child = item->first; r == 0 && child; child = child->next) {
        bool secret =
            is_secret ||
            (child->key &&
             (mask_is_headers(child->key) ||
              (item->kind == TOML_TABLE && child->kind != TOML_TABLE && means_secret(child->key))));

        r = mask_places(child, means_secret, secret, edits, error);
    }
    return r;
}

/* -- Comments --------------------------------------------------------------------------------- */

static void hide(char *from, const char *to)
{
    for (; from < to; from++)
        *from = '*';
}

static void hide_schemes(char *comment)
{
    for (size_t i = 0; i < COUNT(schemes); i++)
        for (char *at = comment; (at = strcasestr(at, schemes[i]));) {
            char *value = at + strlen(schemes[i]);

            at = value + strspn(value, BLANKS);
            if (at > value)
                hide(at, at + strcspn(at, ENDS));
        }
}

static void hide_urls(char *comment)
{
    for (char *at = comment; (at = strstr(at, "://"));) {
        char *end, *query;

        at += 3;
        end = at + strcspn(at, ENDS);
        query = memchr(at, '?', (size_t)(end - at));
        if (query)
            hide(query + 1, end);
        for (end = query ? query : end; end > at && end[-1] != '@'; end--)
            ;
        hide(at, end > at ? end - 1 : at);
    }
}

/* What follows a name that means a secret and '=' or ':'. */
static char *end_of_clear(char *comment)
{
    for (char *at = comment; *at != '\0'; at++) {
        char kept = *at;
        bool found;

        if (kept != '=' && kept != ':')
            continue;
        *at = '\0';
        found = mask_means_secret(comment);
        *at = kept;
        if (found)
            return at + 1;
    }
    return NULL;
}

static int mask_comment(char *comment, struct buffer *ret, struct pullkey_error *error)
{
    char *end;

    hide_schemes(comment);
    hide_urls(comment);
    end = end_of_clear(comment);
    if (end)
        *end = '\0';
    buffer_append_text(ret, comment);
    if (end)
        buffer_append_text(ret, " " MASK_TEXT);
    return buffer_check(ret, error);
}

int mask_comments(const struct buffer *text, struct buffer *ret, struct pullkey_error *error)
{
    int r = 0;

    for (size_t at = 0; r == 0 && at < text->length;) {
        size_t end = edit_line_end(text->data, text->length, at), length = end - at;
        const char *line = text->data + at, *hash;
        cleanup_release char *comment = NULL;

        length -= length > 0 && text->data[end - 1] == '\n';
        hash = memchr(line, '#', length);
        buffer_append(ret, line, hash ? (size_t)(hash - line) : length);
        comment = hash ? secret_copy(hash, length - (size_t)(hash - line)) : NULL;
        if (hash && !comment)
            return error_memory(error);
        if (comment)
            r = mask_comment(comment, ret, error);
        buffer_append(ret, line + length, end - at - length);
        at = end;
    }
    return r < 0 ? r : buffer_check(ret, error);
}
