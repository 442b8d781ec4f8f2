/* SPDX-License-Identifier: Apache-2.0 */
/* Values and the texts that they stand in; what is found in an answer. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/secret.h"
#include "base/text.h"
#include "recipe.h"

int recipe_set(struct recipe_values *values, const char *name, enum recipe_origin origin,
               const char *bytes, size_t length, struct pullkey_error *error)
{
    size_t i = 0;

    while (i < values->count && strcmp(values->items[i].name, name) != 0)
        i++;
    if (i == RECIPE_VALUES_MAX || strlen(name) > RECIPE_NAME_MAX)
        return error_set(error, PULLKEY_INVALID, "the recipe has too many values");
    (void)snprintf(values->items[i].name, sizeof(values->items[i].name), "%s", name);
    values->items[i].origin = origin;
    secret_done(&values->items[i].value);
    if (i == values->count)
        values->count++;
    return secret_set(&values->items[i].value, bytes, length, error);
}

void recipe_values_done(struct recipe_values *values)
{
    while (values->count > 0)
        secret_done(&values->items[--values->count].value);
}

const char *recipe_next_name(const char **at, size_t *ret_length)
{
    const char *begin = strstr(*at, "${"), *end = begin ? strchr(begin, '}') : NULL;

    if (!end)
        return NULL;
    *at = end + 1;
    *ret_length = (size_t)(end - begin - 2);
    return begin + 2;
}

/* A value of the table, or a claim; false where there is none. */
static bool find_value(const struct recipe_values *values, const char *name, size_t length,
                       struct pullkey_secret *ret, enum recipe_origin *ret_origin)
{
    static const char front[] = "identity.";
    const cJSON *claim;

    for (size_t i = 0; i < values->count; i++) {
        if (strlen(values->items[i].name) == length &&
            memcmp(values->items[i].name, name, length) == 0) {
            *ret = values->items[i].value;
            *ret_origin = values->items[i].origin;
            return true;
        }
    }
    if (length < sizeof(front) || memcmp(name, front, sizeof(front) - 1) != 0)
        return false;
    name += sizeof(front) - 1;
    length -= sizeof(front) - 1;
    cJSON_ArrayForEach(claim, values->claims) {
        if (cJSON_IsString(claim) && strlen(claim->string) == length &&
            memcmp(claim->string, name, length) == 0) {
            *ret = (struct pullkey_secret){ claim->valuestring, strlen(claim->valuestring) };
            *ret_origin = RECIPE_REQUEST;
            return true;
        }
    }
    return false;
}

static bool is_unreserved(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("-._~", c));
}

static void append_value(struct buffer *ret, const struct pullkey_secret *value,
                         enum recipe_origin origin, enum recipe_place place)
{
    if (place == RECIPE_TEXT) {
        buffer_append(ret, value->bytes, value->length);
        return;
    }
    for (size_t i = 0; i < value->length; i++) {
        const char c = value->bytes[i];

        if (place == RECIPE_POINTER && (c == '~' || c == '/'))
            buffer_append_text(ret, c == '~' ? "~0" : "~1");
        else if (place == RECIPE_POINTER || is_unreserved(c) ||
                 (c == '/' && origin == RECIPE_VARIABLE))
            buffer_append(ret, &c, 1);
        else
            buffer_printf(ret, "%%%02X", (unsigned int)(unsigned char)c);
    }
}

int recipe_expand(const struct recipe_values *values, const char *text, enum recipe_place place,
                  struct buffer *ret, struct pullkey_error *error)
{
    const char *at = text, *name;
    size_t length;

    while ((name = recipe_next_name(&at, &length)) != NULL) {
        enum recipe_origin origin;
        struct pullkey_secret value;

        buffer_append(ret, text, (size_t)(name - 2 - text));
        if (find_value(values, name, length, &value, &origin))
            append_value(ret, &value, origin, place);
        text = at;
    }
    buffer_append_text(ret, text);
    return buffer_check(ret, error);
}

bool recipe_is_secret(const struct recipe_values *values, const char *text)
{
    const char *name;
    size_t length;

    while ((name = recipe_next_name(&text, &length)) != NULL) {
        enum recipe_origin origin;
        struct pullkey_secret value;

        if (find_value(values, name, length, &value, &origin) && origin == RECIPE_SECRET)
            return true;
    }
    return false;
}

bool recipe_path_climbs(const char *path)
{
    while (*path != '\0') {
        size_t dots = 0;

        path++; /* the '/' */
        for (;;) {
            if (*path == '.')
                path++;
            else if (path[0] == '%' && path[1] == '2' && text_lower(path[2]) == 'e')
                path += 3;
            else
                break;
            dots++;
        }
        if ((dots == 1 || dots == 2) && (*path == '/' || *path == '\0' || *path == ';'))
            return true;
        path += strcspn(path, "/");
    }
    return false;
}

/* One part of a pointer, with ~0 and ~1 undone; false if it is no name. */
static bool read_part(const char **at, char ret[64])
{
    size_t length = 0;

    for ((*at)++; **at != '/' && **at != '\0'; (*at)++) {
        char c = **at;

        if (c == '~') {
            (*at)++;
            if (**at != '0' && **at != '1')
                return false;
            c = **at == '0' ? '~' : '/';
        }
        if (length + 1 >= 64)
            return false;
        ret[length++] = c;
    }
    ret[length] = '\0';
    return true;
}

/* RFC 6901 section 4: digits without a leading zero. */
static const cJSON *element(const cJSON *list, const char *part)
{
    const size_t digits = strspn(part, "0123456789");
    int index = 0;

    if (digits == 0 || digits > 4 || part[digits] != '\0' || (part[0] == '0' && digits > 1))
        return NULL;
    for (; *part != '\0'; part++)
        index = index * 10 + (*part - '0');
    return cJSON_GetArrayItem(list, index);
}

/* From here on two numbers are one to JSON's readers. */
#define NUMBERS 0x1p53

bool recipe_point(const cJSON *root, const char *pointer, struct buffer *ret)
{
    const cJSON *item = root;
    char part[64];

    while (item && *pointer == '/') {
        if (!read_part(&pointer, part))
            return false;
        item = cJSON_IsObject(item)  ? json_member(item, part)
               : cJSON_IsArray(item) ? element(item, part)
                                     : NULL;
    }
    if (*pointer != '\0')
        return false;
    if (cJSON_IsString(item))
        buffer_append_text(ret, item->valuestring);
    else if (cJSON_IsBool(item))
        buffer_append_text(ret, cJSON_IsTrue(item) ? "true" : "false");
    else if (cJSON_IsNumber(item) && item->valuedouble > -NUMBERS && item->valuedouble < NUMBERS &&
             item->valuedouble == (double)(int64_t)item->valuedouble)
        buffer_printf(ret, "%.0f", item->valuedouble);
    else
        return false;
    return ret->state == BUFFER_FINE;
}

/* So many bytes of a secret are too many; of a short one, all. */
#define TELLING 8
#define SHORTEST 4

/* Nothing of what was sent, or taken, may come back in a message. */
static bool holds_secret(const char *text, const struct recipe_values *values)
{
    const size_t length = strlen(text);

    for (size_t i = 0; i < values->count; i++) {
        const struct pullkey_secret *secret = &values->items[i].value;
        const size_t telling = secret->length < TELLING ? secret->length : TELLING;

        if (values->items[i].origin != RECIPE_SECRET || telling < SHORTEST)
            continue;
        for (size_t at = 0; at + telling <= secret->length; at++)
            if (memmem(text, length, secret->bytes + at, telling))
                return true;
    }
    return false;
}

/* The first of these that is there. */
static bool find_first(const cJSON *root, const char *const places[], struct buffer *ret)
{
    for (; *places; places++)
        if (recipe_point(root, *places, ret) && ret->length > 0)
            return true;
    return false;
}

void recipe_reason(const struct buffer *body, const struct recipe_values *values,
                   char ret[RECIPE_REASON_SIZE], bool *ret_again)
{
    /* OAuth, Quay; RFC 7807; registries, JFrog; Vault; GitLab; Cloudsmith. */
    static const char *const codes[] = { "/error", "/errors/0/code", "/title", "/error/code",
                                         NULL };
    static const char *const texts[] = {
        "/error_description", "/errors/0/message", "/errors/0", "/error/message",
        "/message",           "/detail",           NULL
    };
    cleanup_buffer struct buffer code = BUFFER_INIT(JSON_SIZE_MAX);
    cleanup_buffer struct buffer text = BUFFER_INIT(JSON_SIZE_MAX);
    cleanup_json struct json json = { 0 };
    struct pullkey_error ignored;
    bool has_code, has_text;

    ret[0] = '\0';
    *ret_again = false;
    if (body->length == 0 || json_parse(&json, "reply", body->data, body->length, 0, &ignored) < 0)
        return;
    has_code = find_first(json.root, codes, &code);
    has_text = find_first(json.root, texts, &text);
    *ret_again = has_code && (strcmp(code.data, "server_error") == 0 ||
                              strcmp(code.data, "temporarily_unavailable") == 0);
    /* Looked for in the whole text: what is cut off could be what tells them apart. */
    if ((has_code && holds_secret(code.data, values)) ||
        (has_text && holds_secret(text.data, values)))
        return;
    (void)snprintf(ret, RECIPE_REASON_SIZE, "%s%s%s", has_code ? code.data : "",
                   has_code && has_text ? ": " : "", has_text ? text.data : "");
    text_make_printable(ret);
}
