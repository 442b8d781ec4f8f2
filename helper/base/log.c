/* SPDX-License-Identifier: Apache-2.0 */
#include "log.h"
#include "clock.h"
#include "file.h"
#include "text.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 1200
#define DATE_SIZE 21 /* "2026-11-25T00:00:00Z " */

static const char *log_program = "pullkey";
static const char *log_path;

void log_start(const char *program, const char *path)
{
    log_program = program;
    log_path = path && path[0] != '\0' ? path : NULL;
}

/* An empty file, or one that begins as a line of ours does. */
static bool is_log(int fd)
{
    char begin[DATE_SIZE];
    ssize_t got = pread(fd, begin, sizeof(begin), 0);

    return got == 0 || (got == sizeof(begin) && begin[4] == '-' && begin[10] == 'T' &&
                        begin[19] == 'Z' && begin[20] == ' ');
}

/* A log of ours that others cannot write to, or a terminal: a name that was given by mistake must
 * not spoil a file. */
static bool is_for_logs(int fd)
{
    struct stat status;

    if (fstat(fd, &status) < 0)
        return false;
    if (S_ISCHR(status.st_mode))
        return true;
    return S_ISREG(status.st_mode) && status.st_nlink == 1 &&
           (status.st_uid == file_caller() || status.st_uid == 0) &&
           !(status.st_mode & (S_IWGRP | S_IWOTH)) && is_log(fd);
}

static void write_line(const char *line, size_t length)
{
    int fd =
        open(log_path, O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY,
             0600);

    if (fd < 0)
        return;
    /* One write keeps the lines of parallel processes whole. */
    if (is_for_logs(fd) && write(fd, line, length) < 0) {
        /* Ignored: see the header. */
    }
    (void)close(fd);
}

void log_line(const char *source, const char *format, ...)
{
    char line[LINE_MAX_BYTES];
    time_t now;
    struct tm utc;
    size_t used;
    va_list arguments;

    if (!log_path)
        return;
    now = (time_t)clock_wall_seconds();
    if (!gmtime_r(&now, &utc))
        return;
    used = strftime(line, sizeof(line), "%Y-%m-%dT%H:%M:%SZ ", &utc);
    used += (size_t)snprintf(line + used, sizeof(line) - used, "%.40s[%d] %.40s: ", log_program,
                             (int)getpid(), source);
    va_start(arguments, format);
    (void)vsnprintf(line + used, sizeof(line) - used - 1, format, arguments);
    va_end(arguments);
    text_make_printable(line);
    used = strlen(line);
    line[used++] = '\n';
    write_line(line, used);
}
