/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "base/json-edit.h"

static void read_json(struct json *ret, const char *text, unsigned int flags)
{
    struct pullkey_error error;

    assert_fine(json_parse(ret, "test.json", text, strlen(text), flags, &error), error);
}

/* What the edit makes of the document is `expected`. */
static void assert_edit(const struct json *json, const struct json_edit *edit, const char *expected)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(4096);
    struct pullkey_error error;

    assert_fine(json_edit_apply(edit, json->text, json->length, &text, &error), error);
    assert_string_equal(text.data, expected);
}

static void a_member_comes_first_and_is_indented_as_the_first_was(void **state)
{
    static const struct {
        unsigned int flags;
        const char *text, *expected;
    } cases[] = {
        { 0, "{}", "{\"k\": \"v\"}" },
        { 0, "{ }", "{ \"k\": \"v\" }" },
        { 0, "{\"a\":1}", "{\"k\": \"v\",\"a\":1}" },
        { 0, "{\n\t\"a\": 1\n}\n", "{\n\t\"k\": \"v\",\n\t\"a\": 1\n}\n" },
        { 0, "{\r\n  \"a\": 1 }", "{\r\n  \"k\": \"v\",\r\n  \"a\": 1 }" },
        { JSON_COMMENTS, "{  // all\n  // a\n  \"a\": 1,\n}",
          "{  // all\n  \"k\": \"v\",\n  // a\n  \"a\": 1,\n}" },
        { JSON_COMMENTS, "/* { */ { /* b */ \"a\": 1 }",
          "/* { */ { \"k\": \"v\", /* b */ \"a\": 1 }" },
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(cases); i++) {
        cleanup_json_edit struct json_edit edit = JSON_EDIT_INIT;
        cleanup_json struct json json = { 0 };
        struct pullkey_error error;

        read_json(&json, cases[i].text, cases[i].flags);
        assert_fine(json_edit_insert(&json, json.root, "k", "\"v\"", &edit, &error), error);
        assert_edit(&json, &edit, cases[i].expected);
    }
}

static void an_item_comes_first_in_a_list(void **state)
{
    cleanup_json_edit struct json_edit edit = JSON_EDIT_INIT;
    cleanup_json struct json json = { 0 };
    struct pullkey_error error;

    (void)state;
    read_json(&json, "{ \"x\": {}, \"rules\": [\n    1,\n    2\n] }", 0);
    assert_fine(json_edit_insert(&json, json_member(json.root, "rules"), NULL, "{}", &edit, &error),
                error);
    assert_edit(&json, &edit, "{ \"x\": {}, \"rules\": [\n    {},\n    1,\n    2\n] }");
}

static void a_string_is_replaced_to_its_end(void **state)
{
    cleanup_json_edit struct json_edit edit = JSON_EDIT_INIT;
    cleanup_json struct json json = { 0 };
    struct pullkey_error error;

    (void)state;
    read_json(&json, "{\"a\": \"\\\\\\\"x\", \"b\": 1}", 0);
    assert_fine(json_edit_replace(&json, json_member(json.root, "a"), "\"new\"", &edit, &error),
                error);
    assert_edit(&json, &edit, "{\"a\": \"new\", \"b\": 1}");
}

static void a_string_goes_with_one_comma(void **state)
{
    static const struct {
        const char *text, *expected;
    } cases[] = {
        { "{\"k\": \"v\"}", "{}" },
        { "{\n\t\"k\": \"v\"\n}\n", "{\n}\n" },
        { "{ // about k\n\t\"k\": \"v\"\n}", "{ // about k\n}" },
        { "{ // about k\n\t\"k\": \"v\" // k\n}", "{ // about k\n// k\n}" },
        { "{\n\t\"k\": \"v\",\n\t\"a\": {}\n}", "{\n\t\"a\": {}\n}" },
        { "{\n\t\"a\": {},\n\t\"k\": \"v\"\n}", "{\n\t\"a\": {}\n}" },
        { "{\"a\": 1, \"k\": \"v\", }", "{\"a\": 1, }" },
        { "{\"a\": [1, 2] /* c */, \"k\": \"v\", \"b\": 2}", "{\"a\": [1, 2] /* c */, \"b\": 2}" },
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(cases); i++) {
        cleanup_json_edit struct json_edit edit = JSON_EDIT_INIT;
        cleanup_json struct json json = { 0 };

        read_json(&json, cases[i].text, JSON_COMMENTS);
        json_edit_remove(&json, json_member(json.root, "k"), &edit);
        assert_edit(&json, &edit, cases[i].expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_member_comes_first_and_is_indented_as_the_first_was),
        cmocka_unit_test(an_item_comes_first_in_a_list),
        cmocka_unit_test(a_string_is_replaced_to_its_end),
        cmocka_unit_test(a_string_goes_with_one_comma),
    };

    json_start();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
