/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory for secrets. Every block knows its size and is wiped when it is released, so that no
 * caller can forget. There is no realloc: growing is a new block, a copy and a wipe, which struct
 * buffer does.
 *
 * struct pullkey_secret is the type of a finished secret. It is not a string, so no printf-like
 * function takes one by accident; whoever needs the bytes says so.
 */
#ifndef PULLKEY_BASE_SECRET_H
#define PULLKEY_BASE_SECRET_H

#include <pullkey/backend.h>

/* Zeroed memory, or NULL. Release with secret_release. */
void *secret_alloc(size_t size) __attribute__((malloc));

/* Wipes and frees; NULL is allowed. */
void secret_release(void *memory);

/* Copies of bytes, with a NUL behind them; NULL when out of memory. */
char *secret_copy(const char *bytes, size_t length) __attribute__((malloc));

/* Makes *ret a copy. -PULLKEY_INTERNAL when out of memory. */
int secret_set(struct pullkey_secret *ret, const char *bytes, size_t length,
               struct pullkey_error *error);

/* Wipes, frees and empties. */
void secret_done(struct pullkey_secret *secret);

/* True if both are equal; the time taken depends on the lengths alone. */
bool secret_equal(const struct pullkey_secret *a, const struct pullkey_secret *b);

/* For __attribute__((cleanup)): the variable is a pointer from secret_alloc. */
static inline void secret_release_pointer(void *pointer)
{
    secret_release(*(void **)pointer);
}

#define cleanup_release __attribute__((cleanup(secret_release_pointer)))
#define cleanup_secret __attribute__((cleanup(secret_done)))

#endif
