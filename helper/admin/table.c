/* SPDX-License-Identifier: Apache-2.0 */
#include "table.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "base/secret.h"
#include "base/text.h"

static bool has_room(struct table *table)
{
    size_t capacity = table->capacity * 2 + 32;
    char **grown;

    if (table->count < table->capacity)
        return true;
    grown = secret_alloc(capacity * sizeof(*grown));
    if (!grown)
        return false;
    if (table->count > 0)
        memcpy(grown, table->cells, table->count * sizeof(*grown));
    secret_release(table->cells);
    table->cells = grown;
    table->capacity = capacity;
    return true;
}

void table_add(struct table *table, const char *format, ...)
{
    va_list arguments, again;
    char *cell = NULL;
    int length;

    va_start(arguments, format);
    va_copy(again, arguments);
    length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (length >= 0 && has_room(table))
        cell = secret_alloc((size_t)length + 1);
    if (cell) {
        (void)vsnprintf(cell, (size_t)length + 1, format, again);
        table->cells[table->count++] = cell;
    } else {
        table->has_failed = true;
    }
    va_end(again);
}

void table_begin(struct table *table, const char *heads)
{
    for (;;) {
        size_t length = strcspn(heads, "|");

        table->columns++;
        table_add(table, "%.*s", (int)length, heads);
        if (heads[length] == '\0')
            return;
        heads += length + 1;
    }
}

int table_print(const struct table *table, struct pullkey_error *error)
{
    if (table->has_failed)
        return error_memory(error);
    return output_table((const char *const *)table->cells, table->columns,
                        table->count / table->columns, error);
}

int table_write(const struct table *table, struct buffer *json, struct pullkey_error *error)
{
    if (table->has_failed)
        return error_memory(error);
    buffer_append_text(json, "[");
    for (size_t i = table->columns; i < table->count; i++) {
        const char *head = table->cells[i % table->columns];

        if (i % table->columns == 0)
            buffer_append_text(json, i > table->columns ? "},\n {\"" : "{\"");
        else
            buffer_append_text(json, ",\"");
        for (; *head != '\0'; head++)
            buffer_append(json, (const char[]){ text_lower(*head) }, 1);
        buffer_append_text(json, "\":");
        json_write_name(json, table->cells[i]);
    }
    buffer_append_text(json, table->count > table->columns ? "}]" : "]");
    return buffer_check(json, error);
}

int table_show(const struct table *table, bool as_json, struct pullkey_error *error)
{
    cleanup_buffer struct buffer json = BUFFER_INIT(JSON_LARGE_MAX);
    int r;

    if (!as_json)
        return table_print(table, error);
    r = table_write(table, &json, error);
    buffer_append_text(&json, "\n");
    return r < 0 ? r : output_buffer(&json, error);
}

void table_done(struct table *table)
{
    for (size_t i = 0; i < table->count; i++)
        secret_release(table->cells[i]);
    secret_release(table->cells);
    *table = (struct table){ 0 };
}

const char *table_time(int64_t seconds, char ret[TABLE_TIME_MAX])
{
    static const struct {
        int64_t seconds;
        char letter;
    } units[] = { { 86400, 'd' }, { 3600, 'h' }, { 60, 'm' }, { 1, 's' } };
    size_t i = 0;
    int used;

    if (seconds < 0)
        seconds = 0;
    while (i < 3 && seconds < units[i].seconds)
        i++;
    used = snprintf(ret, TABLE_TIME_MAX, "%jd%c", (intmax_t)(seconds / units[i].seconds),
                    units[i].letter);
    seconds %= units[i].seconds;
    if (i < 3 && seconds >= units[i + 1].seconds)
        (void)snprintf(ret + used, TABLE_TIME_MAX - (size_t)used, " %jd%c",
                       (intmax_t)(seconds / units[i + 1].seconds), units[i + 1].letter);
    return ret;
}
