/* SPDX-License-Identifier: Apache-2.0 */
#include "migrate-config.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/secret.h"
#include "core/credential.h"
#include "helper-text.h"
#include "hosts.h"

/* Once for a host. */
static int note_insecure(struct config_work *work, struct config_entry *entry,
                         const struct mirrors_endpoint *endpoint, struct pullkey_error *error)
{
    const struct toml_item *skip = hosts_member(entry->tls, "insecure_skip_verify");

    if (entry->is_noted || (!endpoint->is_http && !(skip && skip->boolean)))
        return 0;
    entry->is_noted = true;
    return migrate_row(work->migrate, MIGRATE_NOTE, work->file->inner, entry->auth->table->line,
                       "it was so before; allowInsecure = true says that it is meant", error,
                       "anybody on the way to %s can read the credential", entry->host);
}

static int complete(struct config_work *work, struct mirrors *mirrors, struct pullkey_error *error)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < mirrors->count; i++) {
        struct mirrors_endpoint *endpoint = &mirrors->items[i];
        struct config_entry *entry = config_entry_of(work, endpoint->host);

        if (!entry)
            continue;
        endpoint->tls = entry->tls;
        endpoint->has_helper = entry->has_secret && !entry->stays;
        if (endpoint->has_helper)
            r = config_offer(work, entry, endpoint->is_http, error);
        if (r == 0 && endpoint->has_helper)
            r = note_insecure(work, entry, endpoint, error);
    }
    return r;
}

static const struct node_host_directory *find_directory(const struct node_hosts *hosts,
                                                        const char *registry)
{
    char name[REGISTRY_HOST_MAX + 8];

    for (size_t i = 0; i < hosts->count; i++) {
        hosts_directory_registry(hosts->directories[i].name, name);
        if (strcmp(name, registry) == 0)
            return &hosts->directories[i];
    }
    return NULL;
}

/* -- Directories that are there -- */

static bool is_same_value(const struct toml_item *a, const struct toml_item *b)
{
    const struct toml_item *x, *y;

    if (!a || !b || a->kind != b->kind)
        return !a && !b;
    if (a->kind == TOML_STRING)
        return strcmp(a->string, b->string) == 0;
    if (a->kind == TOML_BOOLEAN)
        return a->boolean == b->boolean;
    for (x = a->first, y = b->first; x && y; x = x->next, y = y->next)
        if (!is_same_value(x, y))
            return false;
    return !x && !y;
}

/* The same hosts, in the same order, reached in the same way. */
static bool is_same_host(const struct hosts_host *a, const struct hosts_host *b)
{
    static const char *const keys[] = { "ca", "client", "skip_verify", "override_path" };

    if (strcmp(a->name ? a->name : "", b->name ? b->name : "") != 0)
        return false;
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        if (!is_same_value(hosts_member(a->table, keys[i]), hosts_member(b->table, keys[i])))
            return false;
    return true;
}

static bool is_same_file(const struct hosts_file *a, const struct hosts_file *b)
{
    if (a->host_count != b->host_count)
        return false;
    for (size_t i = 0; i < a->host_count; i++)
        if (!is_same_host(&a->hosts[i], &b->hosts[i]))
            return false;
    return true;
}

/* Another part has planned a change of it. */
static const struct migrate_file *find_change(const struct migrate *migrate, const char *inner)
{
    for (size_t i = 0; i < migrate->file_count; i++)
        if (strcmp(migrate->files[i].inner, inner) == 0)
            return &migrate->files[i];
    return NULL;
}

static int conflict(struct config_work *work, const struct node_host_directory *directory,
                    size_t line, const char *registry, struct pullkey_error *error)
{
    char hint[FILE_PATH_MAX + 128];

    (void)snprintf(hint, sizeof(hint),
                   "%s says something else: make both say the same, or remove one",
                   directory->inner);
    work->failed = true;
    return migrate_row(work->migrate, MIGRATE_PROBLEM, work->file->inner, line, hint, error,
                       "the settings of %s cannot be moved", registry);
}

/* A file that says the same already gets the helpers that it lacks. */
static int merge(struct config_work *work, const struct node_host_directory *directory, size_t line,
                 const char *registry, const struct buffer *text, struct pullkey_error *error)
{
    cleanup_buffer struct buffer merged = BUFFER_INIT(HELPER_TEXT_SIZE_MAX);
    cleanup_hosts_file struct hosts_file planned = { 0 };
    const struct hosts_file *file = &directory->file;
    bool wanted[HOSTS_PER_FILE_MAX] = { false };
    bool any = false;
    struct pullkey_error why;
    int r;

    if (directory->problem.code != PULLKEY_OK || find_change(work->migrate, directory->inner))
        return conflict(work, directory, line, registry, error);
    r = hosts_file_parse(directory->path, directory->name, text->data, text->length, NULL, &planned,
                         error);
    if (r < 0)
        return r;
    if (!is_same_file(file, &planned))
        return conflict(work, directory, line, registry, error);
    for (size_t i = 0; i < file->host_count; i++) {
        wanted[i] = planned.hosts[i].helper != NULL;
        if (wanted[i] &&
            (file->hosts[i].authorization ||
             (file->hosts[i].helper && strcmp(file->hosts[i].helper, HELPER_TEXT_NAME) != 0)))
            return conflict(work, directory, line, registry, error);
        any = any || wanted[i];
    }
    if (!any)
        return 0;
    if (migrate_check_hosts_file(work->migrate->node, directory->inner, &why) < 0 ||
        helper_text(file, directory->name, wanted, &merged, &why) < 0)
        return config_fail(work, directory->inner, 0, why.message, error,
                           "the file cannot be changed");
    return migrate_change(work->migrate, directory->inner, file->toml.text, file->toml.length,
                          &merged, MIGRATE_ADDS, 0, error);
}

static int put_directory(struct config_work *work, const char *registry, size_t line,
                         struct buffer *text, struct pullkey_error *error)
{
    const char *name = strcmp(registry, "*") == 0 ? "_default" : registry;
    const struct node_host_directory *directory = find_directory(work->hosts, name);
    char inner[FILE_PATH_MAX];
    int r = 0;

    if (directory && directory->has_file)
        return merge(work, directory, line, registry, text, error);
    if (directory && directory->has_certificates)
        return conflict(work, directory, line, registry, error);
    if (strlen(name) > 255 || strcspn(name, "/\\ \t\r\n") != strlen(name) || name[0] == '.' ||
        snprintf(inner, sizeof(inner), "%s/%s/hosts.toml", work->hosts->inner,
                 directory ? directory->name : name) >= (int)sizeof(inner))
        return config_fail(work, work->file->inner, line, "", error,
                           "this is no name of a registry");
    if (line > 0)
        r = migrate_row(work->migrate, MIGRATE_DONE, work->file->inner, line, inner, error,
                        "settings of %s", registry);
    return r < 0 ? r : migrate_create(work->migrate, inner, text, MIGRATE_ADDS, error);
}

static size_t line_of_name(struct config_work *work, const char *registry)
{
    const struct node_mirror *mirror = config_find_mirror(work, registry);

    if (mirror)
        return mirror->table->line;
    for (size_t i = 0; i < work->entry_count; i++)
        if (strcmp(config_is_hub(work->entries[i].host) ? "docker.io" : work->entries[i].host,
                   registry) == 0)
            return work->entries[i].auth->table->line;
    return 0;
}

int config_move_registry(struct config_work *work, const char *registry,
                         struct pullkey_error *error)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(MIRRORS_TEXT_MAX);
    cleanup_release struct mirrors *mirrors = secret_alloc(sizeof(*mirrors));
    const struct node_mirror *mirror = config_find_mirror(work, registry);
    size_t line = line_of_name(work, registry);
    struct pullkey_error why;
    int r;

    if (!mirrors)
        return error_memory(error);
    if (!mirror)
        mirror = config_find_mirror(work, "*");
    r = mirrors_find(registry, mirror ? mirror->endpoint : NULL, mirrors, &why);
    if (r < 0)
        return config_fail(work, work->file->inner, line, why.message, error,
                           "the settings of a registry cannot be moved");
    r = complete(work, mirrors, error);
    if (r == 0 && mirrors_write(mirrors, &text, &why) < 0)
        r = config_fail(work, work->file->inner, line, why.message, error,
                        "the settings of a registry cannot be moved");
    else if (r == 0 && mirrors->count > 0 && !work->failed)
        r = put_directory(work, registry, line, &text, error);
    mirrors_done(mirrors);
    return r;
}

/* -- With a config_path -- */

/* containerd sends a credential of registry.configs to that host whatever image it pulls. */
static int mark_hosts(struct config_work *work, const struct hosts_file *file, bool *wanted,
                      bool *ret_any, struct pullkey_error *error)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < file->host_count; i++) {
        const struct hosts_host *host = &file->hosts[i];
        char name[REGISTRY_HOST_MAX + 8];
        struct config_entry *entry;

        if (!host->reference || host->authorization || host->helper)
            continue;
        if (host->reference->port != 0)
            (void)snprintf(name, sizeof(name), "%s:%u", host->reference->host,
                           (unsigned int)host->reference->port);
        else
            (void)snprintf(name, sizeof(name), "%s", host->reference->host);
        entry = config_entry_of(work, name);
        if (!entry || !entry->has_secret || entry->stays)
            continue;
        wanted[i] = *ret_any = true;
        r = config_offer(work, entry, host->reference->http, error);
    }
    return r;
}

static int extend_directory(struct config_work *work, const struct node_host_directory *directory,
                            struct pullkey_error *error)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(HELPER_TEXT_SIZE_MAX);
    const struct hosts_file *file = &directory->file;
    bool wanted[HOSTS_PER_FILE_MAX] = { false };
    struct pullkey_error why;
    bool any = false;
    int r = mark_hosts(work, file, wanted, &any, error);

    if (r < 0 || !any || work->failed)
        return r;
    if (find_change(work->migrate, directory->inner))
        return config_fail(work, directory->inner, 0, "run this again when it is done", error,
                           "this file changes for its headers first");
    if (migrate_check_hosts_file(work->migrate->node, directory->inner, &why) < 0 ||
        helper_text(file, directory->name, wanted, &text, &why) < 0)
        return config_fail(work, directory->inner, 0, why.message, error,
                           "the file cannot be changed");
    return migrate_change(work->migrate, directory->inner, file->toml.text, file->toml.length,
                          &text, MIGRATE_ADDS, 0, error);
}

/* Hosts directories are in use already: they get the helpers, and missing ones are made. */
int config_extend_directories(struct config_work *work, struct pullkey_error *error)
{
    const struct node_host_directory *fallback = find_directory(work->hosts, "_default");
    int r = 0;

    for (size_t i = 0; r == 0 && i < work->hosts->count; i++)
        if (work->hosts->directories[i].has_file &&
            work->hosts->directories[i].problem.code == PULLKEY_OK)
            r = extend_directory(work, &work->hosts->directories[i], error);
    for (size_t i = 0; r == 0 && !work->failed && i < work->name_count; i++) {
        const struct node_host_directory *directory = find_directory(work->hosts, work->names[i]);

        if (directory && directory->has_file && directory->problem.code == PULLKEY_OK)
            continue;
        if (directory || (fallback && fallback->has_file))
            r = conflict(work, directory ? directory : fallback, line_of_name(work, work->names[i]),
                         work->names[i], error);
        else
            r = config_move_registry(work, work->names[i], error);
    }
    return r;
}
