/* SPDX-License-Identifier: Apache-2.0 */
/* Where other programs keep credentials. */
#include "import.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/secret.h"

#define SECRETSERVICE "secretservice"
#define PASS "pass"

void import_drop(struct import *import, struct import_item **at)
{
    struct import_item *item = *at;

    *at = item->next;
    if (import->end == &item->next)
        import->end = at;
    secret_release(item->server);
    secret_release(item->username);
    secret_release(item->registry);
    secret_release(item->why);
    credential_done(&item->credential);
    secret_release(item);
}

void import_done(struct import *import)
{
    while (import->first)
        import_drop(import, &import->first);
    for (size_t i = 0; i < import->source_count; i++) {
        secret_release(import->sources[i].path);
        resolve_opened_done(&import->sources[i].opened);
    }
    config_done(&import->config);
}

int import_add(struct import *import, struct import_source *source, const char *server,
               const char *username, struct import_item **ret, struct pullkey_error *error)
{
    struct import_item *item = secret_alloc(sizeof(*item));

    if (!item)
        return error_memory(error);
    *import->end = item;
    import->end = &item->next;
    item->source = source;
    item->server = secret_copy(server, strlen(server));
    item->username = secret_copy(username, strlen(username));
    if (!item->server || !item->username)
        return error_memory(error);
    if (ret)
        *ret = item;
    return 0;
}

int import_decide(struct import_item *item, enum import_action action, struct pullkey_error *error,
                  const char *format, ...)
{
    struct pullkey_error text;
    va_list arguments;

    va_start(arguments, format);
    (void)error_set_list(&text, PULLKEY_INVALID, format, arguments);
    va_end(arguments);
    item->action = action;
    secret_release(item->why);
    item->why = secret_copy(text.message, strlen(text.message));
    return item->why ? 0 : error_memory(error);
}

/* -- Finding ---------------------------------------------------------------------------------- */

static const char *variable(const char *name)
{
    const char *value = secure_getenv(name);

    return value && value[0] != '\0' ? value : NULL;
}

const char *import_source_name(const struct import_source *source)
{
    return source->is_one_of_two ? source->path : source->name;
}

static int add_file(struct import *import, const char *name, const char *path,
                    struct pullkey_error *error)
{
    struct import_source *source = &import->sources[import->source_count++];

    source->name = name;
    source->path = secret_copy(path, strlen(path));
    return source->path ? 0 : error_memory(error);
}

/* DIRECTORY/REST, where DIRECTORY is a variable's value or lies below the home. */
static int find_place(const char *directory_variable, const char *below_home, const char *rest,
                      char ret[FILE_PATH_MAX], struct pullkey_error *error)
{
    const char *directory = variable(directory_variable);
    char home[FILE_PATH_MAX];
    int r;

    if (!directory) {
        r = file_home(ret, error);
        if (r == 0)
            r = file_join(home, ret, below_home, error);
        if (r < 0)
            return r;
        directory = home;
    }
    return file_join(ret, directory, rest, error);
}

static int add_place(struct import *import, const char *name, const char *directory_variable,
                     const char *below_home, const char *rest, struct pullkey_error *error)
{
    char path[FILE_PATH_MAX];
    int r = find_place(directory_variable, below_home, rest, path, error);

    if (r == -PULLKEY_NOT_FOUND)
        return 0;
    return r < 0 ? r : add_file(import, name, path, error);
}

int import_docker_path(char ret[FILE_PATH_MAX], struct pullkey_error *error)
{
    return find_place("DOCKER_CONFIG", ".docker", "config.json", ret, error);
}

/* As containers-auth.json(5) has them: what podman itself writes comes first. */
static int add_podman(struct import *import, struct pullkey_error *error)
{
    const char *file = variable("REGISTRY_AUTH_FILE");
    const size_t first = import->source_count;
    char run[64];
    int r;

    if (file)
        return add_file(import, "podman", file, error);
    if (variable("XDG_RUNTIME_DIR")) {
        r = add_place(import, "podman", "XDG_RUNTIME_DIR", "", "containers/auth.json", error);
    } else {
        (void)snprintf(run, sizeof(run), "/run/containers/%u/auth.json",
                       (unsigned int)file_caller());
        r = add_file(import, "podman", run, error);
    }
    if (r < 0)
        return r;
    r = add_place(import, "podman", "XDG_CONFIG_HOME", ".config", "containers/auth.json", error);
    for (size_t i = first; r == 0 && i < import->source_count; i++)
        import->sources[i].is_one_of_two = true;
    return r;
}

static bool has_pass(const char *name)
{
    const char *directory = variable("PASSWORD_STORE_DIR");
    char home[FILE_PATH_MAX], path[FILE_PATH_MAX];
    struct pullkey_error ignored;

    if (!directory) {
        if (file_home(path, &ignored) < 0 || file_join(home, path, ".password-store", &ignored) < 0)
            return false;
        directory = home;
    }
    return file_join(path, directory, name, &ignored) == 0 && access(path, F_OK) == 0;
}

void import_add_helper(struct import *import, const char *name)
{
    import->sources[import->source_count++] =
        (struct import_source){ .name = name, .helper = name };
}

bool import_knows_helper(const char *name)
{
    return strcmp(name, SECRETSERVICE) == 0 || strcmp(name, PASS) == 0;
}

static int find_all(struct import *import, struct pullkey_error *error)
{
    int r = add_place(import, "docker", "DOCKER_CONFIG", ".docker", "config.json", error);

    if (r == 0)
        r = add_podman(import, error);
    if (r < 0)
        return r;
    import_add_helper(import, SECRETSERVICE);
    /* Without a folder of its own in the password store, the helper need not be asked: that may
     * take a key and its passphrase. */
    if (has_pass("docker-credential-helpers"))
        import_add_helper(import, PASS);
    return 0;
}

int import_find_sources(struct import *import, struct pullkey_error *error)
{
    const char *from = import->call->values[ADMIN_FROM];

    import->from_all = !from;
    if (!from)
        return find_all(import, error);
    if (strcmp(from, "docker") == 0)
        return add_place(import, from, "DOCKER_CONFIG", ".docker", "config.json", error);
    if (strcmp(from, "podman") == 0)
        return add_podman(import, error);
    if (strcmp(from, PASS) == 0 && !has_pass(".gpg-id"))
        return error_set(error, PULLKEY_INVALID, "--from: there is no password store of pass here");
    if (import_knows_helper(from))
        import_add_helper(import, from);
    else if (strcmp(from, "-") == 0)
        import->sources[import->source_count++] = (struct import_source){ .name = "stdin" };
    else
        return add_file(import, from, from, error);
    return 0;
}

/* -- Reading ---------------------------------------------------------------------------------- */

static int read_source(struct import *import, struct import_source *source,
                       struct pullkey_error *error)
{
    return source->helper ? import_helper_read(import, source, error)
                          : import_file_read(import, source, error);
}

static int refuse_missing(const struct import *import, struct pullkey_error *error)
{
    const char *from = import->call->values[ADMIN_FROM], *path;

    if (import->source_count == 0)
        return error_set(error, PULLKEY_INVALID, "--from %s: you have no home directory", from);
    path = import->sources[0].path;
    if (strcmp(path, from) == 0 && !strchr(path, '/'))
        return error_set(error, PULLKEY_INVALID,
                         "--from: there is no file %s here, and it is none of docker, podman, "
                         "secretservice and pass",
                         from);
    return error_set(error, PULLKEY_INVALID, "--from: there is no file %s", path);
}

int import_read_sources(struct import *import, struct pullkey_error *error)
{
    size_t missing = 0;

    for (size_t i = 0; i < import->source_count; i++) {
        struct import_source *source = &import->sources[i];
        int r = read_source(import, source, error);

        if (r == -PULLKEY_NOT_FOUND && !source->helper)
            missing++;
        else if (r == -PULLKEY_INTERNAL || (r < 0 && !import->from_all))
            return import->is_setup ? r : error_wrap(error, "--from");
        /* No desktop, no such helper: there is nothing that could be taken over. */
        else if (r < 0 && r != -PULLKEY_NOT_FOUND && r != -PULLKEY_UNSUPPORTED)
            source->error = *error;
    }
    if (!import->from_all && missing == import->source_count)
        return refuse_missing(import, error);
    return 0;
}
