/* SPDX-License-Identifier: Apache-2.0 */
#include "setup-toml.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"

#define NAME_MAX_LENGTH 255
#define KEY "config_path"

/* Between the parts of a name, which may have dots in quotes: no name has it. */
#define DOT "\n"

/* By the version of the schema. */
static const char *const tables[] = {
    NULL,
    "plugins" DOT "cri" DOT "registry",
    "plugins" DOT "io.containerd.grpc.v1.cri" DOT "registry",
    "plugins" DOT "io.containerd.cri.v1.images" DOT "registry",
    "plugins" DOT "io.containerd.cri.v1.images" DOT "registry",
};
static const char *const headers[] = { "\"registry\" of the CRI plugin", "[plugins.cri.registry]",
                                       "[plugins.\"io.containerd.grpc.v1.cri\".registry]",
                                       "[plugins.\"io.containerd.cri.v1.images\".registry]",
                                       "[plugins.\"io.containerd.cri.v1.images\".registry]" };
#define VERSION_MAX (sizeof(tables) / sizeof(tables[0]) - 1)

/* Those that pullkey-hosts reads, in place of containerd. */
static const char *const replaced[] = { "", "/etc/containerd/certs.d",
                                        "/etc/containerd/certs.d:/etc/docker/certs.d" };

struct reader {
    const char *name, *text;
    size_t length;
    size_t at, end, line;            /* the present line, and its number */
    char table[NAME_MAX_LENGTH + 1]; /* that it is in, as copy_name has it */
    int depth;                       /* of brackets that are open in a value */
};

static int refuse(const struct reader *reader, struct pullkey_error *error, const char *what)
{
    return error_set(error, PULLKEY_INVALID, "%s:%zu: %s", reader->name, reader->line, what);
}

/* It may be right, and the change can be made by hand. */
static int leave(const struct reader *reader, struct pullkey_error *error, const char *what)
{
    (void)refuse(reader, error, what);
    error->code = PULLKEY_UNSUPPORTED;
    return -PULLKEY_UNSUPPORTED;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static bool next_line(struct reader *reader)
{
    const char *end;

    reader->at = reader->end;
    if (reader->at >= reader->length)
        return false;
    end = memchr(reader->text + reader->at, '\n', reader->length - reader->at);
    reader->end = end ? (size_t)(end - reader->text) + 1 : reader->length;
    reader->line++;
    return true;
}

/* With DOT between the parts, without quotes and the blanks around. False: it is too long, or has
 * an escape. */
static bool copy_name(const char *text, size_t length, char ret[NAME_MAX_LENGTH + 1])
{
    size_t used = 0;
    char quote = '\0';

    for (size_t i = 0; i < length; i++) {
        const char c = text[i];

        if (quote == '\0' ? c == '"' || c == '\'' : c == quote) {
            quote = quote == '\0' ? c : '\0';
            continue;
        }
        if (quote == '\0' && is_blank(c))
            continue;
        if (used == NAME_MAX_LENGTH || c == '\\' || c == '\0' || c == '\n')
            return false;
        ret[used++] = quote == '\0' && c == '.' ? *DOT : c;
    }
    ret[used] = '\0';
    return true;
}

/* Behind the string that begins there; SIZE_MAX: it does not end on this line. */
static size_t skip_string(const struct reader *reader, size_t at)
{
    const char quote = reader->text[at++];

    for (; at < reader->end; at++) {
        if (reader->text[at] == quote)
            return at + 1;
        at += quote == '"' && reader->text[at] == '\\';
    }
    return SIZE_MAX;
}

/* To the end of the line or a comment, past strings; counts brackets. *ret is where an '=' stands
 * that is no value's, or SIZE_MAX. */
static int scan_line(struct reader *reader, size_t *ret, size_t *ret_end,
                     struct pullkey_error *error)
{
    size_t at = reader->at;

    *ret = SIZE_MAX;
    while (at < reader->end && reader->text[at] != '#') {
        const char c = reader->text[at];

        if (c == '"' || c == '\'') {
            if (reader->end - at >= 3 && reader->text[at + 1] == c && reader->text[at + 2] == c)
                return leave(reader, error, "a text of several lines is not read here");
            at = skip_string(reader, at);
            if (at == SIZE_MAX)
                return refuse(reader, error, "a text does not end");
            continue;
        }
        if (c == '=' && *ret == SIZE_MAX && reader->depth == 0)
            *ret = at;
        reader->depth += (c == '[' || c == '{') - (c == ']' || c == '}');
        at++;
    }
    while (at > reader->at && (is_blank(reader->text[at - 1]) || reader->text[at - 1] == '\n'))
        at--;
    *ret_end = at;
    return reader->depth < 0 ? refuse(reader, error, "a bracket too many") : 0;
}

static bool is_within(const char *name, const char *table)
{
    const size_t length = strlen(table);

    return strncmp(name, table, length) == 0 && (name[length] == *DOT || name[length] == '\0');
}

/* That containerd refuses beside the key. The name is within that of the table. */
static bool has_tls(const struct reader *reader, const char *name, const char *wanted)
{
    const char *rest = name + strlen(wanted), *at = reader->text + reader->at;
    const size_t length = strlen(rest), size = reader->end - reader->at;

    return strncmp(rest, DOT "configs", 8) == 0 &&
           (strstr(rest, DOT "tls" DOT) || strcmp(rest + length - 4, DOT "tls") == 0 ||
            (memchr(at, '{', size) && memmem(at, size, "tls", 3)));
}

static int refuse_tls(const struct reader *reader, struct pullkey_error *error)
{
    return refuse(reader, error,
                  "\"tls\" of \"configs\" and \"" KEY "\" exclude each other: move it to "
                  "hosts.toml");
}

static int take_header(struct reader *reader, const char *wanted, size_t begin, size_t end,
                       struct pullkey_error *error)
{
    const size_t is_list = end - begin >= 5 && reader->text[begin + 1] == '[', marks = 1 + is_list;

    if (reader->depth != 0 || end - begin < 3 || reader->text[end - 1] != ']' ||
        !copy_name(reader->text + begin + marks, end - begin - 2 * marks, reader->table) ||
        (is_list && (is_within(reader->table, wanted) || is_within(wanted, reader->table))))
        return leave(reader, error, "a table whose name is not read here");
    /* An empty one is in what containerd prints for a start. */
    if (is_within(reader->table, wanted) &&
        strncmp(reader->table + strlen(wanted), DOT "mirrors" DOT, 9) == 0)
        return refuse(reader, error,
                      "mirrors and \"" KEY "\" exclude each other: run \"pullkey hosts "
                      "migrate\", or move them to hosts.toml");
    if (is_within(reader->table, wanted) && has_tls(reader, reader->table, wanted))
        return refuse_tls(reader, error);
    return 0;
}

/* The value of the key itself. */
static int take_value(struct reader *reader, size_t begin, size_t end, const char *value,
                      struct setup_toml *ret, bool *found, struct pullkey_error *error)
{
    char old[NAME_MAX_LENGTH + 1];

    *found = true;
    if (end - begin < 2 || !strchr("\"'", reader->text[begin]) ||
        skip_string(reader, begin) != end || end - begin > sizeof(old) ||
        memchr(reader->text + begin, '\\', end - begin))
        return leave(reader, error, KEY " has a value that is not read here");
    (void)snprintf(old, sizeof(old), "%.*s", (int)(end - begin - 2), reader->text + begin + 1);
    if (strcmp(old, value) == 0)
        return 0;
    for (size_t i = 0; i < sizeof(replaced) / sizeof(replaced[0]); i++)
        if (strcmp(old, replaced[i]) == 0) {
            buffer_printf(&ret->text, "\"%s\"", value);
            ret->begin = begin;
            ret->end = end;
            return 0;
        }
    return error_set(error, PULLKEY_INVALID,
                     "%s:%zu: " KEY
                     " is \"%s\": have pullkey-hosts read that (--source), and set it "
                     "to \"%s\" yourself",
                     reader->name, reader->line, old, value);
}

static int take_key(struct reader *reader, const char *wanted, size_t equals, size_t end,
                    const char *value, struct setup_toml *ret, bool *found,
                    struct pullkey_error *error)
{
    char key[NAME_MAX_LENGTH + 1], name[2 * NAME_MAX_LENGTH + 3];
    const size_t length = strlen(wanted);

    if (!copy_name(reader->text + reader->at, equals - reader->at, key))
        return leave(reader, error, "a key that is not read here");
    for (equals++; equals < end && is_blank(reader->text[equals]);)
        equals++;
    if (equals >= end || !memchr("\"'[{+-0123456789tfin", reader->text[equals], 20))
        return leave(reader, error, "a value that is not read here");
    (void)snprintf(name, sizeof(name), "%s%s%s", reader->table, reader->table[0] ? DOT : "", key);
    if (strcmp(name, "imports") == 0)
        ret->imports = reader->line;
    if (is_within(name, wanted) && strcmp(name + length, DOT KEY) == 0)
        return take_value(reader, equals, end, value, ret, found, error);
    if (is_within(name, wanted) && has_tls(reader, name, wanted))
        return refuse_tls(reader, error);
    if (is_within(wanted, name) ||
        (is_within(name, wanted) &&
         (!is_within(reader->table, wanted) || strncmp(name + length, DOT "mirrors", 8) == 0)))
        return leave(reader, error, "a table in braces, or a part of one, is not changed here");
    return 0;
}

/* 0 where it is not known yet. */
static int read_version(struct reader reader, size_t *version, struct pullkey_error *error)
{
    *version = 0;
    while (next_line(&reader)) {
        size_t equals, end, begin = reader.at;
        const bool is_inside = reader.depth > 0;
        int r = scan_line(&reader, &equals, &end, error);
        char key[NAME_MAX_LENGTH + 1];

        if (r < 0)
            return r;
        while (begin < end && is_blank(reader.text[begin]))
            begin++;
        if (!is_inside && begin < end && reader.text[begin] == '[')
            break;
        if (equals == SIZE_MAX || is_inside ||
            !copy_name(reader.text + reader.at, equals - reader.at, key) ||
            strcmp(key, "version") != 0)
            continue;
        for (equals++; equals < end && is_blank(reader.text[equals]);)
            equals++;
        if (end - equals != 1 || reader.text[equals] < '1' ||
            reader.text[equals] > '0' + (char)VERSION_MAX)
            return refuse(&reader, error,
                          "a version of containerd's configuration that is not known");
        *version = (size_t)(reader.text[equals] - '0');
    }
    *version += *version == 0; /* that of a file without one */
    return 0;
}

/* What is left for somebody's hands. */
static int say_by_hand(size_t version, const char *value, struct pullkey_error *error)
{
    const struct pullkey_error why = *error;

    return error_set(error, PULLKEY_INVALID, "%s: write " KEY " = \"%s\" into %s yourself",
                     why.message, value, headers[version]);
}

int setup_toml(const char *name, const char *text, size_t length, const char *value,
               struct setup_toml *ret, struct pullkey_error *error)
{
    const bool has_mark = length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0;
    struct reader reader = { .name = name, .text = text, .length = length };
    size_t version, table = SIZE_MAX, indent = 0;
    bool found = false;
    int r;

    reader.end = has_mark ? 3 : 0;
    r = read_version(reader, &version, error);

    while (r == 0 && next_line(&reader)) {
        size_t equals, end, begin = reader.at;
        const bool is_inside = reader.depth > 0;

        while (begin < reader.end && is_blank(text[begin]))
            begin++;
        r = scan_line(&reader, &equals, &end, error);
        if (r < 0 || is_inside || begin >= end)
            continue;
        if (text[begin] == '[') {
            r = take_header(&reader, tables[version], begin, end, error);
            if (r == 0 && strcmp(reader.table, tables[version]) == 0) {
                table = reader.end;
                indent = begin - reader.at;
            }
        } else if (equals == SIZE_MAX) {
            r = leave(&reader, error, "a line that is not read here");
        } else {
            r = take_key(&reader, tables[version], equals, end, value, ret, &found, error);
        }
    }
    if (r == -PULLKEY_UNSUPPORTED)
        return say_by_hand(version, value, error);
    if (r == 0 && reader.depth != 0)
        r = refuse(&reader, error, "a bracket does not end");
    if (r < 0 || found)
        return r < 0 ? r : buffer_check(&ret->text, error);
    ret->begin = ret->end = table == SIZE_MAX ? length : table;
    if (length > 0 && ret->begin == length && text[length - 1] != '\n')
        buffer_append_text(&ret->text, "\n");
    if (length == 0)
        buffer_append_text(&ret->text, "version = 2\n");
    if (table == SIZE_MAX)
        buffer_printf(&ret->text, "\n%s\n", headers[length == 0 ? 2 : version]);
    buffer_printf(&ret->text, "%*s  " KEY " = \"%s\"\n", (int)indent, "", value);
    return buffer_check(&ret->text, error);
}
