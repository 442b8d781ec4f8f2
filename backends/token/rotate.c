/* SPDX-License-Identifier: Apache-2.0 */
#include "rotate.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/secret.h"
#include "base/text.h"

#define ROOM PULLKEY_SECRET_MAX /* more than such files have */

/* Of VSCHAR (RFC 6749 appendix A.17), without the blank. */
static bool is_token(const struct pullkey_secret *token)
{
    return token->length > 0 && text_is_ascii(token->bytes, token->length, '!');
}

static int read_token(const char *path, struct pullkey_secret *ret, struct pullkey_error *error)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(PULLKEY_SECRET_MAX);
    int r = file_read(path, FILE_OURS, FILE_PRIVATE, &text, NULL, error);

    if (r == -PULLKEY_NOT_FOUND)
        return error_set(error, PULLKEY_INVALID, "there is no refresh token: %s is missing", path);
    if (r < 0)
        return r;
    while (text.length > 0 && strchr("\r\n", text.data[text.length - 1]))
        text.data[--text.length] = '\0';
    r = buffer_steal(&text, ret, error);
    if (r < 0 || is_token(ret))
        return r;
    secret_done(ret);
    return error_set(error, PULLKEY_INVALID, "%s holds no refresh token: one line, without blanks",
                     path);
}

/* A file that cannot be replaced. Where the kernel does not say, it can. */
static int check_place(const char *file, struct pullkey_error *error)
{
    struct statx status;

    if (statx(AT_FDCWD, file, AT_SYMLINK_NOFOLLOW, STATX_TYPE, &status) < 0)
        return 0;
    if (status.stx_attributes & STATX_ATTR_MOUNT_ROOT)
        return error_set(error, PULLKEY_INVALID,
                         "%s is a mount of its own, which nothing can replace: mount its directory",
                         file);
    if (status.stx_attributes & (STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND))
        return error_set(error, PULLKEY_INVALID,
                         "nothing can replace %s, an immutable file: run chattr -ia on it", file);
    return 0;
}

/* Not by writing the file itself once more: somebody who does not know the lock may just have
 * replaced it. By the name that its successor will have, as something may stand there; the one that
 * is written has no name then, so nothing stays of who is killed. */
int rotate_take_room(const char *file, int *ret, struct pullkey_error *error)
{
    const char block[ROOM / 16] = { 0 };
    char path[FILE_PATH_MAX];
    int r;

    if (snprintf(path, sizeof(path), "%s.tmp", file) >= FILE_PATH_MAX)
        return error_set(error, PULLKEY_INVALID, "%s: the path is too long", file);
    r = check_place(file, error);
    if (r == 0)
        r = file_check_directory(path, error);
    if (r < 0)
        return r;
    (void)unlink(path);
    *ret = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (*ret < 0)
        return error_errno(error, errno, "cannot make %s", path);
    if (unlink(path) < 0)
        r = error_errno(error, errno, "cannot remove it");
    for (size_t at = 0; r == 0 && at < ROOM; at += sizeof(block))
        r = file_write_all(*ret, block, sizeof(block), error);
    if (r == 0 && fsync(*ret) < 0)
        r = error_errno(error, errno, "cannot flush it");
    if (r < 0)
        rotate_drop_room(ret);
    return r < 0 ? error_wrap(error, "%s", path) : 0;
}

void rotate_drop_room(int *room)
{
    if (*room >= 0)
        (void)close(*room);
    *room = ROTATE_NO_ROOM;
}

/* Into the file as it is: who is killed now leaves a part of it, and else all would be lost. */
static int overwrite(const char *file, const struct buffer *text, struct pullkey_error *error)
{
    int fd = open(file, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    int r;

    if (fd < 0)
        return error_errno(error, errno, "cannot open %s", file);
    r = file_write_all(fd, text->data, text->length, error);
    if (r == 0 && (ftruncate(fd, (off_t)text->length) < 0 || fsync(fd) < 0))
        r = error_errno(error, errno, "cannot write %s", file);
    (void)close(fd);
    return r;
}

int rotate_write(const char *file, int *room, const struct buffer *text,
                 void (*ready)(void *context), void *context, struct pullkey_error *error)
{
    struct pullkey_error ignored;
    int r;

    rotate_drop_room(room);
    r = file_replace_ready(file, text->data, text->length, 0600, ready, context, error);
    return r < 0 && overwrite(file, text, &ignored) == 0 ? 0 : r;
}

int rotate_open(const char *path, int64_t deadline_ms, struct rotate *ret,
                struct pullkey_error *error)
{
    char lock_path[FILE_PATH_MAX];
    int r;

    *ret = ROTATE_INIT;
    ret->path = path;
    /* A look without the lock first: where there is no token, nothing is made either. */
    r = read_token(path, &ret->token, error);
    if (r == 0 && snprintf(lock_path, sizeof(lock_path), "%s.lock", path) >= FILE_PATH_MAX)
        r = error_set(error, PULLKEY_INVALID, "%s: the path is too long", path);
    if (r == 0)
        r = lock_take(lock_path, deadline_ms, &ret->lock, error);
    if (r == 0) {
        secret_done(&ret->token);
        r = read_token(path, &ret->token, error);
    }
    /* A token that is used is gone: where its successor has no place, it is not. */
    if (r == 0) {
        r = rotate_take_room(path, &ret->room, error);
        if (r < 0)
            r = error_wrap(error, "the refresh token is not used, as a new one could not be kept");
    }
    if (r < 0)
        rotate_close(ret);
    return r;
}

void rotate_close(struct rotate *rotate)
{
    secret_done(&rotate->token);
    rotate_drop_room(&rotate->room);
    lock_drop(&rotate->lock);
}

int rotate_again(struct rotate *rotate, bool *ret_changed, struct pullkey_error *error)
{
    struct pullkey_secret token = { 0 };
    int r = read_token(rotate->path, &token, error);

    if (r < 0)
        return r;
    *ret_changed = !secret_equal(&token, &rotate->token);
    secret_done(&rotate->token);
    rotate->token = token;
    return 0;
}

/* Unless the file is somebody else's by now: first its state, then a look at what it holds. Errors
 * do no harm: what is kept is not used then. */
static void extend_family(void *context)
{
    struct rotate *rotate = context;
    char name[FILE_PATH_MAX + 8];
    struct file_family family;
    struct pullkey_error ignored;
    bool is_changed;

    file_family(rotate->path, &family);
    if (rotate_again(rotate, &is_changed, &ignored) < 0 || is_changed)
        return;
    (void)snprintf(name, sizeof(name), "%s.tmp", rotate->path);
    file_state(name, &family.next);
    (void)snprintf(name, sizeof(name), "%s.family", rotate->path);
    (void)file_replace(name, (const char *)&family, sizeof(family), 0600, &ignored);
}

int rotate_replace(struct rotate *rotate, const struct pullkey_secret *token,
                   struct pullkey_error *error)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(PULLKEY_SECRET_MAX + 1);
    int r;

    if (!is_token(token))
        return error_set(error, PULLKEY_INVALID,
                         "the server's new refresh token holds bytes that no token may have");
    if (secret_equal(token, &rotate->token))
        return 0;
    buffer_append(&text, token->bytes, token->length);
    buffer_append(&text, "\n", 1);
    r = buffer_check(&text, error);
    if (r == 0)
        r = rotate_write(rotate->path, &rotate->room, &text, extend_family, rotate, error);
    return r < 0 ? error_wrap(error, "the server has replaced the refresh token, and the new one "
                                     "cannot be kept: the old one is used up, log in anew")
                 : 0;
}

void rotate_hold(sigset_t *ret_old)
{
    sigset_t signals;

    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGHUP);
    (void)sigaddset(&signals, SIGINT);
    (void)sigaddset(&signals, SIGQUIT);
    (void)sigaddset(&signals, SIGTERM);
    (void)pthread_sigmask(SIG_BLOCK, &signals, ret_old);
}

void rotate_release(const sigset_t *old)
{
    (void)pthread_sigmask(SIG_SETMASK, old, NULL);
}
