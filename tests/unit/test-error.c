/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>

#include "base/text.h"

static void set_fills_class_and_text(void **state)
{
    struct pullkey_error error;

    (void)state;
    for (int code = 1; code < PULLKEY_ERROR_CLASS_MAX; code++) {
        assert_int_equal(error_set(&error, code, "%s %d", "text", 7), -code);
        assert_int_equal(error.code, code);
        assert_string_equal(error.message, "text 7");
    }
}

static void wrapping_keeps_the_class(void **state)
{
    struct pullkey_error error;

    (void)state;
    (void)error_set(&error, PULLKEY_LOCKED, "inner");
    assert_int_equal(error_wrap(&error, "middle %d", 1), -PULLKEY_LOCKED);
    assert_int_equal(error_wrap(&error, "outer"), -PULLKEY_LOCKED);
    assert_string_equal(error.message, "outer: middle 1: inner");
}

static void old_message_may_be_an_argument(void **state)
{
    struct pullkey_error error;

    (void)state;
    (void)error_set(&error, PULLKEY_DENIED, "inner");
    (void)error_set(&error, PULLKEY_INVALID, "before %s after", error.message);
    assert_string_equal(error.message, "before inner after");
    (void)error_wrap(&error, "%s", error.message);
    assert_string_equal(error.message, "before inner after: before inner after");
}

static void classes_follow_from_errno(void **state)
{
    static const struct {
        int errnum;
        enum pullkey_error_class class;
    } rows[] = {
        { ENOENT, PULLKEY_NOT_FOUND }, { EACCES, PULLKEY_DENIED },         { EPERM, PULLKEY_DENIED },
        { EROFS, PULLKEY_DENIED },     { ETIMEDOUT, PULLKEY_UNREACHABLE }, { ENOSPC, PULLKEY_INTERNAL },
        { EIO, PULLKEY_INTERNAL },     { ECONNREFUSED, PULLKEY_UNREACHABLE },
    };
    struct pullkey_error error;

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(rows); i++)
        assert_int_equal(error_errno(&error, rows[i].errnum, "x"), -(int)rows[i].class);
    (void)error_errno(&error, ENOSPC, "cannot write %s", "a");
    assert_string_equal(error.message, "cannot write a: No space left on device");
    (void)error_errno(&error, 99999, "x");
    assert_string_equal(error.message, "x: unknown error");
}

static void arguments_cannot_forge(void **state)
{
    static const struct {
        const char *argument, *message;
    } rows[] = {
        { "a\nb", "a?b" },
        { "a\r\n\t\x1b[31mb\x7f", "a????[31mb?" },
        { "\x01\x1f ", "?? " },
        { "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x94\x91", "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x94\x91" },
        { "\x80\x9b\xff", "???" },
        { "\xc2\x9b""31m", "??31m" }, /* U+009B, which some terminals take for ESC [ */
        { "\xc2\x80\xc2\x9f\xc2\xa0", "????\xc2\xa0" },
        { "\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xb0", "??????\xe2\x80\xb0" },
        { "\xed\xa0\x80\xc0\x80\xf4\x90\x80\x80", "?????????" },
        { "\xe2\x82", "??" },
    };
    struct pullkey_error error;

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        (void)error_set(&error, PULLKEY_INVALID, "%s", rows[i].argument);
        assert_string_equal(error.message, rows[i].message);
        (void)error_set(&error, PULLKEY_INVALID, "x");
        (void)error_wrap(&error, "%s", rows[i].argument);
        assert_memory_equal(error.message, rows[i].message, strlen(rows[i].message));
        (void)error_errno(&error, EIO, "%s", rows[i].argument);
        assert_memory_equal(error.message, rows[i].message, strlen(rows[i].message));
    }
}

static void long_text_is_cut_between_characters(void **state)
{
    char text[2 * PULLKEY_ERROR_SIZE];
    struct pullkey_error error;

    (void)state;
    for (size_t shift = 0; shift < 3; shift++) {
        memset(text, 'x', shift);
        for (size_t at = shift; at + 3 < sizeof(text); at += 3)
            memcpy(text + at, "\xe2\x82\xac", 4);
        (void)error_set(&error, PULLKEY_INVALID, "%s", text);
        assert_int_equal(strlen(error.message), PULLKEY_ERROR_SIZE - 1);
        assert_true(text_is_utf8(error.message, PULLKEY_ERROR_SIZE - 1));
        (void)error_wrap(&error, "%s", "a");
        assert_int_equal(strlen(error.message), PULLKEY_ERROR_SIZE - 1);
        assert_true(text_is_utf8(error.message, PULLKEY_ERROR_SIZE - 1));
        (void)error_errno(&error, EIO, "%s", text);
        assert_int_equal(strlen(error.message), PULLKEY_ERROR_SIZE - 1);
    }
}

static void classes_have_names(void **state)
{
    (void)state;
    for (unsigned int i = 0; i < PULLKEY_ERROR_CLASS_MAX; i++) {
        assert_non_null(error_class_name(i));
        for (unsigned int j = 0; j < i; j++)
            assert_string_not_equal(error_class_name(i), error_class_name(j));
    }
    assert_string_equal(error_class_name(PULLKEY_ERROR_CLASS_MAX), "unknown");
    assert_string_equal(error_class_name((enum pullkey_error_class)-1), "unknown");
}

static void memory_is_an_ordinary_error(void **state)
{
    struct pullkey_error error;

    (void)state;
    assert_int_equal(error_memory(&error), -PULLKEY_INTERNAL);
    assert_string_equal(error.message, "out of memory");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(set_fills_class_and_text),
        cmocka_unit_test(wrapping_keeps_the_class),
        cmocka_unit_test(old_message_may_be_an_argument),
        cmocka_unit_test(classes_follow_from_errno),
        cmocka_unit_test(arguments_cannot_forge),
        cmocka_unit_test(long_text_is_cut_between_characters),
        cmocka_unit_test(classes_have_names),
        cmocka_unit_test(memory_is_an_ordinary_error),
    };

    return cmocka_run_group_tests_name("error", tests, NULL, NULL);
}
