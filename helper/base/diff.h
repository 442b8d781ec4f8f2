/* SPDX-License-Identifier: Apache-2.0 */
/* What changes between two texts, as diff -u prints it. */
#ifndef PULLKEY_BASE_DIFF_H
#define PULLKEY_BASE_DIFF_H

#include "buffer.h"

struct diff_text {
    const char *text; /* may be NULL where the length is 0 */
    size_t length;
    const char *name; /* of the file, for the head: "--- NAME" */
};

#define DIFF_CONTEXT 3 /* lines around a change, as diff -u has them */

/*
 * Appends nothing where the texts are equal. The result is a right one always, and a short one
 * where not too many lines lie between the first and the last difference.
 */
int diff_unified(const struct diff_text *old, const struct diff_text *new, size_t context,
                 struct buffer *ret, struct pullkey_error *error);

#endif
