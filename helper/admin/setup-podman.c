/* SPDX-License-Identifier: Apache-2.0 */
/*
 * podman, buildah and skopeo: a file of registries.conf.d, containers-registries.conf.d(5). Files
 * of a later name there, and those of a user, go before it; of all others it hides the helpers.
 */
#include "setup.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/secret.h"

#define NAME "pullkey.conf"
#define SYSTEM "/etc/containers"
#define KEY "credential-helpers"

static const char text[] = KEY " = [\"pullkey\", \"containers-auth.json\"]\n";

static bool is_set(const char *variable)
{
    const char *value = secure_getenv(variable);

    return value && value[0] != '\0';
}

/* What stands behind the key in a line that begins with it, or NULL. */
static const char *find_list(const char *content)
{
    for (const char *at = content; at; at = strchr(at, '\n')) {
        at += strspn(at, " \t\r\n");
        if (strncmp(at, KEY, sizeof(KEY) - 1) == 0)
            return at + sizeof(KEY) - 1;
    }
    return NULL;
}

/* Ours has it too. */
static bool is_kept(const char *name, size_t length)
{
    return (length == 7 && memcmp(name, "pullkey", length) == 0) ||
           (length == 20 && memcmp(name, "containers-auth.json", length) == 0);
}

/* True if the list has one that ours has not; those, with commas. */
static bool find_others(const char *list, struct buffer *ret)
{
    for (list += strcspn(list, "[]"); *list != '\0' && *list != ']';) {
        const char quote[] = { *list, '\0' };
        size_t length;

        if (*list == '#')
            list += strcspn(list, "\n");
        if (*list != '"' && *list != '\'') {
            list += *list != '\0';
            continue;
        }
        length = strcspn(++list, quote);
        if (!is_kept(list, length))
            buffer_printf(ret, "%s%.*s", ret->data ? ", " : "", (int)length, list);
        list += length + (list[length] != '\0');
    }
    return ret->data != NULL;
}

/* A file that goes before ours, or that ours goes before. */
static void note_file(struct setup *setup, const char *path, bool is_later)
{
    cleanup_buffer struct buffer content = BUFFER_INIT(JSON_SIZE_MAX);
    cleanup_buffer struct buffer others = BUFFER_INIT(PULLKEY_ERROR_SIZE);
    struct pullkey_error ignored;
    const char *list;

    if (file_read(path, FILE_GIVEN, 0, &content, NULL, &ignored) < 0 || !content.data)
        return;
    list = find_list(content.data);
    if (list && is_later)
        setup_note(setup, "%s is read after it, and has " KEY " of its own: take them out", path);
    else if (list && find_others(list, &others))
        setup_note(setup,
                   "It hides " KEY " of %s from podman: %s. To keep them, put \"pullkey\" in "
                   "front there, in place of this",
                   path, others.data);
}

/* Of the directory that has ours, or of one that is read before it. */
static int note_directory(struct setup *setup, const char *directory, bool is_ours,
                          struct pullkey_error *error)
{
    DIR *entries = opendir(directory);
    char path[FILE_PATH_MAX];
    int r = 0;

    for (const struct dirent *entry; r == 0 && entries && (entry = readdir(entries));) {
        const size_t length = strlen(entry->d_name);
        const int order = is_ours ? strcmp(entry->d_name, NAME) : -1;

        if (length <= 5 || strcmp(entry->d_name + length - 5, ".conf") != 0 || order == 0)
            continue;
        r = file_join(path, directory, entry->d_name, error);
        if (r == 0)
            note_file(setup, path, order > 0);
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

/* In the order that they are read in. A user's own file is read in place of the system's. */
static int note_files(struct setup *setup, const char *home, const char *directory,
                      struct pullkey_error *error)
{
    char path[FILE_PATH_MAX];
    int r = file_join(path, home, "containers/registries.conf", error);

    if (r < 0)
        return r;
    note_file(setup, setup->system || access(path, F_OK) < 0 ? SYSTEM "/registries.conf" : path,
              false);
    if (!setup->system)
        r = note_directory(setup, SYSTEM "/registries.conf.d", false, error);
    return r < 0 ? r : note_directory(setup, directory, true, error);
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
    r = note_files(setup, home, directory, error);
    return r < 0 || !change_is_new(file)
               ? r
               : setup_edit(setup, file, 0, 0, text, sizeof(text) - 1, NULL, NULL, error);
}
