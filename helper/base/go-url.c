/* SPDX-License-Identifier: Apache-2.0 */
#include "go-url.h"

#include <arpa/inet.h>
#include <string.h>

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static int hex_value(char c)
{
    if (is_digit(c))
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Each '%' has two digits behind it. */
static bool is_escaped_well(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (text[i] == '%' &&
            (i + 2 >= length || hex_value(text[i + 1]) < 0 || hex_value(text[i + 2]) < 0))
            return false;
    return true;
}

/* "", ":" or ":" with digits. */
static bool is_port(const char *text, size_t length)
{
    if (length > 0 && text[0] != ':')
        return false;
    for (size_t i = 1; i < length; i++)
        if (!is_digit(text[i]))
            return false;
    return true;
}

/* In a name only bytes outside ASCII, and '%' itself, are escaped. */
static bool is_name(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];

        if (c == '%' && hex_value(text[i + 1]) < 8 && memcmp(text + i, "%25", 3) != 0)
            return false;
        if (c < 0x80 && c != '%' && !is_letter(text[i]) && !is_digit(text[i]) &&
            !strchr("-_.~!$&'()*+,;=:[]<>\"", c))
            return false;
    }
    return true;
}

static bool is_bracketed(const char *text, size_t length)
{
    const char *end = memrchr(text, ']', length);
    struct in6_addr address;
    char literal[INET6_ADDRSTRLEN];
    size_t size = end ? (size_t)(end - text) - 1 : sizeof(literal);

    if (size >= sizeof(literal))
        return false;
    memcpy(mempcpy(literal, text + 1, size), "", 1);
    return inet_pton(AF_INET6, literal, &address) == 1 && is_port(end + 1, length - size - 2);
}

static bool is_host(const char *text, size_t length)
{
    const char *bracket = memrchr(text, '[', length);
    const char *colon = memchr(text, ':', length);

    if (!is_escaped_well(text, length))
        return false;
    if (bracket)
        return bracket == text && is_bracketed(text, length);
    if (colon && !is_port(colon, length - (size_t)(colon - text)))
        return false;
    return is_name(text, length);
}

static bool is_user(const char *text, size_t length)
{
    if (!is_escaped_well(text, length))
        return false;
    for (size_t i = 0; i < length; i++)
        if (!is_letter(text[i]) && !is_digit(text[i]) && !strchr("-._:~!$&'()*+,;=%@", text[i]))
            return false;
    return true;
}

/* What stands behind "//", the path included. */
static bool is_authority_and_path(const char *text, size_t length)
{
    const char *slash = memchr(text, '/', length);
    size_t size = slash ? (size_t)(slash - text) : length;
    const char *at = memrchr(text, '@', size);
    size_t user = at ? (size_t)(at - text) + 1 : 0;

    return is_host(text + user, size - user) && (!at || is_user(text, user - 1)) &&
           is_escaped_well(text + size, length - size);
}

static size_t length_before(const char *text, size_t length, char c)
{
    const char *found = memchr(text, c, length);

    return found ? (size_t)(found - text) : length;
}

/* The length of "scheme:", 0 where there is none. */
static size_t scheme_length(const char *text, size_t length)
{
    size_t i = 0;

    while (i < length &&
           (is_letter(text[i]) || (i > 0 && (is_digit(text[i]) || strchr("+-.", text[i])))))
        i++;
    return i > 0 && i < length && text[i] == ':' ? i + 1 : 0;
}

bool go_url_is_read(const char *name, size_t length)
{
    size_t size, scheme;

    /* Behind a '#' anything goes. */
    size = length_before(name, length, '#');
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f)
            return false;
    if (!is_escaped_well(name + size, length - size))
        return false;
    size = length_before(name, size, '?');
    if (length < 4 || memcmp(name, "http", 4) != 0)
        return is_authority_and_path(name, size);

    scheme = scheme_length(name, size);
    name += scheme;
    size -= scheme;
    if (scheme > 0 && size >= 2 && memcmp(name, "//", 2) == 0)
        return is_authority_and_path(name + 2, size - 2);
    if (scheme > 0)
        return size == 0 || name[0] != '/' || is_escaped_well(name, size);
    return length_before(name, size, ':') >= length_before(name, size, '/') &&
           is_escaped_well(name, size);
}
