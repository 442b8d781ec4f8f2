/* SPDX-License-Identifier: Apache-2.0 */
#include "toml-reason.h"

#include <stddef.h>
#include <string.h>

#define BEFORE "Error while parsing "

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Of values that are no strings. What was expected there tells what was found, as the 't' that
 * makes it expect "true". */
static const char *const VALUES[] = {
    "value: ",
    "boolean: ",
    "binary integer: ",
    "octal integer: ",
    "decimal integer: ",
    "hexadecimal integer: ",
    "floating-point: ",
    "hexadecimal floating-point: ",
    "date: ",
    "time: ",
    "date-time: ",
    "date-time offset: ",
};

/* The first whose beginning it is. */
static const struct {
    const char *beginning, *text;
} REASONS[] = {
    { "encountered end-of-file", "the file ends too early" },
    { "control characters other than TAB (U+0009) are explicitly prohibited in comments",
      "a comment has a control character" },
    { "control characters", "a string does not end on its line, or has a control character" },
    { "unescaped control characters",
      "a string does not end on its line, or has a control character" },
    { "escape sequence", "a string has an escape sequence that TOML does not know" },
    { "unknown escape sequence", "a string has an escape sequence that TOML does not know" },
    { "expected hex digit", "a string has an escape sequence that TOML does not know" },
    { "unicode surrogates", "a string has an escape sequence that stands for no character" },
    { "values greater than U+10FFFF",
      "a string has an escape sequence that stands for no character" },
    { "line-ending backslashes", "a string has a backslash before a blank" },
    { "expected '\\n' after '\\r'", "a carriage return has no line feed behind it" },
    { "expected space or tab", "a blank is neither a space nor a tab" },
    { "expected keys, tables", "this is neither a key, a table nor a comment" },
    { "expected bare key", "a part of a key is missing, or needs quotes" },
    { "multi-line strings are prohibited in", "a key has the quotes of a text of many lines" },
    { "expected '='", "a '=' is missing, or a key needs quotes" },
    { "expected value or closing ']'", "a value is missing before a comma" },
    { "expected value,", "a value is missing" },
    { "expected a comment or whitespace", "there is more on the line than belongs there" },
    { "expected comma or closing ']'", "a comma or ']' is missing" },
    { "expected comma or closing '}'", "a comma or '}' is missing" },
    { "expected key or closing '}'", "a key or '}' is missing" },
    { "expected key-value pair", "a key is missing beside a comma" },
    { "expected ']'", "a ']' is missing, or a name needs quotes" },
    { "tables with blank bare keys", "a table has no name" },
    { "[[array-of-table]] brackets", "there is a blank between two brackets" },
    { "cannot insert ", "a table in braces cannot be added to" },
    { "cannot redefine existing ", "a key or table is there twice" },
};

/* The text behind a beginning that it has, else NULL. */
static const char *behind(const char *text, const char *beginning)
{
    size_t length = strlen(beginning);

    return strncmp(text, beginning, length) == 0 ? text + length : NULL;
}

struct toml_reason toml_explain(const char *description)
{
    struct toml_reason ret = { 0 };
    const char *scope = behind(description, BEFORE);
    const char *why = scope ? strstr(scope, ": ") : NULL;

    if (!why)
        return ret;
    for (size_t i = 0; i < COUNT(VALUES); i++)
        if (behind(scope, VALUES[i]))
            ret.text = "a value is none that TOML knows: strings need quotes";
    for (size_t i = 0; !ret.text && i < COUNT(REASONS); i++)
        if (behind(why + strlen(": "), REASONS[i].beginning))
            ret.text = REASONS[i].text;
    ret.has_column = ret.text && (behind(scope, "table header: ") || behind(scope, "root table: "));
    return ret;
}
