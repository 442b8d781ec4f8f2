/* SPDX-License-Identifier: Apache-2.0 */
#include "config-text.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/secret.h"
#include "edit.h"

#define LINES_MAX 16384
#define RANGES_MAX 16384

struct range {
    size_t begin, end;
};

struct work {
    const struct config_text *change;
    const struct toml_document *toml;
    struct range *ranges; /* lines that go */
    size_t range_count;
    size_t inserted; /* where config_path is put in, or SIZE_MAX */
    struct edits edits;
};

static bool is_gone(const struct config_text *change, const struct toml_item *item)
{
    for (size_t i = 0; i < change->gone_count; i++)
        if (change->gone[i] == item)
            return true;
    return false;
}

static bool is_blank(const char *text, size_t begin, size_t end)
{
    while (begin < end && strchr(" \t\r\n", text[begin]))
        begin++;
    return begin == end;
}

static int order_ranges(const void *a, const void *b)
{
    const struct range *first = a, *second = b;

    return first->begin < second->begin ? -1 : first->begin > second->begin;
}

/* Whole lines. */
static int remove_lines(struct work *work, size_t begin, size_t end, struct pullkey_error *error)
{
    const char *text = work->toml->text;

    if (work->range_count == RANGES_MAX)
        return error_set(error, PULLKEY_INVALID, "%s: there are too many registries in it",
                         work->toml->name);
    work->ranges[work->range_count++] =
        (struct range){ edit_line_begin(text, begin),
                        edit_line_end(text, work->toml->length, end) };
    return 0;
}

/* Of blank lines around what goes one side goes too. */
static int apply_ranges(struct work *work, struct pullkey_error *error)
{
    const char *text = work->toml->text;
    size_t length = work->toml->length;
    int r = 0;

    if (work->range_count > 1)
        qsort(work->ranges, work->range_count, sizeof(*work->ranges), order_ranges);
    for (size_t i = 0; r == 0 && i < work->range_count; i++) {
        size_t begin = work->ranges[i].begin, end = work->ranges[i].end;

        while (i + 1 < work->range_count && is_blank(text, end, work->ranges[i + 1].begin))
            end = work->ranges[++i].end;
        if (begin != work->inserted &&
            (begin == 0 || is_blank(text, edit_line_begin(text, begin - 1), begin)))
            while (end < length && is_blank(text, end, edit_line_end(text, length, end)))
                end = edit_line_end(text, length, end);
        r = edits_add(&work->edits, begin, end, "", 0, error);
    }
    return r;
}

/* A table goes with the comments between its header and its last value, and what is below it. */
static int remove_item(struct work *work, const struct toml_item *item, struct pullkey_error *error)
{
    int r = 0;

    if (item->kind != TOML_TABLE || item->is_inline)
        return item->key_end > 0 ? remove_lines(work, item->key_begin, item->end, error) : 0;
    if (item->has_header) {
        size_t end = toml_values_end(item);

        r = remove_lines(work, item->begin, end > item->end ? end : item->end, error);
    }
    for (const struct toml_item *child = item->first; r == 0 && child; child = child->next)
        if (!item->has_header ||
            (child->kind == TOML_TABLE && !child->is_inline && child->has_header) ||
            (child->kind == TOML_TABLE && !child->is_inline && toml_values_end(child) == 0))
            r = remove_item(work, child, error);
    return r;
}

static const char *plugin_name(int64_t version)
{
    return version >= 3   ? "io.containerd.cri.v1.images"
           : version == 2 ? "io.containerd.grpc.v1.cri"
                          : "cri";
}

static const struct toml_item *find_registry(const struct config_text *change)
{
    const struct toml_item *plugins = toml_member(change->toml->root, "plugins");

    return toml_member(toml_member(plugins, plugin_name(change->version)), "registry");
}

static void write_setting(const struct work *work, size_t header, struct buffer *text)
{
    const char *bytes = work->toml->text;
    size_t begin = edit_line_begin(bytes, header);

    /* As its header is indented, if that is in the text. */
    if (header < work->toml->length)
        buffer_append(text, bytes + begin, header - begin);
    buffer_append_text(text, "  config_path = ");
    toml_write_string(text, work->change->config_path, strlen(work->change->config_path));
    buffer_append_text(text, "\n");
}

static int insert(struct work *work, size_t at, const struct buffer *text,
                  struct pullkey_error *error)
{
    bool open = at > 0 && at == work->toml->length && work->toml->text[at - 1] != '\n';
    int r = buffer_check(text, error);

    work->inserted = at;
    if (r == 0 && open)
        r = edits_add(&work->edits, at, at, "\n", 1, error);
    return r < 0 ? r : edits_add(&work->edits, at, at, text->data, text->length, error);
}

static int set_config_path(struct work *work, struct pullkey_error *error)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(LINES_MAX);
    const struct toml_item *registry = find_registry(work->change);
    const struct toml_item *old = toml_member(registry, "config_path");
    size_t at;

    if (old) {
        toml_write_string(&text, work->change->config_path, strlen(work->change->config_path));
        return buffer_check(&text, error) < 0
                   ? -(int)error->code
                   : edits_add(&work->edits, old->begin, old->end, text.data, text.length, error);
    }
    if (registry && registry->has_header) {
        write_setting(work, registry->begin, &text);
        return insert(work, edit_line_end(work->toml->text, work->toml->length, registry->end),
                      &text, error);
    }
    /* A header of its own, in front of the first of its tables, or at the end. */
    at =
        registry && work->toml->text[registry->begin] == '[' ? registry->begin : work->toml->length;
    if (at == work->toml->length)
        buffer_append_text(&text, "\n");
    else
        buffer_append(&text, work->toml->text + edit_line_begin(work->toml->text, at),
                      at - edit_line_begin(work->toml->text, at));
    buffer_printf(&text,
                  work->change->version > 1 ? "[plugins.\"%s\".registry]\n"
                                            : "[plugins.%s.registry]\n",
                  plugin_name(work->change->version));
    write_setting(work, at, &text);
    return insert(work, at == work->toml->length ? at : edit_line_begin(work->toml->text, at),
                  &text, error);
}

/* -- What comes out -- */

/* Nothing is left in it. */
static bool is_emptied(const struct config_text *change, const struct toml_item *item)
{
    if (is_gone(change, item))
        return true;
    if (item->kind != TOML_TABLE || !item->first)
        return false;
    for (const struct toml_item *child = item->first; child; child = child->next)
        if (!is_emptied(change, child))
            return false;
    return true;
}

/* config_path, or tables around nothing else. */
static bool is_setting(const struct config_text *change, const struct toml_item *item)
{
    if (!change->config_path)
        return false;
    if (item->kind == TOML_TABLE)
        return item->first && !item->first->next && is_setting(change, item->first);
    return item->kind == TOML_STRING && strcmp(item->key, "config_path") == 0 &&
           strcmp(item->string, change->config_path) == 0;
}

static bool is_same(const struct config_text *change, const struct toml_item *old,
                    const struct toml_item *new);

static bool is_same_table(const struct config_text *change, const struct toml_item *old,
                          const struct toml_item *new)
{
    for (const struct toml_item *item = old->first; item; item = item->next) {
        const struct toml_item *other = toml_member(new, item->key);

        if (other && is_gone(change, item))
            return false;
        if (other ? !is_same(change, item, other) : !is_emptied(change, item))
            return false;
    }
    for (const struct toml_item *item = new->first; item; item = item->next)
        if (!toml_member(old, item->key) && !is_setting(change, item))
            return false;
    return true;
}

static bool is_same(const struct config_text *change, const struct toml_item *old,
                    const struct toml_item *new)
{
    const struct toml_item *a = old->first, *b = new->first;

    if (old->kind != new->kind)
        return false;
    switch (old->kind) {
    case TOML_TABLE: return is_same_table(change, old, new);
    case TOML_ARRAY:
        for (; a && b; a = a->next, b = b->next)
            if (!is_same(change, a, b))
                return false;
        return !a && !b;
    case TOML_STRING:
        return (old->string_length ==
                new->string_length &&memcmp(old->string, new->string, old->string_length) == 0) ||
               (old->key && strcmp(old->key, "config_path") == 0 && is_setting(change, new));
    case TOML_INTEGER: return old->integer == new->integer;
    case TOML_BOOLEAN: return old->boolean == new->boolean;
    case TOML_OTHER:
    default: return true;
    }
}

static bool is_as_meant(const struct config_text *change, const struct toml_document *new)
{
    struct config_text after = *change;
    const struct toml_item *setting;

    if (!is_same(change, change->toml->root, new->root))
        return false;
    after.toml = new;
    setting = toml_member(find_registry(&after), "config_path");
    return !change->config_path || (setting && is_setting(change, setting));
}

int config_text(const struct config_text *change, struct buffer *ret, struct pullkey_error *error)
{
    struct work work = { .change = change, .toml = change->toml, .inserted = SIZE_MAX };
    cleanup_toml struct toml_document again = { 0 };
    int r;

    work.ranges = secret_alloc(RANGES_MAX * sizeof(*work.ranges));
    r = work.ranges ? 0 : error_memory(error);
    if (r == 0 && change->config_path)
        r = set_config_path(&work, error);
    for (size_t i = 0; r == 0 && i < change->gone_count; i++)
        r = remove_item(&work, change->gone[i], error);
    if (r == 0)
        r = apply_ranges(&work, error);
    if (r == 0)
        r = edits_apply(&work.edits, change->toml->text, change->toml->length, ret, error);
    edits_done(&work.edits);
    secret_release(work.ranges);
    if (r == 0)
        r = toml_parse(&again, change->toml->name, ret->data ? ret->data : "", ret->length, error);
    if (r == 0 && is_as_meant(change, &again))
        return 0;
    return error_set(error, PULLKEY_INVALID,
                     "%s: the settings of registries cannot be taken out without changing the "
                     "rest; give each a table [...] of its own",
                     change->toml->name);
}
