/* SPDX-License-Identifier: Apache-2.0 */
#include "challenge.h"

#include "base/error.h"
#include "base/secret.h"
#include "base/text.h"

#include <string.h>

/* The text is a copy that is changed in place: names are lowered, quoted values lose their escapes,
 * ends become NUL. */
struct scan {
    char *at;
    struct challenges *list;
    struct challenge *current;
    struct pullkey_error *error;
};

/* RFC 9110 section 5.6.2 */
static bool is_token(char c)
{
    return c > 0x20 && c < 0x7f && !strchr("\"(),/:;<=>?@[\\]{}", c);
}

/* RFC 9110 section 11.2, without the '=' at its end */
static bool is_token68(char c)
{
    return c > 0x20 && c < 0x7f && (is_token(c) || c == '/') && !strchr("!#$%&'*^`|", c);
}

static char *skip_blanks(char *at)
{
    while (*at == ' ' || *at == '\t')
        at++;
    return at;
}

static char *skip_token(char *at)
{
    while (is_token(*at))
        at++;
    return at;
}

static int refuse(const struct scan *scan, const char *what)
{
    return error_set(scan->error, PULLKEY_INVALID, "malformed WWW-Authenticate header: %s", what);
}

static void lower(char *text)
{
    for (; *text != '\0'; text++)
        *text = text_lower(*text);
}

/* A quoted string at scan->at, which is its first quote. Unescapes in place and stops behind the
 * last quote. */
static int take_quoted(struct scan *scan, const char **ret)
{
    char *out = scan->at + 1;

    *ret = out;
    for (char *in = out; *in != '\0'; in++) {
        if (*in == '"') {
            scan->at = in + 1;
            *out = '\0';
            return 0;
        }
        if (*in == '\\' && *++in == '\0')
            break;
        if (((unsigned char)*in < 0x20 && *in != '\t') || *in == 0x7f)
            return refuse(scan, "a control character");
        *out++ = *in;
    }
    return refuse(scan, "a quote that does not end");
}

/* What follows a complete element: the end, or a comma. Writes the NUL that ends the element. */
static int take_end(struct scan *scan)
{
    char *end = skip_blanks(scan->at);

    if (*end != '\0' && *end != ',')
        return refuse(scan, "something follows a value without a comma");
    scan->at = *end == ',' ? end + 1 : end;
    return 0;
}

/* name[end..] is "=", blanks around it allowed, then the value. */
static int take_parameter(struct scan *scan, char *name, char *end)
{
    struct challenge *challenge = scan->current;
    const char *value;
    char *after;
    int r = 0;

    if (!challenge)
        return refuse(scan, "a parameter before any scheme");
    if (challenge->token68)
        return refuse(scan, "parameters beside a token");
    if (challenge->parameter_count == CHALLENGE_PARAMETERS_MAX)
        return refuse(scan, "too many parameters");
    scan->at = skip_blanks(skip_blanks(end) + 1);
    if (*scan->at == '"') {
        r = take_quoted(scan, &value);
        if (r < 0)
            return r;
        r = take_end(scan);
    } else {
        value = scan->at;
        after = scan->at = skip_token(scan->at);
        if (after == value)
            return refuse(scan, "a parameter without a value");
        r = take_end(scan);
        *after = '\0';
    }
    if (r < 0)
        return r;
    *end = '\0';
    lower(name);
    if (challenge_parameter(challenge, name))
        return refuse(scan, "a parameter that is there twice");
    challenge->parameters[challenge->parameter_count].name = name;
    challenge->parameters[challenge->parameter_count++].value = value;
    return 0;
}

/*
 * Is `at`, behind a scheme and a blank, a token68? Only then may it be followed by the end or a
 * comma, and it is not, as in "Basic realm=x", followed by a value. "Negotiate abc=" is one;
 * "Negotiate, Basic" never gets here.
 */
static char *token68_end(char *at)
{
    char *end = at;

    while (is_token68(*end))
        end++;
    if (end == at)
        return NULL;
    while (*end == '=')
        end++;
    return *skip_blanks(end) == '\0' || *skip_blanks(end) == ',' ? end : NULL;
}

static int take_scheme(struct scan *scan, char *name, char *end)
{
    char *next = skip_blanks(end), *token;
    int r;

    if (scan->list->count == CHALLENGES_MAX)
        return refuse(scan, "too many challenges");
    if (next == end && *next != '\0' && *next != ',')
        return refuse(scan, "a scheme with a strange character");
    scan->current = &scan->list->items[scan->list->count++];
    *scan->current = (struct challenge){ .scheme = name };
    scan->at = next;
    if (*next == '\0' || *next == ',') {
        r = take_end(scan);
        *end = '\0';
        lower(name);
        return r;
    }
    *end = '\0';
    lower(name);
    token = token68_end(next);
    if (!token) /* a parameter, which the caller's loop takes */
        return *skip_blanks(skip_token(next)) == '=' ? 0
                                                     : refuse(scan, "two schemes without a comma");
    scan->current->token68 = next;
    scan->at = token;
    r = take_end(scan);
    *token = '\0';
    return r;
}

static int take_element(struct scan *scan)
{
    char *name = scan->at, *end = skip_token(name);

    if (end == name)
        return refuse(scan, "a strange character");
    return *skip_blanks(end) == '=' ? take_parameter(scan, name, end)
                                    : take_scheme(scan, name, end);
}

static int scan_list(struct scan *scan)
{
    for (;;) {
        int r;

        scan->at = skip_blanks(scan->at);
        if (*scan->at == '\0')
            return 0;
        if (*scan->at == ',') { /* an empty element, RFC 9110 section 5.6.1.2 */
            scan->at++;
            continue;
        }
        r = take_element(scan);
        if (r < 0)
            return r;
    }
}

int challenges_add(struct challenges *list, const char *value, size_t length,
                   struct pullkey_error *error)
{
    struct scan scan = { .list = list, .error = error };
    size_t before = list->count;
    char *text;
    int r;

    if (length > CHALLENGE_HEADER_MAX || memchr(value, '\0', length) ||
        list->text_count == CHALLENGES_MAX)
        return refuse(&scan, "too long, too many, or with a NUL");
    text = secret_copy(value, length);
    if (!text)
        return error_memory(error);
    scan.at = text;
    r = scan_list(&scan);
    if (r < 0) {
        list->count = before;
        secret_release(text);
        return r;
    }
    list->texts[list->text_count++] = text;
    return 0;
}

void challenges_done(struct challenges *list)
{
    for (size_t i = 0; i < list->text_count; i++)
        secret_release(list->texts[i]);
    *list = (struct challenges){ 0 };
}

const struct challenge *challenges_find(const struct challenges *list, const char *scheme)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i].scheme, scheme) == 0)
            return &list->items[i];
    return NULL;
}

const char *challenge_parameter(const struct challenge *challenge, const char *name)
{
    for (size_t i = 0; i < challenge->parameter_count; i++)
        if (strcmp(challenge->parameters[i].name, name) == 0)
            return challenge->parameters[i].value;
    return NULL;
}
