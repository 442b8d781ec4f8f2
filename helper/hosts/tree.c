/* SPDX-License-Identifier: Apache-2.0 */
#include "tree.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "base/secret.h"
#include "base/text.h"
#include "kept.h"
#include "present.h"

static void release_uses(const struct tree_entry *entry, struct tree_use *uses)
{
    if (uses != &entry->only)
        secret_release(uses);
}

static void clear_uses(struct tree_entry *entry)
{
    release_uses(entry, entry->uses);
    entry->uses = NULL;
    entry->use_count = 0;
}

static void free_entry(struct tree *tree, struct tree_entry *entry)
{
    present_forget(tree, entry);
    clear_uses(entry);
    secret_release(entry->problem);
    free(entry);
}

void tree_done(struct tree *tree)
{
    for (size_t i = 0; i < tree->count; i++)
        free_entry(tree, tree->entries[i]);
    secret_release(tree->entries);
    tree->entries = NULL;
    tree->count = 0;
}

static void set_problem(struct tree_entry *entry, const char *text)
{
    if (text && (!entry->problem || strcmp(entry->problem, text) != 0))
        log_line("hosts", "%s: %s", entry->name, text);
    secret_release(entry->problem);
    entry->problem = text ? secret_copy(text, strlen(text)) : NULL;
}

/* Where an entry is, or would be. */
static size_t find_place(const struct tree *tree, const char *name)
{
    size_t from = 0, to = tree->count;

    while (from < to) {
        size_t middle = (from + to) / 2;

        if (strcmp(tree->entries[middle]->name, name) < 0)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

static int grow(struct tree *tree, struct pullkey_error *error)
{
    size_t capacity = tree->capacity > 0 ? 2 * tree->capacity : 64;
    struct tree_entry **entries;

    if (tree->count == TREE_ENTRIES_MAX)
        return error_set(error, PULLKEY_UNREACHABLE, "%s has more than %d directories",
                         tree->source, TREE_ENTRIES_MAX);
    if (tree->count < tree->capacity)
        return 0;
    entries = secret_alloc(capacity * sizeof(struct tree_entry *));
    if (!entries)
        return error_memory(error);
    if (tree->count > 0)
        memcpy(entries, tree->entries, tree->count * sizeof(*entries));
    secret_release(tree->entries);
    tree->entries = entries;
    tree->capacity = capacity;
    return 0;
}

/* The entry of that name, made if there is none. */
static int get_entry(struct tree *tree, const char *name, struct tree_entry **ret,
                     struct pullkey_error *error)
{
    size_t place = find_place(tree, name);
    struct tree_entry *entry;
    int r;

    if (place < tree->count && strcmp(tree->entries[place]->name, name) == 0) {
        *ret = tree->entries[place];
        return 0;
    }
    r = grow(tree, error);
    if (r < 0)
        return r;
    entry = calloc(1, sizeof(*entry) + strlen(name) + 1);
    if (!entry)
        return error_memory(error);
    memcpy(entry->name, name, strlen(name) + 1);
    memmove(tree->entries + place + 1, tree->entries + place,
            (tree->count - place) * sizeof(*tree->entries));
    tree->entries[place] = entry;
    tree->count++;
    *ret = entry;
    return 0;
}

/* FNV-1a, a word at a time. */
static tree_stamp hash_of(const struct stat *status)
{
    tree_stamp hash = 0xcbf29ce484222325;
    const uint64_t words[] = {
        status->st_dev,
        (uint64_t)status->st_size,
        status->st_ino,
        (uint64_t)status->st_mtim.tv_sec,
        (uint64_t)status->st_mtim.tv_nsec,
        (uint64_t)status->st_ctim.tv_sec,
        (uint64_t)status->st_ctim.tv_nsec,
    };

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        hash ^= words[i];
        hash *= 0x100000001b3;
        hash ^= hash >> 29;
    }
    return hash;
}

static tree_stamp stamp_of(const char *path)
{
    struct stat status;

    return stat(path, &status) < 0 ? 0 : hash_of(&status);
}

tree_stamp tree_stamp_of_published(const struct stat *status)
{
    struct stat copy = *status;

    /* That taking its place changes too. */
    copy.st_ctim = (struct timespec){ 0 };
    return hash_of(&copy);
}

static bool is_touched(const struct tree *tree, const struct tree_entry *entry)
{
    struct stat status;

    if (!entry->is_managed)
        return !publish_is_link(tree->publish, entry->name);
    return !publish_stat(tree->publish, entry->name, &status) ||
           entry->published != tree_stamp_of_published(&status);
}

/* Reads and parses hosts.toml. -PULLKEY_NOT_FOUND where there is none, or an empty one: containerd
 * looks for certificates then. */
static int read_file(const struct tree *tree, const struct tree_entry *entry,
                     struct hosts_file *ret, struct pullkey_error *error)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(TOML_SIZE_MAX);
    char directory[FILE_PATH_MAX], path[FILE_PATH_MAX];
    int r = file_join(directory, tree->source, entry->name, error);

    if (r == 0)
        r = file_join(path, directory, PUBLISH_FILE, error);
    if (r == 0)
        r = file_read(path, FILE_INPUT, 0, &text, NULL, error);
    if (r == 0 && text.length == 0)
        return error_set(error, PULLKEY_NOT_FOUND, "%s is empty", path);
    if (r < 0)
        return r;
    return hosts_file_parse(path, entry->name, text.data, text.length, tree->settings, ret, error);
}

static int add_use(struct tree *tree, struct tree_entry *entry, const struct hosts_host *host,
                   const struct moment *now, struct pullkey_error *error)
{
    struct tree_use *use = &entry->uses[entry->use_count];

    use->need =
        needs_get(tree->needs, host->helper, host->name, host->assume_lifetime, now, tree->spread);
    if (!use->need)
        return error_memory(error);
    entry->use_count++;
    kept_recover(tree, entry, host, use->need, now);
    return 0;
}

/* "URL: what is wrong", one behind the other as far as there is room. A user and password in the
 * URL are not repeated. */
static void add_problem(char ret[PULLKEY_ERROR_SIZE], const struct hosts_host *host)
{
    size_t length = strlen(ret);
    const char *at = host->name ? strrchr(host->name, '@') : NULL;
    const char *name = at ? at + 1 : host->name;

    (void)snprintf(ret + length, PULLKEY_ERROR_SIZE - length, "%s%s%s%s", length > 0 ? "; " : "",
                   name ? name : "", name ? ": " : "", host->problem);
    text_make_printable(ret);
}

static int set_uses(struct tree *tree, struct tree_entry *entry, const struct hosts_file *file,
                    const struct moment *now, struct pullkey_error *error)
{
    const struct tree_entry old = *entry;
    char problems[PULLKEY_ERROR_SIZE] = "";
    size_t count = 0;
    int r = 0;

    for (size_t i = 0; i < file->host_count; i++)
        count += hosts_host_is_managed(&file->hosts[i]);
    entry->use_count = 0;
    entry->uses = count > 1 ? secret_alloc(count * sizeof(*entry->uses)) : &entry->only;
    if (!entry->uses)
        r = error_memory(error);
    for (size_t i = 0; r == 0 && i < file->host_count; i++) {
        const struct hosts_host *host = &file->hosts[i];

        if (hosts_host_is_managed(host))
            r = add_use(tree, entry, host, now, error);
        else if (host->problem)
            add_problem(problems, host);
    }
    if (r < 0) {
        release_uses(entry, entry->uses);
        entry->uses = old.uses;
        entry->only = old.only;
        entry->use_count = old.use_count;
        return r;
    }
    release_uses(entry, old.uses);
    set_problem(entry, problems[0] != '\0' ? problems : NULL);
    entry->is_managed = entry->use_count > 0;
    entry->is_dirty = true;
    return 0;
}

/* A file that cannot be read leaves its entry as it was. */
static int leave_entry(struct tree *tree, struct tree_entry *entry, const struct moment *now,
                       const struct pullkey_error *error)
{
    set_problem(entry, error->message);
    if (!entry->is_published && !kept_adopt(tree, entry, now))
        entry->is_dirty = entry->is_unread = true;
    /* No memory, a device that fails: that may pass without a change. */
    if (error->code == PULLKEY_INTERNAL) {
        entry->file = 0;
        entry->directory = 0;
    }
    return 0;
}

/* True while something that was rendered may still come back. */
static bool is_in_grace(struct tree *tree, struct tree_entry *entry, const struct moment *now)
{
    if (!entry->is_managed || !entry->is_published)
        return false;
    if (entry->gone_ms == 0)
        entry->gone_ms = now->monotonic_ms;
    if (now->monotonic_ms >= entry->gone_ms + TREE_GRACE_MS)
        return false;
    if (entry->gone_ms + TREE_GRACE_MS < tree->look_ms)
        tree->look_ms = entry->gone_ms + TREE_GRACE_MS;
    return true;
}

/* What the entry is now. */
static int read_entry(struct tree *tree, struct tree_entry *entry, const struct moment *now,
                      struct pullkey_error *error)
{
    cleanup_hosts_file struct hosts_file file = { 0 };
    int r = read_file(tree, entry, &file, error);

    if (r == -(int)PULLKEY_NOT_FOUND && is_in_grace(tree, entry, now)) {
        /* To be looked at again, whatever it looks like then. */
        entry->file = 0;
        entry->directory = 0;
        return 0;
    }
    entry->gone_ms = 0;
    entry->is_unwritten = entry->is_unread = false;
    if (r == -(int)PULLKEY_NOT_FOUND) {
        clear_uses(entry);
        set_problem(entry, NULL);
        entry->is_managed = false;
        entry->is_dirty = true;
        return 0;
    }
    if (r == 0)
        r = set_uses(tree, entry, &file, now, error);
    return r < 0 ? leave_entry(tree, entry, now, error) : 0;
}

static int look_at(struct tree *tree, const char *name, bool all, const struct moment *now,
                   struct pullkey_error *error)
{
    char directory[FILE_PATH_MAX], path[FILE_PATH_MAX];
    tree_stamp directory_stamp, file_stamp;
    struct tree_entry *entry;
    int r = file_join(directory, tree->source, name, error);

    if (r == 0)
        r = file_join(path, directory, PUBLISH_FILE, error);
    /* A path that is too long is one that containerd cannot open either. */
    if (r < 0)
        return 0;
    r = get_entry(tree, name, &entry, error);
    if (r < 0)
        return r;
    entry->is_found = true;
    directory_stamp = stamp_of(directory);
    file_stamp = stamp_of(path);
    if (!all && entry->is_published && entry->directory == directory_stamp &&
        entry->file == file_stamp) {
        entry->gone_ms = 0;
        return 0;
    }
    entry->directory = directory_stamp;
    entry->file = file_stamp;
    return read_entry(tree, entry, now, error);
}

/* Registries that are not in the source any more, but are not given up yet. */
static void keep_gone(struct tree *tree, const struct moment *now)
{
    for (size_t i = 0; i < tree->count; i++) {
        struct tree_entry *entry = tree->entries[i];

        if (!entry->is_found && is_in_grace(tree, entry, now))
            entry->is_found = true;
    }
}

static void mark_touched(struct tree *tree)
{
    for (size_t i = 0; i < tree->count; i++) {
        struct tree_entry *entry = tree->entries[i];

        if (entry->is_published && !entry->is_dirty)
            entry->is_dirty = is_touched(tree, entry);
    }
}

void tree_unpublish(struct tree *tree)
{
    for (size_t i = 0; i < tree->count; i++) {
        tree->entries[i]->is_published = false;
        tree->entries[i]->is_dirty = true;
    }
}

static void mark_needs(struct tree *tree)
{
    needs_begin_marking(tree->needs);
    for (size_t i = 0; i < tree->count; i++)
        for (size_t k = 0; tree->entries[i]->is_found && k < tree->entries[i]->use_count; k++)
            tree->entries[i]->uses[k].need->is_used = true;
}

int tree_scan(struct tree *tree, bool all, const struct moment *now, struct pullkey_error *error)
{
    DIR *stream = opendir(tree->source);
    int r = 0;

    if (!stream && errno != ENOENT) {
        (void)error_errno(error, errno, "cannot read %s", tree->source);
        error->code = PULLKEY_UNREACHABLE;
        return -(int)error->code;
    }
    tree->is_sourceless = !stream;
    tree->look_ms = INT64_MAX;
    if (all)
        tree->release = TREE_RELEASE_UNKNOWN;
    for (size_t i = 0; i < tree->count; i++)
        tree->entries[i]->is_found = false;
    for (const struct dirent *entry; r == 0 && stream;) {
        errno = 0;
        entry = readdir(stream);
        if (!entry && errno != 0)
            r = error_errno(error, errno, "cannot read %s", tree->source);
        if (!entry)
            break;
        if (entry->d_name[0] != '.')
            r = look_at(tree, entry->d_name, all, now, error);
    }
    if (stream)
        (void)closedir(stream);
    if (r < 0) {
        /* Half a list is no reason to remove the other half. */
        for (size_t i = 0; i < tree->count; i++)
            tree->entries[i]->is_found = true;
    } else {
        keep_gone(tree, now);
    }
    mark_touched(tree);
    mark_needs(tree);
    return r;
}

void tree_mark_changed(struct tree *tree)
{
    for (size_t i = 0; i < tree->count; i++)
        for (size_t k = 0; k < tree->entries[i]->use_count; k++)
            if (tree->entries[i]->uses[k].need->has_changed)
                tree->entries[i]->is_dirty = true;
    for (struct need *need = tree->needs->first; need; need = need->next)
        need->has_changed = false;
}

bool tree_look_up(void *context, const struct hosts_host *host, struct render_header *ret)
{
    const struct tree_entry *entry = context;

    for (size_t i = 0; i < entry->use_count; i++) {
        const struct need *need = entry->uses[i].need;

        if (strcmp(need->url, host->name) != 0 || strcmp(need->helper, host->helper) != 0 ||
            need->header.length == 0)
            continue;
        *ret = (struct render_header){ &need->header, need->expiry };
        return true;
    }
    return false;
}

static int publish_managed(struct tree *tree, struct tree_entry *entry, struct pullkey_error *error)
{
    cleanup_hosts_file struct hosts_file file = { 0 };
    cleanup_present struct present present = { 0 };
    int r = read_file(tree, entry, &file, error);

    if (r == 0)
        r = present_render(tree, entry, &file, &present, error);
    if (r < 0) {
        set_problem(entry, error->message);
        r = kept_renew(tree, entry, error);
        if (r == -(int)PULLKEY_NOT_FOUND)
            r = entry->is_published ? 0 : publish_link_unread(tree->publish, entry->name, error);
        return r;
    }
    return present_publish(tree, entry, &present, error);
}

static int publish_linked(struct tree *tree, struct tree_entry *entry, struct pullkey_error *error)
{
    int r = publish_link(tree->publish, entry->name, error);

    if (r == 0)
        present_forget(tree, entry);
    return r;
}

/* In place of a header that is not to be seen any more. If it must, the header goes first, and for
 * a moment there is neither. */
static int link_stale(struct tree *tree, const struct tree_entry *entry)
{
    struct pullkey_error ignored;
    int r = publish_link(tree->publish, entry->name, &ignored);

    if (r < 0 && publish_remove(tree->publish, entry->name, &ignored) == 0)
        r = publish_link(tree->publish, entry->name, &ignored);
    return r;
}

/* There is no room for the file, but a link takes none: also for a registry that would be missing.
 */
static void fall_back(struct tree *tree, struct tree_entry *entry)
{
    struct pullkey_error ignored;
    int r = -1;

    if (kept_is_stale(tree, entry))
        r = link_stale(tree, entry);
    else if (!entry->is_published)
        r = publish_link_unread(tree->publish, entry->name, &ignored);
    if (r == 0)
        entry->is_published = true;
}

bool tree_is_complete(const struct tree *tree)
{
    for (size_t i = 0; i < tree->count; i++)
        if (!tree->entries[i]->is_published)
            return false;
    return true;
}

int tree_publish_entry(struct tree *tree, struct tree_entry *entry, struct pullkey_error *error)
{
    int r;

    if (entry->is_managed)
        r = publish_managed(tree, entry, error);
    else if (entry->is_unread)
        r = publish_link_unread(tree->publish, entry->name, error);
    else
        r = publish_linked(tree, entry, error);

    entry->is_dirty = true;
    if (r < 0) {
        set_problem(entry, error->message);
        entry->is_unwritten = true;
        fall_back(tree, entry);
        return r;
    }
    if (entry->is_unwritten) {
        set_problem(entry, NULL);
        /* It may have another one, which the next scan finds. */
        entry->is_unwritten = false;
        entry->file = 0;
    }
    entry->is_published = true;
    entry->is_dirty = false;
    return 0;
}

static int remove_if_gone(void *context, const char *name, struct pullkey_error *error)
{
    const struct tree *tree = context;
    size_t place = find_place(tree, name);

    if (place < tree->count && strcmp(tree->entries[place]->name, name) == 0)
        return 0;
    return publish_remove(tree->publish, name, error);
}

static void forget_gone(struct tree *tree)
{
    size_t kept = 0;

    for (size_t i = 0; i < tree->count; i++) {
        if (tree->entries[i]->is_found)
            tree->entries[kept++] = tree->entries[i];
        else
            free_entry(tree, tree->entries[i]);
    }
    tree->count = kept;
}

int tree_publish(struct tree *tree, struct pullkey_error *error)
{
    struct pullkey_error first = { 0 };
    int result = 0, r;

    forget_gone(tree);
    for (size_t i = 0; i < tree->count; i++) {
        if (!tree->entries[i]->is_dirty)
            continue;
        r = tree_publish_entry(tree, tree->entries[i], error);
        if (r < 0 && result == 0) {
            result = r;
            first = *error;
        }
    }
    r = publish_list(tree->publish, remove_if_gone, tree, error);
    needs_sweep(tree->needs);
    if (result < 0)
        *error = first;
    return result < 0 ? result : r;
}
