/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes to the text of a JSON document that leave every other byte of it as it is: comments,
 * indentation, the order of keys and what nobody here understands. The document is one that
 * json_parse has accepted; what comes out is accepted with the same flags.
 */
#ifndef PULLKEY_BASE_JSON_EDIT_H
#define PULLKEY_BASE_JSON_EDIT_H

#include "json.h"

/* Bytes of the text that go, and what comes in their place. */
struct json_edit {
    size_t begin, end;
    struct buffer text;
};

#define JSON_EDIT_INIT                                                                             \
    {                                                                                              \
        .text = BUFFER_INIT(JSON_SIZE_MAX)                                                         \
    }

/*
 * Puts a member in front of the others of an object, or with NULL for `key` an item in front of the
 * others of a list, indented as the one that was the first. `value` is JSON. An object must not
 * have the key.
 */
int json_edit_insert(const struct json *json, const cJSON *parent, const char *key,
                     const char *value, struct json_edit *ret, struct pullkey_error *error);

/* Another value, which is JSON, in place of an item that is a string. */
int json_edit_replace(const struct json *json, const cJSON *string, const char *value,
                      struct json_edit *ret, struct pullkey_error *error);

/* Takes a member that is a string out of its object, with the comma that is too many then. */
void json_edit_remove(const struct json *json, const cJSON *string, struct json_edit *ret);

/* Appends the text with the change. */
int json_edit_apply(const struct json_edit *edit, const char *text, size_t length,
                    struct buffer *ret, struct pullkey_error *error);

void json_edit_done(struct json_edit *edit);

#define cleanup_json_edit __attribute__((cleanup(json_edit_done)))

#endif
