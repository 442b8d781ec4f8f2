/* SPDX-License-Identifier: Apache-2.0 */
#include "core/config-parts.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/secret.h"
#include "pullkey-build.h"

static const char *environment(const char *name)
{
    const char *value = secure_getenv(name);

    return value && value[0] != '\0' ? value : NULL;
}

/* A guess without connecting: it decides only whether the keyring is asked where nobody named it.
 */
static bool has_session_bus(void)
{
    const char *runtime = environment("XDG_RUNTIME_DIR");
    char path[FILE_PATH_MAX];

    if (environment("DBUS_SESSION_BUS_ADDRESS"))
        return !file_caller_is_root();
    if (!runtime || runtime[0] != '/' ||
        snprintf(path, sizeof(path), "%s/bus", runtime) >= (int)sizeof(path))
        return false;
    return access(path, F_OK) == 0 && !file_caller_is_root();
}

int config_source_default(bool system, struct config_source *ret, struct pullkey_error *error)
{
    char user_directory[FILE_PATH_MAX];
    int r = -(int)PULLKEY_NOT_FOUND;

    if (!system) {
        r = file_place(FILE_CONFIG_HOME, user_directory, error);
        if (r < 0 && r != -(int)PULLKEY_NOT_FOUND)
            return r;
    }
    *ret = (struct config_source){
        .system = system,
        .session_bus = !system && has_session_bus(),
        .system_directory = PULLKEY_SYSCONFDIR,
        .only_file = environment("PULLKEY_CONFIG"),
        .text = system ? NULL : environment("PULLKEY_CONFIG_JSON"),
    };
    if (r == 0) {
        memcpy(ret->user_directory_path, user_directory, strlen(user_directory) + 1);
        ret->user_directory = ret->user_directory_path;
    }
    return 0;
}

static int add_document(struct config *config, const char *name, const char *text, size_t length,
                        struct pullkey_error *error)
{
    struct json *document = &config->documents[config->document_count];
    int r;

    if (config->document_count == CONFIG_DOCUMENTS_MAX)
        return error_set(error, PULLKEY_INVALID, "%s: there are more than %d configuration files",
                         name, CONFIG_DOCUMENTS_MAX);
    r = json_parse(document, name, text, length, JSON_COMMENTS, error);
    if (r < 0)
        return r;
    config->document_count++;
    return config_check(document, error);
}

/* A file that does not exist is fine here. */
static int add_file(struct config *config, const struct file_directory *directory,
                    const char *directory_path, const char *name, struct pullkey_error *error)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(CONFIG_FILE_MAX);
    char path[FILE_PATH_MAX];
    int r = file_join(path, directory_path, name, error);

    if (r < 0)
        return r;
    r = file_read_at(directory, name, path, 0, &text, NULL, error);
    if (r == -(int)PULLKEY_NOT_FOUND)
        return 0;
    if (r < 0)
        return r;
    return add_document(config, path, text.data, text.length, error);
}

struct names {
    char names[CONFIG_DOCUMENTS_MAX][NAME_MAX + 1];
    size_t count;
};

static bool is_part_name(const char *name)
{
    size_t length = strlen(name);

    return name[0] != '.' && length > 5 && length <= NAME_MAX &&
           strcmp(name + length - 5, ".json") == 0;
}

/* Plain getdents64: readdir would add three system calls and an allocation to every request. */
static int collect_names(const struct file_directory *directory, const char *path,
                         struct names *names, struct pullkey_error *error)
{
    union {
        struct dirent64 first; /* for the alignment */
        char bytes[8192];
    } entries;
    ssize_t got;

    while ((got = getdents64(directory->fd, &entries, sizeof(entries))) > 0) {
        for (ssize_t at = 0; at < got;) {
            const struct dirent64 *entry = (const void *)(entries.bytes + at);

            at += entry->d_reclen;
            if (!is_part_name(entry->d_name))
                continue;
            if (names->count == CONFIG_DOCUMENTS_MAX)
                return error_set(error, PULLKEY_INVALID, "%s holds more than %d files", path,
                                 CONFIG_DOCUMENTS_MAX);
            memcpy(names->names[names->count++], entry->d_name, strlen(entry->d_name) + 1);
        }
    }
    if (got < 0)
        return error_errno(error, errno, "cannot list %s", path);
    return 0;
}

static int last_name_first(const void *a, const void *b)
{
    return strcmp(b, a);
}

static int add_parts(struct config *config, const char *parent, struct pullkey_error *error)
{
    cleanup_directory struct file_directory directory = { -1 };
    cleanup_release struct names *names = NULL;
    char path[FILE_PATH_MAX];
    int r = file_join(path, parent, "config.d", error);

    if (r < 0)
        return r;
    r = file_directory_open(path, &directory, error);
    if (r == -(int)PULLKEY_NOT_FOUND)
        return 0;
    if (r < 0)
        return r;
    names = secret_alloc(sizeof(*names));
    if (!names)
        return error_memory(error);
    r = collect_names(&directory, path, names, error);
    if (r < 0)
        return r;
    qsort(names->names, names->count, sizeof(names->names[0]), last_name_first);
    for (size_t i = 0; i < names->count; i++) {
        r = add_file(config, &directory, path, names->names[i], error);
        if (r < 0)
            return r;
    }
    return 0;
}

static int add_directory(struct config *config, const char *path, bool parts,
                         struct pullkey_error *error)
{
    cleanup_directory struct file_directory directory = { -1 };
    int r = file_directory_open(path, &directory, error);

    if (r == -(int)PULLKEY_NOT_FOUND)
        return 0;
    if (r == 0 && parts)
        r = add_parts(config, path, error);
    if (r < 0)
        return r;
    return add_file(config, &directory, path, "config.json", error);
}

static int add_only_file(struct config *config, const char *path, struct pullkey_error *error)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(CONFIG_FILE_MAX);
    int r;

    if (path[0] != '/')
        return error_set(error, PULLKEY_INVALID, "PULLKEY_CONFIG must be an absolute path, not %s",
                         path);
    r = file_read(path, FILE_OURS, 0, &text, NULL, error);
    if (r < 0)
        return error_wrap(error, "PULLKEY_CONFIG");
    return add_document(config, path, text.data, text.length, error);
}

static int add_text(struct config *config, const char *text, struct pullkey_error *error)
{
    size_t length = strlen(text);

    if (length > CONFIG_FILE_MAX)
        return error_set(error, PULLKEY_INVALID, "PULLKEY_CONFIG_JSON: more than %d bytes",
                         CONFIG_FILE_MAX);
    return add_document(config, "PULLKEY_CONFIG_JSON", text, length, error);
}

int config_read(const struct config_source *source, struct config *config,
                struct pullkey_error *error)
{
    int r = 0;

    if (source->text && !source->system)
        return add_text(config, source->text, error);
    if (source->only_file)
        return add_only_file(config, source->only_file, error);
    if (source->user_directory && !source->system)
        r = add_directory(config, source->user_directory, false, error);
    if (r < 0)
        return r;
    return add_directory(config, source->system_directory, true, error);
}
