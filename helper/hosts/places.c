/* SPDX-License-Identifier: Apache-2.0 */
/* What the commands share: where source, target and configuration are, and a wrong call. */
#include "hosts.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "publish.h"

int hosts_usage(struct pullkey_error *error, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    (void)error_set_list(error, PULLKEY_INVALID, format, arguments);
    va_end(arguments);
    return HOSTS_USAGE;
}

int hosts_load(struct config *ret, struct pullkey_error *error)
{
    struct config_source source;
    int r = config_source_default(file_caller() == 0, &source, error);

    return r < 0 ? r : config_load(&source, ret, error);
}

int hosts_absolute(const char *path, char *ret, struct pullkey_error *error)
{
    char directory[FILE_PATH_MAX];
    size_t length = strlen(path);

    while (length > 1 && path[length - 1] == '/')
        length--;
    if (length >= FILE_PATH_MAX)
        return error_set(error, PULLKEY_INVALID, "a path is too long");
    memcpy(mempcpy(ret, path, length), "", 1);
    if (path[0] == '/')
        return 0;
    if (!getcwd(directory, sizeof(directory)))
        return error_errno(error, errno, "cannot tell the working directory");
    return file_join(ret, directory, path, error);
}

/* nerdctl and rootless containerd look there. */
static int user_source(char *ret, struct pullkey_error *error)
{
    const char *config = secure_getenv("XDG_CONFIG_HOME");
    char home[FILE_PATH_MAX];
    int r;

    if (config && config[0] == '/')
        return file_join(ret, config, "containerd/certs.d", error);
    r = file_home(home, error);
    return r < 0 ? r : file_join(ret, home, ".config/containerd/certs.d", error);
}

int hosts_source(const struct hosts_call *call, char *ret, struct pullkey_error *error)
{
    if (call->values[HOSTS_SOURCE])
        return hosts_absolute(call->values[HOSTS_SOURCE], ret, error);
    if (call->values[HOSTS_OVERMOUNT])
        return hosts_absolute(HOSTS_SOURCE_OVERMOUNTED, ret, error);
    return file_caller() == 0 ? hosts_absolute(HOSTS_SOURCE_DEFAULT, ret, error)
                              : user_source(ret, error);
}

int hosts_target(const struct hosts_call *call, char *ret, struct pullkey_error *error)
{
    char runtime[FILE_PATH_MAX];
    int r;

    if (call->values[HOSTS_TARGET])
        return hosts_absolute(call->values[HOSTS_TARGET], ret, error);
    if (file_caller() == 0)
        return hosts_absolute(HOSTS_TARGET_DEFAULT, ret, error);
    r = file_place(FILE_RUNTIME_HOME, runtime, error);
    return r < 0 ? error_wrap(error, "give --target") : file_join(ret, runtime, "hosts", error);
}

const char *hosts_daemon(void)
{
    return file_caller() == 0 ? "pullkey-hosts.service" : "\"pullkey hosts watch\"";
}

int hosts_make_place(const char *target, const char *source, struct pullkey_error *error)
{
    char parent[FILE_PATH_MAX];
    const char *slash = strrchr(target, '/');
    int r = publish_check_place(target, source, error);

    if (r < 0 || !slash || slash == target)
        return r;
    memcpy(mempcpy(parent, target, (size_t)(slash - target)), "", 1);
    if (mkdir(parent, 0755) < 0)
        return errno == EEXIST ? 0 : error_errno(error, errno, "cannot make %s", parent);
    /* Metrics are for others to read. */
    return chmod(parent, 0755) < 0 ? error_errno(error, errno, "cannot make %s", parent) : 0;
}
