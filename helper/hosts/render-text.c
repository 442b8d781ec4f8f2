/* SPDX-License-Identifier: Apache-2.0 */
#include "render-text.h"

#include <string.h>

#include "base/error.h"
#include "base/secret.h"
#include "base/text.h"
#include "edit.h"

#define LINE_MAX_BYTES (128 * 1024)

/* What the change may have done to one value. */
enum change { CHANGE_NONE, CHANGE_PATH, CHANGE_CAPABILITIES, CHANGE_HEADERS };

static const struct {
    const char *name;
    enum change change;
    bool own; /* also heeded for the image's own registry */
} copied_keys[] = {
    { "capabilities", CHANGE_CAPABILITIES, false },
    { "ca", CHANGE_PATH, true },
    { "client", CHANGE_PATH, true },
    { "skip_verify", CHANGE_NONE, true },
    { "override_path", CHANGE_NONE, false },
    { "dial_timeout", CHANGE_NONE, true },
};

struct render {
    const struct hosts_file *file;
    const struct render_place *place;
    render_lookup *lookup;
    void *context;
    struct edits edits;
    bool is_out_of_memory; /* while the result was compared */
};

static bool is_bare_path(const struct toml_item *item)
{
    return item->kind == TOML_STRING && item->string[0] != '/';
}

/* As Go's filepath.Join has it: what stands before a "..", link or not, goes with it. NULL when out
 * of memory. */
static char *join_path(const char *directory, const struct toml_item *item, size_t *ret_length)
{
    size_t length = strlen(directory), size = length + 1 + item->string_length, used = 0, next;
    char *path = secret_alloc(size + 2);

    if (!path)
        return NULL;
    memcpy(mempcpy(mempcpy(path, directory, length), "/", 1), item->string, item->string_length);
    for (size_t at = 0; at < size; at = next + 1) {
        const char *slash = memchr(path + at, '/', size - at);

        next = slash ? (size_t)(slash - path) : size;
        if (next == at || (next == at + 1 && path[at] == '.'))
            continue;
        if (next == at + 2 && memcmp(path + at, "..", 2) == 0) {
            while (used > 0 && path[--used] != '/')
                ;
            continue;
        }
        path[used++] = '/';
        memmove(path + used, path + at, next - at);
        used += next - at;
    }
    if (used == 0)
        path[used++] = '/';
    path[used] = '\0';
    *ret_length = used;
    return path;
}

static int write_path(const struct render *render, const struct toml_item *item,
                      struct buffer *text, struct pullkey_error *error)
{
    size_t length = item->string_length;
    cleanup_release char *path = is_bare_path(item)
                                     ? join_path(render->place->directory, item, &length)
                                     : secret_copy(item->string, length);

    /* Where lines end with CR and LF, one reader keeps the CR of a string and the other does not.
     */
    if (memchr(render->file->toml.text + item->begin, '\r', item->end - item->begin))
        return toml_error(&render->file->toml, item, error,
                          "a path has a line end in it; write it on one line");
    if (!path)
        return error_memory(error);
    toml_write_string(text, path, length);
    return buffer_check(text, error);
}

static int make_absolute(struct render *render, const struct toml_item *item,
                         struct pullkey_error *error)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(LINE_MAX_BYTES);
    int r = 0;

    if (item->kind == TOML_ARRAY)
        for (const struct toml_item *member = item->first; r == 0 && member; member = member->next)
            r = make_absolute(render, member, error);
    if (r < 0 || !is_bare_path(item))
        return r;
    r = write_path(render, item, &text, error);
    return r < 0 ? r
                 : edits_add(&render->edits, item->begin, item->end, text.data, text.length, error);
}

static bool is_dropped(const struct render *render, const struct toml_item *capability)
{
    return render->place->without_referrers && text_equal_any_case(capability->string, "referrers");
}

static int write_capabilities(const struct render *render, const struct toml_item *list,
                              struct buffer *text, struct pullkey_error *error)
{
    size_t count = 0;

    buffer_append_text(text, "[");
    for (const struct toml_item *item = list->first; item; item = item->next) {
        if (is_dropped(render, item))
            continue;
        buffer_append_text(text, count++ > 0 ? ", " : "");
        toml_write_string(text, item->string, item->string_length);
    }
    buffer_append_text(text, "]");
    /* An empty list stands for all of them. */
    if (count == 0 && list->first)
        return toml_error(&render->file->toml, list, error,
                          "this containerd has no other capabilities than pull, resolve and push");
    return buffer_check(text, error);
}

static int drop_capability(struct render *render, const struct toml_item *list,
                           struct pullkey_error *error)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(LINE_MAX_BYTES);
    const struct toml_item *item = list->first;
    int r;

    while (item && !is_dropped(render, item))
        item = item->next;
    if (!item)
        return 0;
    r = write_capabilities(render, list, &text, error);
    return r < 0 ? r
                 : edits_add(&render->edits, list->begin, list->end, text.data, text.length, error);
}

/* What a table of a host has that containerd would not take as it is. */
static int adapt_table(struct render *render, const struct toml_item *table,
                       struct pullkey_error *error)
{
    int r = 0;

    for (const struct toml_item *item = table->first; r == 0 && item; item = item->next)
        if (hosts_key_is(item->key, "ca") || hosts_key_is(item->key, "client"))
            r = make_absolute(render, item, error);
        else if (hosts_key_is(item->key, "capabilities"))
            r = drop_capability(render, item, error);
    return r;
}

static void write_value(const struct render_header *header, struct buffer *text)
{
    buffer_append_text(text, "Authorization = ");
    toml_write_string(text, header->value->bytes, header->value->length);
}

static void write_comment(const struct hosts_host *host, const struct render_header *header,
                          struct buffer *text)
{
    buffer_printf(text, RENDER_COMMENT "%s %lld\n", host->helper, (long long)header->expiry);
}

/* At the beginning of a line, after a line that may lack its end. */
static int insert_line(struct render *render, size_t at, const struct buffer *line,
                       struct pullkey_error *error)
{
    const struct toml_document *toml = &render->file->toml;
    bool open = at > 0 && at == toml->length && toml->text[at - 1] != '\n';
    int r = buffer_check(line, error);

    if (r == 0 && open)
        r = edits_add(&render->edits, at, at, "\n", 1, error);
    return r < 0 ? r : edits_add(&render->edits, at, at, line->data, line->length, error);
}

static size_t after_header(const struct render *render, const struct toml_item *table)
{
    const struct toml_document *toml = &render->file->toml;

    return edit_line_end(toml->text, toml->length, table->end);
}

/* There is no table of headers yet, or one that dotted keys make. */
static int insert_dotted(struct render *render, const struct hosts_host *host,
                         const struct toml_item *headers, const struct render_header *header,
                         struct pullkey_error *error)
{
    cleanup_buffer struct buffer line = BUFFER_INIT(LINE_MAX_BYTES);
    size_t at;

    if (!host->is_server && !host->table->has_header) {
        /* Only tables below it have one: another such table, in front of them. */
        buffer_append_text(&line, "[host.");
        toml_write_string(&line, host->name, strlen(host->name));
        buffer_append_text(&line, ".header]\n");
        at = edit_line_begin(render->file->toml.text,
                             hosts_first_header(&render->file->toml, host->table));
    } else {
        buffer_printf(&line, "%s.", headers ? headers->key : "header");
        at = host->is_server ? 0 : after_header(render, host->table);
    }
    write_value(header, &line);
    write_comment(host, header, &line);
    return insert_line(render, at, &line, error);
}

static int insert_header(struct render *render, const struct hosts_host *host,
                         const struct render_header *header, struct pullkey_error *error)
{
    const struct toml_item *headers = hosts_member(host->table, "header");
    cleanup_buffer struct buffer text = BUFFER_INIT(LINE_MAX_BYTES);
    int r;

    if (!headers || (!headers->is_inline && !headers->has_header))
        return insert_dotted(render, host, headers, header, error);
    if (headers->has_header) {
        write_value(header, &text);
        write_comment(host, header, &text);
        return insert_line(render, after_header(render, headers), &text, error);
    }
    buffer_append_text(&text, " ");
    write_value(header, &text);
    buffer_append_text(&text, headers->first ? "," : " ");
    r = buffer_check(&text, error);
    return r < 0 ? r
                 : edits_add(&render->edits, headers->begin + 1, headers->begin + 1, text.data,
                             text.length, error);
}

static void copy_value(const struct render *render, const struct toml_item *item,
                       struct buffer *text)
{
    buffer_append(text, render->file->toml.text + item->begin, item->end - item->begin);
}

static int copy_paths(const struct render *render, const struct toml_item *item,
                      struct buffer *text, struct pullkey_error *error)
{
    int r = 0;

    if (item->kind == TOML_STRING)
        return write_path(render, item, text, error);
    buffer_append_text(text, "[");
    for (const struct toml_item *member = item->first; r == 0 && member; member = member->next) {
        r = copy_paths(render, member, text, error);
        buffer_append_text(text, member->next ? ", " : "");
    }
    buffer_append_text(text, "]");
    return r;
}

/* What the server has of keys of a host. Where it is the image's own registry containerd heeds some
 * of them only. */
static int copy_keys(const struct render *render, const struct hosts_host *server,
                     struct buffer *text, struct pullkey_error *error)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < sizeof(copied_keys) / sizeof(copied_keys[0]); i++) {
        const struct toml_item *item = hosts_member(server->table, copied_keys[i].name);

        if (!item || (server->own_name && !copied_keys[i].own))
            continue;
        buffer_printf(text, "%s = ", copied_keys[i].name);
        if (copied_keys[i].change == CHANGE_PATH)
            r = copy_paths(render, item, text, error);
        else if (copied_keys[i].change == CHANGE_CAPABILITIES && render->place->without_referrers)
            r = write_capabilities(render, item, text, error);
        else
            copy_value(render, item, text);
        buffer_append_text(text, "\n");
    }
    return r;
}

/* containerd up to 1.7.31 does not read a file without a table of a host: so the server gets one,
 * in front of itself. */
static int append_host(struct render *render, const struct hosts_host *server,
                       const struct render_header *header, struct pullkey_error *error)
{
    const struct toml_item *headers = hosts_member(server->table, "header");
    cleanup_buffer struct buffer text = BUFFER_INIT(RENDER_SIZE_MAX);
    int r;

    buffer_append_text(&text, "\n[host.");
    toml_write_string(&text, server->name, strlen(server->name));
    buffer_append_text(&text, "]\n");
    r = copy_keys(render, server, &text, error);
    for (const struct toml_item *item = headers ? headers->first : NULL; item; item = item->next) {
        buffer_append_text(&text, "header.");
        toml_write_string(&text, item->key, strlen(item->key));
        buffer_append_text(&text, " = ");
        copy_value(render, item, &text);
        buffer_append_text(&text, "\n");
    }
    buffer_append_text(&text, "header.");
    write_value(header, &text);
    write_comment(server, header, &text);
    return r < 0 ? r : insert_line(render, render->file->toml.length, &text, error);
}

/* containerd 1.7 does not see such a key, and would see the copy of it. */
static bool has_key_in_capitals(const struct toml_item *table, const char *name)
{
    const struct toml_item *item = hosts_member(table, name);

    return item && strcmp(item->key, name) != 0;
}

bool render_adds_host(const struct hosts_file *file)
{
    const struct hosts_host *server = &file->hosts[0];

    for (size_t i = 0; i < sizeof(copied_keys) / sizeof(copied_keys[0]); i++)
        if (has_key_in_capitals(server->table, copied_keys[i].name))
            return false;
    /* What containerd makes of a registry on this machine, http or https, cannot be written down.
     * The parser of 1.7 refuses brackets in the name of a table: as it is, the file is at least
     * read from 1.7.32 on. */
    return file->host_count == 1 &&
           !(server->own_name && (server->is_http || server->skip_verify)) &&
           !has_key_in_capitals(server->table, "header") && !strpbrk(server->name, "[]") &&
           !hosts_member(file->toml.root, "host");
}

static int collect(struct render *render, struct pullkey_error *error)
{
    const struct hosts_file *file = render->file;
    const struct toml_item *hosts = toml_member(file->toml.root, "host");
    int r = adapt_table(render, file->toml.root, error);

    for (const struct toml_item *item = hosts ? hosts->first : NULL; r == 0 && item;
         item = item->next)
        r = adapt_table(render, item, error);
    /* The server first: where both are put in front of the text, its line is not one of a table. */
    for (size_t i = 0; r == 0 && i < file->host_count; i++) {
        const struct hosts_host *host = &file->hosts[i > 0 ? i - 1 : file->host_count - 1];
        struct render_header header = { 0 };

        if (!hosts_host_is_managed(host) || !render->lookup(render->context, host, &header))
            continue;
        r = insert_header(render, host, &header, error);
        if (r == 0 && render_adds_host(file))
            r = append_host(render, host, &header, error);
    }
    return r;
}

static bool is_same_text(const struct toml_item *a, const struct toml_item *b)
{
    return a->string_length == b->string_length &&
           memcmp(a->string, b->string, a->string_length) == 0;
}

static bool is_same_path(struct render *render, const struct toml_item *old,
                         const struct toml_item *new)
{
    size_t length;
    cleanup_release char *path =
        is_bare_path(old) ? join_path(render->place->directory, old, &length) : NULL;

    if (!is_bare_path(old))
        return is_same_text(old, new);
    render->is_out_of_memory = render->is_out_of_memory || !path;
    return path && new->string_length == length &&memcmp(new->string, path, length) == 0;
}

static bool is_same(struct render *render, const struct toml_item *old, const struct toml_item *new,
                    enum change change);

static enum change change_of(const struct toml_item *item, bool in_host)
{
    if (!in_host)
        return CHANGE_NONE;
    if (hosts_key_is(item->key, "ca") || hosts_key_is(item->key, "client"))
        return CHANGE_PATH;
    if (hosts_key_is(item->key, "capabilities"))
        return CHANGE_CAPABILITIES;
    return hosts_key_is(item->key, "header") ? CHANGE_HEADERS : CHANGE_NONE;
}

/* Members stand in the same order in both: mostly it is the one that was expected next. */
static const struct toml_item *find_member(const struct toml_item *table,
                                           const struct toml_item **next, const char *key)
{
    const struct toml_item *found =
        *next && strcmp((*next)->key, key) == 0 ? *next : toml_member(table, key);

    if (found)
        *next = found->next;
    return found;
}

static bool is_new_header(const struct toml_item *item, bool in_host, bool headers)
{
    if (headers && strcmp(item->key, "Authorization") == 0)
        return true;
    return in_host && strcmp(item->key, "header") == 0 && item->kind == TOML_TABLE && item->first &&
           !item->first->next && strcmp(item->first->key, "Authorization") == 0;
}

static bool is_same_array(struct render *render, const struct toml_item *old,
                          const struct toml_item *new, enum change change)
{
    const struct toml_item *b = new->first;

    for (const struct toml_item *a = old->first; a; a = a->next) {
        if (change == CHANGE_CAPABILITIES && is_dropped(render, a))
            continue;
        if (!b || !is_same(render, a, b, change))
            return false;
        b = b->next;
    }
    return !b;
}

/* All members of the old one, and no others but a header. `in_host`: keys of a host stand in it. */
static bool is_same_table(struct render *render, const struct toml_item *old,
                          const struct toml_item *new, bool in_host, bool headers)
{
    const struct toml_item *next = new->first;

    for (const struct toml_item *item = old->first; item; item = item->next) {
        const struct toml_item *other = find_member(new, &next, item->key);

        if (!other || !is_same(render, item, other, change_of(item, in_host)))
            return false;
    }
    next = old->first;
    for (const struct toml_item *item = new->first; item; item = item->next)
        if (!find_member(old, &next, item->key) && !is_new_header(item, in_host, headers))
            return false;
    return true;
}

static bool is_same(struct render *render, const struct toml_item *old, const struct toml_item *new,
                    enum change change)
{
    if (old->kind != new->kind)
        return false;
    switch (old->kind) {
    case TOML_TABLE: return is_same_table(render, old, new, false, change == CHANGE_HEADERS);
    case TOML_ARRAY: return is_same_array(render, old, new, change);
    case TOML_STRING:
        return change == CHANGE_PATH ? is_same_path(render, old, new) : is_same_text(old, new);
    case TOML_INTEGER: return old->integer == new->integer;
    case TOML_BOOLEAN: return old->boolean == new->boolean;
    case TOML_OTHER:
    default: return true;
    }
}

static bool has_header(const struct hosts_host *host, const struct render_header *header)
{
    const struct toml_item *item = host->authorization;

    return item && strcmp(item->key, "Authorization") == 0 && item->kind == TOML_STRING &&
           item->string_length == header->value->length &&
           memcmp(item->string, header->value->bytes, header->value->length) == 0;
}

/* Each host has the header that it was to get, and nobody else has one that is new. */
static bool is_as_meant(const struct render *render, const struct hosts_file *new)
{
    const struct hosts_file *old = render->file;
    size_t extra = new->host_count - old->host_count;

    for (size_t i = 0; i < old->host_count; i++) {
        const struct hosts_host *host = &old->hosts[i], *other = &new->hosts[i + extra];
        struct render_header header = { 0 };
        bool wanted = hosts_host_is_managed(host) && render->lookup(render->context, host, &header);

        if (strcmp(host->name ? host->name : "", other->name ? other->name : "") != 0 ||
            host->is_server != other->is_server)
            return false;
        if (wanted &&
            (!has_header(other, &header) || (extra > 0 && !has_header(&new->hosts[0], &header))))
            return false;
        if (!wanted && !host->authorization != !other->authorization)
            return false;
    }
    return true;
}

/* The tables of hosts: the same, in an old and a new one. */
static bool is_same_hosts(struct render *render, const struct toml_item *old,
                          const struct toml_item *new)
{
    const struct toml_item *a = old->first, *b = new->first;

    for (; a && b; a = a->next, b = b->next)
        if (strcmp(a->key, b->key) != 0 || b->kind != TOML_TABLE ||
            !is_same_table(render, a, b, true, false))
            return false;
    return !a && !b;
}

static bool is_same_file(struct render *render, const struct hosts_file *new)
{
    const struct toml_item *old_root = render->file->toml.root, *new_root = new->toml.root;
    const struct toml_item *old_hosts = toml_member(old_root, "host"), *next = new_root->first;
    size_t extra = new->host_count - render->file->host_count;

    if (extra > 1 || (extra > 0 && !render_adds_host(render->file)))
        return false;
    for (const struct toml_item *item = old_root->first; item; item = item->next) {
        const struct toml_item *other = find_member(new_root, &next, item->key);

        if (!other || !(item == old_hosts ? is_same_hosts(render, item, other)
                                          : is_same(render, item, other, change_of(item, true))))
            return false;
    }
    next = old_root->first;
    for (const struct toml_item *item = new_root->first; item; item = item->next)
        if (!find_member(old_root, &next, item->key) && !is_new_header(item, true, false) &&
            !(extra > 0 && strcmp(item->key, "host") == 0))
            return false;
    return is_as_meant(render, new);
}

int render_text(const struct hosts_file *file, const struct render_place *place,
                render_lookup *lookup, void *context, struct buffer *ret,
                struct pullkey_error *error)
{
    struct render render = { file, place, lookup, context, { 0 }, false };
    cleanup_hosts_file struct hosts_file again = { 0 };
    int r = collect(&render, error);

    if (r == 0)
        r = edits_apply(&render.edits, file->toml.text, file->toml.length, ret, error);
    edits_done(&render.edits);
    if (r < 0)
        return r;
    r = hosts_file_parse(file->toml.name, place->registry, ret->data ? ret->data : "", ret->length,
                         NULL, &again, error);
    if (r == -(int)PULLKEY_INTERNAL)
        return r;
    if (r < 0 || !is_same_file(&render, &again))
        r = render.is_out_of_memory
                ? error_memory(error)
                : error_set(
                      error, PULLKEY_INVALID,
                      "%s: a header cannot be put into it without changing the rest; give each "
                      "host a table [host.\"URL\"] of its own",
                      file->toml.name);
    return r;
}

bool render_recover(const struct hosts_file *rendered, const struct hosts_host *host,
                    const char **ret_helper, size_t *ret_helper_length,
                    struct render_header *ret_header, struct pullkey_secret *ret_view)
{
    const struct toml_item *item = host->authorization;
    const char *text, *end;
    size_t length;
    int64_t expiry = 0;

    if (!item || item->kind != TOML_STRING)
        return false;
    text = rendered->toml.text + item->end;
    if (strncmp(text, RENDER_COMMENT, strlen(RENDER_COMMENT)) != 0)
        return false;
    text += strlen(RENDER_COMMENT);
    length = strcspn(text, " \n");
    end = text + length + (text[length] == ' ');
    while (*end >= '0' && *end <= '9' && expiry < INT64_MAX / 100)
        expiry = expiry * 10 + (*end++ - '0');
    if (length == 0 || text[length] != ' ' || *end != '\n')
        return false;
    *ret_helper = text;
    *ret_helper_length = length;
    *ret_view = (struct pullkey_secret){ item->string, item->string_length };
    *ret_header = (struct render_header){ ret_view, expiry };
    return true;
}
