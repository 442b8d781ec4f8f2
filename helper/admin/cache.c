/* SPDX-License-Identifier: Apache-2.0 */
/* What the cache has, and an end to it. */
#include <string.h>

#include "admin.h"
#include "base/clock.h"
#include "base/error.h"
#include "core/cache-file.h"
#include "core/resolve-chain.h"
#include "table.h"

/* The places of a slot's parts. */
enum { INSTANCE = 0, TYPE = 1, REGISTRY = 3, PATH = 4 };

static const char *kind_of(const struct cache_entry *entry)
{
    if (entry->outcome == CACHE_TOKEN)
        return entry->credential.expiry > 0 ? "token" : "password";
    return entry->outcome == CACHE_FAILURE ? error_class_name(entry->failure.code) : "not kept";
}

static int add_row(void *context, const char *const parts[CACHE_KEY_PARTS],
                   const struct cache_entry *entry, size_t size, struct pullkey_error *error)
{
    struct table *table = context;
    const int64_t now = clock_wall_seconds();
    int64_t expiry = entry->credential.expiry > 0 ? entry->credential.expiry : entry->end;
    char time[TABLE_TIME_MAX];

    (void)error;
    table_add(table, "%s%s%s", parts[REGISTRY], parts[PATH][0] != '\0' ? "/" : "", parts[PATH]);
    table_add(table, "%s", parts[INSTANCE]);
    table_add(table, "%s", parts[TYPE]);
    table_add(table, "%s", kind_of(entry));
    table_add(table, "%s", expiry > now ? table_time(expiry - now, time) : "-");
    table_add(table, "%s", table_time(now - entry->fetched, time));
    table_add(table, "%zu", size);
    return 0;
}

static int write_item(void *context, const char *const parts[CACHE_KEY_PARTS],
                      const struct cache_entry *entry, size_t size, struct pullkey_error *error)
{
    struct buffer *json = context;

    buffer_append_text(json, json->length > 1 ? ",\n " : "");
    json_write_format(json,
                      "{\"instance\":%s,\"type\":%s,\"registry\":%s,\"path\":%s,\"kind\":%s,"
                      "\"used_until\":%jd,\"fetched\":%jd,\"size\":%zu",
                      parts[INSTANCE], parts[TYPE], parts[REGISTRY], parts[PATH], kind_of(entry),
                      (intmax_t)entry->end, (intmax_t)entry->fetched, size);
    if (entry->outcome == CACHE_TOKEN && entry->credential.expiry > 0)
        buffer_printf(json, ",\"expiry\":%jd", (intmax_t)entry->credential.expiry);
    buffer_append_text(json, "}");
    return buffer_check(json, error);
}

int admin_cache_list(const struct admin_call *call, struct pullkey_error *error)
{
    cleanup_buffer struct buffer json = BUFFER_INIT(JSON_LARGE_MAX);
    cleanup_table struct table table = TABLE_INIT;
    cleanup_cache struct cache *cache = NULL;
    int r = cache_look(call->values[ADMIN_SYSTEM] != NULL, &cache, error);

    if (r < 0)
        return r;
    if (call->values[ADMIN_JSON]) {
        buffer_append_text(&json, "[");
        r = cache_each(cache, write_item, &json, error);
        buffer_append_text(&json, "]\n");
        return r < 0 ? r : output_buffer(&json, error);
    }
    table_begin(&table, "REGISTRY|INSTANCE|TYPE|KIND|EXPIRES IN|AGE|BYTES");
    r = cache_each(cache, add_row, &table, error);
    if (r == 0 && table.count > table.columns)
        return table_print(&table, error);
    if (r == 0 && output_is_terminal())
        output_line("Nothing is cached");
    return r;
}

/* What to count, and how many there were. */
struct tally {
    const char *registry; /* NULL: all */
    size_t count;
};

static int count(void *context, const char *const parts[CACHE_KEY_PARTS],
                 const struct cache_entry *entry, size_t size, struct pullkey_error *error)
{
    struct tally *tally = context;

    (void)entry, (void)size, (void)error;
    tally->count += !tally->registry || strcmp(tally->registry, parts[REGISTRY]) == 0;
    return 0;
}

int admin_cache_clear(const struct admin_call *call, struct pullkey_error *error)
{
    cleanup_cache struct cache *cache = NULL;
    struct registry_reference reference;
    char registry[REGISTRY_CANONICAL_MAX];
    struct tally tally = { 0 };
    int r = 0;

    if (call->argument_count > 0) {
        r = admin_reference(call->arguments[0], &reference, error);
        if (r < 0)
            return r;
        resolve_registry(&reference, registry);
        tally.registry = registry;
    }
    r = cache_look(call->values[ADMIN_SYSTEM] != NULL, &cache, error);
    if (r == 0)
        r = cache_each(cache, count, &tally, error);
    if (r == 0)
        r = cache_drop(cache, tally.registry, error);
    if (r < 0)
        return r;
    if (call->values[ADMIN_JSON])
        output_line("{\"removed\":%zu}", tally.count);
    else
        output_line("Removed %zu of the cache", tally.count);
    return 0;
}
