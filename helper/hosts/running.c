/* SPDX-License-Identifier: Apache-2.0 */
#include "running.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/file.h"

#define START_FIELD 22 /* of stat, in ticks since the machine was started */
#define INEXACT_MS 50  /* of ticks, and of the times of files */
#define DELETED " (deleted)"

const char *running_read(const char *process, const char *name, struct buffer *text)
{
    struct pullkey_error ignored;
    char path[FILE_PATH_MAX];
    int fd;

    (void)snprintf(path, sizeof(path), "/proc/%s/%s", process, name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    if (buffer_read(text, fd, &ignored) < 0)
        text->length = 0;
    (void)close(fd);
    return text->length > 0 ? text->data : NULL;
}

/* A package that was upgraded takes the file away. */
static bool is_containerd(const char *process)
{
    char path[FILE_PATH_MAX], program[FILE_PATH_MAX];
    struct stat own, other;
    const char *slash;
    ssize_t length;

    (void)snprintf(path, sizeof(path), "/proc/%s/exe", process);
    length = readlink(path, program, sizeof(program) - 1);
    if (length <= 0)
        return false;
    program[length] = '\0';
    slash = strrchr(program, '/');
    if (!slash || (strcmp(slash, "/containerd") != 0 && strcmp(slash, "/containerd" DELETED) != 0))
        return false;
    (void)snprintf(path, sizeof(path), "/proc/%s/ns/mnt", process);
    return stat("/proc/self/ns/mnt", &own) == 0 && stat(path, &other) == 0 &&
           own.st_ino == other.st_ino;
}

/* Those of k3s and Docker are told another one. */
static bool reads_file(const char *process, const char *file)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(RUNNING_TEXT_MAX);
    const char *words = running_read(process, "cmdline", &text);
    bool is_next = false;

    for (const char *word = words; word && word < words + text.length; word += strlen(word) + 1) {
        const char *name = word + strspn(word, "-"), *value = strchr(name, '=');
        size_t length = value ? (size_t)(value - name) : strlen(name);
        bool is_option = name > word && ((length == 1 && name[0] == 'c') ||
                                         (length == 6 && strncmp(name, "config", 6) == 0));

        if (is_next || (is_option && value))
            return strcmp(is_next ? word : value + 1, file) == 0;
        is_next = is_option;
    }
    return words != NULL;
}

static int64_t clock_ms(clockid_t clock)
{
    struct timespec now = { 0 };

    (void)clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* As the wall clock has it; INT64_MAX where it is not known. The name of a program may have blanks
 * and brackets in it. */
static int64_t started_ms(const char *process)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(RUNNING_TEXT_MAX);
    const char *stat = running_read(process, "stat", &text);
    const char *at = stat ? strrchr(stat, ')') : NULL;

    for (int field = 2; at && field < START_FIELD; field++)
        at = strchr(at + 1, ' ');
    return at ? strtoll(at, NULL, 10) * 1000 / sysconf(_SC_CLK_TCK) + clock_ms(CLOCK_REALTIME) -
                    clock_ms(CLOCK_BOOTTIME)
              : INT64_MAX;
}

/* The last change of a file. One in the future tells nothing. */
static int64_t changed_ms(const struct node *node, const struct node_config *config)
{
    int64_t last = 0, now = clock_ms(CLOCK_REALTIME);

    for (size_t i = 0; i < config->file_count; i++) {
        struct pullkey_error ignored;
        struct stat status;
        int64_t changed;

        if (node_stat(node, config->files[i].inner, &status, &ignored) < 0)
            continue;
        changed = (int64_t)status.st_ctim.tv_sec * 1000 + status.st_ctim.tv_nsec / 1000000;
        last = changed > last && changed <= now ? changed : last;
    }
    return last;
}

bool running_next(DIR *processes, const char *file, char ret[NAME_MAX + 1])
{
    const struct dirent *entry;

    while (processes && (entry = readdir(processes)))
        if (isdigit((unsigned char)entry->d_name[0]) && is_containerd(entry->d_name) &&
            reads_file(entry->d_name, file)) {
            memcpy(ret, entry->d_name, strlen(entry->d_name) + 1);
            return true;
        }
    return false;
}

bool running_is_restart_due(const struct node *node, const struct node_config *config)
{
    int64_t changed = changed_ms(node, config);
    DIR *processes = opendir("/proc");
    char process[NAME_MAX + 1];
    bool is_due = false;

    while (!is_due && running_next(processes, config->inner, process))
        is_due = started_ms(process) - INEXACT_MS <= changed;
    if (processes)
        (void)closedir(processes);
    return is_due;
}
