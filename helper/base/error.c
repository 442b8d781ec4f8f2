/* SPDX-License-Identifier: Apache-2.0 */
#include "error.h"
#include "text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int error_set_list(struct pullkey_error *error, enum pullkey_error_class code, const char *format,
                   va_list arguments)
{
    char message[PULLKEY_ERROR_SIZE];

    /* A copy first: an argument may be the old message. */
    if (vsnprintf(message, sizeof(message), format, arguments) < 0)
        message[0] = '\0';
    text_make_printable(message);
    error->code = code;
    memcpy(error->message, message, sizeof(message));
    return -(int)code;
}

int error_set(struct pullkey_error *error, enum pullkey_error_class code, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    (void)error_set_list(error, code, format, arguments);
    va_end(arguments);
    return -(int)code;
}

static enum pullkey_error_class class_of_errno(int errnum)
{
    switch (errnum) {
    case ENOENT: return PULLKEY_NOT_FOUND;
    case EACCES:
    case EPERM:
    case EROFS: return PULLKEY_DENIED;
    case ETIMEDOUT:
    case ECONNREFUSED: return PULLKEY_UNREACHABLE;
    default: return PULLKEY_INTERNAL;
    }
}

int error_errno(struct pullkey_error *error, int errnum, const char *format, ...)
{
    const char *text = strerrordesc_np(errnum);
    size_t used;
    va_list arguments;

    va_start(arguments, format);
    (void)error_set_list(error, class_of_errno(errnum), format, arguments);
    va_end(arguments);
    used = strlen(error->message);
    (void)snprintf(error->message + used, sizeof(error->message) - used, ": %s",
                   text ? text : "unknown error");
    return -(int)error->code;
}

int error_wrap(struct pullkey_error *error, const char *format, ...)
{
    char old[PULLKEY_ERROR_SIZE];
    size_t used;
    va_list arguments;

    memcpy(old, error->message, sizeof(old));
    va_start(arguments, format);
    (void)error_set_list(error, error->code, format, arguments);
    va_end(arguments);
    used = strlen(error->message);
    (void)snprintf(error->message + used, sizeof(error->message) - used, ": %s", old);
    /* Cutting may have left half a character. */
    text_make_printable(error->message);
    return -(int)error->code;
}

int error_memory(struct pullkey_error *error)
{
    return error_set(error, PULLKEY_INTERNAL, "out of memory");
}

const char *error_class_name(enum pullkey_error_class code)
{
    static const char *const names[PULLKEY_ERROR_CLASS_MAX] = {
        [PULLKEY_OK] = "ok",
        [PULLKEY_NOT_FOUND] = "not found",
        [PULLKEY_NO_IDENTITY] = "no identity",
        [PULLKEY_LOCKED] = "locked",
        [PULLKEY_DENIED] = "denied",
        [PULLKEY_UNREACHABLE] = "unreachable",
        [PULLKEY_INVALID] = "invalid",
        [PULLKEY_UNSUPPORTED] = "unsupported",
        [PULLKEY_INTERNAL] = "internal",
    };

    return (unsigned int)code < PULLKEY_ERROR_CLASS_MAX ? names[code] : "unknown";
}
