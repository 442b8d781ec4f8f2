/* SPDX-License-Identifier: Apache-2.0 */
#include "text.h"
#include "error.h"

#include <string.h>

size_t text_utf8_length(const char *text, size_t length)
{
    const unsigned char *bytes = (const unsigned char *)text;
    unsigned char first = bytes[0];
    unsigned char low = 0x80, high = 0xbf; /* allowed for the second byte */
    size_t count;

    if (first < 0x80)
        return 1;
    if (first >= 0xc2 && first <= 0xdf)
        count = 2;
    else if (first >= 0xe0 && first <= 0xef)
        count = 3;
    else if (first >= 0xf0 && first <= 0xf4)
        count = 4;
    else
        return 0;
    if (first == 0xe0)
        low = 0xa0;
    else if (first == 0xed)
        high = 0x9f;
    else if (first == 0xf0)
        low = 0x90;
    else if (first == 0xf4)
        high = 0x8f;
    if (count > length || bytes[1] < low || bytes[1] > high)
        return 0;
    for (size_t i = 2; i < count; i++)
        if (bytes[i] < 0x80 || bytes[i] > 0xbf)
            return 0;
    return count;
}

bool text_is_utf8(const char *bytes, size_t length)
{
    size_t at = 0;

    while (at < length) {
        size_t step = text_utf8_length(bytes + at, length - at);

        if (step == 0)
            return false;
        at += step;
    }
    return true;
}

/* One well-formed character: is it a control, does it end a line, or does it turn the direction of
 * writing (Unicode Bidi_Control), which would show other text than is there? */
static bool is_unprintable(const unsigned char *bytes, size_t length)
{
    if (length == 1)
        return bytes[0] < 0x20 || bytes[0] == 0x7f;
    if (length == 2)
        return (bytes[0] == 0xc2 && bytes[1] < 0xa0) ||
               (bytes[0] == 0xd8 && bytes[1] == 0x9c); /* U+061C */
    if (length != 3 || bytes[0] != 0xe2)
        return false;
    if (bytes[1] == 0x80) /* U+200E, U+200F, U+2028 to U+202E */
        return bytes[2] == 0x8e || bytes[2] == 0x8f || (bytes[2] >= 0xa8 && bytes[2] <= 0xae);
    return bytes[1] == 0x81 && bytes[2] >= 0xa6 && bytes[2] <= 0xa9; /* U+2066 to U+2069 */
}

void text_make_printable(char *text)
{
    size_t left = strlen(text);

    while (left > 0) {
        const unsigned char *bytes = (const unsigned char *)text;
        size_t step = text_utf8_length(text, left);

        if (step == 0 || is_unprintable(bytes, step)) {
            step = step > 0 ? step : 1;
            memset(text, '?', step);
        }
        text += step;
        left -= step;
    }
}

bool text_is_ascii(const char *bytes, size_t length, char least)
{
    for (size_t i = 0; i < length; i++)
        if (bytes[i] < least || bytes[i] > '~')
            return false;
    return true;
}

bool text_is_name(const char *text, size_t limit)
{
    size_t length = strnlen(text, limit + 1);

    if (length == 0 || length > limit || text[0] == '-' || text[0] == '_')
        return false;
    for (size_t i = 0; i < length; i++) {
        char c = text[i];

        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_'))
            return false;
    }
    return true;
}

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void text_base64_encode(struct buffer *buffer, const char *bytes, size_t length)
{
    const unsigned char *in = (const unsigned char *)bytes;

    for (size_t i = 0; i < length; i += 3) {
        uint32_t group = (uint32_t)in[i] << 16;
        char out[4];

        if (i + 1 < length)
            group |= (uint32_t)in[i + 1] << 8;
        if (i + 2 < length)
            group |= in[i + 2];
        out[0] = alphabet[group >> 18];
        out[1] = alphabet[(group >> 12) & 63];
        out[2] = i + 1 < length ? alphabet[(group >> 6) & 63] : '=';
        out[3] = i + 2 < length ? alphabet[group & 63] : '=';
        buffer_append(buffer, out, sizeof(out));
    }
}

void text_base64url_encode(struct buffer *buffer, const char *bytes, size_t length)
{
    const size_t begin = buffer->length;

    text_base64_encode(buffer, bytes, length);
    for (size_t i = begin; i < buffer->length; i++) {
        if (buffer->data[i] == '+')
            buffer->data[i] = '-';
        else if (buffer->data[i] == '/')
            buffer->data[i] = '_';
    }
    while (buffer->length > begin && buffer->data[buffer->length - 1] == '=')
        buffer->data[--buffer->length] = '\0';
}

static int digit_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+')
        return 62;
    return c == '/' ? 63 : -1;
}

int text_base64_decode(const char *text, size_t length, struct buffer *buffer,
                       struct pullkey_error *error)
{
    uint32_t group = 0;
    size_t digits = 0;
    size_t end = length;

    if (end % 4 == 0 && end > 0 && text[end - 1] == '=')
        end -= text[end - 2] == '=' ? 2 : 1;
    if (end % 4 == 1)
        return error_set(error, PULLKEY_INVALID, "not base64: the text is cut short");
    for (size_t i = 0; i < end; i++) {
        int value = digit_value(text[i]);

        if (value < 0)
            return error_set(error, PULLKEY_INVALID, "not base64: byte %zu is not allowed", i + 1);
        group = (group << 6) | (uint32_t)value;
        if (++digits == 4) {
            char out[3] = { (char)(group >> 16), (char)(group >> 8), (char)group };

            buffer_append(buffer, out, sizeof(out));
            group = 0;
            digits = 0;
        }
    }
    if (digits == 2) {
        char out = (char)(group >> 4);

        buffer_append(buffer, &out, 1);
    } else if (digits == 3) {
        char out[2] = { (char)(group >> 10), (char)(group >> 2) };

        buffer_append(buffer, out, sizeof(out));
    }
    return buffer_check(buffer, error);
}

char text_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

bool text_equal_any_case(const char *a, const char *b)
{
    while (*a != '\0' && text_lower(*a) == text_lower(*b)) {
        a++;
        b++;
    }
    return text_lower(*a) == text_lower(*b);
}

size_t text_distance(const char *a, size_t a_length, const char *b, size_t b_length)
{
    /* Of the distances of all beginnings, the rows of this beginning of a and of two shorter. */
    size_t rows[3][TEXT_DISTANCE_MAX + 1];

    if (a_length > TEXT_DISTANCE_MAX || b_length > TEXT_DISTANCE_MAX)
        return SIZE_MAX;
    for (size_t i = 0; i <= a_length; i++) {
        size_t *row = rows[i % 3], *before = rows[(i + 2) % 3], *first = rows[(i + 1) % 3];

        row[0] = i;
        for (size_t j = 1; j <= b_length; j++) {
            size_t least = row[j - 1] + 1;

            if (i > 0 && before[j] + 1 < least)
                least = before[j] + 1;
            if (i > 0 && before[j - 1] + (a[i - 1] != b[j - 1]) < least)
                least = before[j - 1] + (a[i - 1] != b[j - 1]);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                first[j - 2] + 1 < least)
                least = first[j - 2] + 1;
            row[j] = least;
        }
    }
    return rows[a_length % 3][b_length];
}

void text_guess_try(struct text_guess *guess, const char *typed, size_t typed_length,
                    const char *candidate, size_t length)
{
    size_t distance = text_distance(typed, typed_length, candidate, length);

    if (typed_length >= 3 && typed_length < length && memcmp(typed, candidate, typed_length) == 0)
        distance = 0;
    if (3 * distance > typed_length || distance >= guess->least)
        return;
    *guess = (struct text_guess){ candidate, length, distance };
}
