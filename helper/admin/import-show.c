/* SPDX-License-Identifier: Apache-2.0 */
/* What an import will do, or did: as a table for people, as JSON for scripts. */
#include "import.h"

#include <string.h>

#include "base/error.h"
#include "base/output.h"
#include "base/secret.h"

#define COLUMNS 4

static const char *const names[IMPORT_ACTION_MAX] = {
    [IMPORT_STORE] = "store", [IMPORT_REPLACE] = "replace", [IMPORT_KEEP] = "keep",
    [IMPORT_SAME] = "same",   [IMPORT_HERE] = "here",       [IMPORT_OTHER] = "other",
    [IMPORT_OLDER] = "older", [IMPORT_IGNORE] = "ignore",   [IMPORT_HELPER] = "helper",
    [IMPORT_EMPTY] = "empty", [IMPORT_REFUSE] = "refuse",
};

const char *import_server(const struct import_item *item)
{
    const char *at = strrchr(item->server, '@');

    return at ? at : item->server;
}

static const char *user_of(const struct import_item *item)
{
    return item->credential.username ? item->credential.username : item->username;
}

static void add_removal(const struct import *import, const struct import_item *item,
                        struct buffer *text)
{
    const struct import_item *tie = import_helper_tie(import, item, true);

    if (import_is_dropped(import, item))
        buffer_append_text(text, "; removed, not kept");
    else if (import_can_move(import, item))
        buffer_append_text(text, "; removed here");
    else if (import_is_wanted(item) && tie)
        buffer_printf(text, "; stays: %s would go with it", import_server(tie));
}

/* What happens, in words. */
static int describe(const struct import *import, const struct import_item *item,
                    struct pullkey_secret *ret, struct pullkey_error *error)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(4 * PULLKEY_ERROR_SIZE);
    const char *store = item->store ? item->store->name : "";

    if (item->action == IMPORT_REFUSE)
        buffer_append_text(&text, "refused: ");
    if (item->why)
        buffer_append_text(&text, item->why);
    else if (item->action == IMPORT_STORE)
        buffer_printf(&text, "stored in %s", store);
    else if (item->action == IMPORT_REPLACE)
        buffer_printf(&text, "differs: the one in %s is replaced", store);
    else if (item->action == IMPORT_KEEP)
        buffer_printf(&text, "differs: the one in %s is kept (else: %s%s%s--replace)", store,
                      import->is_setup ? "pullkey import --from " : "",
                      import->is_setup ? item->source->name : "", import->is_setup ? " " : "");
    else
        buffer_printf(&text, "is in %s already", store);
    if (import->call->values[ADMIN_MOVE])
        add_removal(import, item, &text);
    return buffer_steal(&text, ret, error);
}

static int show_table(const struct import *import, struct pullkey_error *error)
{
    cleanup_release const char **cells = NULL;
    cleanup_release struct pullkey_secret *texts = NULL;
    size_t count = 0, rows = 0;
    int r = 0;

    for (const struct import_item *item = import->first; item; item = item->next)
        count++;
    if (count == 0)
        return 0;
    cells = secret_alloc((count + 1) * COLUMNS * sizeof(*cells));
    texts = secret_alloc(count * sizeof(*texts));
    if (!cells || !texts)
        return error_memory(error);
    memcpy(cells, (const char *[]){ "SOURCE", "REGISTRY", "USER", "WHAT HAPPENS" },
           COLUMNS * sizeof(*cells));
    for (const struct import_item *item = import->first; r == 0 && item; item = item->next) {
        const char **row = cells + (rows + 1) * COLUMNS;

        r = describe(import, item, &texts[rows], error);
        row[0] = import_source_name(item->source);
        row[1] = import_server(item);
        row[2] = user_of(item);
        row[3] = texts[rows++].bytes;
    }
    if (r == 0)
        r = output_table(cells, COLUMNS, count + 1, error);
    for (size_t i = 0; i < rows; i++)
        secret_done(&texts[i]);
    return r;
}

static void add_member(struct buffer *json, const char *name, const char *value)
{
    buffer_printf(json, ",\"%s\":", name);
    json_write_name(json, value);
}

static int show_item(const struct import *import, const struct import_item *item,
                     struct buffer *json, struct pullkey_error *error)
{
    cleanup_secret struct pullkey_secret text = { 0 };
    int r = describe(import, item, &text, error);

    if (r < 0)
        return r;
    buffer_append_text(json, item == import->first ? "\n {\"source\":" : ",\n {\"source\":");
    json_write_name(json, item->source->name);
    if (item->source->path)
        add_member(json, "file", item->source->path);
    add_member(json, "registry", import_server(item));
    add_member(json, "username", user_of(item));
    add_member(json, "action", names[item->action]);
    if (item->store)
        add_member(json, "store", item->store->name);
    add_member(json, "text", text.bytes);
    buffer_printf(json, ",\"stored\":%s,\"removed\":%s}", item->is_stored ? "true" : "false",
                  item->is_removed ? "true" : "false");
    return 0;
}

int import_list(const struct import *import, struct buffer *json, struct pullkey_error *error)
{
    int r = 0;

    for (const struct import_item *item = import->first; r == 0 && item; item = item->next)
        r = show_item(import, item, json, error);
    return r;
}

int import_show(const struct import *import, bool is_done, struct pullkey_error *error)
{
    /* Names of a few KiB each, of sources of 1 MiB each. */
    cleanup_buffer struct buffer json = BUFFER_INIT(64u * JSON_SIZE_MAX);
    int r;

    if (!import->call->values[ADMIN_JSON])
        return show_table(import, error);
    buffer_printf(&json, "{\"done\":%s,\"entries\":[", is_done ? "true" : "false");
    r = import_list(import, &json, error);
    buffer_append_text(&json, "]}\n");
    return r < 0 ? r : output_buffer(&json, error);
}
