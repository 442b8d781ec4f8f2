/* SPDX-License-Identifier: Apache-2.0 */
#include "cache-file.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "pullkey-build.h"

#define INPUT_LINE_MAX 1024
#define VALUES_MAX                                                                                 \
    (1024 * 1024) /* bytes: more than the kernel lets an environment hold by default */
#define KEY_MAX (64 * 1024)

static int refuse_line(struct pullkey_error *error, const char *line)
{
    return error_set(error, PULLKEY_UNSUPPORTED, "not an input that can be declared: %s", line);
}

static bool is_variable(const char *name, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        char c = name[i];

        if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' ||
              (c >= '0' && c <= '9' && i > 0)))
            return false;
    }
    return length > 0;
}

static void append_variable(struct buffer *values, const char *name)
{
    const char *value = secure_getenv(name);

    buffer_append_text(values, name);
    buffer_append_text(values, value ? "=" : "-");
    if (value)
        buffer_append_text(values, value);
}

static int add_variable(struct buffer *values, const char *name, struct pullkey_error *error)
{
    if (!is_variable(name, strlen(name)))
        return refuse_line(error, name);
    append_variable(values, name);
    return 0;
}

/* What stands for the first part of a path. NULL: there is no home, or no such variable. */
static int find_front(const char *path, size_t length, char home[FILE_PATH_MAX], const char **ret,
                      struct pullkey_error *error)
{
    static const struct {
        const char *name, *path;
    } directories[] = { { "", "" },
                        { "SYSCONFDIR", PULLKEY_SYSCONFDIR },
                        { "DATADIR", PULLKEY_DATADIR } };
    char name[INPUT_LINE_MAX];

    memcpy(mempcpy(name, path, length), "", 1);
    for (size_t i = 0; i < sizeof(directories) / sizeof(directories[0]); i++) {
        *ret = directories[i].path;
        if (strcmp(name, directories[i].name) == 0)
            return 0;
    }
    if (strcmp(name, "~") == 0)
        *ret = file_home(home, error) == 0 ? home : NULL;
    else if (name[0] == '$' && is_variable(name + 1, length - 1))
        *ret = secure_getenv(name + 1);
    else
        return refuse_line(error, path);
    return 0;
}

/* A value that a shell has not expanded, as some programs do then. */
static int expand_home(const char *value, char ret[FILE_PATH_MAX], struct pullkey_error *error)
{
    char home[FILE_PATH_MAX];

    ret[0] = '\0';
    return file_home(home, error) == 0 ? file_join(ret, home, value + 2, error) : 0;
}

/* Replaces "~/", "$NAME/", "SYSCONFDIR/" or "DATADIR/" at the front, or "$NAME" alone. The result
 * is empty where there is no home or no such variable. */
static int expand(const char *path, char ret[FILE_PATH_MAX], struct pullkey_error *error)
{
    const char *slash = strchr(path, '/');
    const char *front = NULL;
    char home[FILE_PATH_MAX];
    int r;

    if (!slash && path[0] == '$' && is_variable(path + 1, strlen(path + 1))) {
        front = secure_getenv(path + 1);
        if (front && strncmp(front, "~/", 2) == 0)
            return expand_home(front, ret, error);
        return snprintf(ret, FILE_PATH_MAX, "%s", front ? front : "") < FILE_PATH_MAX
                   ? 0
                   : error_set(error, PULLKEY_INVALID, "the path in %s is too long", path + 1);
    }
    if (!slash)
        return refuse_line(error, path);
    r = find_front(path, (size_t)(slash - path), home, &front, error);
    if (r < 0)
        return r;
    ret[0] = '\0';
    return front ? file_join(ret, front, slash + 1, error) : 0;
}

/* The path with its NUL, and what is of the same length each time. */
static void append_file(struct buffer *values, const char *path)
{
    struct file_state state;

    file_state(path, &state);
    buffer_append(values, path, strlen(path) + 1);
    buffer_append(values, (const char *)&state, sizeof(state));
}

/* Names with a dot between, to the end or a "="; NULL where the options have no such member.
 * Refuses what is no path. */
static int find_option(const cJSON *options, const char *path, const cJSON **ret,
                       struct pullkey_error *error)
{
    const char *rest = path;
    char name[INPUT_LINE_MAX];

    *ret = options;
    do {
        const size_t length = strspn(rest, "abcdefghijklmnopqrstuvwxyz0123456789_-");

        if (length == 0 || !strchr("=.", rest[length]))
            return refuse_line(error, path);
        memcpy(mempcpy(name, rest, length), "", 1);
        *ret = *ret ? json_member(*ret, name) : NULL;
        rest += length + 1;
    } while (rest[-1] == '.');
    return 0;
}

/* Puts an option's text in the place of "{@OPTION.MEMBER}". It must be a name, which stays in its
 * directory; the result is empty where it is none. */
static int substitute(const cJSON *options, const char *path, char ret[INPUT_LINE_MAX],
                      struct pullkey_error *error)
{
    const char *begin = strstr(path, "{@");
    const char *end = begin ? strchr(begin, '}') : NULL;
    const cJSON *option;
    char name[INPUT_LINE_MAX];
    int r;

    if (!begin) {
        memcpy(ret, path, strlen(path) + 1);
        return 0;
    }
    if (!end || strstr(end, "{@"))
        return refuse_line(error, path);
    begin += 2;
    memcpy(mempcpy(name, begin, (size_t)(end - begin)), "", 1);
    r = strchr(name, '=') ? refuse_line(error, path) : find_option(options, name, &option, error);
    if (r < 0)
        return r;
    ret[0] = '\0';
    if (!cJSON_IsString(option) || !text_is_name(option->valuestring, NAME_MAX))
        return 0;
    return snprintf(ret, INPUT_LINE_MAX, "%.*s%s%s", (int)(begin - 2 - path), path,
                    option->valuestring, end + 1) < INPUT_LINE_MAX
               ? 0
               : refuse_line(error, path);
}

static int add_file(struct buffer *values, const cJSON *options, const char *path,
                    struct pullkey_error *error)
{
    char substituted[INPUT_LINE_MAX];
    char expanded[FILE_PATH_MAX] = "";
    int r = substitute(options, path, substituted, error);

    if (r == 0 && substituted[0] != '\0')
        r = expand(substituted, expanded, error);
    if (r < 0)
        return r;
    append_file(values, expanded);
    return 0;
}

/* Options may also name what is no path, and then no file. */
static void append_named_file(struct buffer *values, const char *text)
{
    if (text[0] == '/')
        append_file(values, text);
    else
        buffer_append_text(values, text);
}

/* One that the module replaces at each use: whose it is. */
static void append_rotated(struct buffer *values, const char *path)
{
    struct file_family family;

    file_family(path, &family);
    buffer_append(values, (const char *)&family.founder, sizeof(family.founder));
}

/* What an option names, which is one text or a list of them. What it may not name is for the module
 * to say. */
static int add_option(struct buffer *values, const cJSON *options, const char *path,
                      void (*append)(struct buffer *values, const char *text),
                      struct pullkey_error *error)
{
    const cJSON *option, *item;
    int r =
        strchr(path, '=') ? refuse_line(error, path) : find_option(options, path, &option, error);

    if (r < 0)
        return r;
    if (cJSON_IsString(option))
        append(values, option->valuestring);
    if (!cJSON_IsArray(option))
        return 0;
    cJSON_ArrayForEach(item, option) {
        if (cJSON_IsString(item))
            append(values, item->valuestring);
        buffer_append(values, "", 1);
    }
    return 0;
}

/* "@OPTION" is met where the options have it, "@OPTION=VALUE" where it is that text. */
static int is_met(const cJSON *options, const char *condition, bool *ret,
                  struct pullkey_error *error)
{
    const char *value = strchr(condition, '=');
    const cJSON *option;
    int r;

    r = condition[0] == '@' ? find_option(options, condition + 1, &option, error)
                            : refuse_line(error, condition);
    if (r == 0 && option &&
        (!value || (cJSON_IsString(option) && strcmp(option->valuestring, value + 1) == 0)))
        *ret = true;
    return r;
}

/* Conditions with a space between, of which one is enough. */
static int is_any_met(const cJSON *options, char *conditions, bool *ret,
                      struct pullkey_error *error)
{
    char *rest = NULL;
    int r = conditions[0] != '\0' ? 0 : refuse_line(error, "a condition that is empty");

    *ret = false;
    for (char *word = strtok_r(conditions, " ", &rest); word && r == 0;
         word = strtok_r(NULL, " ", &rest))
        r = is_met(options, word, ret, error);
    return r;
}

static int is_none_met(const cJSON *options, char *conditions, bool *ret,
                       struct pullkey_error *error)
{
    int r = is_any_met(options, conditions, ret, error);

    *ret = !*ret;
    return r;
}

static int add_line(struct buffer *values, const cJSON *options, char *line,
                    struct pullkey_error *error)
{
    int r;

    if (strncmp(line, "env @", 5) == 0)
        r = add_option(values, options, line + 5, append_variable, error);
    else if (strncmp(line, "file @", 6) == 0)
        r = add_option(values, options, line + 6, append_named_file, error);
    else if (strncmp(line, "rotated @", 9) == 0)
        r = add_option(values, options, line + 9, append_rotated, error);
    else if (strncmp(line, "env ", 4) == 0)
        r = add_variable(values, line + 4, error);
    else if (strncmp(line, "file ", 5) == 0)
        r = add_file(values, options, line + 5, error);
    else if (strcmp(line, "workload") == 0 || strcmp(line, "registry") == 0)
        r = 0; /* for cache_declares */
    else
        r = refuse_line(error, line);
    /* No text holds a NUL, so the end of each is certain. */
    buffer_append(values, "", 1);
    return r;
}

/* The lines that count for an instance, one after the other. */
struct lines {
    const char *rest;
    const cJSON *options;
    size_t count;
    bool counts;
    char line[INPUT_LINE_MAX];
};

/* 1 where there is one, 0 at the end. */
static int next_line(struct lines *lines, struct pullkey_error *error)
{
    char *line = lines->line;
    int r = 0;

    while (r == 0 && *lines->rest != '\0') {
        const size_t length = strcspn(lines->rest, "\n");

        if (length >= sizeof(lines->line) || lines->count++ >= CACHE_INPUTS_MAX)
            return error_set(error, PULLKEY_UNSUPPORTED, "too many declared inputs, or too long");
        memcpy(mempcpy(line, lines->rest, length), "", 1);
        lines->rest += length + (lines->rest[length] == '\n');
        if (strncmp(line, "for ", 4) == 0)
            r = is_any_met(lines->options, line + 4, &lines->counts, error);
        else if (strncmp(line, "unless ", 7) == 0)
            r = is_none_met(lines->options, line + 7, &lines->counts, error);
        else
            r = lines->counts && length > 0;
    }
    return r;
}

bool cache_declares(const char *inputs, const cJSON *options, const char *line)
{
    struct lines lines = { .rest = inputs, .options = options, .counts = true };
    struct pullkey_error ignored;

    while (next_line(&lines, &ignored) > 0)
        if (strcmp(lines.line, line) == 0)
            return true;
    return false;
}

/* One hash over all values together: of a single one, which may be a secret, nothing is kept that
 * could be tried out alone. */
static int fingerprint(const struct cache_key *key, char ret[HASH_TEXT_SIZE],
                       struct pullkey_error *error)
{
    cleanup_buffer struct buffer values = BUFFER_INIT(VALUES_MAX);
    cleanup_json struct json options = { 0 };
    struct lines lines = { .rest = key->inputs, .counts = true };
    int r = key->options && strchr(key->inputs, '@')
                ? json_parse(&options, "options", key->options, strlen(key->options), 0, error)
                : 0;

    if (r < 0)
        return r;
    lines.options = options.root;
    while ((r = next_line(&lines, error)) > 0) {
        r = add_line(&values, options.root, lines.line, error);
        if (r < 0)
            return r;
    }
    if (r == 0)
        r = buffer_check(&values, error);
    if (r < 0)
        return r;
    if (values.length == 0)
        return error_set(error, PULLKEY_UNSUPPORTED, "no input is declared");
    hash_text(values.data, values.length, ret);
    return 0;
}

static const char *text_or_empty(const char *text)
{
    return text ? text : "";
}

int cache_slot_make(const struct cache *cache, const struct cache_key *key, struct cache_slot *ret,
                    struct pullkey_error *error)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(KEY_MAX);
    char lock_name[CACHE_NAME_SIZE + 5];
    char registry[HASH_TEXT_SIZE], full[HASH_TEXT_SIZE];
    int r = fingerprint(key, ret->inputs, error);

    if (r < 0)
        return r;
    ret->parts[0] = text_or_empty(key->instance);
    ret->parts[1] = text_or_empty(key->type);
    ret->parts[2] = text_or_empty(key->options);
    ret->parts[3] = text_or_empty(key->registry);
    ret->parts[4] = text_or_empty(key->path);
    ret->parts[5] = text_or_empty(key->subject);
    ret->parts[6] = ret->inputs;
    for (size_t i = 0; i < CACHE_KEY_PARTS; i++)
        buffer_append(&text, ret->parts[i], strlen(ret->parts[i]) + 1);
    r = buffer_check(&text, error);
    if (r < 0)
        return r;
    hash_text(ret->parts[3], strlen(ret->parts[3]), registry);
    hash_text(text.data, text.length, full);
    (void)snprintf(ret->name, sizeof(ret->name), "%s-%s", registry, full);
    (void)snprintf(ret->drops, sizeof(ret->drops), "%s.drops", registry);
    (void)snprintf(lock_name, sizeof(lock_name), "%s.lock", ret->name);
    return file_join(ret->lock_path, cache->path, lock_name, error);
}
