/* SPDX-License-Identifier: Apache-2.0 */
#include "kubelet-text.h"

#include <stdint.h>
#include <string.h>

#include "base/text.h"

#define DIGITS "0123456789"
#define LETTERS "abcdefghijklmnopqrstuvwxyz"
#define ANNOTATION_NAME_MAX 63
#define ANNOTATION_PREFIX_MAX 253
#define SCALAR_MAX 128 /* a longer one is no number that anybody wrote */

/* -- Durations -------------------------------------------------------------------------------- */

/* The length of a unit, and its nanoseconds. */
static size_t read_unit(const char *text, uint64_t *ret)
{
    static const struct {
        const char *name;
        uint64_t nanoseconds;
    } units[] = {
        { "ns", 1 },
        { "us", 1000 },
        { "\xc2\xb5s", 1000 }, /* U+00B5 */
        { "\xce\xbcs", 1000 }, /* U+03BC */
        { "ms", 1000000 },
        { "s", 1000000000 },
        { "m", 60ull * 1000000000 },
        { "h", 3600ull * 1000000000 },
    };
    size_t length = strcspn(text, "." DIGITS);

    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strlen(units[i].name) == length && memcmp(text, units[i].name, length) == 0) {
            *ret = units[i].nanoseconds;
            return length;
        }
    }
    return 0;
}

/* A whole part; false where it is more than 2^63. */
static bool read_whole(const char **at, uint64_t *ret)
{
    *ret = 0;
    for (; **at >= '0' && **at <= '9'; ++*at) {
        if (*ret > (1ull << 63) / 10)
            return false;
        *ret = *ret * 10 + (uint64_t)(**at - '0');
        if (*ret > 1ull << 63)
            return false;
    }
    return true;
}

/* What a fraction of a unit has in nanoseconds; digits that do not fit do not count. */
static uint64_t read_fraction(const char *digits, uint64_t unit)
{
    double scale = 1, value = 0;

    for (; *digits >= '0' && *digits <= '9'; digits++) {
        if (value > (double)(INT64_MAX / 10))
            continue;
        value = value * 10 + (*digits - '0');
        scale *= 10;
    }
    return (uint64_t)(value * ((double)unit / scale));
}

/* One number with its unit, added to *total. */
static bool read_part(const char **at, uint64_t *total)
{
    const char *digits = NULL, *begin = *at;
    uint64_t whole, unit, fraction = 0;
    size_t count, length;

    if (!read_whole(at, &whole))
        return false;
    count = (size_t)(*at - begin);
    if (**at == '.') {
        digits = ++*at;
        *at += strspn(*at, DIGITS);
        count += (size_t)(*at - digits);
    }
    length = count > 0 ? read_unit(*at, &unit) : 0;
    if (length == 0 || whole > (1ull << 63) / unit)
        return false;
    if (digits)
        fraction = read_fraction(digits, unit);
    *at += length;
    whole = whole * unit + fraction;
    if (whole > 1ull << 63 || *total > (1ull << 63) - whole)
        return false;
    *total += whole;
    return true;
}

bool kubelet_duration(const char *text, bool *ret_is_negative)
{
    bool is_minus = text[0] == '-';
    uint64_t total = 0;

    *ret_is_negative = false;
    text += is_minus || text[0] == '+';
    if (strcmp(text, "0") == 0)
        return true;
    if (text[0] == '\0')
        return false;
    while (text[0] != '\0')
        if (!read_part(&text, &total))
            return false;
    *ret_is_negative = is_minus && total > 0;
    return is_minus || total < 1ull << 63;
}

/* -- YAML ------------------------------------------------------------------------------------- */

/* Digits of a base and nothing else. */
static bool is_whole(const char *text, const char *digits)
{
    return text[0] != '\0' && text[strspn(text, digits)] == '\0';
}

/* [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?, or a whole number of another base. */
static bool is_number(const char *text)
{
    size_t before, after = 0;

    text += text[0] == '-' || text[0] == '+';
    if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X'))
        return is_whole(text + 2, DIGITS "abcdefABCDEF");
    if (text[0] == '0' && (text[1] == 'o' || text[1] == 'O'))
        return is_whole(text + 2, "01234567");
    if (text[0] == '0' && (text[1] == 'b' || text[1] == 'B'))
        return is_whole(text + 2, "01");
    before = strspn(text, DIGITS);
    text += before;
    if (text[0] == '.') {
        after = strspn(++text, DIGITS);
        text += after;
    }
    if (before + after == 0)
        return false;
    if (text[0] == 'e' || text[0] == 'E') {
        text++;
        text += text[0] == '-' || text[0] == '+';
        return is_whole(text, DIGITS);
    }
    return text[0] == '\0';
}

static enum kubelet_scalar find_word(const char *text)
{
    static const struct {
        enum kubelet_scalar type;
        const char *words[10];
    } rows[] = {
        { KUBELET_TRUE, { "y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", NULL } },
        { KUBELET_TRUE, { "On", "ON", NULL } },
        { KUBELET_FALSE, { "n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", NULL } },
        { KUBELET_FALSE, { "Off", "OFF", NULL } },
        { KUBELET_NULL, { "", "~", "null", "Null", "NULL", NULL } },
        { KUBELET_NUMBER, { ".nan", ".NaN", ".NAN", ".inf", ".Inf", ".INF", NULL } },
        { KUBELET_NUMBER, { "+.inf", "+.Inf", "+.INF", "-.inf", "-.Inf", "-.INF", NULL } },
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        for (const char *const *word = rows[i].words; *word; word++)
            if (strcmp(*word, text) == 0)
                return rows[i].type;
    return KUBELET_STRING;
}

enum kubelet_scalar kubelet_scalar(const char *text)
{
    enum kubelet_scalar word = find_word(text);
    bool begins_with_dot = text[0] == '.';
    char plain[SCALAR_MAX];
    size_t used = 0;

    if (word != KUBELET_STRING || text[0] == '\0' || !strchr("+-." DIGITS, text[0]))
        return word;
    for (; *text != '\0' && used + 1 < sizeof(plain); text++)
        if (*text != '_' || begins_with_dot)
            plain[used++] = *text;
    plain[used] = '\0';
    return *text == '\0' && is_number(plain) ? KUBELET_NUMBER : KUBELET_STRING;
}

/* -- Annotations ------------------------------------------------------------------------------ */

/* Letters, digits and `more`, of which none begins or ends it. */
static bool is_part(const char *text, size_t length, size_t limit, const char *more)
{
    if (length == 0 || length > limit || strchr(more, text[0]) || strchr(more, text[length - 1]))
        return false;
    for (size_t i = 0; i < length; i++)
        if (!strchr(LETTERS DIGITS, text_lower(text[i])) && !strchr(more, text[i]))
            return false;
    return true;
}

bool kubelet_is_annotation(const char *text)
{
    const char *slash = strchr(text, '/');
    const char *name = slash ? slash + 1 : text;

    if (!is_part(name, strlen(name), ANNOTATION_NAME_MAX, "-_.") ||
        (slash && slash - text > ANNOTATION_PREFIX_MAX))
        return false;
    while (slash) {
        size_t label = strcspn(text, "./");

        if (!is_part(text, label, ANNOTATION_PREFIX_MAX, "-"))
            return false;
        if (text + label == slash)
            break;
        text += label + 1;
    }
    return true;
}
