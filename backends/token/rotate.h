/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A refresh token that its server replaces at each use (RFC 6749 section 6), in a file of ours:
 * mode 0600, one line, under the lock PATH.lock from the moment it is read until its successor is
 * in its place. So two processes never use the same one, and a process that is killed leaves the
 * old one or the new one, whole. PATH.family says whose token it is, as long as nobody else writes
 * the file (file.h): what is kept from one of its tokens is good while that stays.
 */
#ifndef PULLKEY_TOKEN_ROTATE_H
#define PULLKEY_TOKEN_ROTATE_H

#include <pullkey/backend.h>

#include <signal.h>

#include "base/buffer.h"
#include "base/lock.h"

struct rotate {
    const char *path; /* the caller's */
    struct lock lock;
    int room;
    struct pullkey_secret token;
};

#define ROTATE_NO_ROOM (-1)
#define ROTATE_INIT ((struct rotate){ .lock = LOCK_INIT, .room = ROTATE_NO_ROOM })

/*
 * Waits for the lock until the deadline, and reads the file: it must be as file.h says of FILE_OURS
 * and FILE_PRIVATE. -PULLKEY_INVALID where there is none: a configuration names it, so this is no
 * lack of an identity. A file PATH.tmp comes and goes, so that a full disk is an error before the
 * server is asked. Release with rotate_close.
 */
int rotate_open(const char *path, int64_t deadline_ms, struct rotate *ret,
                struct pullkey_error *error);
void rotate_close(struct rotate *rotate);

/* Reads it once more: *ret_changed if somebody who does not know the lock has written another. */
int rotate_again(struct rotate *rotate, bool *ret_changed, struct pullkey_error *error);

/* Puts the successor in its place, unless it is the same. Before anything is done with what came
 * with it: else a crash would leave nothing that the server takes. */
int rotate_replace(struct rotate *rotate, const struct pullkey_secret *token,
                   struct pullkey_error *error);

/*
 * Whether `file`, which a one-time token is in, can be replaced: one that is used is gone, and
 * where its successor has no place it must not be. Call it under the lock, with PATH.tmp as above.
 * *ret is a descriptor that holds 64 KiB for the successor until rotate_write or rotate_drop_room.
 */
int rotate_take_room(const char *file, int *ret, struct pullkey_error *error);
void rotate_drop_room(int *room);

/* file_replace_ready, and where that fails the file is written as it is: the last resort. */
int rotate_write(const char *file, int *room, const struct buffer *text,
                 void (*ready)(void *context), void *context, struct pullkey_error *error);

/*
 * Between these two HUP, INT, QUIT and TERM wait: who is ended between the question and the writing
 * has lost the token. It is the deadline that ends a question.
 */
void rotate_hold(sigset_t *ret_old);
void rotate_release(const sigset_t *old);

#define cleanup_room __attribute__((cleanup(rotate_drop_room)))
#define cleanup_rotate __attribute__((cleanup(rotate_close)))

#endif
