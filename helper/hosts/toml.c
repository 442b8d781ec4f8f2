/* SPDX-License-Identifier: Apache-2.0 */
#include "toml.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/secret.h"
#include "base/text.h"
#include "toml-parse.h"

/* Functions call themselves for each level, those of toml++ too. */
static void release_items(struct toml_item *item)
{
    while (item) {
        struct toml_item *next = item->next;

        release_items(item->first);
        secret_release(item->key);
        secret_release(item->string);
        secret_release(item);
        item = next;
    }
}

void toml_done(struct toml_document *toml)
{
    release_items(toml->root);
    secret_release(toml->text);
    secret_release(toml->name);
    *toml = (struct toml_document){ 0 };
}

/* Where a string ends that begins at a quote. A long one may have two of them before its end. */
static size_t string_end(const char *text, size_t length, size_t at)
{
    char quote = text[at];
    bool is_long = length - at >= 3 && text[at + 1] == quote && text[at + 2] == quote;

    for (at += is_long ? 3 : 1; at < length; at++) {
        if (text[at] == '\\' && quote == '"')
            at++;
        else if (text[at] == '\n' && !is_long)
            return at;
        else if (text[at] == quote && !is_long)
            return at + 1;
        else if (text[at] == quote && length - at >= 3 && text[at + 1] == quote &&
                 text[at + 2] == quote)
            /* A NUL is behind the text. */
            return at + 3 + (text[at + 3] != quote ? 0 : text[at + 4] != quote ? 1 : 2);
    }
    return length;
}

/*
 * Keys with dots nest without a limit in toml++, which then overflows the stack. Counts brackets,
 * and dots before each of them, outside strings and comments. What is no TOML may be counted
 * wrongly.
 */
static bool is_too_deep(const char *text, size_t length)
{
    size_t dots[TOML_DEPTH_MAX + 1] = { 0 }, depth = 0, sum = 0;

    for (size_t at = 0; at < length; at++) {
        char c = text[at];

        if (c == '"' || c == '\'') {
            at = string_end(text, length, at) - 1;
        } else if (c == '#') {
            at += strcspn(text + at, "\n") - 1; /* a NUL is behind the text */
        } else if (c == '[' || c == '{') {
            if (++depth > TOML_DEPTH_MAX)
                return true;
            dots[depth] = 0;
        } else if (c == ']' || c == '}' || c == ',' || (c == '\n' && depth == 0)) {
            sum -= dots[depth];
            dots[depth] = 0;
            depth -= (c == ']' || c == '}') && depth > 0;
        } else if (c == '.') {
            dots[depth]++;
            if (++sum > TOML_DEPTH_MAX)
                return true;
        }
    }
    return false;
}

int toml_parse(struct toml_document *ret, const char *name, const char *text, size_t length,
               struct pullkey_error *error)
{
    struct toml_document toml = { .length = length };
    int r;

    if (length > TOML_TEXT_MAX)
        return error_set(error, PULLKEY_INVALID, "%s: it has more than %d bytes", name,
                         TOML_TEXT_MAX);
    if (!text_is_utf8(text, length) || (length > 0 && memchr(text, '\0', length)))
        return error_set(error, PULLKEY_INVALID, "%s: this is not UTF-8 text", name);
    toml.text = secret_copy(text, length);
    toml.name = secret_copy(name, strlen(name));
    if (!toml.text || !toml.name)
        r = error_memory(error);
    else if (is_too_deep(toml.text, length))
        r = error_set(error, PULLKEY_INVALID, "%s: it has more than %d levels", name,
                      TOML_DEPTH_MAX);
    else
        r = toml_parse_text(&toml, error);
    if (r < 0) {
        toml_done(&toml);
        return r;
    }
    *ret = toml;
    return 0;
}

const struct toml_item *toml_member(const struct toml_item *table, const char *key)
{
    if (!table || table->kind != TOML_TABLE)
        return NULL;
    for (const struct toml_item *member = table->first; member; member = member->next)
        if (strcmp(member->key, key) == 0)
            return member;
    return NULL;
}

size_t toml_values_end(const struct toml_item *table)
{
    size_t end = 0;

    for (const struct toml_item *item = table->first; item; item = item->next) {
        size_t last = 0;

        if (item->kind != TOML_TABLE || item->is_inline)
            last = item->key_end > 0 ? item->end : 0;
        else if (!item->has_header)
            last = toml_values_end(item);
        end = last > end ? last : end;
    }
    return end;
}

int toml_error(const struct toml_document *toml, const struct toml_item *item,
               struct pullkey_error *error, const char *format, ...)
{
    char text[PULLKEY_ERROR_SIZE];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    return error_set(error, PULLKEY_INVALID, "%s:%zu: %s", toml->name, item->line, text);
}

void toml_write_string(struct buffer *buffer, const char *bytes, size_t length)
{
    buffer_append_text(buffer, "\"");
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)bytes[i];

        if (c == '"' || c == '\\')
            buffer_printf(buffer, "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            buffer_printf(buffer, "\\u%04X", c);
        else
            buffer_append(buffer, bytes + i, 1);
    }
    buffer_append_text(buffer, "\"");
}
