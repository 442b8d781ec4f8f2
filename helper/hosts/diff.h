/* SPDX-License-Identifier: Apache-2.0 */
/* What changes between two texts, as diff -u prints it. */
#ifndef PULLKEY_HOSTS_DIFF_H
#define PULLKEY_HOSTS_DIFF_H

#include "base/buffer.h"

struct diff_text {
    const char *text; /* may be NULL where the length is 0 */
    size_t length;
    const char *name; /* of the file, for the head: "--- NAME" */
};

/*
 * Appends nothing where the texts are equal. The result is a right one always, and a short one
 * where not too many lines lie between the first and the last difference.
 */
int diff_unified(const struct diff_text *old, const struct diff_text *new, struct buffer *ret,
                 struct pullkey_error *error);

#endif
