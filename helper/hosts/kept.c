/* SPDX-License-Identifier: Apache-2.0 */
#include "kept.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/secret.h"
#include "pad.h"
#include "present.h"
#include "renew.h"

/* Seconds: it ends before the daemon tries to write again, which is after five. */
#define STALE_LEFT 10

void kept_recover(const struct tree *tree, const struct tree_entry *entry,
                  const struct hosts_host *host, struct need *need, const struct moment *now)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(RENDER_SIZE_MAX);
    cleanup_hosts_file struct hosts_file old = { 0 };
    struct pullkey_secret value;
    struct pullkey_error ignored;
    struct render_header header;
    const char *helper;
    size_t length;

    if (need->header.length > 0 || need->fetched.wall != 0 ||
        publish_read(tree->publish, entry->name, &text, &ignored) < 0 ||
        hosts_file_parse("", entry->name, text.data ? text.data : "", text.length, NULL, &old,
                         &ignored) < 0)
        return;
    for (size_t i = 0; i < old.host_count; i++)
        if (old.hosts[i].name && host->name && strcmp(old.hosts[i].name, host->name) == 0 &&
            render_recover(&old, &old.hosts[i], &helper, &length, &header, &value) &&
            strlen(need->helper) == length && memcmp(need->helper, helper, length) == 0)
            (void)needs_recover(need, header.value, header.expiry, now, &ignored);
}

bool kept_adopt(struct tree *tree, struct tree_entry *entry, const struct moment *now)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(RENDER_SIZE_MAX);
    cleanup_hosts_file struct hosts_file old = { 0 };
    struct pullkey_error ignored;

    if (publish_read(tree->publish, entry->name, &text, &ignored) < 0 ||
        hosts_file_parse("", entry->name, text.data ? text.data : "", text.length, NULL, &old,
                         &ignored) < 0)
        return false;
    entry->uses = secret_alloc((old.host_count + 1) * sizeof(*entry->uses));
    for (size_t i = 0; entry->uses && i < old.host_count; i++) {
        struct hosts_host host = old.hosts[i];
        char helper[RENEW_HELPER_SIZE];
        struct tree_use *use;

        if (!host.name || !renew_helper(&old, &host, helper))
            continue;
        host.helper = helper;
        use = &entry->uses[entry->use_count];
        use->need =
            needs_get(tree->needs, helper, host.name, host.assume_lifetime, now, tree->spread);
        if (!use->need)
            continue;
        entry->use_count++;
        kept_recover(tree, entry, &host, use->need, now);
    }
    entry->is_managed = true;
    entry->is_published = true;
    entry->is_dirty = true;
    return true;
}

static int renew(struct tree *tree, struct tree_entry *entry, bool alone,
                 struct pullkey_error *error)
{
    cleanup_buffer struct buffer old_text = BUFFER_INIT(RENDER_SIZE_MAX);
    cleanup_hosts_file struct hosts_file old = { 0 };
    cleanup_present struct present present = {
        .text = BUFFER_INIT(RENDER_SIZE_MAX),
        .is_alone = alone,
    };
    int r = publish_read(tree->publish, entry->name, &old_text, error);

    if (r == 0)
        r = hosts_file_parse(entry->name, entry->name, old_text.data ? old_text.data : "",
                             pad_begin(&old_text), NULL, &old, error);
    if (r == 0)
        r = renew_text(&old, entry->name, tree_look_up, entry, &present.text, error);
    if (r == 0)
        r = present_pad(tree, &present, error);
    return r < 0 ? r : present_publish(tree, entry, &present, error);
}

int kept_renew(struct tree *tree, struct tree_entry *entry, struct pullkey_error *error)
{
    return renew(tree, entry, false, error);
}

static bool has_expired(const struct tree_entry *entry)
{
    for (size_t i = 0; i < entry->use_count; i++)
        if (entry->uses[i].need->has_changed && entry->uses[i].need->header.length == 0)
            return true;
    return false;
}

void kept_expire(struct tree *tree)
{
    struct pullkey_error ignored; /* publishing it, which comes next, fails in the same way */

    for (size_t i = 0; i < tree->count; i++)
        if (has_expired(tree->entries[i]))
            (void)renew(tree, tree->entries[i], true, &ignored);
}

/* A rendered file, and until when its headers are good. */
struct swept {
    const struct publish *publish;
    const struct hosts_file *file;
    struct pullkey_secret value;
    int64_t wall;
};

static bool keep_good(void *context, const struct hosts_host *host, struct render_header *ret)
{
    struct swept *swept = context;
    const char *helper;
    size_t length;

    return render_recover(swept->file, host, &helper, &length, ret, &swept->value) &&
           !needs_is_past(ret->expiry, swept->wall);
}

/* Thousands of files are looked through before anybody is served: only those are parsed that may
 * have one. */
static bool may_be_past(const struct buffer *text, int64_t wall)
{
    const char *at = text->data;
    const size_t length = strlen(RENDER_COMMENT);

    while (at &&
           (at = memmem(at, text->length - (size_t)(at - text->data), RENDER_COMMENT, length))) {
        at += length;
        at += strcspn(at, " \n");
        if (*at == ' ' && needs_is_past(strtoll(at, NULL, 10), wall))
            return true;
    }
    return false;
}

static int sweep(void *context, const char *name, struct pullkey_error *error)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(RENDER_SIZE_MAX);
    cleanup_buffer struct buffer new_text = BUFFER_INIT(RENDER_SIZE_MAX);
    cleanup_hosts_file struct hosts_file old = { 0 };
    struct publish_change change = { .alone = true };
    struct swept *swept = context;
    int r = publish_read(swept->publish, name, &text, error);

    if (r < 0 || !may_be_past(&text, swept->wall))
        return 0;
    r = hosts_file_parse(name, name, text.data, pad_begin(&text), NULL, &old, error);
    swept->file = &old;
    if (r == 0)
        r = renew_text(&old, name, keep_good, swept, &new_text, error);
    if (r == 0)
        r = publish_file(swept->publish, name, new_text.data ? new_text.data : "", new_text.length,
                         &change, error);
    if (r < 0)
        log_line("hosts", "%s", error->message);
    return 0;
}

void kept_sweep(const struct publish *publish, int64_t wall)
{
    struct swept swept = { .publish = publish, .wall = wall };
    struct pullkey_error error;

    if (publish_list(publish, sweep, &swept, &error) < 0)
        log_line("hosts", "%s", error.message);
}

/* What gave the header gives it no more. Of a host that is not in the source any more nobody knows.
 */
static bool is_gone(const struct tree_entry *entry, const char *url)
{
    for (size_t i = 0; i < entry->use_count; i++)
        if (strcmp(entry->uses[i].need->url, url) == 0)
            return entry->uses[i].need->header.length == 0;
    return false;
}

/* What was to take its place may be there, and cannot be written. */
static bool is_ending(const struct render_header *header)
{
    return header->expiry != 0 && clock_wall_seconds() >= header->expiry - STALE_LEFT;
}

bool kept_is_stale(const struct tree *tree, const struct tree_entry *entry)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(RENDER_SIZE_MAX);
    cleanup_hosts_file struct hosts_file old = { 0 };
    struct pullkey_error ignored;
    struct pullkey_secret value;
    struct render_header header;
    const char *helper;
    size_t length;

    if (publish_read(tree->publish, entry->name, &text, &ignored) < 0 ||
        hosts_file_parse("", entry->name, text.data ? text.data : "", text.length, NULL, &old,
                         &ignored) < 0)
        return false;
    for (size_t i = 0; i < old.host_count; i++)
        if (old.hosts[i].name &&
            render_recover(&old, &old.hosts[i], &helper, &length, &header, &value) &&
            (is_gone(entry, old.hosts[i].name) || is_ending(&header)))
            return true;
    return false;
}
