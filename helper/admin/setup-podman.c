/* SPDX-License-Identifier: Apache-2.0 */
/*
 * podman, buildah and skopeo: a file of registries.conf.d, containers-registries.conf.d(5). Files
 * of a later name there, and those of a user, go before it.
 */
#include "setup.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/secret.h"

#define NAME "pullkey.conf"
#define KEY "credential-helpers"

static const char text[] = KEY " = [\"pullkey\", \"containers-auth.json\"]\n";

static bool is_set(const char *variable)
{
    const char *value = secure_getenv(variable);

    return value && value[0] != '\0';
}

/* A line that begins with the key. */
static bool has_helpers(const char *path)
{
    cleanup_buffer struct buffer content = BUFFER_INIT(JSON_SIZE_MAX);
    struct pullkey_error ignored;
    const char *at;

    if (file_read(path, FILE_GIVEN, 0, &content, NULL, &ignored) < 0 || !content.data)
        return false;
    for (at = strstr(content.data, KEY); at; at = strstr(at + 1, KEY))
        if (at == content.data || at[-1] == '\n')
            return true;
    return false;
}

static bool is_later(const char *name)
{
    const size_t length = strlen(name);

    return length > 5 && strcmp(name + length - 5, ".conf") == 0 && strcmp(name, NAME) > 0;
}

/* Files that are read after ours, and say something else. */
static int note_later(struct setup *setup, const char *directory, struct pullkey_error *error)
{
    DIR *entries = opendir(directory);
    char path[FILE_PATH_MAX];
    int r = 0;

    for (const struct dirent *entry; r == 0 && entries && (entry = readdir(entries));)
        if (is_later(entry->d_name)) {
            r = file_join(path, directory, entry->d_name, error);
            if (r == 0 && has_helpers(path))
                setup_note(setup, "%s is read after it, and has " KEY " of its own: take them out",
                           path);
        }
    if (entries)
        (void)closedir(entries);
    return r;
}

static void note_nearer(struct setup *setup, const char *home)
{
    char path[FILE_PATH_MAX];
    struct pullkey_error ignored;

    if (is_set("CONTAINERS_REGISTRIES_CONF"))
        setup_note(setup, "CONTAINERS_REGISTRIES_CONF is set: podman reads that file");
    if (is_set("REGISTRY_AUTH_FILE"))
        setup_note(setup,
                   "REGISTRY_AUTH_FILE is set: what that file has is asked for after pullkey");
    if (setup->system && file_join(path, home, "containers/registries.conf", &ignored) == 0 &&
        access(path, F_OK) == 0)
        setup_note(setup, "%s hides it from you: podman reads that in place of the system's", path);
}

/* $XDG_CONFIG_HOME is not looked at by all that read it: only the home counts. */
static int user_directory(char ret[FILE_PATH_MAX], struct pullkey_error *error)
{
    char home[FILE_PATH_MAX];
    int r = file_home(home, error);

    return r < 0 ? r : file_join(ret, home, ".config", error);
}

int setup_podman(struct setup *setup, struct pullkey_error *error)
{
    char home[FILE_PATH_MAX], directory[FILE_PATH_MAX], path[FILE_PATH_MAX];
    struct change *file;
    int r = user_directory(home, error);

    if (r == 0)
        r = file_join(directory, setup->system ? "/etc" : home, "containers/registries.conf.d",
                      error);
    if (r == 0)
        r = file_join(path, directory, NAME, error);
    if (r == 0)
        r = setup_open(setup, path, setup->system ? 0644 : 0600, &file, error);
    if (r < 0)
        return r;
    if (!change_is_new(file) && !(file->old.data && strcmp(file->old.data, text) == 0))
        return error_set(error, PULLKEY_INVALID,
                         "%s is there, and not as it would be written: it should be the line %.*s",
                         file->path, (int)(sizeof(text) - 2), text);
    note_nearer(setup, home);
    r = note_later(setup, directory, error);
    return r < 0 || !change_is_new(file)
               ? r
               : setup_edit(setup, file, 0, 0, text, sizeof(text) - 1, NULL, NULL, error);
}
