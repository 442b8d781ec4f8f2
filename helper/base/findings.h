/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a check finds, collected, and printed in the order of files and lines. The
 * names (`id`) are for programs and never change. Running out of memory is kept until it is asked
 * for. Nothing here takes a secret: texts name keys and places.
 */
#ifndef PULLKEY_BASE_FINDINGS_H
#define PULLKEY_BASE_FINDINGS_H

#include <stdarg.h>

#include "output.h"

#define FINDINGS_MAX 20000

struct finding {
    const char *id;
    enum output_level level;
    char *file;  /* or NULL: it is about the node */
    size_t line; /* 0: about the whole file */
    char *text;
    const char *fix;
};

struct findings {
    struct finding *items;
    size_t count, capacity;
    size_t levels[OUTPUT_NOTE + 1];
    bool has_failed; /* memory, or there are too many */
};

/* `id` and `fix` are constants; the file is copied. */
void findings_add(struct findings *findings, enum output_level level, const char *id,
                  const char *file, size_t line, const char *fix, const char *format, ...)
    __attribute__((format(printf, 7, 8)));
void findings_add_list(struct findings *findings, enum output_level level, const char *id,
                       const char *file, size_t line, const char *fix, const char *format,
                       va_list arguments) __attribute__((format(printf, 7, 0)));

/* An error about a file. Its place, "FILE:LINE: " in front of the message, is taken from that. */
void findings_add_error(struct findings *findings, enum output_level level, const char *id,
                        const char *file, const char *fix, const struct pullkey_error *why);

/* Sorts, and drops what was found twice. */
int findings_sort(struct findings *findings, struct pullkey_error *error);

/* "LEVEL: FILE:LINE: TEXT [ID]", and the fix on a line of its own. */
int findings_print(const struct findings *findings, struct pullkey_error *error);

/* A JSON array. */
void findings_write(const struct findings *findings, struct buffer *json);

void findings_done(struct findings *findings);

#define cleanup_findings __attribute__((cleanup(findings_done)))

#endif
