/* SPDX-License-Identifier: Apache-2.0 */
#include "present.h"

#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "node.h"
#include "pad.h"

static bool look_away(void *context, const struct hosts_host *host, struct render_header *ret)
{
    (void)context;
    (void)host;
    (void)ret;
    return false;
}

/* containerd before 2.2 ignores a file with this capability: "referrers". */
static bool is_too_new(struct tree *tree, const struct hosts_file *file)
{
    bool has = false;

    for (size_t i = 0; i < file->host_count; i++)
        has = has || hosts_has_capability(&file->hosts[i], "referrers");
    if (has && tree->release == TREE_RELEASE_UNKNOWN)
        tree->release = node_machine_is_before(2, 2) ? TREE_BEFORE_REFERRERS : TREE_WITH_REFERRERS;
    return has && tree->release == TREE_BEFORE_REFERRERS;
}

/* The text without headers, if it differs. */
static int render_bare(const struct tree_entry *entry, const struct hosts_file *file,
                       const struct render_place *place, struct present *ret,
                       struct pullkey_error *error)
{
    int r;

    if (!ret->is_page) {
        log_line("hosts", "%s: its hosts.toml does not fit into %d bytes, and is not scrubbed",
                 entry->name, OPEN_PAGE);
        return 0;
    }
    r = render_text(file, place, look_away, NULL, &ret->bare, error);
    if (r < 0)
        return r;
    if (!pad_text(&ret->bare, OPEN_PAGE))
        return error_memory(error);
    ret->is_bare = memcmp(ret->text.data, ret->bare.data, OPEN_PAGE) != 0;
    return 0;
}

int present_pad(const struct tree *tree, struct present *ret, struct pullkey_error *error)
{
    ret->is_page = tree->open && pad_text(&ret->text, OPEN_PAGE);
    return buffer_check(&ret->text, error);
}

int present_render(struct tree *tree, struct tree_entry *entry, const struct hosts_file *file,
                   struct present *ret, struct pullkey_error *error)
{
    char directory[FILE_PATH_MAX];
    const struct render_place place = { entry->name, directory, is_too_new(tree, file) };
    int r = file_join(directory, tree->source, entry->name, error);

    ret->text = (struct buffer)BUFFER_INIT(RENDER_SIZE_MAX);
    ret->bare = (struct buffer)BUFFER_INIT(RENDER_SIZE_MAX);
    if (r == 0)
        r = render_text(file, &place, tree_look_up, entry, &ret->text, error);
    if (r == 0)
        r = present_pad(tree, ret, error);
    if (r == 0 && tree->open && tree->settings->scrub)
        r = render_bare(entry, file, &place, ret, error);
    return r;
}

void present_done(struct present *present)
{
    buffer_done(&present->text);
    buffer_done(&present->bare);
}

void present_forget(struct tree *tree, struct tree_entry *entry)
{
    if (tree->open && entry->open)
        open_forget(tree->open, entry->open);
    entry->open = NULL;
}

/* The file that is about to be found. */
struct coming {
    struct tree *tree;
    struct tree_entry *entry;
    const struct present *present;
    struct open_file *file;
};

static int announce(void *context, ino_t inode, struct pullkey_error *error)
{
    struct coming *coming = context;

    coming->file = open_add(coming->tree->open, inode, coming->entry, coming->present->is_page,
                            coming->present->is_bare);
    return coming->file ? 0 : error_memory(error);
}

/* Those who were opening the old one get the headers too. */
static void take_place(const struct coming *coming, const struct publish_change *change)
{
    const struct present *present = coming->present;
    struct open_file *old = coming->entry->open;

    coming->entry->open = coming->file;
    if (old)
        open_replace(coming->tree->open, old, coming->file, change->old,
                     present->is_page ? present->text.data : NULL);
    else if (change->old >= 0)
        (void)close(change->old);
}

int present_publish(struct tree *tree, struct tree_entry *entry, const struct present *present,
                    struct pullkey_error *error)
{
    const struct buffer *text = present->is_bare ? &present->bare : &present->text;
    struct coming coming = { tree, entry, present, NULL };
    struct publish_change change = { .alone = present->is_alone };
    int r;

    if (tree->open) {
        change.announce = announce;
        change.context = &coming;
        change.wants_old = entry->open && entry->open->is_page;
        change.force = entry->open && present->is_bare && open_is_awaited(tree->open, entry->open);
    }
    r = publish_file(tree->publish, entry->name, text->data ? text->data : "", text->length,
                     &change, error);
    tree->rendered += change.changed && !change.force;
    if (r == 0)
        entry->published = tree_stamp_of_published(&change.status);
    if (!tree->open)
        return r;
    if (r < 0) {
        if (coming.file)
            open_forget(tree->open, coming.file);
        return r;
    }
    if (change.changed) {
        take_place(&coming, &change);
        return 0;
    }
    if (entry->open) {
        open_set_bare(tree->open, entry->open, present->is_bare);
        return 0;
    }
    entry->open =
        open_add(tree->open, change.status.st_ino, entry, present->is_page, present->is_bare);
    return entry->open ? 0 : error_memory(error);
}
