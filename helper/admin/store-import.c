/* SPDX-License-Identifier: Apache-2.0 */
#include "admin.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auths/auths.h"
#include "base/error.h"
#include "base/file.h"
#include "base/secret.h"
#include "core/module.h"
#include "core/resolve-chain.h"
#include "base/output.h"

struct tally {
    size_t changed;
    size_t unchanged;
    size_t ignored; /* another entry is for the same registry, or a rule ignores logins */
    size_t empty;   /* entries without a secret */
    size_t refused; /* what is wrong with them was said */
    bool helpers;   /* the file names helpers, whose credentials stay where they are */
};

static int read_document(const char *path, struct json *ret, struct pullkey_error *error)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(JSON_SIZE_MAX);
    bool is_stdin = strcmp(path, "-") == 0;
    int r;

    if (is_stdin)
        r = buffer_read(&text, STDIN_FILENO, error);
    else
        r = file_read(path, FILE_GIVEN, 0, &text, NULL, error);
    if (r == -PULLKEY_NOT_FOUND)
        return error_set(error, PULLKEY_INVALID, "--from: there is no file %s", path);
    if (r < 0)
        return error_wrap(error, "--from");
    r = json_parse(ret, is_stdin ? "stdin" : path, text.data ? text.data : "", text.length, 0,
                   error);
    return r < 0 ? error_wrap(error, "--from") : 0;
}

/*
 * True if the store has this key or an alias of it: an answer alone might be that of a shorter
 * path.
 */
static bool has_key(const struct resolve_opened *opened, const struct pullkey_request *request)
{
    cleanup_list struct pullkey_list list = { 0 };
    struct pullkey_error ignored;

    if (!(opened->backend->module.capabilities & PULLKEY_CAN_LIST))
        return true;
    if (opened->backend->list(opened->state, request->deadline_ms, &list, &ignored) < 0)
        return false;
    for (size_t i = 0; i < list.count; i++)
        if (registry_is_alias(request, list.entries[i].server))
            return true;
    return false;
}

/*
 * True if the instance that a login writes to holds the credential. What a read-only instance in
 * front of it answers does not count: the file that it reads may be the one that is imported, and
 * be removed afterwards.
 */
static bool is_stored(const struct resolve *resolve, const struct registry_reference *reference,
                      const struct pullkey_credential *credential)
{
    cleanup_credential struct pullkey_credential stored = { 0 };
    cleanup_opened struct resolve_opened opened = { 0 };
    struct registry_request request;
    struct pullkey_error why;

    /* What is wrong with it, storing will tell. */
    if (resolve_find_store(resolve, reference, &opened, &why) < 0 || !opened.backend)
        return false;
    registry_request(reference, resolve->deadline_ms, &request);
    return opened.backend->get(opened.state, &request.request, &stored, &why) == 0 &&
           strcmp(stored.username, credential->username) == 0 &&
           secret_equal(&stored.secret, &credential->secret) && has_key(&opened, &request.request);
}

static int store_entry(const struct resolve *resolve, const struct registry_reference *reference,
                       const struct pullkey_credential *credential, struct tally *tally,
                       struct pullkey_error *error)
{
    char source[RESOLVE_SOURCE_MAX] = "";
    int r;

    if (is_stored(resolve, reference, credential)) {
        tally->unchanged++;
        return 0;
    }
    r = resolve_store(resolve, reference, credential, source, error);
    if (source[0] != '\0')
        tally->changed++;
    if (r == 0 && source[0] == '\0') {
        output_note("%s is not stored: its rule ignores logins", reference->text);
        tally->ignored++;
    }
    return r;
}

/* What is wrong with one entry must not keep the others out. */
static int leave_out(struct tally *tally, const struct pullkey_error *why)
{
    output_note("%s", why->message);
    tally->refused++;
    return 0;
}

/* An error is one that the next entry would meet as well. */
static int import_entry(const struct config *config, const struct json *document,
                        const cJSON *entry, struct tally *tally, struct pullkey_error *error)
{
    const struct resolve resolve = admin_resolve(config);
    cleanup_credential struct pullkey_credential credential = { 0 };
    struct registry_reference reference;
    struct pullkey_error why = { 0 };
    int r = registry_parse(entry->string, strlen(entry->string), &reference, &why);

    if (r < 0)
        r = json_error(document, entry, &why, "%s", why.message);
    else
        r = auths_read(&module_host, document, entry, &credential, &why);
    if (r == 0 && (r = credential_check(&credential, &why)) < 0)
        (void)error_wrap(&why, "%s is not stored", reference.text);
    if (r == -PULLKEY_INVALID)
        return leave_out(tally, &why);
    if (r == 0) {
        size_t changed = tally->changed;

        r = store_entry(&resolve, &reference, &credential, tally, &why);
        if (r < 0 && tally->changed == changed)
            (void)error_wrap(&why, "%s is not stored", reference.text);
    }
    if (r == -PULLKEY_UNSUPPORTED)
        return leave_out(tally, &why);
    if (r < 0)
        *error = why;
    return r;
}

/* An entry of the file under its canonical name; of those with equal names the last one counts. */
struct item {
    const cJSON *entry;
    char *name; /* NULL: it has none */
    size_t order;
};

struct items {
    struct item *items;
    size_t count;
};

static void items_done(struct items *items)
{
    for (size_t i = 0; i < items->count; i++)
        secret_release(items->items[i].name);
    secret_release(items->items);
}

#define cleanup_items __attribute__((cleanup(items_done)))

static int by_name(const void *a, const void *b)
{
    const struct item *first = a, *second = b;
    int order = strcmp(first->name ? first->name : "", second->name ? second->name : "");

    if (order != 0)
        return order;
    return first->order < second->order ? -1 : first->order > second->order;
}

static int by_order(const void *a, const void *b)
{
    const struct item *first = a, *second = b;

    return first->order < second->order ? -1 : first->order > second->order;
}

static int add_item(struct items *items, const cJSON *entry, struct pullkey_error *error)
{
    struct item *item = &items->items[items->count];
    char name[REGISTRY_CANONICAL_MAX];
    struct registry_reference reference;
    struct pullkey_error ignored;

    *item = (struct item){ .entry = entry, .order = items->count++ };
    if (registry_parse(entry->string, strlen(entry->string), &reference, &ignored) < 0)
        return 0; /* importing it will tell */
    registry_canonical(&reference, name);
    item->name = secret_copy(name, strlen(name));
    return item->name ? 0 : error_memory(error);
}

/* Two names of one registry would replace each other at every run. */
static void leave_out_replaced(struct items *items, struct tally *tally)
{
    size_t kept = 0;

    qsort(items->items, items->count, sizeof(*items->items), by_name);
    for (size_t i = 0; i < items->count; i++) {
        struct item *item = &items->items[i], *next = item + 1;

        if (i + 1 < items->count && item->name && next->name &&
            strcmp(item->name, next->name) == 0) {
            output_note("%s is left out: %s is the same registry, and comes after it",
                        item->entry->string, next->entry->string);
            tally->ignored++;
            secret_release(item->name);
        } else {
            items->items[kept++] = *item;
        }
    }
    items->count = kept;
    qsort(items->items, items->count, sizeof(*items->items), by_order);
}

static int collect(const cJSON *map, struct items *ret, struct tally *tally,
                   struct pullkey_error *error)
{
    int r = 0;

    ret->items = secret_alloc(((size_t)cJSON_GetArraySize(map) + 1) * sizeof(*ret->items));
    if (!ret->items)
        return error_memory(error);
    for (const cJSON *entry = map ? map->child : NULL; r == 0 && entry; entry = entry->next) {
        if (auths_is_absent(&module_host, entry))
            tally->empty++;
        else
            r = add_item(ret, entry, error);
    }
    if (r == 0)
        leave_out_replaced(ret, tally);
    return r;
}

static int import_all(const struct config *config, const struct json *document, struct tally *tally,
                      struct pullkey_error *error)
{
    cleanup_items struct items items = { 0 };
    cJSON *map;
    int r = auths_map(document, &map, error);

    if (r == 0 && !map && !json_member(document->root, "credHelpers") &&
        !json_member(document->root, "credsStore"))
        return json_error(document, document->root, error,
                          "there is no \"auths\": this is no file of docker or podman");
    tally->helpers = json_member(document->root, "credHelpers") != NULL ||
                     json_member(document->root, "credsStore") != NULL;
    if (r == 0)
        r = collect(map, &items, tally, error);
    for (size_t i = 0; r == 0 && i < items.count; i++)
        r = import_entry(config, document, items.items[i].entry, tally, error);
    return r;
}

static int report(const struct admin_call *call, const struct tally *tally,
                  struct pullkey_error *error)
{
    const char *from = call->values[ADMIN_FROM];
    cleanup_buffer struct buffer json = BUFFER_INIT(JSON_SIZE_MAX);

    if (call->values[ADMIN_JSON]) {
        buffer_printf(&json,
                      "{\"changed\":%zu,\"unchanged\":%zu,\"ignored\":%zu,\"empty\":%zu,"
                      "\"refused\":%zu}\n",
                      tally->changed, tally->unchanged, tally->ignored, tally->empty,
                      tally->refused);
        return output_buffer(&json, error);
    }
    output_line("%zu changed, %zu unchanged", tally->changed, tally->unchanged);
    if (tally->empty > 0)
        output_note("%zu %s no secret", tally->empty,
                    tally->empty == 1 ? "entry has" : "entries have");
    if (tally->helpers)
        output_note("The file names credential helpers; what they hold was not imported");
    if (strcmp(from, "-") != 0 && tally->changed + tally->unchanged > 0)
        output_note("The secrets are still in %s: remove its \"auths\", or the file", from);
    return 0;
}

int admin_store_import(const struct admin_call *call, struct pullkey_error *error)
{
    cleanup_config struct config config = { 0 };
    cleanup_json struct json document = { 0 };
    struct tally tally = { 0 };
    int r;

    if (!call->values[ADMIN_FROM])
        return admin_usage(error, "\"store import\" needs --from FILE (or --from - for stdin)");
    if (strcmp(call->values[ADMIN_FROM], "-") == 0 && isatty(STDIN_FILENO))
        return admin_usage(error, "--from - reads stdin, which is a terminal here");
    r = admin_load(call, &config, error);
    if (r == 0)
        r = read_document(call->values[ADMIN_FROM], &document, error);
    if (r == 0)
        r = import_all(&config, &document, &tally, error);
    if (r < 0 && tally.changed > 0)
        return error_wrap(error, "stopped after %zu %s stored", tally.changed,
                          tally.changed == 1 ? "entry was" : "entries were");
    if (r == 0)
        r = report(call, &tally, error);
    if (r < 0)
        return r;
    return tally.refused > 0 ? ADMIN_PROBLEM : 0;
}
