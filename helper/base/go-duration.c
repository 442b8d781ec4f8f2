/* SPDX-License-Identifier: Apache-2.0 */
#include "base/go-duration.h"

#include <stdint.h>
#include <string.h>

#define DIGITS "0123456789"

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

bool go_duration(const char *text, bool *ret_is_negative)
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
