/* SPDX-License-Identifier: Apache-2.0 */
#include "json.h"
#include "error.h"
#include "json-scan.h"
#include "secret.h"
#include "text.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH_TEXT_MAX 200
/* Up to here, comparing each key with each is cheaper than sorting. */
#define FEW_KEYS 16

void json_start(void)
{
    cJSON_Hooks hooks = { .malloc_fn = secret_alloc, .free_fn = secret_release };

    cJSON_InitHooks(&hooks);
}

static int compare_any_case(const char *a, const char *b)
{
    while (*a != '\0' && text_lower(*a) == text_lower(*b)) {
        a++;
        b++;
    }
    return text_lower(*a) - text_lower(*b);
}

static int order_keys(const void *a, const void *b)
{
    const cJSON *const *first = a, *const *second = b;

    return strcmp((*first)->string, (*second)->string);
}

static int order_keys_any_case(const void *a, const void *b)
{
    const cJSON *const *first = a, *const *second = b;

    return compare_any_case((*first)->string, (*second)->string);
}

static int refuse_duplicate(const struct json *json, const cJSON *item, struct pullkey_error *error)
{
    return json_error(json, item, error, "the key is there twice");
}

static int check_few_keys(const struct json *json, const cJSON *object, struct pullkey_error *error)
{
    bool any_case = json->flags & JSON_ANY_CASE;

    for (const cJSON *item = object->child; item; item = item->next)
        for (const cJSON *other = item->next; other; other = other->next)
            if (any_case ? text_equal_any_case(item->string, other->string)
                         : strcmp(item->string, other->string) == 0)
                return refuse_duplicate(json, other, error);
    return 0;
}

static int check_many_keys(const struct json *json, const cJSON *object, size_t count,
                           struct pullkey_error *error)
{
    int (*order)(const void *, const void *) =
        json->flags & JSON_ANY_CASE ? order_keys_any_case : order_keys;
    cleanup_release const cJSON **keys = secret_alloc(count * sizeof(*keys));
    size_t at = 0;

    if (!keys)
        return error_memory(error);
    for (const cJSON *item = object->child; item; item = item->next)
        keys[at++] = item;
    qsort(keys, count, sizeof(*keys), order);
    for (size_t i = 1; i < count; i++)
        if (order(&keys[i - 1], &keys[i]) == 0)
            return refuse_duplicate(json, keys[i], error);
    return 0;
}

/* What the scanner cannot see: keys that are there twice, and numbers that do not fit, which cJSON
 * would write back as null. */
/* U+017F and U+212A, which readers that ignore case (Go) take for "s" and "k". */
static bool folds_to_ascii(const char *key)
{
    return strstr(key, "\xc5\xbf") || strstr(key, "\xe2\x84\xaa");
}

static int check_tree(const struct json *json, const cJSON *tree, struct pullkey_error *error)
{
    size_t count = 0;
    int r = 0;

    if (cJSON_IsNumber(tree) && !isfinite(tree->valuedouble))
        return json_error(json, tree, error, "a number that is too large");
    for (const cJSON *item = tree->child; item; item = item->next) {
        count++;
        if ((json->flags & JSON_ANY_CASE) && item->string && folds_to_ascii(item->string))
            return json_error(json, item, error, "a key that some readers take for another");
        r = check_tree(json, item, error);
        if (r < 0)
            return r;
    }
    if (!cJSON_IsObject(tree) || count < 2)
        return 0;
    return count <= FEW_KEYS ? check_few_keys(json, tree, error)
                             : check_many_keys(json, tree, count, error);
}

static int build_tree(struct json *json, struct pullkey_error *error)
{
    cleanup_release char *blank = secret_copy(json->text, json->length);
    struct json_scan scan = {
        .name = json->name,
        .text = json->text,
        .length = json->length,
        .flags = json->flags,
        .blank = blank,
        .stop = SIZE_MAX,
    };
    int r;

    if (!blank)
        return error_memory(error);
    r = json_scan(&scan, error);
    if (r < 0)
        return r;
    json->root = cJSON_ParseWithLengthOpts(blank, json->length + 1, NULL, 1);
    /* The grammar is fine, so only memory can be missing. */
    if (!json->root)
        return error_memory(error);
    return check_tree(json, json->root, error);
}

int json_parse(struct json *ret, const char *name, const char *text, size_t length,
               unsigned int flags, struct pullkey_error *error)
{
    const size_t limit = flags & JSON_LARGE ? JSON_LARGE_MAX : JSON_SIZE_MAX;
    struct json json = { .length = length, .flags = flags };
    int r;

    if (length > limit)
        return error_set(error, PULLKEY_INVALID, "%s: more than %zu bytes", name, limit);
    json.text = secret_copy(text, length);
    json.name = secret_copy(name, strlen(name));
    r = json.text && json.name ? build_tree(&json, error) : error_memory(error);
    if (r < 0) {
        json_done(&json);
        return r;
    }
    *ret = json;
    return 0;
}

void json_done(struct json *json)
{
    cJSON_Delete(json->root);
    secret_release(json->text);
    secret_release(json->name);
    *json = (struct json){ 0 };
}

/* Keys are names, but a URL among them may hold a password before an '@'. */
static const char *without_user(const char *key)
{
    const char *at = strrchr(key, '@');

    return at ? at : key;
}

/*
 * Finds an item in document order: counts the values before it and writes the path to it. True if
 * it is at or below `tree`.
 */
static bool find_item(const cJSON *tree, const cJSON *item, size_t *count, char *path, size_t used)
{
    size_t index = 0;

    if (tree == item)
        return true;
    ++*count;
    for (const cJSON *child = tree->child; child; child = child->next, index++) {
        int length;

        if (child->string)
            length = snprintf(path + used, PATH_TEXT_MAX - used, "%s%s", used > 0 ? "." : "",
                              without_user(child->string));
        else
            length = snprintf(path + used, PATH_TEXT_MAX - used, "[%zu]", index);
        if (length < 0)
            length = 0;
        if ((size_t)length > PATH_TEXT_MAX - 1 - used)
            length = (int)(PATH_TEXT_MAX - 1 - used);
        if (find_item(child, item, count, path, used + (size_t)length))
            return true;
        path[used] = '\0';
    }
    return false;
}

static size_t position_of_value(const struct json *json, size_t number, size_t *ret_key)
{
    struct json_scan scan = {
        .name = json->name,
        .text = json->text,
        .length = json->length,
        .flags = json->flags,
        .stop = number,
    };
    struct pullkey_error ignored;

    (void)json_scan(&scan, &ignored);
    if (ret_key)
        *ret_key = scan.key;
    return scan.at;
}

size_t json_position(const struct json *json, const cJSON *item, size_t *ret_key)
{
    char path[PATH_TEXT_MAX] = "";
    size_t number = 0;

    (void)find_item(json->root, item, &number, path, 0);
    return position_of_value(json, number, ret_key);
}

size_t json_line(const struct json *json, const cJSON *item)
{
    return json_scan_line(json->text, json_position(json, item, NULL));
}

int json_error(const struct json *json, const cJSON *item, struct pullkey_error *error,
               const char *format, ...)
{
    char path[PATH_TEXT_MAX] = "";
    char message[PULLKEY_ERROR_SIZE];
    size_t number = 0;
    va_list arguments;

    va_start(arguments, format);
    if (vsnprintf(message, sizeof(message), format, arguments) < 0)
        message[0] = '\0';
    va_end(arguments);
    if (!json)
        return error_set(error, PULLKEY_INVALID, "%s", message);
    (void)find_item(json->root, item, &number, path, 0);
    return error_set(error, PULLKEY_INVALID, "%s:%zu: %s%s%s", json->name,
                     json_scan_line(json->text, position_of_value(json, number, NULL)), path,
                     path[0] != '\0' ? ": " : "", message);
}

cJSON *json_member(const cJSON *object, const char *key)
{
    return cJSON_GetObjectItemCaseSensitive(object, key);
}

const char *json_text(const cJSON *object, const char *key)
{
    const cJSON *item = json_member(object, key);

    return cJSON_IsString(item) ? item->valuestring : NULL;
}

double json_number(const cJSON *object, const char *key)
{
    const cJSON *item = json_member(object, key);

    return cJSON_IsNumber(item) ? item->valuedouble : 0;
}

/* The next number in the text from *at on, which is moved behind it. The grammar is fine already.
 */
static size_t next_number(const char *text, size_t *at)
{
    size_t i = *at, length;

    while (text[i] != '-' && (text[i] < '0' || text[i] > '9')) {
        if (text[i++] != '"')
            continue;
        while (text[i] != '"')
            i += text[i] == '\\' ? 2 : 1;
        i++;
    }
    length = strspn(text + i, "+-.0123456789eE");
    *at = i + length;
    return length;
}

static int keep_numbers(cJSON *tree, const char *text, size_t *at, struct pullkey_error *error)
{
    int r = 0;

    if (cJSON_IsNumber(tree)) {
        size_t length = next_number(text, at);

        tree->valuestring = secret_copy(text + *at - length, length);
        if (!tree->valuestring)
            return error_memory(error);
        tree->type = cJSON_Raw;
    }
    for (cJSON *item = tree->child; item && r == 0; item = item->next)
        r = keep_numbers(item, text, at, error);
    return r;
}

int json_keep_numbers(struct json *json, struct pullkey_error *error)
{
    size_t at = 0;

    return keep_numbers(json->root, json->text, &at, error);
}

static void write_string(struct buffer *buffer, const char *bytes, size_t length, bool replaces)
{
    size_t from = 0;

    buffer_append(buffer, "\"", 1);
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)bytes[i];
        const char *shorthand = NULL;
        size_t taken = 1;
        unsigned int code = 0;

        switch (c) {
        case '"': shorthand = "\\\""; break;
        case '\\': shorthand = "\\\\"; break;
        case '\b': shorthand = "\\b"; break;
        case '\f': shorthand = "\\f"; break;
        case '\n': shorthand = "\\n"; break;
        case '\r': shorthand = "\\r"; break;
        case '\t': shorthand = "\\t"; break;
        case '<':
        case '>':
        case '&': code = c; break;
        default:
            taken = text_utf8_length(bytes + i, length - i);
            if (taken == 0)
                code = replaces ? 0xfffd : 0;
            else if (c < 0x20)
                code = c;
            else if (taken == 3 && (memcmp(bytes + i, "\xe2\x80\xa8", 3) == 0 ||
                                    memcmp(bytes + i, "\xe2\x80\xa9", 3) == 0))
                /* They end a line in JavaScript. */
                code = 0x2000U + ((unsigned char)bytes[i + 2] & 0x3f);
            taken += taken == 0;
            break;
        }
        if (!shorthand && code == 0 && c != 0) {
            i += taken - 1;
            continue;
        }
        buffer_append(buffer, bytes + from, i - from);
        if (shorthand)
            buffer_append_text(buffer, shorthand);
        else
            buffer_printf(buffer, "\\u%04x", code);
        i += taken - 1;
        from = i + 1;
    }
    buffer_append(buffer, bytes + from, length - from);
    buffer_append(buffer, "\"", 1);
}

void json_write_string(struct buffer *buffer, const char *bytes, size_t length)
{
    write_string(buffer, bytes, length, false);
}

void json_write_name(struct buffer *buffer, const char *name)
{
    write_string(buffer, name, strlen(name), true);
}

void json_write_format(struct buffer *buffer, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    while (*format != '\0') {
        size_t length = strcspn(format, "%");

        buffer_append(buffer, format, length);
        format += length;
        if (strncmp(format, "%s", 2) == 0) {
            const char *text = va_arg(arguments, const char *);

            if (text)
                json_write_name(buffer, text);
            else
                buffer_append_text(buffer, "null");
            format += 2;
        } else if (*format != '\0') {
            if (format[1] == 'z')
                buffer_printf(buffer, "%zu", va_arg(arguments, size_t));
            else
                buffer_printf(buffer, "%jd", va_arg(arguments, intmax_t));
            format += 3;
        }
    }
    va_end(arguments);
}

void json_write_member(struct buffer *buffer, const char *key, const char *text)
{
    json_write_format(buffer, ",%s:%s", key, text);
}

int json_write_tree(struct buffer *buffer, const cJSON *tree, bool indented,
                    struct pullkey_error *error)
{
    cleanup_release char *text = indented ? cJSON_Print(tree) : cJSON_PrintUnformatted(tree);

    if (!text)
        return error_memory(error);
    buffer_append_text(buffer, text);
    return buffer_check(buffer, error);
}
