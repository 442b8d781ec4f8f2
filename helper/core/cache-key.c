/* SPDX-License-Identifier: Apache-2.0 */
#include "cache-file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"

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

static int add_variable(struct buffer *values, const char *name, struct pullkey_error *error)
{
    const char *value;

    if (!is_variable(name, strlen(name)))
        return refuse_line(error, name);
    value = secure_getenv(name);
    buffer_append_text(values, name);
    buffer_append_text(values, value ? "=" : "-");
    if (value)
        buffer_append_text(values, value);
    return 0;
}

/* Replaces "~/" or "$NAME/" at the front. The result is empty where there is no home or no such
 * variable. */
static int expand(const char *path, char ret[FILE_PATH_MAX], struct pullkey_error *error)
{
    const char *slash = strchr(path, '/');
    const char *front = NULL;
    char name[INPUT_LINE_MAX];
    char home[FILE_PATH_MAX];
    size_t length;

    if (!slash)
        return refuse_line(error, path);
    length = (size_t)(slash - path);
    if (length == 0) {
        front = "";
    } else if (length == 1 && path[0] == '~') {
        front = file_home(home, error) == 0 ? home : NULL;
    } else if (path[0] == '$' && is_variable(path + 1, length - 1)) {
        memcpy(mempcpy(name, path + 1, length - 1), "", 1);
        front = secure_getenv(name);
    } else {
        return refuse_line(error, path);
    }
    ret[0] = '\0';
    return front ? file_join(ret, front, slash + 1, error) : 0;
}

/* What tells one content of a file from another without reading it. Links are followed: what they
 * lead to counts. */
static int add_file(struct buffer *values, const char *path, struct pullkey_error *error)
{
    char expanded[FILE_PATH_MAX];
    struct stat status;
    int r = expand(path, expanded, error);

    if (r < 0)
        return r;
    buffer_append_text(values, expanded);
    if (expanded[0] == '\0' || stat(expanded, &status) < 0)
        buffer_append_text(values, " -");
    else
        buffer_printf(values, " %ju %ju %jd %jd.%09ld", (uintmax_t)status.st_dev,
                      (uintmax_t)status.st_ino, (intmax_t)status.st_size,
                      (intmax_t)status.st_mtim.tv_sec, status.st_mtim.tv_nsec);
    return 0;
}

static int add_line(struct buffer *values, const char *line, struct pullkey_error *error)
{
    int r;

    if (strncmp(line, "env ", 4) == 0)
        r = add_variable(values, line + 4, error);
    else if (strncmp(line, "file ", 5) == 0)
        r = add_file(values, line + 5, error);
    else if (strcmp(line, "workload") == 0)
        r = 0; /* the key's subject */
    else
        r = refuse_line(error, line);
    /* No value holds a NUL, so the end of each is certain. */
    buffer_append(values, "", 1);
    return r;
}

/* One hash over all values together: of a single one, which may be a secret, nothing is kept that
 * could be tried out alone. */
static int fingerprint(const char *inputs, char ret[HASH_TEXT_SIZE], struct pullkey_error *error)
{
    cleanup_buffer struct buffer values = BUFFER_INIT(VALUES_MAX);
    size_t count = 0;
    int r;

    while (*inputs != '\0') {
        size_t length = strcspn(inputs, "\n");
        char line[INPUT_LINE_MAX];

        if (length >= sizeof(line) || count++ >= CACHE_INPUTS_MAX)
            return error_set(error, PULLKEY_UNSUPPORTED, "too many declared inputs, or too long");
        memcpy(mempcpy(line, inputs, length), "", 1);
        r = length > 0 ? add_line(&values, line, error) : 0;
        if (r < 0)
            return r;
        inputs += length + (inputs[length] == '\n');
    }
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
    int r = fingerprint(key->inputs, ret->inputs, error);

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
