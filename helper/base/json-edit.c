/* SPDX-License-Identifier: Apache-2.0 */
#include "json-edit.h"

#include <string.h>

#include "error.h"
#include "json-scan.h"

#define BLANKS " \t\r\n"

int json_edit_insert(const struct json *json, const cJSON *parent, const char *key,
                     const char *value, struct json_edit *ret, struct pullkey_error *error)
{
    size_t at = json_position(json, parent, NULL) + 1;
    const size_t line = at + strspn(json->text + at, " \t");

    /* A comment behind the bracket is about the whole; it holds anything but a line end. */
    if ((json->flags & JSON_COMMENTS) && strncmp(json->text + line, "//", 2) == 0) {
        for (at = line + 2; json->text[at] != '\n'; at++)
            ;
        at -= json->text[at - 1] == '\r';
    }
    buffer_append(&ret->text, json->text + at, strspn(json->text + at, BLANKS));
    if (key) {
        json_write_string(&ret->text, key, strlen(key));
        buffer_append_text(&ret->text, ": ");
    }
    buffer_append_text(&ret->text, value);
    buffer_append_text(&ret->text, parent->child ? "," : "");
    ret->begin = ret->end = at;
    return buffer_check(&ret->text, error);
}

/* Behind the string that begins there. */
static size_t end_of_string(const char *text, size_t at)
{
    for (at++; text[at] != '"'; at++)
        at += text[at] == '\\';
    return at + 1;
}

int json_edit_replace(const struct json *json, const cJSON *string, const char *value,
                      struct json_edit *ret, struct pullkey_error *error)
{
    ret->begin = json_position(json, string, NULL);
    ret->end = end_of_string(json->text, ret->begin);
    buffer_append_text(&ret->text, value);
    return buffer_check(&ret->text, error);
}

/* Where the comma or the bracket behind a value stands that begins there. */
static size_t next_token(const struct json *json, size_t at)
{
    struct json_scan scan = {
        .name = json->name,
        .text = json->text + at,
        .length = json->length - at,
        .flags = json->flags,
        .stop = SIZE_MAX,
    };
    struct pullkey_error ignored;

    (void)json_scan(&scan, &ignored);
    return at + scan.at;
}

void json_edit_remove(const struct json *json, const cJSON *string, struct json_edit *ret)
{
    const size_t at = json_position(json, string, &ret->begin), next = next_token(json, at);
    const bool is_first = !string->prev->next;

    ret->end = end_of_string(json->text, at);
    if (json->text[next] == ',') {
        ret->end = next + 1 + strspn(json->text + next + 1, BLANKS);
        return;
    }
    if (!is_first) {
        ret->begin = next_token(json, json_position(json, string->prev, NULL));
        return;
    }
    /* The line before stays whole: it may end with a comment. */
    while (strchr(" \t", json->text[ret->begin - 1]))
        ret->begin--;
    if (json->text[ret->begin - 1] == '\n') {
        ret->end += strspn(json->text + ret->end, " \t\r");
        ret->end += json->text[ret->end] == '\n';
    }
}

int json_edit_apply(const struct json_edit *edit, const char *text, size_t length,
                    struct buffer *ret, struct pullkey_error *error)
{
    buffer_append(ret, text, edit->begin);
    buffer_append(ret, edit->text.data ? edit->text.data : "", edit->text.length);
    buffer_append(ret, text + edit->end, length - edit->end);
    return buffer_check(ret, error);
}

void json_edit_done(struct json_edit *edit)
{
    buffer_done(&edit->text);
}
