/* SPDX-License-Identifier: Apache-2.0 */
/* pullkey import: shows what it will do, asks, and does it. */
#include "import.h"

#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/output.h"
#include "base/secret.h"
#include "prompt.h"

struct tally {
    size_t to_store, to_remove, to_drop, stored, same, removed;
    size_t failed;     /* refused, or not stored; it was said */
    size_t left;       /* still where it was, though it was to be moved; it was said */
    const char *store; /* the name of the only one, or NULL */
};

static bool is_to_store(const struct import_item *item)
{
    return item->action == IMPORT_STORE || item->action == IMPORT_REPLACE;
}

static void count(const struct import *import, struct tally *tally)
{
    const bool moves = import->call->values[ADMIN_MOVE] != NULL;

    *tally = (struct tally){ 0 };
    for (const struct import_item *item = import->first; item; item = item->next) {
        if (is_to_store(item)) {
            if (tally->to_store++ == 0)
                tally->store = item->store->name;
            else if (tally->store && strcmp(tally->store, item->store->name) != 0)
                tally->store = NULL;
        }
        tally->to_drop += moves && import_is_dropped(import, item);
        tally->to_remove += moves && import_can_move(import, item);
        tally->same += item->action == IMPORT_SAME || item->action == IMPORT_HERE;
        tally->failed += item->action == IMPORT_REFUSE;
    }
}

static int say_sources(const struct import *import)
{
    int problems = 0;

    for (size_t i = 0; i < import->source_count; i++)
        if (import->sources[i].error.code) {
            output_note("%s is left out: %s", import_source_name(&import->sources[i]),
                        import->sources[i].error.message);
            problems++;
        }
    return problems;
}

/* -- Agreement -------------------------------------------------------------------------------- */

static const char *plural(size_t number)
{
    return number == 1 ? "" : "s";
}

static int agree(const struct import *import, const struct tally *tally, bool *ret,
                 struct pullkey_error *error)
{
    cleanup_buffer struct buffer question = BUFFER_INIT(PULLKEY_ERROR_SIZE);
    int r;

    *ret = true;
    if (tally->to_store + tally->to_remove + tally->to_drop == 0)
        return 0;
    if (tally->to_store > 0)
        buffer_printf(&question, "Import %zu credential%s into %s", tally->to_store,
                      plural(tally->to_store), tally->store ? tally->store : "these stores");
    if (tally->to_remove + tally->to_drop > 0)
        buffer_printf(&question, "%semove %zu where they were", tally->to_store > 0 ? ", r" : "R",
                      tally->to_remove + tally->to_drop);
    if (tally->to_drop > 0)
        buffer_printf(&question, ", %zu of them not kept", tally->to_drop);
    buffer_append_text(&question, "? [y/N] ");
    r = buffer_check(&question, error);
    return r < 0 ? r : prompt_agree(import->call, question.data, ret, error);
}

/* -- Doing it --------------------------------------------------------------------------------- */

/* As with a login, the next store is asked where one turns out not to be able to store. */
static int pass_over(struct import *import, struct import_item *item,
                     const struct pullkey_error *why, struct pullkey_error *error)
{
    const struct config_instance *before = item->store;
    int r = import_pass_over(import, item, why, error);

    if (r < 0 || !item->store)
        return r;
    for (struct import_item *other = import->first; other; other = other->next)
        if (other->taken == item)
            other->store = item->store;
    if (import->passed_over != before)
        output_note("%s is the store, not %s: %s", item->store->name, before->name, why->message);
    import->passed_over = before;
    return 0;
}

/* It is said here, or where it is said that it stays where it was. */
static void fail(const struct import *import, struct tally *tally, const char *why)
{
    if (!import->call->values[ADMIN_MOVE])
        output_note("%s", why);
    tally->failed++;
}

/* An error is one that the next entry would meet as well. */
static int store_item(struct import *import, struct import_item *item, struct tally *tally,
                      struct pullkey_error *error)
{
    const struct resolve resolve = import_resolve(import, item);
    struct registry_reference reference;
    char source[RESOLVE_SOURCE_MAX] = "";
    struct pullkey_error why;
    int r = registry_parse(item->server, strlen(item->server), &reference, &why);

    if (r == 0)
        r = resolve_store(&resolve, &reference, &item->credential, source, &why);
    item->is_stored = source[0] != '\0';
    tally->stored += item->is_stored;
    if (r == 0)
        return 0;
    if (r == -PULLKEY_UNSUPPORTED && !item->is_stored) {
        r = pass_over(import, item, &why, error);
        if (r < 0 || is_to_store(item))
            return r < 0 ? r : store_item(import, item, tally, error);
        tally->same += item->action == IMPORT_SAME;
        if (item->action == IMPORT_REFUSE)
            fail(import, tally, item->why);
        return 0;
    }
    if (!item->is_stored)
        (void)error_wrap(&why, "%s is not stored", reference.text);
    if (r != -PULLKEY_INVALID && r != -PULLKEY_UNSUPPORTED && r != -PULLKEY_LOCKED) {
        *error = why;
        return r;
    }
    fail(import, tally, why.message);
    return import_decide(item, item->action, error, "%s", why.message);
}

static int perform(struct import *import, struct tally *tally, struct pullkey_error *error)
{
    int r = 0;

    for (struct import_item *item = import->first; r == 0 && item; item = item->next)
        if (is_to_store(item))
            r = store_item(import, item, tally, error);
    if (r < 0)
        return tally->stored > 0 ? error_wrap(error, "stopped after %zu %s stored", tally->stored,
                                              tally->stored == 1 ? "entry was" : "entries were")
                                 : r;
    if (import->call->values[ADMIN_MOVE])
        r = import_move(import, &tally->left, error);
    for (const struct import_item *item = import->first; item; item = item->next)
        tally->removed += item->is_removed;
    return r;
}

static void report(const struct import *import, const struct tally *tally)
{
    if (!import->first) {
        output_line("There is nothing to import");
        return;
    }
    if (import->call->values[ADMIN_MOVE])
        output_line("%zu stored, %zu there already, %zu removed where they were", tally->stored,
                    tally->same, tally->removed);
    else
        output_line("%zu stored, %zu there already", tally->stored, tally->same);
    if (import->call->values[ADMIN_MOVE])
        import_file_advise(import);
    /* Not from stdin. */
    else if (tally->stored > 0 && (import->sources[0].path || import->sources[0].helper))
        output_note("What was stored is still where it was, too: --move removes it there");
}

static int run(struct import *import, struct pullkey_error *error)
{
    const bool is_json = import->call->values[ADMIN_JSON] != NULL;
    struct tally tally;
    bool agreed;
    int r, problems;

    count(import, &tally);
    r = is_json ? 0 : import_show(import, false, error);
    if (r < 0)
        return r;
    problems = say_sources(import);
    if (!is_json && !output_finish())
        return error_set(error, PULLKEY_UNREACHABLE, "nothing was changed, as it cannot be shown");
    r = agree(import, &tally, &agreed, error);
    if (r == 0 && agreed)
        r = perform(import, &tally, error);
    if (is_json && r != ADMIN_PROBLEM) {
        struct pullkey_error ignored;
        const int shown = import_show(import, agreed, r < 0 ? &ignored : error);

        r = r < 0 ? r : shown;
    }
    if (r < 0 || !agreed)
        return r;
    if (!is_json)
        report(import, &tally);
    return tally.failed + tally.left > 0 || problems > 0 ? ADMIN_PROBLEM : 0;
}

static int check_call(const struct admin_call *call, struct pullkey_error *error)
{
    const char *from = call->values[ADMIN_FROM];

    if (!from || strcmp(from, "-") != 0)
        return 0;
    if (isatty(STDIN_FILENO))
        return admin_usage(error, "--from - reads stdin, which is a terminal here");
    if (call->values[ADMIN_MOVE])
        return admin_usage(error, "--move cannot remove anything from stdin");
    return 0;
}

int admin_import(const struct admin_call *call, struct pullkey_error *error)
{
    cleanup_import struct import import = { .call = call };
    int r = check_call(call, error);

    import.end = &import.first;
    if (r == 0)
        r = admin_load(call, &import.config, error);
    if (r == 0)
        r = import_find_sources(&import, error);
    if (r == 0)
        r = import_read_sources(&import, error);
    if (r == 0)
        r = import_plan(&import, error);
    return r < 0 ? r : run(&import, error);
}

/* True if it is for one of these registries; for none, for any. */
static bool is_asked_for(const struct admin_call *call, const char *server)
{
    for (size_t i = 0; i < call->item_count; i++) {
        struct registry_reference reference;
        struct registry_request request;
        struct pullkey_error ignored;

        if (admin_reference(call->items[i], &reference, &ignored) < 0)
            continue;
        registry_request(&reference, 0, &request);
        if (registry_is_alias(&request.request, server))
            return true;
    }
    return call->item_count == 0;
}

static int add_list(const struct import *import, struct buffer *json, struct pullkey_error *error)
{
    buffer_append_text(json, json->length > 0 ? "," : "");
    return import_list(import, json, error);
}

int import_hidden(const struct admin_call *call, const char *helper, struct buffer *json,
                  struct pullkey_error *error)
{
    const bool is_json = call->values[ADMIN_JSON] != NULL;
    struct admin_call own = { .caller = call->caller, .item_count = call->item_count };
    cleanup_import struct import import = { .call = &own, .is_setup = true };
    struct tally tally;
    int r;

    own.values[ADMIN_FROM] = helper ? helper : "docker";
    memcpy(own.items, call->items, sizeof(own.items));
    import.end = &import.first;
    r = admin_load(call, &import.config, error);
    if (r == 0 && helper)
        import_add_helper(&import, helper);
    else if (r == 0)
        r = import_find_sources(&import, error);
    if (r == 0)
        r = import_read_sources(&import, error);
    for (struct import_item **at = &import.first; r == 0 && *at;)
        if ((*at)->action == IMPORT_EMPTY || !is_asked_for(call, (*at)->server))
            import_drop(&import, at);
        else
            at = &(*at)->next;
    if (r == 0)
        r = import_plan(&import, error);
    if (r < 0 || !import.first)
        return r;
    if (!is_json) {
        output_line("What docker would not find there any more:");
        r = import_show(&import, false, error);
    }
    count(&import, &tally);
    if (r == 0 && !call->values[ADMIN_WRITE] && tally.failed > 0)
        output_note("\"--write\" will not change config.json: of what docker has, not everything "
                    "can be imported");
    if (r == 0 && call->values[ADMIN_WRITE])
        r = perform(&import, &tally, error);
    if (r == 0 && is_json)
        r = add_list(&import, json, error);
    if (r < 0 || !call->values[ADMIN_WRITE])
        return r;
    if (r == 0 && tally.failed > 0)
        output_note("config.json was not changed: of what docker has, not everything could be "
                    "imported");
    else if (r == 0 && tally.stored > 0)
        output_note(helper && !import_knows_helper(helper)
                        ? "docker-credential-%s has it still, too"
                        : "That is still where it was, too: \"pullkey import --from %s --move\" "
                          "removes it",
                    own.values[ADMIN_FROM]);
    return r == 0 && tally.failed > 0 ? ADMIN_PROBLEM : r;
}
