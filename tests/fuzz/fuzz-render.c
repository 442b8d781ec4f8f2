/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hosts/render-text: the input is a hosts.toml. Whatever stands in it, what is rendered has the
 * same hosts and values as before, Authorization beside them on exactly the hosts that were to have
 * it, absolute paths; and rendering that once more changes nothing.
 */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/secret.h"
#include "base/text.h"
#include "hosts/render-text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define DIRECTORY "/etc/certs.d/registry"
#define VALUE "Basic \"\\\n[host.\"https://evil.example\"]"

static char value_bytes[] = VALUE;
static const struct pullkey_secret value = { value_bytes, sizeof(value_bytes) - 1 };
static bool is_before_2_2; /* so is the containerd that it is rendered for */

static void require(bool condition)
{
    if (!condition)
        abort();
}

static bool answer_all(void *context, const struct hosts_host *host, struct render_header *ret)
{
    (void)context;
    require(hosts_host_is_managed(host) && host->name && !host->authorization);
    *ret = (struct render_header){ &value, 1700000000 };
    return true;
}

static bool answer_some(void *context, const struct hosts_host *host, struct render_header *ret)
{
    return answer_all(context, host, ret) && strlen(host->name) % 2 == 0;
}

/* Members of tables as lines, in no order. */
struct lines {
    struct buffer *items;
    size_t count, capacity;
};

static struct buffer *add_line(struct lines *lines)
{
    if (lines->count == lines->capacity) {
        size_t capacity = 2 * lines->capacity + 64;
        struct buffer *items = calloc(capacity, sizeof(*items));

        require(items);
        if (lines->count > 0)
            memcpy(items, lines->items, lines->count * sizeof(*items));
        free(lines->items);
        lines->items = items;
        lines->capacity = capacity;
    }
    lines->items[lines->count] = (struct buffer)BUFFER_INIT(64 * 1024 * 1024);
    return &lines->items[lines->count++];
}

static void free_lines(struct lines *lines)
{
    for (size_t i = 0; i < lines->count; i++)
        buffer_done(&lines->items[i]);
    free(lines->items);
}

static bool is_in_host(const struct toml_item *item)
{
    const struct toml_item *table = item->parent;

    return table && (!table->parent || (table->parent->parent && !table->parent->parent->parent &&
                                        strcmp(table->parent->key, "host") == 0));
}

/* Of a host that containerd before 2.2 is to read. */
static bool is_dropped(const struct toml_item *item)
{
    return is_before_2_2 && item->kind == TOML_STRING && item->parent &&
           item->parent->kind == TOML_ARRAY && item->parent->key &&
           hosts_key_is(item->parent->key, "capabilities") && is_in_host(item->parent) &&
           text_equal_any_case(item->string, "referrers");
}

/* A path is only said to be one: whether it is the right one test-render-text.c tells. */
static void write_value(const struct toml_item *item, bool is_path, struct buffer *text)
{
    buffer_printf(text, "%d:", item->kind);
    if (item->kind == TOML_STRING && is_path)
        buffer_append_text(text, "path");
    else if (item->kind == TOML_STRING)
        toml_write_string(text, item->string, item->string_length);
    else
        buffer_printf(text, "%lld:%d", (long long)item->integer, item->boolean);
    for (const struct toml_item *member = item->kind == TOML_ARRAY ? item->first : NULL; member;
         member = member->next) {
        if (is_dropped(member))
            continue;
        buffer_append_text(text, "[");
        if (member->key)
            toml_write_string(text, member->key, strlen(member->key));
        write_value(member, is_path, text);
        for (const struct toml_item *inner = member->kind == TOML_TABLE ? member->first : NULL;
             inner; inner = inner->next) {
            toml_write_string(text, inner->key, strlen(inner->key));
            write_value(inner, false, text);
        }
        buffer_append_text(text, "]");
    }
}

static void list_members(const struct toml_item *table, const char *path, struct lines *lines)
{
    for (const struct toml_item *item = table->first; item; item = item->next) {
        cleanup_buffer struct buffer name = BUFFER_INIT(64 * 1024 * 1024);
        bool is_path = is_in_host(item) &&
                       (hosts_key_is(item->key, "ca") || hosts_key_is(item->key, "client"));
        struct buffer *line;

        buffer_printf(&name, "%s.", path);
        toml_write_string(&name, item->key, strlen(item->key));
        if (item->kind == TOML_TABLE) {
            list_members(item, name.data, lines);
            continue;
        }
        line = add_line(lines);
        buffer_append(line, name.data, name.length);
        buffer_append_text(line, "=");
        write_value(item, is_path, line);
    }
}

static int order(const void *a, const void *b)
{
    return strcmp(((const struct buffer *)a)->data, ((const struct buffer *)b)->data);
}

static bool is_authorization(const char *line)
{
    cleanup_buffer struct buffer end = BUFFER_INIT(1000);

    buffer_append_text(&end, ".\"Authorization\"=3:");
    toml_write_string(&end, value.bytes, value.length);
    return strlen(line) > end.length && strcmp(line + strlen(line) - end.length, end.data) == 0;
}

/* All that was there is there; what is new are headers, and of a table for the server other lines.
 */
static size_t compare_members(const struct hosts_file *old, const struct hosts_file *new)
{
    bool has_extra = new->host_count > old->host_count;
    struct lines before = { 0 }, after = { 0 };
    size_t at = 0, added = 0;

    list_members(old->toml.root, "", &before);
    list_members(new->toml.root, "", &after);
    if (before.count > 0)
        qsort(before.items, before.count, sizeof(*before.items), order);
    if (after.count > 0)
        qsort(after.items, after.count, sizeof(*after.items), order);
    for (size_t i = 0; i < after.count; i++) {
        const char *line = after.items[i].data;

        if (at < before.count && strcmp(before.items[at].data, line) == 0) {
            at++;
            continue;
        }
        require(is_authorization(line) || (has_extra && strncmp(line, ".\"host\".", 8) == 0));
        added += is_authorization(line);
    }
    require(at == before.count);
    free_lines(&before);
    free_lines(&after);
    return added;
}

static void compare_hosts(const struct hosts_file *old, const struct hosts_file *new,
                          render_lookup *lookup)
{
    size_t extra = new->host_count - old->host_count, wanted = 0;

    require(extra == 0 || (extra == 1 && old->host_count == 1));
    for (size_t i = 0; i < old->host_count; i++) {
        const struct hosts_host *host = &old->hosts[i], *other = &new->hosts[i + extra];
        struct render_header header;
        bool is_wanted = hosts_host_is_managed(host) && lookup(NULL, host, &header);

        require(!host->name == !other->name &&
                (!host->name || strcmp(host->name, other->name) == 0));
        require(host->is_server == other->is_server && host->is_http == other->is_http &&
                host->skip_verify == other->skip_verify);
        require(!is_wanted || (!host->authorization && other->authorization));
        require(is_wanted || !host->authorization == !other->authorization);
        require(!hosts_host_is_managed(host) || host->reference);
        require(!hosts_host_is_managed(host) || host->allow_insecure ||
                (!host->is_http && !host->skip_verify));
        wanted += is_wanted;
    }
    if (extra > 0)
        require(new->hosts[0].authorization &&strcmp(new->hosts[0].name, old->hosts[0].name) == 0);
    require(compare_members(old, new) == wanted + extra);
}

static bool has_line(const char *text, size_t length)
{
    return length > 0 && memchr(text, '\n', length);
}

static void render(const struct hosts_file *file, const char *registry, render_lookup *lookup)
{
    const struct render_place place = { registry, DIRECTORY, is_before_2_2 };
    cleanup_buffer struct buffer text = BUFFER_INIT(RENDER_SIZE_MAX);
    cleanup_buffer struct buffer again = BUFFER_INIT(RENDER_SIZE_MAX);
    cleanup_hosts_file struct hosts_file rendered = { 0 };
    struct pullkey_error error = { 0 };

    if (render_text(file, &place, lookup, NULL, &text, &error) < 0) {
        require(error.code == PULLKEY_INVALID && !has_line(error.message, strlen(error.message)));
        return;
    }
    require(hosts_file_parse("rendered", registry, text.data ? text.data : "", text.length, NULL,
                             &rendered, &error) == 0);
    compare_hosts(file, &rendered, lookup);
    for (size_t i = 0; i < rendered.host_count; i++) {
        struct render_header header;
        struct pullkey_secret view;
        const char *helper;
        size_t length;

        if (render_recover(&rendered, &rendered.hosts[i], &helper, &length, &header, &view))
            require(length > 0 && header.value->bytes[header.value->length] == '\0');
    }
    require(render_text(&rendered, &place, answer_some, NULL, &again, &error) == 0 ||
            lookup != answer_all);
    if (lookup == answer_all && again.length > 0)
        require(again.length == text.length && memcmp(again.data, text.data, text.length) == 0);
}

/* Every host that a name allows it has a helper. */
static void map_all(const struct hosts_file *file, struct settings *settings)
{
    settings->hosts = secret_alloc((file->host_count + 1) * sizeof(*settings->hosts));
    require(settings->hosts);
    for (size_t i = 0; i < file->host_count; i++)
        if (file->hosts[i].reference)
            settings->hosts[settings->host_count++] =
                (struct settings_host){ *file->hosts[i].reference, "mapped" };
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const registries[] = { "r.example", "_default", "localhost_5000_" };

    is_before_2_2 = size % 2 == 1;
    for (size_t i = 0; i < sizeof(registries) / sizeof(registries[0]); i++) {
        cleanup_hosts_file struct hosts_file file = { 0 }, mapped = { 0 };
        cleanup_settings struct settings settings = { 0 };
        struct pullkey_error error = { 0 };

        if (hosts_file_parse("input", registries[i], (const char *)data, size, NULL, &file,
                             &error) < 0) {
            require(error.code == PULLKEY_INVALID &&
                    !has_line(error.message, strlen(error.message)));
            return 0;
        }
        render(&file, registries[i], answer_all);
        map_all(&file, &settings);
        require(hosts_file_parse("input", registries[i], (const char *)data, size, &settings,
                                 &mapped, &error) == 0);
        for (size_t k = 0; k < mapped.host_count; k++)
            require(!mapped.hosts[k].reference || mapped.hosts[k].helper ||
                    mapped.hosts[k].problem);
        render(&mapped, registries[i], answer_all);
        render(&mapped, registries[i], answer_some);
    }
    return 0;
}
