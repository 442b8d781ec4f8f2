/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Strict JSON (RFC 8259) over cJSON. A scanner of ours reads the text first and refuses what cJSON
 * would let pass: bytes after the value, invalid UTF-8, \u0000, lone surrogates, control
 * characters, odd numbers, more than 32 levels, duplicate keys. cJSON then builds the tree, in
 * memory that is wiped when it is released.
 *
 * Errors name the document, the line and, where there is one, the key; never a value.
 */
#ifndef PULLKEY_BASE_JSON_H
#define PULLKEY_BASE_JSON_H

#include <cjson/cJSON.h>

#include "buffer.h"

#define JSON_SIZE_MAX (1024 * 1024)
#define JSON_LARGE_MAX (64 * 1024 * 1024)
#define JSON_DEPTH_MAX 32

enum {
    JSON_COMMENTS = 1, /* line and block comments, and a comma before a closing bracket */
    JSON_ANY_CASE = 2, /* keys that differ in case only are duplicates */
    JSON_LARGE = 4,    /* JSON_LARGE_MAX bytes: a file of our own that grows with the machine */
};

struct json {
    cJSON *root;
    char *text; /* as given, for positions */
    size_t length;
    unsigned int flags;
    char *name;
};

/* Makes cJSON allocate wiping memory. Each program calls it once, before any other function here.
 */
void json_start(void);

/* `name` is what errors call the document ("config.json", "input"). Release with json_done. */
int json_parse(struct json *ret, const char *name, const char *text, size_t length,
               unsigned int flags, struct pullkey_error *error);
void json_done(struct json *json);

/*
 * An error at an item of the document: "NAME:LINE: key: text", where key is the path to the item as
 * in "rules[2].match", without what stands before an '@' in a key. That reads the document once
 * more; with NULL for it the message is the text alone. Returns -PULLKEY_INVALID.
 */
int json_error(const struct json *json, const cJSON *item, struct pullkey_error *error,
               const char *format, ...) __attribute__((format(printf, 4, 5)));

/* The line (from 1) on which an item begins. */
size_t json_line(const struct json *json, const cJSON *item);

/* Where in the text an item begins: of a member its value. *ret_key, if not NULL, is where its key
 * does. */
size_t json_position(const struct json *json, const cJSON *item, size_t *ret_key);

/* Case-sensitive; NULL if it is not there. */
cJSON *json_member(const cJSON *object, const char *key);
/* NULL, or 0, where it is not there or of another type. */
const char *json_text(const cJSON *object, const char *key);
double json_number(const cJSON *object, const char *key);

/*
 * Makes json_write_tree print every number as the document has it: cJSON holds 53 bits of it, and
 * prints fewer. Numbers are no longer numbers to cJSON then. For a document without comments,
 * before it is changed.
 */
int json_keep_numbers(struct json *json, struct pullkey_error *error);

/* Writes a JSON string as Go's encoding/json does: <, > and & and U+2028, U+2029 are escaped. Input
 * is UTF-8. */
void json_write_string(struct buffer *buffer, const char *bytes, size_t length);

/* The same for what nobody has looked at, as names of files: a byte that is not of UTF-8 becomes
 * U+FFFD. Never for a credential, which would be another one then. */
void json_write_name(struct buffer *buffer, const char *name);
/* A member like that behind another one: `,"KEY":"TEXT"`, or null without a text. */
void json_write_member(struct buffer *buffer, const char *key, const char *text);

/* JSON with gaps: %s is a string as json_write_name writes it, with its quotes, NULL null; %zu and
 * %jd are numbers. Nothing else is known. */
void json_write_format(struct buffer *buffer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Writes a tree, on one line or indented. */
int json_write_tree(struct buffer *buffer, const cJSON *tree, bool indented,
                    struct pullkey_error *error);

#define cleanup_json __attribute__((cleanup(json_done)))

#endif
