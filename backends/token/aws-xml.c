/* SPDX-License-Identifier: Apache-2.0 */
#include "aws-xml.h"

#include <string.h>

#include "base/error.h"

#define BLANKS " \t\r\n"

struct xml {
    const char *at, *end, *wanted;
    char path[AWS_XML_PATH_MAX]; /* of the element that is open */
    size_t depth, found;
    bool is_over; /* the outermost element has ended */
    struct buffer *ret;
};

static int refuse(struct pullkey_error *error)
{
    return error_set(error, PULLKEY_INVALID, "the answer is not proper XML");
}

static bool is_wanted(const struct xml *xml)
{
    return xml->depth > 0 && strcmp(xml->path, xml->wanted) == 0;
}

static size_t name_length(const struct xml *xml)
{
    size_t length = 0;

    while (xml->at + length < xml->end) {
        const char c = xml->at[length];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
              (length > 0 && ((c >= '0' && c <= '9') || c == '-' || c == '.' || c == ':'))))
            break;
        length++;
    }
    return length;
}

static bool enter(struct xml *xml, size_t length)
{
    const size_t used = strlen(xml->path);

    if (xml->is_over || is_wanted(xml) || xml->depth == AWS_XML_DEPTH_MAX ||
        used + length + 2 > sizeof(xml->path))
        return false;
    if (used > 0)
        xml->path[used] = '/';
    memcpy(mempcpy(xml->path + used + (used > 0), xml->at, length), "", 1);
    xml->depth++;
    return !is_wanted(xml) || xml->found++ == 0;
}

static bool leave(struct xml *xml)
{
    char *slash = strrchr(xml->path, '/');

    *(slash ? slash : xml->path) = '\0';
    xml->is_over = --xml->depth == 0;
    return true;
}

static bool skip_byte(struct xml *xml, char c)
{
    if (xml->at >= xml->end || *xml->at != c)
        return false;
    xml->at++;
    return true;
}

static bool skip_blanks(struct xml *xml)
{
    const char *begin = xml->at;

    while (xml->at < xml->end && strchr(BLANKS, *xml->at))
        xml->at++;
    return xml->at > begin;
}

/* name="value", none of which is of interest */
static bool skip_attributes(struct xml *xml)
{
    while (skip_blanks(xml) && xml->at < xml->end && *xml->at != '>' && *xml->at != '/' &&
           *xml->at != '?') {
        const size_t length = name_length(xml);
        const char *close;
        char quote;

        xml->at += length;
        if (length == 0 || !skip_byte(xml, '=') || xml->at >= xml->end)
            return false;
        quote = *xml->at++;
        close = memchr(xml->at, quote, (size_t)(xml->end - xml->at));
        if ((quote != '"' && quote != '\'') || !close ||
            memchr(xml->at, '<', (size_t)(close - xml->at)))
            return false;
        xml->at = close + 1;
    }
    return true;
}

static bool read_close(struct xml *xml)
{
    const char *slash = strrchr(xml->path, '/'), *name = slash ? slash + 1 : xml->path;
    const size_t length = strlen(name);

    if (xml->depth == 0 || (size_t)(xml->end - xml->at) < length ||
        memcmp(xml->at, name, length) != 0)
        return false;
    xml->at += length;
    (void)skip_blanks(xml);
    return skip_byte(xml, '>') && leave(xml);
}

static bool read_tag(struct xml *xml)
{
    size_t length;
    bool is_empty;

    if (skip_byte(xml, '/'))
        return read_close(xml);
    length = name_length(xml);
    if (length == 0 || !enter(xml, length))
        return false;
    xml->at += length;
    if (!skip_attributes(xml))
        return false;
    is_empty = skip_byte(xml, '/');
    return skip_byte(xml, '>') && (!is_empty || leave(xml));
}

/* &amp; and the like; what a number stands for must be ASCII. */
static bool read_entity(struct xml *xml)
{
    static const struct {
        const char *name;
        char c;
    } entities[] = {
        { "amp;", '&' }, { "lt;", '<' }, { "gt;", '>' }, { "quot;", '"' }, { "apos;", '\'' }
    };
    const size_t left = (size_t)(xml->end - xml->at);
    char c = '\0';

    for (size_t i = 0; i < sizeof(entities) / sizeof(entities[0]); i++) {
        const size_t length = strlen(entities[i].name);

        if (left >= length && memcmp(xml->at, entities[i].name, length) == 0) {
            c = entities[i].c;
            xml->at += length;
            break;
        }
    }
    if (c == '\0' && left > 1 && *xml->at == '#') {
        const bool is_hex = xml->at[1] == 'x';
        const char *digit = xml->at + 1 + is_hex;
        unsigned int value = 0;

        const char *digits = is_hex ? "0123456789abcdefABCDEF" : "0123456789";

        for (; digit < xml->end && strchr(digits, *digit) && value < 128; digit++)
            value = value * (is_hex ? 16 : 10) +
                    (unsigned int)(*digit <= '9' ? *digit - '0' : (*digit | 32) - 'a' + 10);
        if (value == 0 || value > 127 || digit >= xml->end || *digit != ';')
            return false;
        c = (char)value;
        xml->at = digit + 1;
    }
    if (c == '\0')
        return false;
    if (is_wanted(xml))
        buffer_append(xml->ret, &c, 1);
    return true;
}

static bool read_text(struct xml *xml)
{
    const char c = *xml->at++;

    if (xml->depth == 0)
        return strchr(BLANKS, c);
    if (c == '&')
        return read_entity(xml);
    if (is_wanted(xml))
        buffer_append(xml->ret, &c, 1);
    return true;
}

int aws_xml_find(const struct buffer *xml, const char *path, struct buffer *ret,
                 struct pullkey_error *error)
{
    struct xml state = {
        .at = xml->data, .end = xml->data + xml->length, .wanted = path, .ret = ret
    };

    if (xml->length == 0 || memchr(xml->data, '\0', xml->length))
        return refuse(error);
    if (xml->length > 5 && memcmp(state.at, "<?xml", 5) == 0) {
        state.at += 5;
        if (!skip_attributes(&state) || !skip_byte(&state, '?') || !skip_byte(&state, '>'))
            return refuse(error);
    }
    while (state.at < state.end) {
        if (skip_byte(&state, '<') ? !read_tag(&state) : !read_text(&state))
            return refuse(error);
    }
    if (!state.is_over)
        return refuse(error);
    if (state.found == 0)
        return error_set(error, PULLKEY_NOT_FOUND, "the answer has no %s", strrchr(path, '/') + 1);
    return buffer_check(ret, error);
}
