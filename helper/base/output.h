/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything that pullkey and pullkey-hosts print. Text that comes from stores and files loses its
 * control characters, so that it cannot drive the terminal. Colour is used on a terminal only, and
 * not where NO_COLOR is set (no-color.org) or TERM is "dumb".
 */
#ifndef PULLKEY_BASE_OUTPUT_H
#define PULLKEY_BASE_OUTPUT_H

#include "buffer.h"

/* `program` begins the lines of output_error; "pullkey" without this. Must outlive all output. */
void output_start(const char *program);

/* One line to stdout; the line end is added. */
void output_line(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The lines of a text that came from files, as a diff does; its tabs become blanks. */
void output_lines(struct buffer *text);

/* Bytes as they are: help and JSON. The error of the buffer, if it has one. */
int output_buffer(const struct buffer *buffer, struct pullkey_error *error);

/* One line to stderr: what the user should know beside the result. */
void output_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* One line to stderr, if that is a terminal: what is taking its time. */
void output_progress(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * Between these two, something may take its time: after a second a line says so, once, if stderr is
 * a terminal. Beginning again while it runs does not begin the second anew.
 */
void output_wait_begin(void);
void output_wait_end(void);

/* "PROGRAM: TEXT" to stderr. */
void output_error(const char *text);

/* A finding on stdout, "LEVEL: TEXT" with a coloured level. */
enum output_level { OUTPUT_ERROR, OUTPUT_WARNING, OUTPUT_NOTE };
const char *output_level_name(enum output_level level);
void output_finding(enum output_level level, const char *text);

#define TABLE_COLUMNS_MAX 8

/* Rows of `columns` cells (TABLE_COLUMNS_MAX at most), the first row being the heads; columns are
 * aligned. It fails only where memory runs out. */
int output_table(const char *const *cells, size_t columns, size_t rows,
                 struct pullkey_error *error);

bool output_is_terminal(void);

/* For output_buffer: what makes the text on stdout bold from here on, and what ends that; both
 * empty where there is no colour. The first row of a table is bold by itself. */
const char *output_bold(void);
const char *output_plain(void);

/* False if anything could not be written to stdout (a full disk, a closed pipe). */
bool output_finish(void);

#endif
