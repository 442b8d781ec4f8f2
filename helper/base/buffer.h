/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A byte buffer that grows up to a limit and wipes what it leaves behind. Failure is sticky: after
 * a failed append the buffer takes nothing more, so a sequence of appends needs one check at its
 * end.
 */
#ifndef PULLKEY_BASE_BUFFER_H
#define PULLKEY_BASE_BUFFER_H

#include <pullkey/backend.h>
#include <stdarg.h>

struct buffer {
    char *data; /* always followed by a NUL once something was appended; NULL before */
    size_t length;
    size_t capacity;
    size_t limit; /* bytes, without the NUL */
    enum { BUFFER_FINE = 0, BUFFER_FULL, BUFFER_NO_MEMORY } state;
};

#define BUFFER_INIT(maximum)                                                                       \
    {                                                                                              \
        .limit = (maximum)                                                                         \
    }

void buffer_append(struct buffer *buffer, const char *bytes, size_t length);
void buffer_append_text(struct buffer *buffer, const char *text);
void buffer_printf(struct buffer *buffer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

void buffer_printf_list(struct buffer *buffer, const char *format, va_list arguments)
    __attribute__((format(printf, 2, 0)));

/* 0, or the error of the first append that failed. */
int buffer_check(const struct buffer *buffer, struct pullkey_error *error);

/*
 * Reads a descriptor to its end, however long that takes. -PULLKEY_INVALID if there is more than
 * the limit (the rest is left unread), a class by errno if reading fails.
 */
int buffer_read(struct buffer *buffer, int fd, struct pullkey_error *error);

/*
 * The same for a regular file of a known size: ends there without asking for more. Reads to the end
 * where the size is 0, as that of files in /proc is.
 */
int buffer_read_file(struct buffer *buffer, int fd, size_t size, struct pullkey_error *error);

/* Moves the content out and leaves the buffer empty. Never NULL bytes on success. */
int buffer_steal(struct buffer *buffer, struct pullkey_secret *ret, struct pullkey_error *error);

void buffer_done(struct buffer *buffer);

#define cleanup_buffer __attribute__((cleanup(buffer_done)))

#endif
