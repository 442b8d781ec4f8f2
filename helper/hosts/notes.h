/* SPDX-License-Identifier: Apache-2.0 */
/* What people should know although nothing has failed: in the status, and said once. */
#ifndef PULLKEY_HOSTS_NOTES_H
#define PULLKEY_HOSTS_NOTES_H

#include "tree.h"

/* One line each, with its line end. */
void notes_collect(const struct tree *tree, struct buffer *ret);

/* Says them, unless `*said` is their hash already. */
void notes_say(const struct buffer *notes, uint64_t *said);

/* As a JSON array. */
void notes_write(const struct buffer *notes, struct buffer *json);

#endif
