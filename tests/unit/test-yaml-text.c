/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "hosts/yaml-text.h"

/* What stands between '<' and '>' is a member; the marks are not part of the text. */
static void assert_removed(const char *marked, const char *expected)
{
    struct pullkey_place places[8];
    const struct pullkey_place *pointers[8];
    cleanup_buffer struct buffer text = BUFFER_INIT(4096), result = BUFFER_INIT(4096);
    struct pullkey_error error;
    size_t count = 0;

    for (const char *at = marked; *at != '\0'; at++) {
        if (*at == '<') {
            places[count] = (struct pullkey_place){ .key_begin = text.length, .line = 1 };
            pointers[count] = &places[count];
        } else if (*at == '>') {
            places[count++].end = text.length;
        } else {
            buffer_append(&text, at, 1);
        }
    }
    if (!expected) {
        assert_refused(yaml_text_remove(text.data, text.length, pointers, count, &result, &error),
                       PULLKEY_INVALID, "line of its own", error);
        return;
    }
    assert_fine(yaml_text_remove(text.data, text.length, pointers, count, &result, &error), error);
    assert_string_equal(result.data ? result.data : "", expected);
}

static void members_go_with_their_lines(void **state)
{
    (void)state;
    assert_removed("a:\n  <b: 1> # c\n  d: 2\n", "a:\n  d: 2\n");
    assert_removed("a:\n  <b:\n    # x\n    c: 'y'>\n  # d\n<e: {f: 1}>", "a:\n  # d\n");
    assert_removed("<a: 1>", "");
}

static void shared_lines_are_refused(void **state)
{
    (void)state;
    assert_removed("{ <a: 1>, b: 2 }\n", NULL);
    assert_removed("- <a: 1>\n", NULL);
    assert_removed("<a: 1>, \n", NULL);
    assert_removed("\t<a: 1>\n", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_go_with_their_lines),
        cmocka_unit_test(shared_lines_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
