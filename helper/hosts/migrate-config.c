/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.toml: mirrors and what belongs to them become hosts directories, credentials go to the
 * store, and config_path takes their place, in one change of the file, because containerd refuses
 * both together. All of that is done or nothing.
 */
#include "migrate-config.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/secret.h"
#include "config-text.h"
#include "core/credential.h"
#include "helper-text.h"
#include "hosts.h"

#define GONE_MAX 4096
#define CONFIG_PATH_HINT                                                                           \
    "it must have config_path = \"" HOSTS_CONFIG_PATH                                              \
    "\" in its table of registries, or containerd does not see what pullkey makes"

static int take_out(struct config_work *work, const struct toml_item *item,
                    struct pullkey_error *error)
{
    if (work->gone_count == GONE_MAX)
        return error_set(error, PULLKEY_INVALID, "%s: there are too many registries in it",
                         work->file->path);
    work->gone[work->gone_count++] = item;
    return 0;
}

static bool has_settings(const struct node_table *table)
{
    const struct toml_item *path = hosts_member(table->registry, "config_path");

    return table->registry &&
           (hosts_member(table->registry, "mirrors") || hosts_member(table->registry, "configs") ||
            hosts_member(table->registry, "auths") || config_text_of(path));
}

static bool has_secrets(const struct node_config *config, const struct node_table *table)
{
    for (size_t i = 0; i < config->auth_count; i++)
        if (config->auths[i].in == table && config->auths[i].auth)
            return true;
    return false;
}

/* The one file that has settings of registries, or a row. */
static int find_file(struct config_work *work, struct pullkey_error *error)
{
    const struct node_config *config = work->config;
    int r = 0;

    for (size_t i = 0; r == 0 && i < config->file_count; i++)
        if (config->files[i].problem.code != PULLKEY_OK)
            r = config_fail(work, config->files[i].inner, 0, config->files[i].problem.message,
                            error, "the file cannot be read");
    for (size_t i = 0; r == 0 && i < config->table_count; i++) {
        const struct node_table *table = &config->tables[i];

        if (!has_settings(table))
            continue;
        if (!table->is_read && has_secrets(config, table))
            r = config_fail(work, table->file->inner, table->registry->line,
                            "remove it, or put it where this version reads it", error,
                            "containerd does not read this table, and it holds a credential");
        if (!table->is_read)
            continue;
        if (r == 0 && work->file && work->file != table->file)
            r = config_fail(work, table->file->inner, table->registry->line,
                            "move them into one file, and run this again", error,
                            "settings of registries stand in more than one file");
        work->file = table->file;
    }
    if (!work->file && config->file_count > 0)
        work->file = &config->files[0];
    return r;
}

/* -- config.toml -- */

/* Those of the tables that containerd reads, but for what must stay. */
static int collect_gone(struct config_work *work, struct pullkey_error *error)
{
    bool any_stays = false;
    int r = 0;

    for (size_t i = 0; i < work->entry_count; i++)
        any_stays = any_stays || work->entries[i].stays;
    for (size_t i = 0; r == 0 && i < work->config->table_count; i++) {
        const struct node_table *table = &work->config->tables[i];
        static const char *const keys[] = { "mirrors", "configs", "auths" };

        for (size_t j = 0; r == 0 && table->is_read && j < 3; j++) {
            const struct toml_item *item = hosts_member(table->registry, keys[j]);

            if (item && (j == 0 || !any_stays))
                r = take_out(work, item, error);
        }
    }
    for (size_t i = 0; r == 0 && any_stays && i < work->entry_count; i++) {
        const struct config_entry *entry = &work->entries[i];

        if (!entry->stays)
            r = take_out(work, entry->auth->table, error);
        else if (entry->tls && !entry->more)
            r = take_out(work, entry->tls, error);
        if (r == 0 && entry->more)
            r = take_out(work, entry->more->table, error);
    }
    return r;
}

static int change_file(struct config_work *work, const char *config_path,
                       struct pullkey_error *error)
{
    const struct toml_document *toml = &work->file->toml;
    const struct config_text change = {
        .toml = toml,
        .version = work->file->version,
        .gone = work->gone,
        .gone_count = work->gone_count,
        .config_path = config_path,
    };
    cleanup_buffer struct buffer text = BUFFER_INIT(CONFIG_TEXT_SIZE_MAX);
    struct pullkey_error why;
    int r = migrate_check_file(work->migrate->node, work->file->inner, &why);

    if (r == 0)
        r = config_text(&change, &text, &why);
    if (r < 0)
        return config_fail(work, work->file->inner, 0, why.message, error,
                           "the file stays as it is");
    r = migrate_change(work->migrate, work->file->inner, toml->text, toml->length, &text,
                       MIGRATE_CONFIG, MIGRATE_RESTART_CONTAINERD, error);
    if (r == 0 && config_path)
        r = migrate_row(work->migrate, MIGRATE_DONE, work->file->inner, 0, config_path, error,
                        "config_path");
    return r;
}

/* What nobody read comes to life with config_path. */
static int note_awakened(struct config_work *work, struct pullkey_error *error)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < work->hosts->count; i++) {
        const struct node_host_directory *directory = &work->hosts->directories[i];
        char name[REGISTRY_HOST_MAX + 8];
        bool known = false;

        hosts_directory_registry(directory->name, name);
        for (size_t j = 0; j < work->name_count; j++)
            known = known || strcmp(name, work->names[j]) == 0 ||
                    (strcmp(work->names[j], "*") == 0 && strcmp(name, "_default") == 0);
        if (!known && directory->has_file)
            r = migrate_row(work->migrate, MIGRATE_NOTE, directory->inner, 0,
                            "look at it before the restart", error,
                            "containerd has not read this file, and will read it now");
    }
    return r;
}

/* Directories of a list: "" for none but pullkey's own or its source. */
static const char *other_directory(const char *path)
{
    static char other[FILE_PATH_MAX];

    for (const char *at = path; *at != '\0';) {
        size_t length = strcspn(at, ":");

        (void)snprintf(other, sizeof(other), "%.*s", (int)length, at);
        if (length > 0 && strcmp(other, HOSTS_SOURCE_DEFAULT) != 0 &&
            strcmp(other, HOSTS_CONFIG_PATH) != 0)
            return other;
        at += length + (at[length] == ':');
    }
    return NULL;
}

static int check_other(struct config_work *work, const struct node_setting *setting,
                       struct pullkey_error *error)
{
    const char *other = setting->item ? other_directory(setting->item->string) : NULL;
    struct pullkey_error ignored;
    struct stat status;

    if (!other || node_stat(work->migrate->node, other, &status, &ignored) == -PULLKEY_NOT_FOUND)
        return 0;
    return config_fail(work, setting->file->inner, setting->item->line,
                       "move what is in other directories to " HOSTS_SOURCE_DEFAULT
                       ", which alone pullkey serves, and run this again",
                       error, "config_path names another directory as well");
}

/* -- All of it -- */

static bool has_old_settings(const struct config_work *work)
{
    for (size_t i = 0; i < work->config->mirror_count; i++)
        if (work->config->mirrors[i].in->is_read)
            return true;
    for (size_t i = 0; i < work->entry_count; i++)
        if (work->entries[i].has_secret || work->entries[i].tls)
            return true;
    return false;
}

static int check_headers(struct config_work *work, struct pullkey_error *error)
{
    const struct node_setting headers = node_registry_setting(work->config, "headers");
    const struct toml_item *item =
        headers.item ? hosts_member(headers.item, "authorization") : NULL;

    return item ? migrate_row(work->migrate, MIGRATE_PROBLEM, headers.file->inner, item->line,
                              "containerd sends it to every registry: remove it, and log in to the "
                              "one that it is for",
                              error, "the Authorization header of all registries stays")
                : 0;
}

static int move_all(struct config_work *work, bool needs_target, struct pullkey_error *error)
{
    const struct node_setting setting = node_registry_setting(work->config, "config_path");
    const char *path = config_text_of(setting.item);
    bool was_unread = !path;
    struct migrate_wait wait;
    int r = 0;

    if (!work->failed && has_old_settings(work)) {
        needs_target = true;
        r = config_collect_names(work, error);
        if (r == 0 && path)
            r = config_extend_directories(work, error);
        for (size_t i = 0; r == 0 && !path && i < work->name_count; i++)
            r = config_move_registry(work, work->names[i], error);
        if (r == 0 && !work->failed)
            r = collect_gone(work, error);
        if (r == 0 && !work->failed)
            r = config_note_unknown(work, error);
        if (r == 0 && !work->failed && was_unread)
            r = note_awakened(work, error);
    }
    if (r < 0 || work->failed || !needs_target)
        return r;
    if (migrate_is_overmounted(work->migrate))
        path = path ? NULL : HOSTS_SOURCE_DEFAULT;
    else
        path = path && strcmp(path, HOSTS_CONFIG_PATH) == 0 ? NULL : HOSTS_CONFIG_PATH;
    if (path)
        r = check_other(work, &setting, error);
    if (r < 0 || work->failed || (!path && work->gone_count == 0))
        return r;
    wait = migrate_wait_for_daemon(work->migrate, migrate_source(work->migrate));
    if (!wait.why)
        return change_file(work, path, error);
    work->failed = true;
    return migrate_row(work->migrate, MIGRATE_PROBLEM, work->file->inner, 0, wait.hint, error,
                       "what it says of registries stays for now, because %s", wait.why);
}

static int prepare(struct config_work *work, struct pullkey_error *error)
{
    int r = 0;

    work->entries = secret_alloc((work->config->auth_count + 1) * sizeof(*work->entries));
    work->names = secret_alloc(CONFIG_NAMES_MAX * sizeof(*work->names));
    work->gone = secret_alloc(GONE_MAX * sizeof(*work->gone));
    if (!work->entries || !work->names || !work->gone)
        return error_memory(error);
    for (size_t i = 0; r == 0 && i < work->config->file_count; i++)
        r = migrate_learn_toml(work->migrate, &work->config->files[i].toml, error);
    if (r == 0)
        r = find_file(work, error);
    if (r == 0 && !work->failed)
        r = check_headers(work, error);
    if (r == 0 && !work->failed)
        r = config_read_entries(work, error);
    return r;
}

int migrate_config(struct migrate *migrate, const struct node_hosts *hosts, bool needs_target,
                   struct pullkey_error *error)
{
    struct config_work work = { .migrate = migrate, .hosts = hosts };
    struct migrate_mark mark = migrate_mark(migrate);
    int r;

    for (size_t i = 0; i < migrate->node->config_count; i++)
        if (migrate->node->configs[i].owner == NODE_CONTAINERD)
            work.config = &migrate->node->configs[i];
    if (!work.config || work.config->file_count == 0) {
        if (!needs_target || !work.config)
            return 0;
        return migrate_row(migrate, MIGRATE_NOTE, work.config->inner, 0, CONFIG_PATH_HINT, error,
                           "there is no such file");
    }
    r = prepare(&work, error);
    if (r == 0)
        r = move_all(&work, needs_target, error);
    if (r == 0 && work.failed)
        migrate_rollback(migrate, &mark);
    for (size_t i = 0; i < work.entry_count; i++)
        credential_done(&work.entries[i].credential);
    secret_release(work.entries);
    secret_release(work.names);
    secret_release(work.gone);
    return r;
}
