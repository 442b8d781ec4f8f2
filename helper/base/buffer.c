/* SPDX-License-Identifier: Apache-2.0 */
#include "buffer.h"
#include "clock.h"
#include "error.h"
#include "secret.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define FIRST_CAPACITY 512

static bool reserve(struct buffer *buffer, size_t more)
{
    size_t capacity = buffer->capacity ? buffer->capacity : FIRST_CAPACITY;
    size_t needed = buffer->length + more;
    char *data;

    if (buffer->state != BUFFER_FINE)
        return false;
    if (more > buffer->limit - buffer->length) {
        buffer->state = BUFFER_FULL;
        return false;
    }
    if (buffer->data && needed < buffer->capacity)
        return true;
    while (capacity <= needed)
        capacity *= 2;
    if (capacity > buffer->limit)
        capacity = buffer->limit + 1;
    data = secret_alloc(capacity);
    if (!data) {
        buffer->state = BUFFER_NO_MEMORY;
        return false;
    }
    if (buffer->length > 0)
        memcpy(data, buffer->data, buffer->length);
    secret_release(buffer->data);
    buffer->data = data;
    buffer->capacity = capacity;
    return true;
}

void buffer_append(struct buffer *buffer, const char *bytes, size_t length)
{
    if (!reserve(buffer, length))
        return;
    if (length > 0)
        memcpy(buffer->data + buffer->length, bytes, length);
    buffer->length += length;
    buffer->data[buffer->length] = '\0';
}

void buffer_append_text(struct buffer *buffer, const char *text)
{
    buffer_append(buffer, text, strlen(text));
}

void buffer_printf_list(struct buffer *buffer, const char *format, va_list arguments)
{
    va_list again;
    int length;

    va_copy(again, arguments);
    length = vsnprintf(NULL, 0, format, again);
    va_end(again);
    if (length < 0 && buffer->state == BUFFER_FINE)
        buffer->state = BUFFER_NO_MEMORY;
    if (length < 0 || !reserve(buffer, (size_t)length))
        return;
    (void)vsnprintf(buffer->data + buffer->length, (size_t)length + 1, format, arguments);
    buffer->length += (size_t)length;
}

void buffer_printf(struct buffer *buffer, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    buffer_printf_list(buffer, format, arguments);
    va_end(arguments);
}

int buffer_check(const struct buffer *buffer, struct pullkey_error *error)
{
    switch (buffer->state) {
    case BUFFER_FULL:
        return error_set(error, PULLKEY_INVALID, "more than %zu bytes", buffer->limit);
    case BUFFER_NO_MEMORY: return error_memory(error);
    case BUFFER_FINE:
    default: return 0;
    }
}

int buffer_read(struct buffer *buffer, int fd, struct pullkey_error *error)
{
    for (;;) {
        size_t room;
        ssize_t got;

        if (!reserve(buffer, 0))
            return buffer_check(buffer, error);
        /* One byte of room more than the limit tells "full" from "at its end". */
        room = buffer->capacity - buffer->length - 1;
        if (room == 0) {
            size_t more = buffer->limit - buffer->length;

            if (more > 0) {
                if (!reserve(buffer, more < buffer->capacity ? more : buffer->capacity))
                    return buffer_check(buffer, error);
                continue;
            }
        }
        if (room > buffer->limit - buffer->length)
            room = buffer->limit - buffer->length;
        if (room == 0) {
            char extra;

            got = read(fd, &extra, 1);
            if (got > 0) {
                buffer->state = BUFFER_FULL;
                return buffer_check(buffer, error);
            }
        } else {
            got = read(fd, buffer->data + buffer->length, room);
        }
        /* Somebody may have made it non-blocking. */
        if (got < 0 && errno == EAGAIN &&
            clock_poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, INT64_MAX) > 0)
            continue;
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_errno(error, errno, "cannot read");
        if (got == 0)
            break;
        buffer->length += (size_t)got;
    }
    buffer->data[buffer->length] = '\0';
    return 0;
}

int buffer_read_file(struct buffer *buffer, int fd, size_t size, struct pullkey_error *error)
{
    size_t end = buffer->length + size;

    if (size == 0)
        return buffer_read(buffer, fd, error);
    if (!reserve(buffer, size))
        return buffer_check(buffer, error);
    while (buffer->length < end) {
        ssize_t got = read(fd, buffer->data + buffer->length, end - buffer->length);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_errno(error, errno, "cannot read");
        if (got == 0)
            break;
        buffer->length += (size_t)got;
    }
    buffer->data[buffer->length] = '\0';
    return 0;
}

int buffer_steal(struct buffer *buffer, struct pullkey_secret *ret, struct pullkey_error *error)
{
    int r;

    (void)reserve(buffer, 0);
    r = buffer_check(buffer, error);
    if (r < 0)
        return r;
    *ret = (struct pullkey_secret){ .bytes = buffer->data, .length = buffer->length };
    *buffer = (struct buffer)BUFFER_INIT(buffer->limit);
    return 0;
}

void buffer_done(struct buffer *buffer)
{
    secret_release(buffer->data);
    *buffer = (struct buffer)BUFFER_INIT(buffer->limit);
}
