/* SPDX-License-Identifier: Apache-2.0 */
#include "table.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/secret.h"
#include "base/text.h"

void table_add(struct table *table, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    buffer_printf_list(&table->text, format, arguments);
    va_end(arguments);
    buffer_append(&table->text, "", 1);
    table->count++;
}

const char *table_next(const char *cell)
{
    return cell + strlen(cell) + 1;
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
    cleanup_release const char **cells = secret_alloc(table->count * sizeof(*cells));
    const char *cell = table->text.data;
    int r = buffer_check(&table->text, error);

    if (r == 0 && !cells)
        r = error_memory(error);
    for (size_t i = 0; r == 0 && i < table->count; i++, cell = table_next(cell))
        cells[i] = cell;
    return r < 0 ? r : output_table(cells, table->columns, table->count / table->columns, error);
}

int table_write(const struct table *table, struct buffer *json, struct pullkey_error *error)
{
    const char *head = table->text.data, *cell = head;
    int r = buffer_check(&table->text, error);

    buffer_append_text(json, "[");
    for (size_t i = 0; r == 0 && i < table->count; i++, cell = table_next(cell)) {
        bool is_first = i % table->columns == 0;

        if (i < table->columns)
            continue;
        if (is_first)
            head = table->text.data;
        buffer_append_text(json, !is_first ? ",\"" : i > table->columns ? "},\n {\"" : "{\"");
        for (; *head != '\0'; head++)
            buffer_append(json, (const char[]){ text_lower(*head) }, 1);
        head++;
        json_write_format(json, "\":%s", cell);
    }
    buffer_append_text(json, table->count > table->columns ? "}]" : "]");
    return r < 0 ? r : buffer_check(json, error);
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
    buffer_done(&table->text);
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
