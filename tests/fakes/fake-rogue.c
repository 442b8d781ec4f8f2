/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A module that somebody has taken over. Option "do" says what it is up to:
 *
 *   look   answers what it is and what it may do, as the secret: a JSON object, for which "touch"
 *          is a list of paths that it tries to change, "keep" one that it may
 *   say    writes "text" to standard output, where the process that asks hands on its answer, and
 *          ends with "status"
 *   close  writes "text", closes it and stays, deaf to signals
 *   fork   leaves a child that holds it, and dies
 *   flood  writes "text" without end
 */
#include "fake.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/secret.h"

static const struct pullkey_option options[] = {
    { "do", PULLKEY_OPTION_STRING, true },      { "touch", PULLKEY_OPTION_STRINGS, false },
    { "keep", PULLKEY_OPTION_STRING, false },   { "text", PULLKEY_OPTION_STRING, false },
    { "status", PULLKEY_OPTION_NUMBER, false }, { NULL },
};

static int open_rogue(const struct pullkey_host *host, const struct pullkey_instance *instance,
                      void **ret, struct pullkey_error *error)
{
    struct json *json = secret_alloc(sizeof(*json));
    int r;

    fake_host = host;
    if (!json)
        return error_memory(error);
    r = json_parse(json, "options", instance->options, strlen(instance->options), 0, error);
    if (r < 0)
        secret_release(json);
    else
        *ret = json;
    return r;
}

static void close_rogue(void *state)
{
    json_done(state);
    secret_release(state);
}

static const char *text_option(const struct json *json, const char *name)
{
    const char *text = cJSON_GetStringValue(json_member(json->root, name));

    return text ? text : "";
}

static void try_all(struct buffer *found, const char *path, bool wanted)
{
    char name[FILE_PATH_MAX];
    int fd;

    (void)snprintf(name, sizeof(name), "%s/rogue", path);
#define TRIED(what, call)                                                                          \
    do {                                                                                           \
        if ((call) != wanted)                                                                      \
            buffer_printf(found, ",\"%s %s\"", what, path);                                        \
    } while (0)
    TRIED("create in", (fd = open(name, O_WRONLY | O_CREAT, 0600)) >= 0 && close(fd) == 0);
    TRIED("unlink in",
          unlink(name) == 0 || (errno == ENOENT && !wanted && access(name, F_OK) == 0));
    TRIED("mkdir in", mkdir(name, 0700) == 0);
    TRIED("rmdir in", rmdir(name) == 0);
    TRIED("symlink in", symlink("x", name) == 0);
    TRIED("remove a link in", unlink(name) == 0);
    TRIED("mkfifo in", mkfifo(name, 0600) == 0);
    TRIED("remove a fifo in", unlink(name) == 0);
    if (wanted)
        return;
    TRIED("write to", (fd = open(path, O_WRONLY)) >= 0 && close(fd) == 0);
    TRIED("truncate", truncate(path, 0) == 0);
    TRIED("unlink", unlink(path) == 0);
    TRIED("rename", rename(path, name) == 0);
#undef TRIED
}

static bool may_run(void)
{
    static char name[] = "true";
    char *const arguments[] = { name, NULL };
    pid_t pid;
    int status;

    if (posix_spawn(&pid, "/bin/true", NULL, NULL, arguments, environ) != 0)
        return false;
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void append_file(struct buffer *text, const char *name, const char *path)
{
    char bytes[65536];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? 0 : read(fd, bytes, sizeof(bytes));

    for (ssize_t i = 0; i < length; i++)
        if (bytes[i] == '\0')
            bytes[i] = '\n';
    buffer_printf(text, ",\"%s\":", name);
    json_write_string(text, bytes, length > 0 ? (size_t)length : 0);
    if (fd >= 0)
        (void)close(fd);
}

static size_t count_descriptors(void)
{
    DIR *stream = opendir("/proc/self/fd");
    size_t count = 0;

    while (stream && readdir(stream))
        count++;
    if (stream)
        (void)closedir(stream);
    return count;
}

static bool may_open(pid_t pid, const char *name, int flags)
{
    char path[64];
    int fd;

    (void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
    fd = open(path, flags | O_CLOEXEC);
    if (fd >= 0)
        (void)close(fd);
    return fd >= 0;
}

static void look(const struct json *json, struct buffer *text)
{
    cleanup_buffer struct buffer found = BUFFER_INIT(65536);
    const cJSON *touch = json_member(json->root, "touch");
    struct rlimit core = { 0 };
    pid_t parent = getppid();

    buffer_append_text(&found, "\"\"");
    try_all(&found, text_option(json, "keep"), true);
    for (const cJSON *item = touch ? touch->child : NULL; item; item = item->next)
        try_all(&found, item->valuestring, false);
    if (may_run())
        buffer_append_text(&found, ",\"run\"");
    if (setresuid(1, 1, 1) == 0)
        buffer_append_text(&found, ",\"setuid\"");
    if (setgroups(0, NULL) == 0)
        buffer_append_text(&found, ",\"setgroups\"");
    if (chroot("/") == 0)
        buffer_append_text(&found, ",\"chroot\"");
    if (may_open(parent, "mem", O_RDWR) || may_open(parent, "environ", O_RDONLY))
        buffer_append_text(&found, ",\"memory of the daemon\"");
    if (ptrace(PTRACE_SEIZE, parent, 0, 0) == 0)
        buffer_append_text(&found, ",\"ptrace of the daemon\"");
    (void)getrlimit(RLIMIT_CORE, &core);
    buffer_printf(text, "{\"done\":[%s],\"dumpable\":%d,\"core\":%d,\"descriptors\":%d", found.data,
                  prctl(PR_GET_DUMPABLE), (int)core.rlim_max, (int)count_descriptors());
    append_file(text, "status", "/proc/self/status");
    append_file(text, "arguments", "/proc/self/cmdline");
    buffer_append_text(text, ",\"environment\":\"");
    for (char **entry = environ; *entry; entry++)
        buffer_printf(text, "%.*s ", (int)strcspn(*entry, "="), *entry);
    buffer_append_text(text, "\"}");
}

static void stay(void)
{
    sigset_t all;

    (void)sigfillset(&all);
    (void)sigprocmask(SIG_BLOCK, &all, NULL);
    for (;;)
        (void)pause();
}

static void misbehave(const struct json *json, const char *what)
{
    const char *text = text_option(json, "text");
    const cJSON *status = json_member(json->root, "status");
    struct pullkey_error ignored;

    while (file_write_all(STDOUT_FILENO, text, strlen(text), &ignored) == 0 &&
           strcmp(what, "flood") == 0)
        ;
    if (strcmp(what, "say") == 0)
        _exit(status ? (int)status->valuedouble : 0);
    if (strcmp(what, "fork") == 0 && fork() != 0)
        _exit(0);
    if (strcmp(what, "close") == 0)
        (void)close(STDOUT_FILENO);
    stay();
}

static int get(void *state, const struct pullkey_request *request, struct pullkey_credential *ret,
               struct pullkey_error *error)
{
    const struct json *json = state;
    const char *what = text_option(json, "do");
    cleanup_buffer struct buffer text = BUFFER_INIT(PULLKEY_SECRET_MAX);
    struct pullkey_credential credential = { 0 };
    int r;

    (void)request;
    if (strcmp(what, "look") != 0)
        misbehave(json, what);
    look(json, &text);
    r = buffer_steal(&text, &credential.secret, error);
    if (r < 0)
        return r;
    credential.username = secret_copy("rogue", 5);
    if (!credential.username) {
        secret_done(&credential.secret);
        return error_memory(error);
    }
    *ret = credential;
    return 0;
}

static const struct pullkey_backend backend = {
    .module = {
        .abi_major = PULLKEY_ABI_MAJOR,
        .abi_minor = PULLKEY_ABI_MINOR,
        .size = sizeof(backend),
        .kind = PULLKEY_KIND_BACKEND,
        .type = "fake-rogue",
        .capabilities = PULLKEY_CAN_GET,
        .options = options,
    },
    .open = open_rogue,
    .get = get,
    .close = close_rogue,
};

PULLKEY_EXPORT_MODULE(backend);
