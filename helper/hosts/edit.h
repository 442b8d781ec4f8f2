/* SPDX-License-Identifier: Apache-2.0 */
/* Changes to a text that leave the rest of it as it is. */
#ifndef PULLKEY_HOSTS_EDIT_H
#define PULLKEY_HOSTS_EDIT_H

#include "base/buffer.h"

struct edit {
    size_t begin, end; /* bytes of the old text that go */
    size_t number;     /* of edits in one place the one that was added first comes first */
    char *text;        /* what comes in their place */
    size_t length;
};

struct edits {
    struct edit *items;
    size_t count;
    size_t capacity;
};

/* The text is copied. */
int edits_add(struct edits *edits, size_t begin, size_t end, const char *text, size_t length,
              struct pullkey_error *error);

/* Appends the changed text to `ret`. -PULLKEY_INTERNAL where two changes overlap. */
int edits_apply(struct edits *edits, const char *text, size_t length, struct buffer *ret,
                struct pullkey_error *error);
void edits_done(struct edits *edits);

/* Where the line that holds a position begins, and where the next one does (or the text ends). */
size_t edit_line_begin(const char *text, size_t at);
size_t edit_line_end(const char *text, size_t length, size_t at);

#define cleanup_edits __attribute__((cleanup(edits_done)))

#endif
