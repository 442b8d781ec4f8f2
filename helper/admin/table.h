/* SPDX-License-Identifier: Apache-2.0 */
/* A table that is filled cell by cell, and what stands in cells of several commands. */
#ifndef PULLKEY_ADMIN_TABLE_H
#define PULLKEY_ADMIN_TABLE_H

#include "base/json.h"
#include "base/output.h"

struct table {
    size_t columns;     /* at most TABLE_COLUMNS_MAX */
    size_t count;       /* of cells, row by row, the heads first */
    struct buffer text; /* of the cells, each with a NUL; what went wrong is kept in it */
};

#define TABLE_INIT                                                                                 \
    {                                                                                              \
        .text = BUFFER_INIT(JSON_LARGE_MAX)                                                        \
    }

/* The heads, as "A|B|C". */
void table_begin(struct table *table, const char *heads);
void table_add(struct table *table, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The cell after that one; the first begins the text. */
const char *table_next(const char *cell);
int table_print(const struct table *table, struct pullkey_error *error);
/* A JSON list of objects of strings, whose members are the heads in small letters. */
int table_write(const struct table *table, struct buffer *json, struct pullkey_error *error);
/* One or the other, and nothing else. */
int table_show(const struct table *table, bool as_json, struct pullkey_error *error);
void table_done(struct table *table);

#define cleanup_table __attribute__((cleanup(table_done)))

/* "2d 3h", "3h 20m", "20m 5s", "5s": the two largest units. Negative seconds are none. */
#define TABLE_TIME_MAX 32
const char *table_time(int64_t seconds, char ret[TABLE_TIME_MAX]);

#endif
