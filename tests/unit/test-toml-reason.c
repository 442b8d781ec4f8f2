/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "base/buffer.h"
#include "hosts/toml-reason.h"
#include "hosts/toml.h"

#define LINE "t:1: this is not TOML: "
#define NO_VALUE "a value is none that TOML knows: strings need quotes"
#define STRING_END "a string does not end on its line, or has a control character"
#define NO_ESCAPE "a string has an escape sequence that TOML does not know"
#define NO_CHARACTER "a string has an escape sequence that stands for no character"
#define TOO_MUCH "there is more on the line than belongs there"
#define TWICE "a key or table is there twice"

static const char *refusal(const char *text, struct pullkey_error *error)
{
    struct toml_document toml = { 0 };

    *error = (struct pullkey_error){ 0 };
    if (toml_parse(&toml, "t", text, strlen(text), error) == 0)
        fail_msg("accepted: %s", text);
    return error->message;
}

/* What the installed library finds: each reason is one that it gives. */
static void reasons(void **state)
{
    static const struct {
        const char *text, *message;
    } rows[] = {
        { "a", LINE "the file ends too early" },
        { "a =", LINE "the file ends too early" },
        { "[a", LINE "the file ends too early (column 3)" },
        { "a = 'b", LINE "the file ends too early" },
        { "# \x7f\n", LINE "a comment has a control character" },
        { "a = \"b\nc\"\n", LINE STRING_END },
        { "a = 'b\nc'\n", LINE STRING_END },
        { "a = '\x01'\n", LINE STRING_END },
        { "a = \"\\x41\"\n", LINE NO_ESCAPE },
        { "a = \"\\q\"\n", LINE NO_ESCAPE },
        { "a = \"\\uZ\"\n", LINE NO_ESCAPE },
        { "a = \"\\ud800\"\n", LINE NO_CHARACTER },
        { "a = \"\\U00110000\"\n", LINE NO_CHARACTER },
        { "a = \"\"\"\\ b\"\"\"\n", LINE "a string has a backslash before a blank" },
        { "a = 1\rb = 2\n", LINE "a carriage return has no line feed behind it" },
        { " \xc2\xa0", LINE "a blank is neither a space nor a tab (column 2)" },
        { "a\xc2\xa0= 1\n", LINE "a blank is neither a space nor a tab" },
        { "\t%\n", LINE "this is neither a key, a table nor a comment (column 2)" },
        { "a. = 1\n", LINE "a part of a key is missing, or needs quotes" },
        { "'''a''' = 1\n", LINE "a key has the quotes of a text of many lines" },
        { "a b = 1\n", LINE "a '=' is missing, or a key needs quotes" },
        { "a = [,]\n", LINE "a value is missing before a comma" },
        { "a = \n", LINE "a value is missing" },
        { "a = 1 b\n", LINE TOO_MUCH },
        { "[a] b\n", LINE TOO_MUCH " (column 5)" },
        { "a = [1 2]\n", LINE "a comma or ']' is missing" },
        { "a = {b = 1 c = 2}\n", LINE "a comma or '}' is missing" },
        { "a = {b = 1\n}\n", LINE "a key or '}' is missing" },
        { "a = {,}\n", LINE "a key is missing beside a comma" },
        { "a = {b = 1,}\n", LINE "a key is missing beside a comma" },
        { "[host.https://a]\n", LINE "a ']' is missing, or a name needs quotes (column 12)" },
        { "[[a]\n", LINE "a ']' is missing, or a name needs quotes (column 5)" },
        { "[host.\"a\"\n", LINE "a ']' is missing, or a name needs quotes" },
        { "a = 1\n[host.a\"]\n",
          "t:2: this is not TOML: a ']' is missing, or a name needs quotes" },
        { "x = '\xc3\xa9'\n[\xc3\xa9]\n",
          "t:2: this is not TOML: a part of a key is missing, or needs quotes" },
        { "[]\n", LINE "a table has no name (column 2)" },
        { "[ [a]]\n", LINE "there is a blank between two brackets (column 3)" },
        { "a = {}\n[a.b]\n",
          "t:2: this is not TOML: a table in braces cannot be added to (column 7)" },
        { "a = 1\na = 2\n", "t:2: this is not TOML: " TWICE },
        { "a = 1\na.b = 2\n", "t:2: this is not TOML: " TWICE },
        { "[a]\n\n[a]\n", "t:3: this is not TOML: " TWICE " (column 1)" },
        { "a = b\n", LINE NO_VALUE },
        { "a = _b\n", LINE NO_VALUE },
        { "a = \x01\n", LINE NO_VALUE },
        { "a = trux\n", LINE NO_VALUE },
        { "a = +nax\n", LINE NO_VALUE },
        { "a = 01\n", LINE NO_VALUE },
        { "a = 99999999999999999999\n", LINE NO_VALUE },
        { "a = 0b2\n", LINE NO_VALUE },
        { "a = 0o8\n", LINE NO_VALUE },
        { "a = 0x\n", LINE NO_VALUE },
        { "a = 0x1.8p1\n", LINE NO_VALUE },
        { "a = 1.e\n", LINE NO_VALUE },
        { "a = 1979-13-01\n", LINE NO_VALUE },
        { "a = 25:00:00\n", LINE NO_VALUE },
        { "a = 1979-01-01T25:00:00\n", LINE NO_VALUE },
        { "a = 1979-01-01T00:00:00+99:00\n", LINE NO_VALUE },
        { "a = 1979-01-01T00:00:00Zx\n", LINE NO_VALUE },
    };
    struct pullkey_error error;

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(rows); i++)
        assert_string_equal(refusal(rows[i].text, &error), rows[i].message);
}

/* Parses it with the secret for each '$'. */
static int parse_with(const char *text, const char *secret, struct pullkey_error *error)
{
    cleanup_buffer struct buffer whole = BUFFER_INIT(TOML_SIZE_MAX);
    cleanup_toml struct toml_document toml = { 0 };

    for (; *text; text++)
        if (*text == '$')
            buffer_append_text(&whole, secret);
        else
            buffer_append(&whole, text, 1);
    *error = (struct pullkey_error){ 0 };
    return toml_parse(&toml, "t", whole.data ? whole.data : "", whole.length, error);
}

/* How many of the secrets make it refused: all or none. */
static size_t refuse_alike(const char *text)
{
    static const char *const secrets[] = { "tmarker", "n-marker_and_a_longer_one", "z" };
    struct pullkey_error first, error;
    size_t refused = 0;

    for (size_t i = 0; i < UNIT_COUNT(secrets); i++) {
        refused += parse_with(text, secrets[i], &error) < 0;
        if (i == 0)
            first = error;
        if (strcmp(error.message, first.message) != 0 || strstr(error.message, "marker"))
            fail_msg("%s: %s, %s", text, first.message, error.message);
    }
    return refused;
}

/* A file that is broken at each place is refused in the same words whatever its secrets are, and
 * however long. */
static void secrets_do_not_matter(void **state)
{
    static const char *const texts[] = {
        "[host.\"https://a\".header]\n  Authorization = \"Basic $\"\n",
        "[host.\"$\".header]\n[ host . '$' ]\n",
        "x = ['$', \"$\"] # $\n",
        "x = {password = \"$\", auth = {secret = '$'}}\n",
        "auth.password = '''$'''\nb = \"\"\"$\"\"\"\n",
        "password = '$'\npassword = '$'\n",
    };
    static const char breaks[] = "\"'=[]{},.#\n\r\x01 x";
    size_t refused = 0;

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(texts); i++)
        for (int at = 0; at <= (int)strlen(texts[i]); at++) {
            char text[200];

            for (const char *with = breaks; *with; with++) {
                (void)snprintf(text, sizeof(text), "%.*s%c%s", at, texts[i], *with, texts[i] + at);
                refused += refuse_alike(text);
            }
            (void)snprintf(text, sizeof(text), "%.*s", at, texts[i]);
            refused += refuse_alike(text);
            if (texts[i][at])
                (void)snprintf(text, sizeof(text), "%.*s%s", at, texts[i], texts[i] + at + 1);
            refused += refuse_alike(text);
        }
    assert_true(refused > 1000);
}

/* Of another version of the library. */
static void unknown_ones(void **state)
{
    static const char *const rows[] = {
        "",
        "marker",
        "Error while parsing ",
        "Error while parsing string",
        "Error while parsing string: ",
        "Error while parsing string: marker",
        "Error while parsing string: saw 'marker', expected '='",
        "Error while parsing table header: 'marker' cannot redefine existing table",
        "error while parsing key: expected '='",
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        struct toml_reason reason = toml_explain(rows[i]);

        assert_null(reason.text);
        assert_false(reason.has_column);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reasons),
        cmocka_unit_test(secrets_do_not_matter),
        cmocka_unit_test(unknown_ones),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
