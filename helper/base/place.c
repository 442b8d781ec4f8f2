/* SPDX-License-Identifier: Apache-2.0 */
#include "error.h"
#include "file.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int set_path(char *ret, const char *path, struct pullkey_error *error)
{
    size_t length = strlen(path);

    if (length >= FILE_PATH_MAX)
        return error_set(error, PULLKEY_INVALID, "the home directory has too long a path");
    memcpy(ret, path, length + 1);
    return 0;
}

int file_account_home(char *ret, struct pullkey_error *error)
{
    struct passwd *account;
    FILE *accounts;
    int r = -1;

    /* Not getpwuid: it would load name service modules into a program that must stay small. */
    accounts = fopen("/etc/passwd", "re");
    while (accounts && r < 0 && (account = fgetpwent(accounts)))
        if (account->pw_uid == file_caller() && account->pw_dir[0] == '/')
            r = set_path(ret, account->pw_dir, error);
    if (accounts)
        (void)fclose(accounts);
    if (r < 0)
        return error_set(error, PULLKEY_NOT_FOUND, "/etc/passwd has no home for user %u",
                         (unsigned int)file_caller());
    return 0;
}

int file_home(char *ret, struct pullkey_error *error)
{
    const char *home = secure_getenv("HOME");
    int r;

    if (home && home[0] == '/')
        return set_path(ret, home, error);
    r = file_account_home(ret, error);
    return r < 0 ? error_wrap(error, "HOME is not set") : 0;
}

int file_place(enum file_place place, char *ret, struct pullkey_error *error)
{
    static const struct {
        const char *variable;
        const char *below_home;
    } places[] = {
        [FILE_CONFIG_HOME] = { "XDG_CONFIG_HOME", ".config/pullkey" },
        [FILE_STATE_HOME] = { "XDG_STATE_HOME", ".local/state/pullkey" },
        [FILE_RUNTIME_HOME] = { "XDG_RUNTIME_DIR", NULL },
    };
    const char *value = secure_getenv(places[place].variable);
    char home[FILE_PATH_MAX];
    int r;

    if (value && value[0] == '/')
        return file_join(ret, value, "pullkey", error);
    if (!places[place].below_home)
        return error_set(error, PULLKEY_NOT_FOUND, "%s is not %s", places[place].variable,
                         value && value[0] != '\0' ? "an absolute path" : "set");
    r = file_home(home, error);
    if (r < 0)
        return r;
    return file_join(ret, home, places[place].below_home, error);
}
