/* SPDX-License-Identifier: Apache-2.0 */
#include "json-scan.h"
#include "error.h"
#include "json.h"
#include "text.h"

#include <string.h>

enum { STOPPED = 1 };

static int scan_value(struct json_scan *scan, unsigned int depth, struct pullkey_error *error);

size_t json_scan_line(const char *text, size_t at)
{
    size_t line = 1;

    for (size_t i = 0; i < at; i++)
        if (text[i] == '\n')
            line++;
    return line;
}

static int refuse(const struct json_scan *scan, struct pullkey_error *error, const char *what)
{
    return error_set(error, PULLKEY_INVALID, "%s:%zu: %s", scan->name,
                     json_scan_line(scan->text, scan->at), what);
}

/* The byte at the position, or -1 at the end. */
static int peek(const struct json_scan *scan)
{
    return scan->at < scan->length ? (unsigned char)scan->text[scan->at] : -1;
}

static bool at_text(const struct json_scan *scan, const char *text)
{
    size_t length = strlen(text);

    return scan->length - scan->at >= length && memcmp(scan->text + scan->at, text, length) == 0;
}

static void blank_out(const struct json_scan *scan, size_t from, size_t to)
{
    if (!scan->blank)
        return;
    for (size_t i = from; i < to; i++)
        if (scan->blank[i] != '\n')
            scan->blank[i] = ' ';
}

static int skip_comment(struct json_scan *scan, struct pullkey_error *error)
{
    size_t from = scan->at;

    if (at_text(scan, "//")) {
        while (peek(scan) >= 0 && peek(scan) != '\n')
            scan->at++;
    } else {
        scan->at += 2;
        while (!at_text(scan, "*/")) {
            if (peek(scan) < 0) {
                scan->at = from;
                return refuse(scan, error, "a comment that begins here does not end");
            }
            scan->at++;
        }
        scan->at += 2;
    }
    blank_out(scan, from, scan->at);
    return 0;
}

static int skip_blanks(struct json_scan *scan, struct pullkey_error *error)
{
    for (;;) {
        int byte = peek(scan);

        if (byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r') {
            scan->at++;
        } else if ((scan->flags & JSON_COMMENTS) && (at_text(scan, "//") || at_text(scan, "/*"))) {
            int r = skip_comment(scan, error);

            if (r < 0)
                return r;
        } else {
            return 0;
        }
    }
}

/* Four hexadecimal digits at the position; -1 if they are not. */
static int read_hex(const struct json_scan *scan, size_t at)
{
    int value = 0;

    if (scan->length - at < 4)
        return -1;
    for (size_t i = at; i < at + 4; i++) {
        char c = text_lower(scan->text[i]);

        if (c >= '0' && c <= '9')
            value = value * 16 + (c - '0');
        else if (c >= 'a' && c <= 'f')
            value = value * 16 + (c - 'a' + 10);
        else
            return -1;
    }
    return value;
}

static int scan_escape(struct json_scan *scan, struct pullkey_error *error)
{
    int unit, second;

    scan->at++;
    if (peek(scan) != 'u') {
        if (peek(scan) <= 0 || !strchr("\"\\/bfnrt", peek(scan)))
            return refuse(scan, error, "an escape that JSON does not have");
        scan->at++;
        return 0;
    }
    unit = read_hex(scan, scan->at + 1);
    if (unit < 0)
        return refuse(scan, error, "\\u wants four hexadecimal digits");
    if (unit == 0)
        return refuse(scan, error, "the NUL character is not allowed in a string");
    scan->at += 5;
    if (unit >= 0xd800 && unit <= 0xdfff) {
        second = at_text(scan, "\\u") ? read_hex(scan, scan->at + 2) : -1;
        if (unit >= 0xdc00 || second < 0xdc00 || second > 0xdfff)
            return refuse(scan, error, "half of a surrogate pair");
        scan->at += 6;
    }
    return 0;
}

static int scan_string(struct json_scan *scan, struct pullkey_error *error)
{
    scan->at++;
    for (;;) {
        int byte = peek(scan);
        int r;

        if (byte < 0)
            return refuse(scan, error, "a string does not end");
        if (byte < 0x20)
            return refuse(scan, error, "a control character inside a string");
        if (byte == '"') {
            scan->at++;
            return 0;
        }
        if (byte == '\\') {
            r = scan_escape(scan, error);
            if (r < 0)
                return r;
        } else {
            scan->at++;
        }
    }
}

static bool skip_digits(struct json_scan *scan)
{
    size_t from = scan->at;

    while (peek(scan) >= '0' && peek(scan) <= '9')
        scan->at++;
    return scan->at > from;
}

static int scan_number(struct json_scan *scan, struct pullkey_error *error)
{
    size_t from = scan->at;
    bool fine;

    if (peek(scan) == '-')
        scan->at++;
    if (peek(scan) == '0') {
        scan->at++;
        fine = true;
    } else {
        fine = skip_digits(scan);
    }
    if (fine && peek(scan) == '.') {
        scan->at++;
        fine = skip_digits(scan);
    }
    if (fine && (peek(scan) == 'e' || peek(scan) == 'E')) {
        scan->at++;
        if (peek(scan) == '+' || peek(scan) == '-')
            scan->at++;
        fine = skip_digits(scan);
    }
    /* cJSON copies a number into 64 bytes. */
    if (!fine || scan->at - from > 60)
        return refuse(scan, error, "a number that JSON does not have");
    return 0;
}

static int scan_word(struct json_scan *scan, struct pullkey_error *error)
{
    static const char *const words[] = { "true", "false", "null" };

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (at_text(scan, words[i])) {
            scan->at += strlen(words[i]);
            return 0;
        }
    }
    return refuse(scan, error,
                  peek(scan) < 0 ? "the text ends too early" : "something that is not JSON");
}

static int scan_key(struct json_scan *scan, struct pullkey_error *error)
{
    int r;

    if (peek(scan) != '"')
        return refuse(scan, error, "expected a key in double quotes");
    scan->key = scan->at;
    r = scan_string(scan, error);
    if (r == 0)
        r = skip_blanks(scan, error);
    if (r < 0)
        return r;
    if (peek(scan) != ':')
        return refuse(scan, error, "expected ':' after a key");
    scan->at++;
    return skip_blanks(scan, error);
}

/* An object or an array: both are lists of values in brackets, the first with keys. */
static int scan_list(struct json_scan *scan, unsigned int depth, struct pullkey_error *error)
{
    bool object = peek(scan) == '{';
    int close = object ? '}' : ']';
    size_t comma = SIZE_MAX;

    if (depth >= JSON_DEPTH_MAX)
        return refuse(scan, error, "nested too deeply");
    scan->at++;
    for (;;) {
        int r = skip_blanks(scan, error);

        if (r < 0)
            return r;
        if (peek(scan) == close) {
            if (comma != SIZE_MAX) {
                if (!(scan->flags & JSON_COMMENTS))
                    return refuse(scan, error, "a comma before a closing bracket");
                blank_out(scan, comma, comma + 1);
            }
            scan->at++;
            return 0;
        }
        if (object) {
            r = scan_key(scan, error);
            if (r < 0)
                return r;
        }
        r = scan_value(scan, depth + 1, error);
        if (r != 0)
            return r;
        r = skip_blanks(scan, error);
        if (r < 0)
            return r;
        comma = SIZE_MAX;
        if (peek(scan) == ',') {
            comma = scan->at++;
        } else if (peek(scan) != close) {
            return refuse(scan, error, object ? "expected ',' or '}'" : "expected ',' or ']'");
        }
    }
}

/* 0, STOPPED, or an error. */
static int scan_value(struct json_scan *scan, unsigned int depth, struct pullkey_error *error)
{
    int byte = peek(scan);

    if (scan->count == scan->stop)
        return STOPPED;
    scan->count++;
    if (byte == '{' || byte == '[')
        return scan_list(scan, depth, error);
    if (byte == '"')
        return scan_string(scan, error);
    if (byte == '-' || (byte >= '0' && byte <= '9'))
        return scan_number(scan, error);
    return scan_word(scan, error);
}

int json_scan(struct json_scan *scan, struct pullkey_error *error)
{
    int r;

    scan->at = 0;
    scan->count = 0;
    if (!text_is_utf8(scan->text, scan->length))
        return error_set(error, PULLKEY_INVALID, "%s: the text is not valid UTF-8", scan->name);
    r = skip_blanks(scan, error);
    if (r == 0)
        r = scan_value(scan, 0, error);
    if (r == STOPPED)
        return 0;
    if (r == 0)
        r = skip_blanks(scan, error);
    if (r < 0)
        return r;
    if (scan->at != scan->length)
        return refuse(scan, error, "more text after the end of the value");
    return 0;
}
