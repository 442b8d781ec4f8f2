/* SPDX-License-Identifier: Apache-2.0 */
#include "aws-ini.h"

#include <string.h>

#include "base/error.h"
#include "base/secret.h"
#include "base/text.h"

#define BLANKS " \t"

struct reader {
    const char *name;
    struct aws_ini *ini;
    const char *section; /* NULL before the first */
    size_t line;
};

static int refuse(const struct reader *reader, const char *text, struct pullkey_error *error)
{
    return error_set(error, PULLKEY_INVALID, "%s:%zu: %s", reader->name, reader->line, text);
}

static char *trim(char *text)
{
    size_t length;

    text += strspn(text, BLANKS);
    length = strlen(text);
    while (length > 0 && strchr(BLANKS, text[length - 1]))
        text[--length] = '\0';
    return text;
}

/* A comment after a blank, or at the very beginning. */
static void cut_comment(char *text)
{
    for (char *c = text; *c != '\0'; c++)
        if ((*c == '#' || *c == ';') && (c == text || strchr(BLANKS, c[-1]))) {
            *c = '\0';
            return;
        }
}

static void add(const struct reader *reader, const char *key, const char *value)
{
    reader->ini->entries[reader->ini->count++] =
        (struct aws_ini_entry){ reader->section, key, value };
}

/* [default], [NAME], [profile NAME], [profile "NAME"] */
static int read_section(struct reader *reader, char *line, struct pullkey_error *error)
{
    char *end = strchr(line, ']');

    if (!end)
        return refuse(reader, "the name of a section must end with ']'", error);
    *end = '\0';
    cut_comment(end + 1);
    if (*trim(end + 1) != '\0')
        return refuse(reader, "something stands behind the name of a section", error);
    reader->section = trim(line + 1);
    if (reader->section[0] == '\0')
        return refuse(reader, "a section has no name", error);
    add(reader, NULL, NULL);
    return 0;
}

static int read_setting(struct reader *reader, char *line, struct pullkey_error *error)
{
    char *equals = strchr(line, '='), *key, *value;

    if (!equals)
        return refuse(reader, "neither a [section] nor \"key = value\"", error);
    if (!reader->section)
        return refuse(reader, "a setting stands in front of the first [section]", error);
    *equals = '\0';
    key = trim(line);
    cut_comment(equals + 1);
    value = trim(equals + 1);
    if (key[0] == '\0')
        return refuse(reader, "a setting has no name", error);
    for (char *c = key; *c != '\0'; c++)
        *c = text_lower(*c);
    add(reader, key, value);
    return 0;
}

static int read_line(struct reader *reader, char *line, struct pullkey_error *error)
{
    const size_t length = strlen(line);

    if (length > 0 && line[length - 1] == '\r')
        line[length - 1] = '\0';
    if (line[0] == '\0' || strchr("#; \t", line[0]))
        return 0;
    return line[0] == '[' ? read_section(reader, line, error) : read_setting(reader, line, error);
}

static int read_lines(struct reader *reader, struct pullkey_error *error)
{
    char *at = reader->ini->text;
    int r = 0;

    while (r == 0 && at) {
        char *end = strchr(at, '\n');

        reader->line++;
        if (end)
            *end++ = '\0';
        r = read_line(reader, at, error);
        at = end;
    }
    return r;
}

int aws_ini_parse(const char *name, const char *text, size_t length, struct aws_ini *ret,
                  struct pullkey_error *error)
{
    struct reader reader = { .name = name, .ini = ret };
    size_t lines = 1;
    int r;

    *ret = (struct aws_ini){ 0 };
    if (length > AWS_INI_MAX || memchr(text, '\0', length))
        return error_set(error, PULLKEY_INVALID, "%s: too long, or not text", name);
    for (size_t i = 0; i < length; i++)
        lines += text[i] == '\n';
    ret->text = secret_copy(text, length);
    ret->entries = secret_alloc(lines * sizeof(*ret->entries));
    r = ret->text && ret->entries ? read_lines(&reader, error) : error_memory(error);
    if (r < 0)
        aws_ini_done(ret);
    return r;
}

void aws_ini_done(struct aws_ini *ini)
{
    secret_release(ini->text);
    secret_release(ini->entries);
    *ini = (struct aws_ini){ 0 };
}

static bool is_section(const char *section, const char *kind, const char *name)
{
    const size_t kind_length = strlen(kind), length = strlen(name);

    if (kind_length > 0) {
        if (strncmp(section, kind, kind_length) != 0 || !section[kind_length] ||
            !strchr(BLANKS, section[kind_length]))
            return false;
        section += kind_length + strspn(section + kind_length, BLANKS);
    }
    if (section[0] == '"' && strncmp(section + 1, name, length) == 0)
        return strcmp(section + 1 + length, "\"") == 0;
    return strcmp(section, name) == 0;
}

bool aws_ini_has(const struct aws_ini *ini, const char *kind, const char *name)
{
    for (size_t i = 0; i < ini->count; i++)
        if (is_section(ini->entries[i].section, kind, name))
            return true;
    return false;
}

const char *aws_ini_get(const struct aws_ini *ini, const char *kind, const char *name,
                        const char *key)
{
    const char *value = NULL;

    for (size_t i = 0; i < ini->count; i++)
        if (ini->entries[i].key && strcmp(ini->entries[i].key, key) == 0 &&
            is_section(ini->entries[i].section, kind, name))
            value = ini->entries[i].value;
    return value && value[0] != '\0' ? value : NULL;
}
