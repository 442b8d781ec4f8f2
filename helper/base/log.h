/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log is off unless PULLKEY_LOG names a file, which is made with mode 0600. It takes formatted
 * text only; a secret has a type of its own that cannot be formatted. A log that cannot be written
 * is ignored: it must not change what a request answers.
 */
#ifndef PULLKEY_BASE_LOG_H
#define PULLKEY_BASE_LOG_H

/* `program` begins each line; `path` may be NULL (off). Both must outlive the log. */
void log_start(const char *program, const char *path);

/* One line: time in UTC, program, pid, source, text. What is not printable UTF-8 becomes '?'. */
void log_line(const char *source, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
