/* SPDX-License-Identifier: Apache-2.0 */
#include "serve.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/output.h"

static void say(const char *text)
{
    output_note("%s", text);
    log_line("hosts", "%s", text);
}

static void say_reader(const struct open_news *news, size_t number)
{
    char line[READERS_PATH_MAX + 128];

    (void)snprintf(line, sizeof(line),
                   news->is_denied[number]
                       ? "refused: %s opened a rendered file and is not listed in \"readers\""
                       : "%s opened a rendered file and is not listed in \"readers\"",
                   news->readers[number]);
    say(line);
}

/* What was waited for: all of it where that cannot be told any more. */
static void count_timeouts(struct tree_entry *entry, uint64_t count, const struct moment *now)
{
    bool found = false;

    for (int all = 0; count > 0 && !found && all < 2; all++) {
        for (size_t i = 0; i < entry->use_count; i++) {
            struct need *need = entry->uses[i].need;

            if (!all && !needs_has_failed(need) && !needs_is_awaited(need, now))
                continue;
            need->open_timeouts += count;
            found = true;
        }
    }
}

static uint64_t take_timeouts(struct tree *tree)
{
    const struct moment now = { clock_wall_seconds(), clock_monotonic_ms() };
    uint64_t sum = 0;

    for (size_t i = 0; i < tree->count; i++) {
        struct tree_entry *entry = tree->entries[i];
        uint64_t count = entry->open ? open_take_timeouts(tree->open, entry->open) : 0;

        if (count > 0)
            log_line("hosts", "%s: an open waited too long for a fresh header", entry->name);
        count_timeouts(entry, count, &now);
        sum += count;
    }
    return sum;
}

bool serve_take(struct tree *tree, struct open_news *ret, uint64_t *open_timeouts)
{
    struct pullkey_error error;

    *ret = (struct open_news){ 0 };
    if (!tree->open)
        return false;
    open_take(tree->open, ret);
    for (size_t i = 0; i < ret->reader_count; i++)
        say_reader(ret, i);
    if (ret->has_timed_out)
        *open_timeouts += take_timeouts(tree);
    if (ret->problem != 0) {
        (void)error_errno(&error, ret->problem, "the kernel refused a reader of a rendered file");
        say(error.message);
    }
    if (ret->has_failed) {
        say("on open has failed, and is switched off until the next start");
        serve_end(tree);
    }
    return ret->is_awaited && tree->open;
}

void serve_want(struct tree *tree, const struct moment *now)
{
    void *owners[OPEN_WAITERS_MAX];
    size_t count = tree->open ? open_awaited(tree->open, owners) : 0;
    struct pullkey_error ignored;

    for (size_t i = 0; i < count; i++) {
        struct tree_entry *entry = owners[i];
        bool is_awaited = false;

        for (size_t k = 0; k < entry->use_count; k++)
            is_awaited |= needs_want(tree->needs, entry->uses[k].need, now);
        /* A failure is the entry's problem, and who waits is let in. */
        if (!is_awaited && entry->open && entry->open->is_bare)
            (void)tree_publish_entry(tree, entry, &ignored);
    }
}

/* Monotonic milliseconds, 0 where nothing has failed. */
static int64_t last_failure(const struct tree_entry *entry)
{
    int64_t last = 0;

    for (size_t i = 0; i < entry->use_count; i++) {
        const struct need *need = entry->uses[i].need;

        if (needs_has_failed(need) && need->fetched.monotonic_ms > last)
            last = need->fetched.monotonic_ms;
    }
    return last;
}

static bool has_to_wait(const struct tree_entry *entry, const struct moment *now)
{
    for (size_t i = 0; i < entry->use_count; i++)
        if (needs_is_awaited(entry->uses[i].need, now))
            return true;
    /* What came after it was published is served in the next round; what could not be published
     * is not waited for. */
    return entry->open->is_bare && !entry->is_dirty;
}

uint64_t serve_release(struct tree *tree, const struct open_news *news, const struct moment *now)
{
    uint64_t timeouts = 0;
    void *owners[OPEN_WAITERS_MAX];
    size_t count = 0;

    if (!tree->open)
        return 0;
    open_serve(tree->open);
    count = open_awaited(tree->open, owners);
    for (size_t i = 0; i < count; i++) {
        struct tree_entry *entry = owners[i];
        uint64_t in_vain;

        if (!entry->open || has_to_wait(entry, now))
            continue;
        in_vain = open_release(tree->open, entry->open, news->last_number, last_failure(entry));
        count_timeouts(entry, in_vain, now);
        timeouts += in_vain;
    }
    return timeouts;
}

void serve_refresh(struct tree *tree, bool settled, const struct moment *now)
{
    if (!tree->open)
        return;
    for (size_t i = 0; i < tree->count; i++) {
        const struct tree_entry *entry = tree->entries[i];
        struct fresh fresh = FRESH_ALWAYS;

        if (!entry->open)
            continue;
        for (size_t k = 0; k < entry->use_count; k++)
            needs_narrow_fresh(entry->uses[k].need, now, &fresh);
        if (entry->is_dirty)
            fresh = (struct fresh){ 0 };
        if (memcmp(&fresh, &entry->open->fresh, sizeof(fresh)) != 0)
            open_set_fresh(tree->open, entry->open, &fresh);
    }
    if (settled)
        open_settle(tree->open);
}

void serve_end(struct tree *tree)
{
    if (!tree->open)
        return;
    open_stop(tree->open);
    tree->open = NULL;
    for (size_t i = 0; i < tree->count; i++) {
        tree->entries[i]->open = NULL;
        tree->entries[i]->is_dirty = true;
    }
}

void serve_warn(const struct tree *tree)
{
    struct pullkey_error error;

    if (!tree->open && tree->settings->readers_policy == SETTINGS_READERS_DENY)
        say("readers_policy \"deny\" has no effect without --on-open");
    if (!tree->open && tree->settings->scrub)
        say("scrub has no effect without --on-open");
    if (tree->open && readers_check(&error) < 0)
        say(error.message);
}
