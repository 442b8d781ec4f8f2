/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TOML 1.0 (toml.io) read with toml++ into a tree for C, with positions, so that text can be put
 * into a document without writing the rest of it anew. Everything is in memory that is wiped when
 * it is released, what toml++ itself allocates included: documents may hold passwords.
 *
 * Errors name the document, the line and the reason; never a value, nor how long it is.
 */
#ifndef PULLKEY_HOSTS_TOML_H
#define PULLKEY_HOSTS_TOML_H

#include "base/buffer.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TOML_SIZE_MAX (1024 * 1024)       /* of a file */
#define TOML_TEXT_MAX (2 * TOML_SIZE_MAX) /* of one with headers put into it */
#define TOML_DEPTH_MAX 256                /* of brackets, and of dots in a key */

enum toml_kind {
    TOML_TABLE = 1,
    TOML_ARRAY,
    TOML_STRING,
    TOML_INTEGER,
    TOML_BOOLEAN,
    TOML_OTHER, /* floats, dates and times */
};

/* A value. Positions are byte offsets in the text of the document. */
struct toml_item {
    enum toml_kind kind;
    char *key; /* of a member of a table, without quotes, NUL-terminated; else NULL */
    size_t key_begin, key_end; /* where the key stands, quotes included, if it stands before a '='
                                  of its own; key_end is 0 for one that a header names */
    /*
     * The value; of a table that has a header of its own ("[a.b]") that header, with its brackets;
     * of one that only headers of tables in it name, the first of those.
     */
    size_t begin, end;
    size_t line;          /* of begin, from 1 */
    bool has_header;      /* TOML_TABLE: begins with a "[...]" of its own */
    bool is_inline;       /* TOML_TABLE: "{ ... }" */
    char *string;         /* TOML_STRING, with a NUL behind it */
    size_t string_length; /* differs from strlen(string) where a NUL is inside */
    int64_t integer;      /* TOML_INTEGER */
    bool boolean;         /* TOML_BOOLEAN */
    struct toml_item *parent;
    struct toml_item *first; /* of a table or an array, in the order of the document */
    struct toml_item *next;
};

struct toml_document {
    struct toml_item *root; /* a table without a header */
    char *text;             /* a copy; a byte order mark, if there is one, included */
    size_t length;
    char *name;
};

/* `name` is what errors call the document. -PULLKEY_INVALID where it is no TOML, is no UTF-8, or
 * has a NUL in a key. Release with toml_done. */
int toml_parse(struct toml_document *ret, const char *name, const char *text, size_t length,
               struct pullkey_error *error);
void toml_done(struct toml_document *toml);

/* NULL if it is not there, or `table` is NULL or no table. Keys are compared as they are. */
const struct toml_item *toml_member(const struct toml_item *table, const char *key);

/* Where the values of a table end that stand below its own header, those of dotted keys included; 0
 * where there are none. */
size_t toml_values_end(const struct toml_item *table);

/* An error at an item: "NAME:LINE: text". Returns -PULLKEY_INVALID. */
int toml_error(const struct toml_document *toml, const struct toml_item *item,
               struct pullkey_error *error, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Writes a basic string, quotes included. Input is UTF-8. */
void toml_write_string(struct buffer *buffer, const char *bytes, size_t length);

#define cleanup_toml __attribute__((cleanup(toml_done)))

#ifdef __cplusplus
}
#endif

#endif
