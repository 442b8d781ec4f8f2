/* SPDX-License-Identifier: Apache-2.0 */
#include "helper-text.h"

#include <string.h>

#include "base/error.h"
#include "base/text.h"
#include "edit.h"

#define LINES_MAX 8192

struct work {
    const struct hosts_file *file;
    const struct hosts_host *host;
    const struct toml_item *headers; /* of the host, or NULL */
    const struct toml_item *auth;
    struct edits edits;
};

static bool is_authorization(const struct toml_item *item)
{
    return text_equal_any_case(item->key, "authorization");
}

static bool has_other_headers(const struct toml_item *headers)
{
    for (const struct toml_item *item = headers->first; item; item = item->next)
        if (!is_authorization(item))
            return true;
    return false;
}

static bool needs_helper(const struct hosts_host *host)
{
    return !host->helper_item || !host->helper || strcmp(host->helper, HELPER_TEXT_NAME) != 0;
}

static bool needs_permission(const struct hosts_host *host)
{
    return (host->is_http || host->skip_verify) && !host->allow_insecure;
}

/* The keys that are added, each behind `prefix` and in front of `end`. */
static void write_keys(const struct work *work, const char *prefix, const char *end,
                       struct buffer *text)
{
    if (needs_helper(work->host))
        buffer_printf(text, "%scredHelper = \"%s\"%s", prefix, HELPER_TEXT_NAME, end);
    if (needs_permission(work->host))
        buffer_printf(text, "%sallowInsecure = true%s", prefix, end);
}

static void write_header(const struct work *work, struct buffer *text)
{
    if (work->host->is_server) {
        buffer_append_text(text, "[auth]");
        return;
    }
    buffer_append_text(text, "[host.");
    toml_write_string(text, work->host->table->key, strlen(work->host->table->key));
    buffer_append_text(text, ".auth]");
}

static int replace(struct work *work, size_t begin, size_t end, const struct buffer *text,
                   struct pullkey_error *error)
{
    int r = buffer_check(text, error);

    return r < 0 ? r
                 : edits_add(&work->edits, begin, end, text->data ? text->data : "", text->length,
                             error);
}

/* What indents a line. */
static void copy_indent(const char *text, size_t at, struct buffer *ret)
{
    size_t begin = edit_line_begin(text, at), end = begin;

    while (text[end] == ' ' || text[end] == '\t')
        end++;
    buffer_append(ret, text + begin, end - begin);
}

static size_t after_line(const struct work *work, size_t at)
{
    const struct toml_document *toml = &work->file->toml;

    return edit_line_end(toml->text, toml->length, at);
}

/* Lines that stand behind a line, which may be the last one and lack its end. */
static int insert_after(struct work *work, size_t at, const struct buffer *lines,
                        struct pullkey_error *error)
{
    const struct toml_document *toml = &work->file->toml;
    bool open = at > 0 && at == toml->length && toml->text[at - 1] != '\n';
    int r = open ? edits_add(&work->edits, at, at, "\n", 1, error) : 0;

    return r < 0 ? r : replace(work, at, at, lines, error);
}

/* A pair stands on lines of its own, except in an inline table. */
static size_t begin_of_pair(const struct work *work, const struct toml_item *item)
{
    const char *text = work->file->toml.text;
    size_t at = edit_line_begin(text, item->key_begin);

    while (text[at] == ' ' || text[at] == '\t')
        at++;
    return at;
}

static int remove_line(struct work *work, const struct toml_item *item, struct pullkey_error *error)
{
    const char *text = work->file->toml.text;

    return edits_add(&work->edits, edit_line_begin(text, item->key_begin),
                     after_line(work, item->end), "", 0, error);
}

static int remove_headers(struct work *work, const struct toml_item *but,
                          struct pullkey_error *error)
{
    int r = 0;

    for (const struct toml_item *item = work->headers->first; r == 0 && item; item = item->next)
        if (is_authorization(item) && item != but)
            r = remove_line(work, item, error);
    return r;
}

static const struct toml_item *first_authorization(const struct toml_item *headers)
{
    const struct toml_item *item = headers ? headers->first : NULL;

    while (item && !is_authorization(item))
        item = item->next;
    return item;
}

/* `header = { ... }` without some of its members. */
static int shorten_inline(struct work *work, struct pullkey_error *error)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(TOML_SIZE_MAX);
    const struct toml_document *toml = &work->file->toml;
    const char *separator = "{ ";

    for (const struct toml_item *item = work->headers->first; item; item = item->next) {
        if (is_authorization(item))
            continue;
        buffer_append_text(&text, separator);
        toml_write_string(&text, item->key, strlen(item->key));
        buffer_append_text(&text, " = ");
        buffer_append(&text, toml->text + item->begin, item->end - item->begin);
        separator = ", ";
    }
    buffer_append_text(&text, " }");
    return replace(work, work->headers->begin, work->headers->end, &text, error);
}

/* The lines of a pair become the keys that are added; nothing where there are none. */
static int replace_pair(struct work *work, const struct toml_item *item, const char *prefix,
                        struct pullkey_error *error)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(LINES_MAX);
    cleanup_buffer struct buffer end = BUFFER_INIT(LINES_MAX);
    size_t begin = begin_of_pair(work, item);

    buffer_append_text(&end, "\n");
    copy_indent(work->file->toml.text, begin, &end);
    write_keys(work, prefix, end.data ? end.data : "", &text);
    if (buffer_check(&text, error) < 0 || buffer_check(&end, error) < 0)
        return -(int)error->code;
    if (text.length == 0)
        return remove_line(work, item, error);
    text.length -= end.length;
    return replace(work, begin, item->end, &text, error);
}

/* [host."URL".auth] is there, in one of its spellings. */
static int extend_auth(struct work *work, struct pullkey_error *error)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(LINES_MAX);
    const struct toml_item *auth = work->auth;

    if (!needs_helper(work->host) && !needs_permission(work->host))
        return 0;
    if (auth->is_inline) {
        write_keys(work, " ", ",", &text);
        if (!auth->first && text.length > 0)
            text.length--;
        return replace(work, auth->begin + 1, auth->begin + 1, &text, error);
    }
    if (auth->has_header) {
        write_keys(work, "", "\n", &text);
        return insert_after(work, after_line(work, auth->end), &text, error);
    }
    write_keys(work, "auth.", "\n", &text);
    return insert_after(work, after_line(work, toml_values_end(auth)), &text, error);
}

/* A table of its own behind the values of another. */
static int append_auth(struct work *work, size_t at, struct pullkey_error *error)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(LINES_MAX);

    write_header(work, &text);
    buffer_append_text(&text, "\n");
    write_keys(work, "", "\n", &text);
    return insert_after(work, at, &text, error);
}

static int add_auth(struct work *work, struct pullkey_error *error)
{
    const struct toml_item *table = work->host->table;
    size_t values = toml_values_end(table);

    if (work->auth)
        return extend_auth(work, error);
    if (work->host->is_server)
        return append_auth(work, values > 0 ? after_line(work, values) : work->file->toml.length,
                           error);
    /* The tables of a host must not be torn apart: containerd would see two hosts. */
    if (values == 0 && !table->has_header)
        return append_auth(work, edit_line_begin(work->file->toml.text, table->begin), error);
    return append_auth(work, after_line(work, values > table->end ? values : table->end), error);
}

/* [host."URL".header] becomes [host."URL".auth], if nothing else is in it. */
static int change_table(struct work *work, struct pullkey_error *error)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(LINES_MAX);
    const struct toml_item *first = first_authorization(work->headers);
    int r;

    if (has_other_headers(work->headers)) {
        r = remove_headers(work, NULL, error);
        if (r == 0 && work->auth)
            return extend_auth(work, error);
        return r < 0 ? r
                     : append_auth(work, after_line(work, toml_values_end(work->headers)), error);
    }
    if (work->auth) {
        r = remove_headers(work, NULL, error);
        if (r == 0)
            r = edits_add(&work->edits,
                          edit_line_begin(work->file->toml.text, work->headers->begin),
                          after_line(work, work->headers->end), "", 0, error);
        return r < 0 ? r : extend_auth(work, error);
    }
    write_header(work, &text);
    r = replace(work, work->headers->begin, work->headers->end, &text, error);
    if (r == 0)
        r = remove_headers(work, first, error);
    return r < 0 ? r : replace_pair(work, first, "", error);
}

static int change_inline(struct work *work, struct pullkey_error *error)
{
    bool stays = has_other_headers(work->headers);
    int r;

    if (!stays && !work->auth)
        return replace_pair(work, work->headers, "auth.", error);
    r = stays ? shorten_inline(work, error) : remove_line(work, work->headers, error);
    return r < 0 ? r : add_auth(work, error);
}

static int change_host(struct work *work, struct pullkey_error *error)
{
    const struct toml_item *first = first_authorization(work->headers);
    int r;

    if (!first) {
        if (!needs_helper(work->host) && !needs_permission(work->host))
            return 0;
        /* Directly in [host."URL"] it is understood too. */
        return add_auth(work, error);
    }
    if (work->headers->is_inline)
        return change_inline(work, error);
    if (work->headers->has_header)
        return change_table(work, error);
    if (work->auth) {
        r = remove_headers(work, NULL, error);
        return r < 0 ? r : extend_auth(work, error);
    }
    r = remove_headers(work, first, error);
    return r < 0 ? r : replace_pair(work, first, "auth.", error);
}

/* -- What comes out -- */

static bool is_same(const struct toml_item *old, const struct toml_item *new)
{
    const struct toml_item *a = old->first, *b;

    if (old->kind != new->kind)
        return false;
    switch (old->kind) {
    case TOML_TABLE:
        for (; a; a = a->next) {
            b = toml_member(new, a->key);
            if (!b || !is_same(a, b))
                return false;
        }
        for (b = new->first; b; b = b->next)
            if (!toml_member(old, b->key))
                return false;
        return true;
    case TOML_ARRAY:
        for (b = new->first; a &&b; a = a->next, b = b->next)
            if (!is_same(a, b))
                return false;
        return !a && !b;
    case TOML_STRING:
        return old->string_length ==
               new->string_length &&memcmp(old->string, new->string, old->string_length) == 0;
    case TOML_INTEGER: return old->integer == new->integer;
    case TOML_BOOLEAN: return old->boolean == new->boolean;
    case TOML_OTHER:
    default: return true;
    }
}

static bool is_helper_key(const struct toml_item *item)
{
    return strcmp(item->key, "credHelper") == 0 || strcmp(item->key, "allowInsecure") == 0;
}

/* The members of one are in the other, but for those that `ignore` names. */
static bool has_members(const struct toml_item *of, const struct toml_item *in,
                        bool (*ignore)(const struct toml_item *item))
{
    for (const struct toml_item *item = of ? of->first : NULL; item; item = item->next) {
        const struct toml_item *other = toml_member(in, item->key);

        if (!ignore(item) && (!other || !is_same(item, other)))
            return false;
    }
    return true;
}

static bool is_part(const struct toml_item *item)
{
    return text_equal_any_case(item->key, "header") || strcmp(item->key, "auth") == 0 ||
           strcmp(item->key, "host") == 0;
}

static bool is_same_host(const struct hosts_host *old, const struct hosts_host *new, bool wanted)
{
    const struct toml_item *old_headers = hosts_member(old->table, "header");
    const struct toml_item *new_headers = hosts_member(new->table, "header");
    const struct toml_item *old_auth = toml_member(old->table, "auth");
    const struct toml_item *new_auth = toml_member(new->table, "auth");

    if (strcmp(old->name ? old->name : "", new->name ? new->name : "") != 0 ||
        old->is_server != new->is_server || !has_members(old->table, new->table, is_part) ||
        !has_members(new->table, old->table, is_part))
        return false;
    if (!wanted)
        return !old_headers == !new_headers && !old_auth == !new_auth &&
               (!old_headers || is_same(old_headers, new_headers)) &&
               (!old_auth || is_same(old_auth, new_auth));
    return has_members(old_headers, new_headers, is_authorization) &&
           has_members(new_headers, old_headers, is_authorization) &&
           has_members(old_auth, new_auth, is_helper_key) &&
           has_members(new_auth, old_auth, is_helper_key) && !new->authorization &&
           (!new_headers || new_headers->first) && hosts_host_is_managed(new) && !needs_helper(new);
}

static bool is_as_meant(const struct hosts_file *old, const struct hosts_file *new,
                        const bool *wanted)
{
    if (old->host_count != new->host_count)
        return false;
    for (size_t i = 0; i < old->host_count; i++)
        if (!is_same_host(&old->hosts[i], &new->hosts[i], wanted[i]))
            return false;
    return true;
}

int helper_text(const struct hosts_file *file, const char *registry, const bool *wanted,
                struct buffer *ret, struct pullkey_error *error)
{
    struct work work = { .file = file };
    struct hosts_file again;
    int r = 0;

    for (size_t i = 0; r == 0 && i < file->host_count; i++) {
        work.host = &file->hosts[i];
        work.headers = hosts_member(work.host->table, "header");
        work.auth = toml_member(work.host->table, "auth");
        if (wanted[i])
            r = change_host(&work, error);
    }
    if (r == 0)
        r = edits_apply(&work.edits, file->toml.text, file->toml.length, ret, error);
    edits_done(&work.edits);
    if (r < 0)
        return r;
    r = hosts_file_parse(file->toml.name, registry, ret->data ? ret->data : "", ret->length, NULL,
                         &again, error);
    if (r == 0 && is_as_meant(file, &again, wanted)) {
        hosts_file_done(&again);
        return 0;
    }
    if (r == 0)
        hosts_file_done(&again);
    return error_set(error, PULLKEY_INVALID,
                     "%s: it cannot be changed without changing the rest; give each host a table "
                     "[host.\"URL\"] of its own, with its headers in [host.\"URL\".header]",
                     file->toml.name);
}
