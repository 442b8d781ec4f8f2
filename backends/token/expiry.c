/* SPDX-License-Identifier: Apache-2.0 */
#include "expiry.h"

#include <string.h>
#include <time.h>

#include "base/error.h"
#include "base/jwt.h"

#define DIGITS "0123456789"
#define DIGITS_MAX 15          /* of a number in a string: a double holds them all */
#define LATEST 253402300799.0  /* the end of the year 9999 */
#define MILLISECONDS_FROM 1e11 /* in seconds that would be after the year 5000 */

static int64_t cut(int64_t end, int64_t now)
{
    return end < now + EXPIRY_MAX_SECONDS ? end : now + EXPIRY_MAX_SECONDS;
}

static int refuse(struct pullkey_error *error)
{
    return error_set(error, PULLKEY_INVALID, "the token's end is no time");
}

/* A number, or a string of digits with perhaps a fraction behind, which is dropped. */
static bool read_number(const cJSON *item, double *ret)
{
    const char *text;
    size_t digits;

    if (cJSON_IsNumber(item)) {
        *ret = item->valuedouble;
        return true;
    }
    if (!cJSON_IsString(item))
        return false;
    text = item->valuestring;
    digits = strspn(text, DIGITS);
    if (digits == 0 || digits > DIGITS_MAX)
        return false;
    if (text[digits] == '.') {
        const size_t fraction = strspn(text + digits + 1, DIGITS);

        if (fraction == 0 || text[digits + 1 + fraction] != '\0')
            return false;
    } else if (text[digits] != '\0') {
        return false;
    }
    *ret = 0;
    for (size_t i = 0; i < digits; i++)
        *ret = *ret * 10 + (text[i] - '0');
    return true;
}

int expiry_in(const cJSON *item, int64_t now, int64_t *ret, struct pullkey_error *error)
{
    double seconds;

    if (!item || cJSON_IsNull(item)) {
        *ret = 0;
        return 0;
    }
    if (!read_number(item, &seconds) || !(seconds >= 1))
        return error_set(error, PULLKEY_INVALID,
                         "the token's life (expires_in) is no number of seconds more than 0");
    *ret = now + (seconds < EXPIRY_MAX_SECONDS ? (int64_t)seconds : EXPIRY_MAX_SECONDS);
    return 0;
}

int expiry_epoch(const cJSON *item, int64_t now, int64_t *ret, struct pullkey_error *error)
{
    double end;

    if (!read_number(item, &end))
        return refuse(error);
    if (end >= MILLISECONDS_FROM)
        end /= 1000;
    if (!(end >= 1 && end <= LATEST))
        return refuse(error);
    *ret = cut((int64_t)end, now);
    return 0;
}

/* Exactly so many digits, a number in a range, and what must follow it (unless that is NUL). */
static bool read_part(const char **text, int digits, int least, int most, char follows, int *ret)
{
    *ret = 0;
    for (int i = 0; i < digits; i++) {
        const char c = **text;

        if (c < '0' || c > '9')
            return false;
        *ret = *ret * 10 + (c - '0');
        ++*text;
    }
    if (*ret < least || *ret > most || (follows != '\0' && **text != follows))
        return false;
    *text += follows != '\0';
    return true;
}

static int days_of(int month, int year)
{
    static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    const bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return days[month - 1] + (month == 2 && is_leap);
}

/* "2030-01-31T23:59:60", without what follows the seconds. */
static bool read_time(const char **text, struct tm *ret)
{
    int year, month, day;

    if (!read_part(text, 4, 0, 9999, '-', &year) || !read_part(text, 2, 1, 12, '-', &month) ||
        !read_part(text, 2, 1, days_of(month, year), '\0', &day) || **text == '\0' ||
        !strchr("Tt ", **text))
        return false;
    ++*text;
    *ret = (struct tm){ .tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day };
    return read_part(text, 2, 0, 23, ':', &ret->tm_hour) &&
           read_part(text, 2, 0, 59, ':', &ret->tm_min) &&
           read_part(text, 2, 0, 60, '\0', &ret->tm_sec);
}

/* "Z" or "+01:00", in seconds. */
static bool read_offset(const char *text, int *ret)
{
    const int sign = *text == '-' ? -1 : 1;
    int hours, minutes;

    *ret = 0;
    if (strcmp(text, "Z") == 0 || strcmp(text, "z") == 0)
        return true;
    if (*text != '+' && *text != '-')
        return false;
    text++;
    if (!read_part(&text, 2, 0, 23, ':', &hours) || !read_part(&text, 2, 0, 59, '\0', &minutes))
        return false;
    *ret = sign * (hours * 60 + minutes) * 60;
    return *text == '\0';
}

static int refuse_date(struct pullkey_error *error)
{
    return error_set(error, PULLKEY_INVALID, "the token's end is no date of RFC 3339");
}

int expiry_date(const char *text, int64_t now, int64_t *ret, struct pullkey_error *error)
{
    struct tm time;
    size_t fraction;
    int64_t end;
    int offset;

    if (!read_time(&text, &time))
        return refuse_date(error);
    if (*text == '.') {
        fraction = strspn(text + 1, DIGITS);
        if (fraction == 0)
            return refuse_date(error);
        text += 1 + fraction;
    }
    if (!read_offset(text, &offset))
        return refuse_date(error);
    end = (int64_t)timegm(&time) - offset;
    if (end <= 0)
        return refuse_date(error);
    *ret = cut(end, now);
    return 0;
}

int64_t expiry_jwt(const struct pullkey_secret *token, int64_t now)
{
    return cut(jwt_expiry(token), now);
}

int expiry_check(int64_t end, int64_t now, struct pullkey_error *error)
{
    return end > now ? 0
                     : error_set(error, PULLKEY_INVALID,
                                 "its token has expired already: is this machine's clock right?");
}
