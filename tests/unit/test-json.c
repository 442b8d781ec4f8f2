/* SPDX-License-Identifier: Apache-2.0 */
#include "unit-free.h"

#include "base/json.h"
#include "base/secret.h"

static int parse(struct json *json, const char *text, unsigned int flags,
                 struct pullkey_error *error)
{
    return json_parse(json, "test.json", text, strlen(text), flags, error);
}

static void accepted_texts(void **state)
{
    static const char *const texts[] = {
        "null",
        "true",
        "false",
        "0",
        "-0",
        "7",
        "-7",
        "1.5",
        "1e5",
        "1E+5",
        "1.5e-5",
        "\"\"",
        " \t\r\n[ \t\r\n] \n",
        "{}",
        "[1,[2,{\"a\":[]}]]",
        "{\"\":1}",
        "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
        "\"\\u0001\"",
        "\"\\u00e9\\u20AC\\uD83D\\udd11\"",
        "\"caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x94\x91\"",
        "\"\x7f\"",
        "\"// no comment\"",
        "\"/* nor this\"",
        "{\"a\":1,\"A\":2}",
        "{\"a\":{\"a\":{\"a\":1}}}",
        "[{\"a\":1},{\"a\":1}]",
        "123456789012345678901234567890123456789012345678901234567890",
    };
    struct pullkey_error error;

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(texts); i++) {
        for (unsigned int flags = 0; flags <= JSON_COMMENTS; flags++) {
            cleanup_json struct json json = { 0 };

            if (parse(&json, texts[i], flags, &error) < 0)
                fail_msg("%s: %s", texts[i], error.message);
            assert_non_null(json.root);
        }
    }
}

static void refused_texts(void **state)
{
    static const struct {
        const char *text, *message;
    } rows[] = {
        { "", "test.json:1: the text ends too early" },
        { " \n ", "test.json:2: the text ends too early" },
        { "[1] x", "test.json:1: more text after the end" },
        { "{}{}", "test.json:1: more text after the end" },
        { "{}\n,", "test.json:2: more text after the end" },
        { "nul", "something that is not JSON" },
        { "nullx", "more text after the end" },
        { "True", "something that is not JSON" },
        { "NaN", "something that is not JSON" },
        { "Infinity", "something that is not JSON" },
        { "'a'", "something that is not JSON" },
        { "\xef\xbb\xbf{}", "something that is not JSON" },
        { "+1", "something that is not JSON" },
        { ".5", "something that is not JSON" },
        { "-", "a number" },
        { "01", "more text after the end" },
        { "-a", "a number" },
        { "1.", "a number" },
        { "1e", "a number" },
        { "1e+", "a number" },
        { "0x10", "more text after the end" },
        { "1234567890123456789012345678901234567890123456789012345678901", "a number" },
        { "1e999", "a number" },
        { "[-1e999]", "a number" },
        { "\"abc", "a string does not end" },
        { "\"abc\\", "an escape" },
        { "\"abc\\\"", "a string does not end" },
        { "\"\\x41\"", "an escape" },
        { "\"\\'\"", "an escape" },
        { "\"\\u12\"", "four hexadecimal digits" },
        { "\"\\u", "four hexadecimal digits" },
        { "\"\\u00g0\"", "four hexadecimal digits" },
        { "\"good\\u0000.evil\"", "NUL" },
        { "{\"a\\u0000b\":1}", "NUL" },
        { "\"\\ud83d\"", "half of a surrogate pair" },
        { "\"\\ud83dx\"", "half of a surrogate pair" },
        { "\"\\udd11\"", "half of a surrogate pair" },
        { "\"\\udd11\\ud83d\"", "half of a surrogate pair" },
        { "\"\\ud83d\\ud83d\"", "half of a surrogate pair" },
        { "\"\\ud83d\\u0041\"", "half of a surrogate pair" },
        { "\"\\ud83d\\n\"", "half of a surrogate pair" },
        { "\"a\nb\"", "a control character" },
        { "\"a\tb\"", "a control character" },
        { "\"a\x1f\"", "a control character" },
        { "\"\xff\"", "not valid UTF-8" },
        { "\"\xc0\x80\"", "not valid UTF-8" },
        { "\"\xed\xa0\x80\"", "not valid UTF-8" },
        { "\"\xf4\x90\x80\x80\"", "not valid UTF-8" },
        { "\"\xe2\x82\"", "not valid UTF-8" },
        { "[", "the text ends too early" },
        { "[1", "expected ',' or ']'" },
        { "[1 2]", "expected ',' or ']'" },
        { "[1}", "expected ',' or ']'" },
        { "[,]", "something that is not JSON" },
        { "[,1]", "something that is not JSON" },
        { "[1,,2]", "something that is not JSON" },
        { "[1,]", "a comma before a closing bracket" },
        { "{", "expected a key" },
        { "{a:1}", "expected a key" },
        { "{1:1}", "expected a key" },
        { "{\"a\"}", "expected ':'" },
        { "{\"a\" 1}", "expected ':'" },
        { "{\"a\":}", "something that is not JSON" },
        { "{\"a\":1", "expected ',' or '}'" },
        { "{\"a\":1]", "expected ',' or '}'" },
        { "{\"a\":1,}", "a comma before a closing bracket" },
        { "{\"a\":1,,\"b\":2}", "expected a key" },
        { "]", "something that is not JSON" },
        { "// a\n{}", "something that is not JSON" },
        { "{}/**/", "more text after the end" },
        { "{\"a\":1,\"a\":1}", "a: the key is there twice" },
        { "{\"a\":1,\"\\u0061\":2}", "a: the key is there twice" },
        { "[[{\"b\":{\"a\":1,\n\"a\":2}}]]", "test.json:2: [0][0].b.a: the key is there twice" },
    };
    struct pullkey_error error;

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        struct json json = { 0 };

        if (parse(&json, rows[i].text, 0, &error) != -PULLKEY_INVALID)
            fail_msg("\"%s\" is accepted", rows[i].text);
        if (!strstr(error.message, rows[i].message) || !strstr(error.message, "test.json"))
            fail_msg("\"%s\": \"%s\"", rows[i].text, error.message);
        assert_null(json.root);
    }
}

static void nul_bytes_are_refused(void **state)
{
    static const struct {
        const char *text;
        size_t length;
    } rows[] = {
        { "{}\0", 3 }, { "\0{}", 3 }, { "\"a\0b\"", 5 }, { "[1\0]", 4 }, { "{\"a\0\":1}", 8 }
    };
    struct pullkey_error error;
    struct json json;

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(rows); i++)
        for (unsigned int flags = 0; flags <= JSON_COMMENTS; flags++)
            assert_int_equal(json_parse(&json, "x", rows[i].text, rows[i].length, flags, &error),
                             -PULLKEY_INVALID);
}

/* Only `length` bytes count: what follows them in memory is not looked at. */
static void the_length_counts(void **state)
{
    cleanup_json struct json json = { 0 };
    struct pullkey_error error;

    (void)state;
    assert_fine(json_parse(&json, "x", "[12]34", 4, 0, &error), error);
    assert_int_equal(json.root->child->valueint, 12);
}

static void comments_and_commas(void **state)
{
    static const struct {
        const char *text, *compact; /* NULL: refused */
    } rows[] = {
        { "// a\n{} // b", "{}" },
        { "/* a */{/* b */\"a\"/**/:/***/1/* // */}/* \n */", "{\"a\":1}" },
        { "[1,]", "[1]" },
        { "[1, // last\n ]", "[1]" },
        { "{\"a\":1 /* x */ , /* y */ }", "{\"a\":1}" },
        { "{\"a\":[1,],}", "{\"a\":[1]}" },
        { "[\"// no\", \"/* no */\", \"\\\"// no\"]", "[\"// no\",\"/* no */\",\"\\\"// no\"]" },
        { "// caf\xc3\xa9\n1", "1" },
        { "1//", "1" },
        { "1/**", NULL },
        { "1/*", NULL },
        { "/*/ 1", NULL },
        { "/", NULL },
        { "[1/ ,2]", NULL },
        { "[,]", NULL },
        { "[1,,]", NULL },
        { "{,}", NULL },
        { "1,", NULL },
        { "# a\n1", NULL },
        { "/* \xff */ 1", NULL },
        { "\"a // b\n\"", NULL },
    };
    struct pullkey_error error;

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        cleanup_json struct json json = { 0 };
        cleanup_buffer struct buffer text = BUFFER_INIT(1000);
        int r = parse(&json, rows[i].text, JSON_COMMENTS, &error);

        if ((r < 0) != !rows[i].compact)
            fail_msg("%s: %s", rows[i].text, r < 0 ? error.message : "accepted");
        if (r < 0)
            continue;
        assert_fine(json_write_tree(&text, json.root, false, &error), error);
        assert_string_equal(text.data, rows[i].compact);
        assert_string_equal(json.text, rows[i].text);
    }
}

static void depth_has_a_limit(void **state)
{
    struct pullkey_error error;

    (void)state;
    for (size_t depth = 31; depth <= 33; depth++) {
        for (unsigned int object = 0; object < 2; object++) {
            cleanup_buffer struct buffer text = BUFFER_INIT(1000);
            cleanup_json struct json json = { 0 };
            int r;

            for (size_t i = 0; i < depth; i++)
                buffer_append_text(&text, object ? "{\"a\":" : "[");
            buffer_append_text(&text, "1");
            for (size_t i = 0; i < depth; i++)
                buffer_append_text(&text, object ? "}" : "]");
            r = parse(&json, text.data, 0, &error);
            assert_int_equal(r, depth <= JSON_DEPTH_MAX ? 0 : -PULLKEY_INVALID);
            if (r < 0)
                assert_non_null(strstr(error.message, "nested too deeply"));
        }
    }
}

static void size_has_a_limit(void **state)
{
    char *text = malloc(JSON_SIZE_MAX + 2);
    struct pullkey_error error;

    (void)state;
    assert_non_null(text);
    memset(text, ' ', JSON_SIZE_MAX + 1);
    text[0] = '1';
    {
        cleanup_json struct json json = { 0 };

        assert_fine(json_parse(&json, "x", text, JSON_SIZE_MAX, 0, &error), error);
    }
    {
        struct json json = { 0 };

        assert_refused(json_parse(&json, "x", text, JSON_SIZE_MAX + 1, 0, &error), PULLKEY_INVALID,
                       "more than 1048576 bytes", error);
    }
    /* The worst of brackets, within the limit, ends soon and uses no stack. */
    memset(text, '[', JSON_SIZE_MAX);
    {
        struct json json = { 0 };

        assert_int_equal(json_parse(&json, "x", text, JSON_SIZE_MAX, 0, &error), -PULLKEY_INVALID);
    }
    free(text);
}

/* An object of so many keys, of which the last repeats one of them if `twice`. */
static int parse_keys(size_t count, bool twice, const char *last, unsigned int flags,
                      struct pullkey_error *error)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(JSON_SIZE_MAX);
    cleanup_json struct json json = { 0 };

    buffer_append_text(&text, "{");
    for (size_t i = 0; i + 1 < count; i++)
        buffer_printf(&text, "\"key%zu\":%zu,\n", i * 7919 % count, i);
    buffer_printf(&text, "\"%s\":0}", twice ? "key0" : last);
    return parse(&json, text.data, flags, error);
}

static void duplicates_among_many_keys(void **state)
{
    static const size_t counts[] = { 2, 3, 15, 16, 17, 18, 100, 5000 };
    struct pullkey_error error;

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(counts); i++) {
        assert_fine(parse_keys(counts[i], false, "last", 0, &error), error);
        assert_refused(parse_keys(counts[i], true, NULL, 0, &error), PULLKEY_INVALID, "twice",
                       error);
        assert_fine(parse_keys(counts[i], false, "KEY0", 0, &error), error);
        assert_refused(parse_keys(counts[i], false, "KEY0", JSON_ANY_CASE, &error), PULLKEY_INVALID,
                       "twice", error);
        assert_fine(parse_keys(counts[i], false, "last", JSON_ANY_CASE, &error), error);
    }
}

/* Long s and the Kelvin sign, which Go's reader folds to letters of ASCII. */
static void keys_that_fold_to_others(void **state)
{
    static const char *const texts[] = { "{\"ServerURL\":1,\"\xc5\xbf"
                                         "erverURL\":2}",
                                         "{\"\xe2\x84\xaa"
                                         "ey\":1}",
                                         "{\"\\u017ferver\":1}" };
    struct pullkey_error error;

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(texts); i++) {
        cleanup_json struct json json = { 0 };

        assert_refused(parse(&json, texts[i], JSON_ANY_CASE, &error), PULLKEY_INVALID,
                       "some readers take for another", error);
        assert_fine(parse(&json, texts[i], 0, &error), error);
    }
}

static void errors_name_line_and_path(void **state)
{
    static const char text[] = "// first\n"
                               "{\n"
                               "  \"a\": 1, /* \n"
                               " */ \"rules\": [\n"
                               "    {}, { \"match\": [\"x\",\n"
                               "       \"y\", ], },\n"
                               "  ],\n"
                               "  \"new\\nline\": { \"\": 2 },\n"
                               "}\n";
    cleanup_json struct json json = { 0 };
    struct pullkey_error error;
    const cJSON *rules, *match, *odd;

    (void)state;
    assert_fine(parse(&json, text, JSON_COMMENTS, &error), error);
    rules = json_member(json.root, "rules");
    match = json_member(rules->child->next, "match");
    assert_int_equal(json_line(&json, json.root), 2);
    assert_int_equal(json_line(&json, json_member(json.root, "a")), 3);
    assert_int_equal(json_line(&json, rules), 4);
    assert_int_equal(json_line(&json, rules->child->next), 5);
    assert_int_equal(json_line(&json, match), 5);
    assert_int_equal(json_line(&json, match->child), 5);
    assert_int_equal(json_line(&json, match->child->next), 6);
    assert_int_equal(json_error(&json, match->child->next, &error, "wrong %d", 7),
                     -PULLKEY_INVALID);
    assert_string_equal(error.message, "test.json:6: rules[1].match[1]: wrong 7");
    (void)json_error(&json, json.root, &error, "wrong");
    assert_string_equal(error.message, "test.json:2: wrong");
    odd = json_member(json.root, "new\nline");
    (void)json_error(&json, odd->child, &error, "wrong");
    assert_string_equal(error.message, "test.json:8: new?line.: wrong");
    assert_null(json_member(json.root, "A"));
}

static void long_paths_are_cut(void **state)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(100000);
    cleanup_json struct json json = { 0 };
    struct pullkey_error error;
    const cJSON *item;

    (void)state;
    for (unsigned int i = 0; i < 30; i++)
        buffer_printf(&text, "{\"%0100u\":", i);
    buffer_append_text(&text, "1");
    for (unsigned int i = 0; i < 30; i++)
        buffer_append_text(&text, "}");
    assert_fine(parse(&json, text.data, 0, &error), error);
    for (item = json.root; item->child; item = item->child)
        continue;
    (void)json_error(&json, item, &error, "wrong");
    assert_non_null(strstr(error.message, ": wrong"));
}

static void strings_are_decoded(void **state)
{
    cleanup_json struct json json = { 0 };
    struct pullkey_error error;

    (void)state;
    assert_fine(
        parse(&json, "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\u20ac\\ud83d\\udd11\"", 0, &error),
        error);
    assert_string_equal(json.root->valuestring,
                        "\"\\/\b\f\n\r\t\xc3\xa9\xe2\x82\xac\xf0\x9f\x94\x91");
}

static void strings_are_written_as_go_does(void **state)
{
    static const struct {
        const char *bytes;
        size_t length;
        const char *written;
    } rows[] = {
        { "", 0, "\"\"" },
        { "abc", 3, "\"abc\"" },
        { "\"\\\b\f\n\r\t/", 8, "\"\\\"\\\\\\b\\f\\n\\r\\t/\"" },
        { "<&>", 3, "\"\\u003c\\u0026\\u003e\"" },
        { "\0\x01\x1f\x7f", 4, "\"\\u0000\\u0001\\u001f\x7f\"" },
        { "\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xaa\xe2\x81\xa8", 12,
          "\"\\u2028\\u2029\xe2\x80\xaa\xe2\x81\xa8\"" },
        { "caf\xc3\xa9 \xf0\x9f\x94\x91", 10, "\"caf\xc3\xa9 \xf0\x9f\x94\x91\"" },
        { "\xe2\x80", 2, "\"\xe2\x80\"" },
    };
    struct pullkey_error error;

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        cleanup_buffer struct buffer text = BUFFER_INIT(200);

        json_write_string(&text, rows[i].bytes, rows[i].length);
        assert_fine(buffer_check(&text, &error), error);
        assert_string_equal(text.data, rows[i].written);
    }
}

static void names_are_utf8(void **state)
{
    static const char *const rows[][2] = {
        { "", "\"\"" },
        { "caf\xc3\xa9 \"<\n", "\"caf\xc3\xa9 \\\"\\u003c\\n\"" },
        { "a\xff\xe2\x80\xa8", "\"a\\ufffd\\u2028\"" },
        { "\xe2\x80", "\"\\ufffd\\ufffd\"" },
    };
    struct pullkey_error error;

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        cleanup_buffer struct buffer text = BUFFER_INIT(200);

        json_write_name(&text, rows[i][0]);
        assert_fine(buffer_check(&text, &error), error);
        assert_string_equal(text.data, rows[i][1]);
    }
}

/* Whatever is written is read back. */
static void strings_round_trip(void **state)
{
    char bytes[4];
    struct pullkey_error error;

    (void)state;
    for (unsigned int c = 1; c < 0x80; c++) {
        cleanup_buffer struct buffer text = BUFFER_INIT(200);
        cleanup_json struct json json = { 0 };

        (void)snprintf(bytes, sizeof(bytes), "a%cb", (char)c);
        json_write_string(&text, bytes, 3);
        assert_fine(parse(&json, text.data, 0, &error), error);
        assert_string_equal(json.root->valuestring, bytes);
    }
}

static void trees_are_written(void **state)
{
    cleanup_json struct json json = { 0 };
    cleanup_buffer struct buffer line = BUFFER_INIT(200), lines = BUFFER_INIT(200);
    cleanup_buffer struct buffer small = BUFFER_INIT(5);
    struct pullkey_error error;

    (void)state;
    assert_fine(parse(&json, "{ \"a\" : [ 1, true ], \"b\": \"\\u00e9\" }", 0, &error), error);
    assert_fine(json_write_tree(&line, json.root, false, &error), error);
    assert_string_equal(line.data, "{\"a\":[1,true],\"b\":\"\xc3\xa9\"}");
    assert_fine(json_write_tree(&lines, json.root, true, &error), error);
    assert_non_null(strchr(lines.data, '\n'));
    assert_int_equal(json_write_tree(&small, json.root, false, &error), -PULLKEY_INVALID);
}

static void nothing_is_left_in_memory(void **state)
{
    static const char good[] = "{\"auth\":\"" MARKER "\",\"list\":[\"" MARKER "\"]} ";
    static const char late[] = "{\"auth\":\"" MARKER "\",\"list\":[\"" MARKER "\"]} x";
    static const char twice[] = "{\"auth\":\"" MARKER "\",\"auth\":[\"" MARKER "\"]}";
    struct pullkey_error error;

    (void)state;
    assert_wiped({
        struct json json;
        struct buffer text = BUFFER_INIT(1000);

        assert_fine(parse(&json, good, 0, &error), error);
        assert_fine(json_write_tree(&text, json.root, true, &error), error);
        buffer_done(&text);
        json_done(&json);
    });
    assert_wiped({
        struct json json;

        assert_int_equal(parse(&json, late, 0, &error), -PULLKEY_INVALID);
    });
    assert_null(strstr(error.message, MARKER));
    assert_wiped({
        struct json json;

        assert_int_equal(parse(&json, twice, 0, &error), -PULLKEY_INVALID);
    });
    assert_null(strstr(error.message, MARKER));
}

/* Each allocation fails once: an error each time, and nothing of the secret stays behind. */
static void want_of_memory_is_an_error(void **state)
{
    struct pullkey_error error;
    int r = -1;

    (void)state;
    for (int count = 0; r < 0; count++) {
        struct json json = { 0 };

        freed_markers = 0;
        allocations_left = count;
        r = parse(&json, "{\"a\":[\"" MARKER "\",{\"b\":1,\"c\":2}]}", 0, &error);
        allocations_left = -1;
        if (r < 0)
            assert_refused(r, PULLKEY_INTERNAL, "out of memory", error);
        else
            assert_true(count > 8);
        json_done(&json);
        assert_int_equal(freed_markers, 0);
        assert_true(count < 100);
    }
}

static void gaps_are_filled(void **state)
{
    const char *volatile nothing = NULL;
    cleanup_buffer struct buffer text = BUFFER_INIT(256);

    (void)state;
    json_write_format(&text, "{\"a\":%s,\"b\":%s,\"c\":[%zu,%jd]}", "x\"\x80", nothing,
                      (size_t)SIZE_MAX, (intmax_t)INT64_MIN);
    assert_string_equal(text.data, "{\"a\":\"x\\\"\\ufffd\",\"b\":null,"
                                   "\"c\":[18446744073709551615,-9223372036854775808]}");
    json_write_format(&text, "%s", "");
    assert_string_equal(text.data + text.length - 3, "}\"\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counting_works),
        cmocka_unit_test(accepted_texts),
        cmocka_unit_test(refused_texts),
        cmocka_unit_test(nul_bytes_are_refused),
        cmocka_unit_test(the_length_counts),
        cmocka_unit_test(comments_and_commas),
        cmocka_unit_test(depth_has_a_limit),
        cmocka_unit_test(size_has_a_limit),
        cmocka_unit_test(duplicates_among_many_keys),
        cmocka_unit_test(keys_that_fold_to_others),
        cmocka_unit_test(errors_name_line_and_path),
        cmocka_unit_test(long_paths_are_cut),
        cmocka_unit_test(strings_are_decoded),
        cmocka_unit_test(strings_are_written_as_go_does),
        cmocka_unit_test(names_are_utf8),
        cmocka_unit_test(strings_round_trip),
        cmocka_unit_test(trees_are_written),
        cmocka_unit_test(nothing_is_left_in_memory),
        cmocka_unit_test(want_of_memory_is_an_error),
        cmocka_unit_test(gaps_are_filled),
    };

    json_start();
    return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
