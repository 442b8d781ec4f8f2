/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http/header: the input is the name that is asked for, a LF, and the header lines of a reply. Each
 * value comes from a line of that name, which is behind the one before, and has no CR, LF, NUL or
 * outer blanks.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "http/http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NAME_SIZE 64

static void require(bool condition)
{
    if (!condition)
        abort();
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\0';
}

/* Where the line that a value stands in begins. */
static const char *line_of(const char *begin, const char *value)
{
    while (value > begin && value[-1] != '\n')
        value--;
    return value;
}

static void check_value(const struct http_response *response, const char *name, const char *value,
                        size_t length)
{
    const char *begin = response->headers.data, *line;
    size_t name_length = strlen(name);

    require(value >= begin && length <= response->headers.length &&
            value + length <= begin + response->headers.length);
    for (size_t i = 0; i < length; i++)
        require(value[i] != '\r' && value[i] != '\n' && value[i] != '\0');
    require(length == 0 || (!is_blank(value[0]) && !is_blank(value[length - 1])));
    line = line_of(begin, value);
    require((size_t)(value - line) > name_length && line[name_length] == ':' &&
            strncasecmp(line, name, name_length) == 0);
    for (line += name_length + 1; line < value; line++)
        require(is_blank(*line));
}

static size_t count_lines(const struct http_response *response)
{
    size_t count = 1;

    for (size_t i = 0; i < response->headers.length; i++)
        count += response->headers.data[i] == '\n';
    return count;
}

static void walk(const struct http_response *response, const char *name)
{
    const char *value = NULL, *last = NULL;
    size_t at = 0, before = 0, length = 0, found = 0;

    while (http_header(response, name, &at, &value, &length)) {
        require(at > before && ++found <= count_lines(response));
        check_value(response, name, value, length);
        require(!last || memchr(last, '\n', (size_t)(value - last)));
        last = value;
        before = at;
    }
    require(!http_header(response, name, &at, &value, &length));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data, *end = memchr(text, '\n', size);
    size_t length = end ? (size_t)(end - text) : 0;
    struct http_response response = { 0 };
    char name[NAME_SIZE] = "", *lines;

    if (!end || length == 0 || length >= sizeof(name) || memchr(text, '\0', length))
        return 0;
    memcpy(name, text, length);
    /* In a block of its very size, so that reads behind it are seen. */
    response.headers.length = size - length - 1;
    lines = malloc(response.headers.length);
    if (!lines)
        return 0;
    if (response.headers.length > 0)
        memcpy(lines, end + 1, response.headers.length);
    response.headers.data = lines;
    walk(&response, name);
    walk(&response, "www-authenticate");
    free(lines);
    return 0;
}
