/* SPDX-License-Identifier: Apache-2.0 */
/* Emptying the sources: of what the store has by now, and of nothing else. */
#include "import.h"

#include <string.h>

#include "base/error.h"
#include "base/output.h"
#include "change.h"

bool import_can_move(const struct import *import, const struct import_item *item)
{
    return (item->source->helper || item->source->path) && import_is_wanted(item) &&
           !import_helper_tie(import, item, true);
}

bool import_is_dropped(const struct import *import, const struct import_item *item)
{
    return item->taken && import_is_hidden(item) && import_can_move(import, item->taken);
}

/* A store that lost it with the source is the source, by a way that could not be seen. */
static int check_store(struct import *import, struct import_item *item, struct pullkey_error *error)
{
    const struct resolve resolve = import_resolve(import, item);
    struct registry_reference reference;
    int r;

    if (!item->is_removed || !item->is_safe || item->action == IMPORT_OTHER ||
        import_is_stored(import, item))
        return 0;
    item->is_removed = false;
    r = registry_parse(item->server, strlen(item->server), &reference, error);
    if (r == 0)
        r = resolve_store(&resolve, &reference, &item->credential, NULL, error);
    return r < 0 ? error_wrap(error, "%s was removed from %s, and with that from %s",
                              import_server(item), import_source_name(item->source),
                              item->store->name)
                 : import_decide(item, item->action, error, "%s is in %s", item->store->name,
                                 import_source_name(item->source));
}

static int empty_source(struct import *import, struct import_source *source,
                        struct pullkey_error *error)
{
    int removed = source->helper ? import_helper_remove(import, source, &source->error)
                                 : import_file_remove(import, source, &source->error);
    int r = 0;

    for (struct import_item *item = import->first; r == 0 && item; item = item->next)
        if (item->source == source) {
            r = check_store(import, item, error);
            /* Nobody could look whether it is gone. */
            if (removed < 0)
                item->is_removed = false;
        }
    return r;
}

static const char *reason(const struct import_item *item)
{
    if (item->source->error.code)
        return item->source->error.message;
    if (item->why)
        return item->why;
    return "the store has another";
}

/* Another way than --replace, which gives up what the store has. */
static const char *way_out(const struct import_item *item)
{
    return item->action == IMPORT_KEEP || item->action == IMPORT_OTHER
               ? "; to drop it, log out with the tool that made it"
               : "";
}

static size_t say_left(const struct import *import)
{
    const char *last = "";
    size_t left = 0;

    for (const struct import_item *item = import->first; item; item = item->next) {
        const struct import_item *tie =
            import_is_wanted(item) ? import_helper_tie(import, item, true) : NULL;
        const char *why, *end;
        bool is_again;

        if (item->is_removed || item->action == IMPORT_HERE || item->action == IMPORT_HELPER ||
            item->action == IMPORT_EMPTY)
            continue;
        why = tie ? import_server(tie) : reason(item);
        is_again = strcmp(why, last) == 0;
        end = tie ? " would go with it" : way_out(item);
        output_note("%s: the credential for %s is still there%s%s%s",
                    item->source->path ? item->source->path : item->source->name,
                    import_server(item), is_again ? ", too" : ": ", is_again ? "" : why,
                    is_again ? "" : end);
        last = why;
        left++;
    }
    return left;
}

static int check_safe(const struct import *import, struct import_item *item,
                      struct pullkey_error *error)
{
    if (!import_can_move(import, item))
        return 0;
    item->is_safe = import_is_stored(import, item);
    if (item->is_safe || (item->why && item->action != IMPORT_SAME))
        return 0;
    return import_decide(item, item->action, error, "%s does not answer with it",
                         item->store->name);
}

int import_move(struct import *import, size_t *ret_left, struct pullkey_error *error)
{
    cleanup_lock struct lock lock = LOCK_INIT;
    int r = change_lock(false, "import.lock", &lock, error);

    if (r < 0)
        return error_wrap(error, "nothing was removed where it was");
    for (struct import_item *item = import->first; r == 0 && item; item = item->next)
        r = check_safe(import, item, error);
    for (struct import_item *item = import->first; r == 0 && item; item = item->next)
        if (item->action == IMPORT_OTHER && import_is_dropped(import, item))
            item->is_safe = item->taken->is_safe;
    /* Backwards: what hides another goes after it. */
    for (size_t i = import->source_count; r == 0 && i-- > 0;)
        if (import->sources[i].path || import->sources[i].opened.backend)
            r = empty_source(import, &import->sources[i], error);
    *ret_left = say_left(import);
    return r;
}
