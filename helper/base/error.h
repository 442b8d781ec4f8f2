/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors as values: a class and one line of text. The innermost function sets it, callers wrap it
 * with what they were doing, a main file prints it once. Control characters and bytes that are not
 * UTF-8 become '?', so that a message can never forge a second line. No function here accepts a
 * secret.
 */
#ifndef PULLKEY_BASE_ERROR_H
#define PULLKEY_BASE_ERROR_H

#include <pullkey/backend.h>
#include <stdarg.h>

/* Sets *error and returns -code. */
int error_set(struct pullkey_error *error, enum pullkey_error_class code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

int error_set_list(struct pullkey_error *error, enum pullkey_error_class code, const char *format,
                   va_list arguments) __attribute__((format(printf, 3, 0)));

/* The same, with ": " and the text of an errno value at the end. The class follows from the value.
 */
int error_errno(struct pullkey_error *error, int errnum, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts text and ": " before the message; returns -error->code. Text that does not fit is cut at its
 * end. */
int error_wrap(struct pullkey_error *error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The error of every failed allocation. */
int error_memory(struct pullkey_error *error);

/* "not found", "no identity", ...: for logs and --json. */
const char *error_class_name(enum pullkey_error_class code);

#endif
