/* SPDX-License-Identifier: Apache-2.0 */
#include "admin.h"

#include <string.h>

#include "base/error.h"
#include "base/secret.h"
#include "base/output.h"

#define COLUMNS 3

static int print_json(const struct resolve_list *list, struct pullkey_error *error)
{
    /* Names of registries and users, a few KiB each at most, of stores of at most 1 MiB each. */
    cleanup_buffer struct buffer json = BUFFER_INIT(64u * JSON_SIZE_MAX);

    buffer_append_text(&json, "[");
    for (size_t i = 0; i < list->count; i++) {
        const struct resolve_entry *entry = &list->entries[i];

        buffer_append_text(&json, i > 0 ? ",\n {\"registry\":" : "{\"registry\":");
        json_write_string(&json, entry->server, strlen(entry->server));
        buffer_append_text(&json, ",\"username\":");
        json_write_string(&json, entry->username, strlen(entry->username));
        buffer_append_text(&json, ",\"source\":");
        json_write_string(&json, entry->instance->name, strlen(entry->instance->name));
        buffer_append_text(&json, "}");
    }
    buffer_append_text(&json, "]\n");
    return output_buffer(&json, error);
}

static int print_table(const struct resolve_list *list, struct pullkey_error *error)
{
    cleanup_release const char **cells = secret_alloc((list->count + 1) * COLUMNS * sizeof(*cells));
    size_t at = 0;

    if (!cells)
        return error_memory(error);
    cells[at++] = "REGISTRY";
    cells[at++] = "USER";
    cells[at++] = "SOURCE";
    for (size_t i = 0; i < list->count; i++) {
        cells[at++] = list->entries[i].server;
        cells[at++] = list->entries[i].username;
        cells[at++] = list->entries[i].instance->name;
    }
    return output_table(cells, COLUMNS, list->count + 1, error);
}

int admin_list(const struct admin_call *call, struct pullkey_error *error)
{
    cleanup_config struct config config = { 0 };
    cleanup_resolve_list struct resolve_list list = { 0 };
    struct resolve resolve;
    int r = admin_load(call, &config, error);

    if (r < 0)
        return r;
    resolve = admin_resolve(&config);
    r = resolve_list(&resolve, &list, error);
    if (r < 0)
        return r;
    if (call->values[ADMIN_JSON])
        return print_json(&list, error);
    if (list.count > 0)
        return print_table(&list, error);
    /* A script that counts lines gets none. */
    if (output_is_terminal())
        output_line("Nothing is stored; \"pullkey login REGISTRY\" stores a credential");
    return 0;
}
