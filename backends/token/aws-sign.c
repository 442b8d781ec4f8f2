/* SPDX-License-Identifier: Apache-2.0 */
#include "aws-sign.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "base/secret.h"
#include "base/text.h"
#include "http/http.h"
#include "sign.h"

#define ALGORITHM "AWS4-HMAC-SHA256"
#define CANONICAL_MAX (4 * PULLKEY_SECRET_MAX)
#define NAMES_MAX 1024
#define PARAMETERS_MAX 32
#define KEY_MAX (PULLKEY_SECRET_MAX + 4)

void aws_keys_done(struct aws_keys *keys)
{
    secret_done(&keys->secret);
    secret_done(&keys->session);
    keys->id[0] = '\0';
}

void aws_sign_date(int64_t seconds, char ret[AWS_DATE_SIZE])
{
    const time_t time = (time_t)seconds;
    struct tm parts = { 0 };

    (void)gmtime_r(&time, &parts);
    (void)strftime(ret, AWS_DATE_SIZE, "%Y%m%dT%H%M%SZ", &parts);
}

static bool is_unreserved(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("-._~", c));
}

/* A path is encoded once more than it is sent, for every service that is asked here. */
static void append_path(const char *target, struct buffer *ret)
{
    const size_t length = strcspn(target, "?");

    for (size_t i = 0; i < length; i++) {
        if (is_unreserved(target[i]) || target[i] == '/')
            buffer_append(ret, &target[i], 1);
        else
            buffer_printf(ret, "%%%02X", (unsigned int)(unsigned char)target[i]);
    }
    buffer_append(ret, "\n", 1);
}

struct part {
    const char *name, *value;
    size_t name_length, value_length;
};

static int compare_bytes(const char *a, size_t a_length, const char *b, size_t b_length)
{
    const int order = memcmp(a, b, a_length < b_length ? a_length : b_length);

    return order != 0 ? order : (a_length > b_length) - (a_length < b_length);
}

static int compare(const struct part *a, const struct part *b)
{
    const int order = compare_bytes(a->name, a->name_length, b->name, b->name_length);

    return order != 0 ? order : compare_bytes(a->value, a->value_length, b->value, b->value_length);
}

static void sort(struct part *parts, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        for (size_t at = i; at > 0 && compare(&parts[at - 1], &parts[at]) > 0; at--) {
            const struct part other = parts[at];

            parts[at] = parts[at - 1];
            parts[at - 1] = other;
        }
    }
}

static int add_parameters(const char *query, struct part parts[], size_t *count,
                          struct pullkey_error *error)
{
    while (query && *query != '\0') {
        const size_t length = strcspn(query, "&"), name = strcspn(query, "=&");

        if (*count == PARAMETERS_MAX)
            return error_set(error, PULLKEY_INVALID, "a request to AWS has too many parameters");
        if (length > 0)
            parts[(*count)++] = (struct part){
                .name = query,
                .name_length = name,
                .value = query + name + (name < length),
                .value_length = length - name - (name < length),
            };
        query += length + (query[length] == '&');
    }
    return 0;
}

static int append_query(const struct aws_sign *what, struct buffer *ret,
                        struct pullkey_error *error)
{
    const char *mark = strchr(what->url->target, '?');
    struct part parts[PARAMETERS_MAX];
    size_t count = 0;
    int r = add_parameters(mark ? mark + 1 : NULL, parts, &count, error);

    if (r == 0)
        r = add_parameters(what->query, parts, &count, error);
    if (r < 0)
        return r;
    sort(parts, count);
    for (size_t i = 0; i < count; i++) {
        buffer_append(ret, "&", i > 0);
        buffer_append(ret, parts[i].name, parts[i].name_length);
        buffer_append(ret, "=", 1);
        buffer_append(ret, parts[i].value, parts[i].value_length);
    }
    buffer_append(ret, "\n", 1);
    return 0;
}

/* Without outer blanks, and with one where there are several. */
static void append_value(const struct part *header, struct buffer *ret)
{
    bool is_begun = false, is_apart = false;

    for (size_t i = 0; i < header->value_length; i++) {
        if (header->value[i] == ' ') {
            is_apart = is_begun;
            continue;
        }
        buffer_append(ret, " ", is_apart);
        buffer_append(ret, &header->value[i], 1);
        is_begun = true;
        is_apart = false;
    }
}

static int append_headers(const struct aws_sign *what, struct buffer *ret, struct buffer *ret_names,
                          struct pullkey_error *error)
{
    char names[AWS_SIGN_HEADERS_MAX][64], authority[URL_AUTHORITY_SIZE];
    struct part parts[AWS_SIGN_HEADERS_MAX];
    size_t count = 1;

    url_authority(what->url, authority);
    parts[0] = (struct part){ "host", authority, 4, strlen(authority) };
    for (const char *const *line = what->headers; *line; line++) {
        const size_t length = strcspn(*line, ":");

        if (count == AWS_SIGN_HEADERS_MAX || length >= sizeof(names[0]) || (*line)[length] == '\0')
            return error_set(error, PULLKEY_INTERNAL, "a header of a request cannot be signed");
        for (size_t i = 0; i < length; i++)
            names[count][i] = text_lower((*line)[i]);
        parts[count] =
            (struct part){ names[count], *line + length + 1, length, strlen(*line + length + 1) };
        count++;
    }
    sort(parts, count);
    for (size_t i = 0; i < count; i++) {
        buffer_append(ret, parts[i].name, parts[i].name_length);
        buffer_append(ret, ":", 1);
        append_value(&parts[i], ret);
        buffer_append(ret, "\n", 1);
        buffer_append(ret_names, ";", i > 0);
        buffer_append(ret_names, parts[i].name, parts[i].name_length);
    }
    buffer_append(ret, "\n", 1);
    return buffer_check(ret_names, error);
}

static int append_hash(const char *bytes, size_t length, struct buffer *ret,
                       struct pullkey_error *error)
{
    unsigned char hash[SIGN_SHA256_SIZE];
    char text[SIGN_SHA256_TEXT_SIZE];
    int r = sign_sha256(bytes, length, hash, error);

    if (r < 0)
        return r;
    sign_hex(hash, text);
    buffer_append_text(ret, text);
    return buffer_check(ret, error);
}

int aws_sign_canonical(const struct aws_sign *what, struct buffer *ret, struct buffer *ret_names,
                       struct pullkey_error *error)
{
    int r;

    buffer_printf(ret, "%s\n", what->method);
    append_path(what->url->target, ret);
    r = append_query(what, ret, error);
    if (r == 0)
        r = append_headers(what, ret, ret_names, error);
    if (r < 0)
        return r;
    buffer_append(ret, ret_names->data, ret_names->length);
    buffer_append(ret, "\n", 1);
    return append_hash(what->body ? what->body->bytes : "", what->body ? what->body->length : 0,
                       ret, error);
}

/* The key of a day, a region and a service, and then the signature. */
static int sign_text(const struct aws_keys *keys, const struct aws_sign *what,
                     const struct buffer *text, unsigned char ret[SIGN_SHA256_SIZE],
                     struct pullkey_error *error)
{
    cleanup_buffer struct buffer first = BUFFER_INIT(KEY_MAX);
    const struct {
        const char *bytes;
        size_t length;
    } steps[] = {
        { what->date, 8 },
        { what->region, strlen(what->region) },
        { what->service, strlen(what->service) },
        { "aws4_request", 12 },
        { text->data, text->length },
    };
    unsigned char key[SIGN_SHA256_SIZE];
    int r;

    buffer_append_text(&first, "AWS4");
    buffer_append(&first, keys->secret.bytes, keys->secret.length);
    r = buffer_check(&first, error);
    for (size_t i = 0; r == 0 && i < sizeof(steps) / sizeof(steps[0]); i++) {
        r = i == 0
                ? sign_hmac(first.data, first.length, steps[i].bytes, steps[i].length, ret, error)
                : sign_hmac(key, sizeof(key), steps[i].bytes, steps[i].length, ret, error);
        memcpy(key, ret, sizeof(key));
    }
    explicit_bzero(key, sizeof(key));
    return r;
}

int aws_sign(const struct aws_keys *keys, const struct aws_sign *what, struct buffer *ret,
             struct pullkey_error *error)
{
    cleanup_buffer struct buffer canonical = BUFFER_INIT(CANONICAL_MAX);
    cleanup_buffer struct buffer text = BUFFER_INIT(CANONICAL_MAX);
    cleanup_buffer struct buffer names = BUFFER_INIT(NAMES_MAX);
    unsigned char signature[SIGN_SHA256_SIZE];
    char hex[SIGN_SHA256_TEXT_SIZE], scope[128];
    int r = aws_sign_canonical(what, &canonical, &names, error);

    if (r < 0)
        return r;
    (void)snprintf(scope, sizeof(scope), "%.8s/%s/%s/aws4_request", what->date, what->region,
                   what->service);
    buffer_printf(&text, ALGORITHM "\n%s\n%s\n", what->date, scope);
    r = append_hash(canonical.data, canonical.length, &text, error);
    if (r == 0)
        r = sign_text(keys, what, &text, signature, error);
    if (r < 0)
        return r;
    sign_hex(signature, hex);
    buffer_printf(ret,
                  "Authorization: " ALGORITHM " Credential=%s/%s, SignedHeaders=%s, Signature=%s",
                  keys->id, scope, names.data, hex);
    return buffer_check(ret, error);
}
