/* SPDX-License-Identifier: Apache-2.0 */
#include "http.h"

#include <string.h>
#include <strings.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* RFC 9110 section 5.5: what may not be inside a value, as it ends one for some readers. */
static bool is_whole(const char *value, size_t length)
{
    return !memchr(value, '\r', length) && !memchr(value, '\0', length);
}

bool http_header(const struct http_response *response, const char *name, size_t *at,
                 const char **ret_value, size_t *ret_length)
{
    const char *data = response->headers.data;
    size_t name_length = strlen(name);

    while (*at < response->headers.length) {
        const char *line = data + *at, *end = memchr(line, '\n', response->headers.length - *at);
        size_t length = end ? (size_t)(end - line) : response->headers.length - *at;

        *at += length + 1;
        if (length <= name_length || line[name_length] != ':' ||
            strncasecmp(line, name, name_length) != 0)
            continue;
        line += name_length + 1;
        length -= name_length + 1;
        while (length > 0 && is_blank(line[length - 1]))
            length--;
        while (length > 0 && is_blank(*line)) {
            line++;
            length--;
        }
        if (!is_whole(line, length))
            continue;
        *ret_value = line;
        *ret_length = length;
        return true;
    }
    return false;
}
