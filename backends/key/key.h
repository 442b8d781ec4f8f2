/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The key of an encrypted store: a file of PULLKEY_CODEC_KEY_SIZE random bytes, mode 0400, that
 * lies away from the store, so that a copy of the store's directory is of no use without it.
 */
#ifndef PULLKEY_KEY_KEY_H
#define PULLKEY_KEY_KEY_H

#include <pullkey/backend.h>

#include "base/lock.h"

/*
 * -PULLKEY_NOT_FOUND if there is no such file; -PULLKEY_DENIED if others may use it. Release with
 * secret_done.
 */
int key_read(const char *path, struct pullkey_secret *ret, struct pullkey_error *error);

/*
 * Held while a first store is written and while keys are changed: a store must not be sealed with a
 * key that is about to go.
 */
int key_lock(const char *path, int64_t deadline_ms, struct lock *ret, struct pullkey_error *error);

/*
 * The key that is there, else a new one, which is on the disk when this returns. Of callers at the
 * same time one makes it and all get the same. A key that is there is never replaced. *ret_lock is
 * held until the caller drops it, except for a key in a place where nothing can be written.
 */
int key_obtain(const char *path, int64_t deadline_ms, struct lock *ret_lock,
               struct pullkey_secret *ret, struct pullkey_error *error);

/* Writes a new key, in place of a file that may be there. */
int key_make(const char *path, struct pullkey_secret *ret, struct pullkey_error *error);

#define KEY_OLD_MAX 99

/* For a change of keys (rekey.h): where old ones are kept, in a buffer of FILE_PATH_MAX bytes, and
 * where the new one waits. */
int key_old(const char *path, unsigned int number, char *ret, struct pullkey_error *error);
int key_next(const char *path, char *ret, struct pullkey_error *error);

/* The new one takes the place of the old one. */
int key_adopt(const char *next, const char *path, struct pullkey_error *error);

#endif
