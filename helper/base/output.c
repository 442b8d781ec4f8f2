/* SPDX-License-Identifier: Apache-2.0 */
#include "output.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "error.h"
#include "text.h"

#define LINE_LIMIT 16384
#define PATIENCE_SECONDS 1

static const char *const level_names[] = {
    [OUTPUT_ERROR] = "error",
    [OUTPUT_WARNING] = "warning",
    [OUTPUT_NOTE] = "note",
};

static const char *program_name = "pullkey";

void output_start(const char *program)
{
    program_name = program;
}

__attribute__((format(printf, 2, 0))) static void print_line(FILE *file, const char *format,
                                                             va_list arguments)
{
    char line[LINE_LIMIT];

    if (vsnprintf(line, sizeof(line), format, arguments) < 0)
        return;
    text_make_printable(line);
    (void)fprintf(file, "%s\n", line);
}

void output_line(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    print_line(stdout, format, arguments);
    va_end(arguments);
}

void output_lines(struct buffer *text)
{
    for (size_t i = 0; i < text->length; i++)
        if (text->data[i] == '\t')
            text->data[i] = ' ';
    for (size_t at = 0; at < text->length;) {
        const size_t length = strcspn(text->data + at, "\n");

        output_line("%.*s", (int)length, text->data + at);
        at += length + 1;
    }
}

void output_note(const char *format, ...)
{
    va_list arguments;

    (void)fflush(stdout);
    va_start(arguments, format);
    print_line(stderr, format, arguments);
    va_end(arguments);
}

void output_progress(const char *format, ...)
{
    va_list arguments;

    if (!isatty(STDERR_FILENO))
        return;
    (void)fflush(stdout);
    va_start(arguments, format);
    print_line(stderr, format, arguments);
    va_end(arguments);
}

static volatile sig_atomic_t is_waiting;

static void say_waiting(int number)
{
    static const char line[] =
        "Still waiting for an answer; PULLKEY_LOG=FILE shows from which backend ...\n";

    (void)number;
    (void)!write(STDERR_FILENO, line, sizeof(line) - 1);
}

void output_wait_begin(void)
{
    if (is_waiting || !isatty(STDERR_FILENO))
        return;
    is_waiting = 1;
    (void)signal(SIGALRM, say_waiting);
    (void)alarm(PATIENCE_SECONDS);
}

void output_wait_end(void)
{
    if (is_waiting)
        (void)alarm(0);
    is_waiting = 0;
}

static bool has_colour(int fd)
{
    const char *none = secure_getenv("NO_COLOR");
    const char *terminal = secure_getenv("TERM");

    if (!isatty(fd) || (none && none[0] != '\0'))
        return false;
    return terminal && strcmp(terminal, "dumb") != 0;
}

void output_error(const char *text)
{
    (void)fflush(stdout);
    output_note("%s: %s", program_name, text);
}

const char *output_level_name(enum output_level level)
{
    return level_names[level];
}

void output_finding(enum output_level level, const char *text)
{
    static const char *const colours[] = {
        [OUTPUT_ERROR] = "\033[31m",
        [OUTPUT_WARNING] = "\033[33m",
        [OUTPUT_NOTE] = "\033[36m",
    };

    /* Colour is written apart: output_line would take the escape characters out. */
    if (has_colour(STDOUT_FILENO)) {
        (void)fprintf(stdout, "%s%s:\033[0m ", colours[level], level_names[level]);
        output_line("%s", text);
    } else {
        output_line("%s: %s", level_names[level], text);
    }
}

/* Characters, not bytes. */
static size_t width_of(const char *text)
{
    size_t width = 0;

    for (; *text != '\0'; text++)
        if (((unsigned char)*text & 0xc0) != 0x80)
            width++;
    return width;
}

static size_t width_of_column(const char *const *cells, size_t columns, size_t rows, size_t column)
{
    size_t widest = 0;

    for (size_t row = 0; row < rows; row++) {
        size_t width = width_of(cells[row * columns + column]);

        widest = width > widest ? width : widest;
    }
    return widest;
}

int output_table(const char *const *cells, size_t columns, size_t rows, struct pullkey_error *error)
{
    size_t widths[TABLE_COLUMNS_MAX];

    for (size_t column = 0; column < columns; column++)
        widths[column] = width_of_column(cells, columns, rows, column);
    for (size_t row = 0; row < rows; row++) {
        cleanup_buffer struct buffer line = BUFFER_INIT(LINE_LIMIT - 1);

        for (size_t column = 0; column < columns; column++) {
            const char *cell = cells[row * columns + column];

            buffer_append_text(&line, cell);
            if (column < columns - 1)
                buffer_printf(&line, "%*s", (int)(widths[column] - width_of(cell) + 2), "");
        }
        /* One that is too long is cut. */
        if (line.state == BUFFER_NO_MEMORY)
            return error_memory(error);
        (void)fputs(row == 0 ? output_bold() : "", stdout);
        output_line("%s", line.data ? line.data : "");
        (void)fputs(row == 0 ? output_plain() : "", stdout);
    }
    return 0;
}

int output_buffer(const struct buffer *buffer, struct pullkey_error *error)
{
    int r = buffer_check(buffer, error);

    if (r < 0)
        return r;
    if (buffer->length > 0)
        (void)fwrite(buffer->data, 1, buffer->length, stdout);
    return 0;
}

const char *output_bold(void)
{
    return has_colour(STDOUT_FILENO) ? "\033[1m" : "";
}

const char *output_plain(void)
{
    return has_colour(STDOUT_FILENO) ? "\033[0m" : "";
}

bool output_is_terminal(void)
{
    return isatty(STDOUT_FILENO);
}

bool output_finish(void)
{
    output_wait_end();
    return fflush(stdout) == 0 && !ferror(stdout);
}
