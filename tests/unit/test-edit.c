/* SPDX-License-Identifier: Apache-2.0 */
#include "unit-free.h"

#include "hosts/edit.h"

static void add(struct edits *edits, size_t begin, size_t end, const char *text)
{
    struct pullkey_error error;

    assert_fine(edits_add(edits, begin, end, text, strlen(text), &error), error);
}

static void assert_applied(struct edits *edits, const char *text, const char *expected)
{
    cleanup_buffer struct buffer result = BUFFER_INIT(1000);
    struct pullkey_error error;

    assert_fine(edits_apply(edits, text, strlen(text), &result, &error), error);
    assert_int_equal(result.length, strlen(expected));
    if (result.length > 0)
        assert_string_equal(result.data, expected);
}

static void nothing(void **state)
{
    cleanup_edits struct edits edits = { 0 };

    (void)state;
    assert_applied(&edits, "abc", "abc");
    assert_applied(&edits, "", "");
}

static void in_any_order(void **state)
{
    cleanup_edits struct edits edits = { 0 };

    (void)state;
    add(&edits, 6, 6, "!");
    add(&edits, 0, 1, "A");
    add(&edits, 3, 4, "");
    add(&edits, 1, 3, "BBB");
    assert_applied(&edits, "abcdef", "ABBBef!");
    /* Once more, now that they are sorted. */
    assert_applied(&edits, "abcdef", "ABBBef!");
}

/* In one place the one that was added first comes first, however many there are. */
static void in_one_place(void **state)
{
    cleanup_edits struct edits edits = { 0 };
    char expected[200] = "a", digits[8];

    (void)state;
    for (int i = 0; i < 40; i++) {
        (void)snprintf(digits, sizeof(digits), "%d,", i);
        add(&edits, 1, 1, digits);
        (void)strncat(expected, digits, sizeof(expected) - strlen(expected) - 1);
    }
    (void)strncat(expected, "b", 2);
    assert_applied(&edits, "ab", expected);
}

/* Something put in front of what is replaced. */
static void before_a_replacement(void **state)
{
    cleanup_edits struct edits edits = { 0 };

    (void)state;
    add(&edits, 1, 1, "+");
    add(&edits, 1, 2, "B");
    add(&edits, 2, 2, "-");
    assert_applied(&edits, "abc", "a+B-c");
}

static void refused(void **state)
{
    static const size_t rows[][4] = {
        { 0, 2, 1, 3 }, { 0, 3, 1, 1 }, { 0, 3, 1, 2 },
        { 0, 0, 2, 1 }, { 0, 0, 3, 4 }, { 4, 4, 4, 4 },
    };
    struct pullkey_error error;

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        cleanup_edits struct edits edits = { 0 };
        cleanup_buffer struct buffer result = BUFFER_INIT(1000);

        add(&edits, rows[i][0], rows[i][1], "x");
        add(&edits, rows[i][2], rows[i][3], "y");
        assert_refused(edits_apply(&edits, "abc", 3, &result, &error), PULLKEY_INTERNAL, "overlap",
                       error);
    }
}

static void limits(void **state)
{
    cleanup_edits struct edits edits = { 0 };
    cleanup_buffer struct buffer result = BUFFER_INIT(4);
    struct pullkey_error error;

    (void)state;
    add(&edits, 1, 1, "12");
    assert_refused(edits_apply(&edits, "abc", 3, &result, &error), PULLKEY_INVALID, "", error);
}

static void bytes(void **state)
{
    cleanup_edits struct edits edits = { 0 };
    cleanup_buffer struct buffer result = BUFFER_INIT(100);
    struct pullkey_error error;

    (void)state;
    assert_fine(edits_add(&edits, 1, 1, "\0x", 2, &error), error);
    assert_fine(edits_apply(&edits, "a\0b", 3, &result, &error), error);
    assert_int_equal(result.length, 5);
    assert_memory_equal(result.data, "a\0x\0b", 5);
}

static void lines(void **state)
{
    static const char text[] = "ab\ncd\n\nef";
    static const struct {
        size_t at, begin, end;
    } rows[] = { { 0, 0, 3 }, { 2, 0, 3 }, { 3, 3, 6 }, { 5, 3, 6 },
                 { 6, 6, 7 }, { 7, 7, 9 }, { 8, 7, 9 }, { 9, 7, 9 } };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        assert_int_equal(edit_line_begin(text, rows[i].at), rows[i].begin);
        assert_int_equal(edit_line_end(text, strlen(text), rows[i].at), rows[i].end);
    }
    assert_int_equal(edit_line_end("", 0, 0), 0);
    assert_int_equal(edit_line_begin("", 0), 0);
}

static void wiped(void **state)
{
    struct edits edits = { 0 };

    (void)state;
    assert_wiped(for (int i = 0; i < 20; i++) add(&edits, 0, 0, MARKER););
    assert_wiped(edits_done(&edits));
    assert_null(edits.items);
}

static void out_of_memory(void **state)
{
    struct pullkey_error error;
    int r = -1;

    (void)state;
    for (int left = 0; r < 0; left++) {
        cleanup_edits struct edits edits = { 0 };

        allocations_left = left;
        r = 0;
        for (size_t i = 0; r == 0 && i < 9; i++)
            r = edits_add(&edits, i, i, "x", 1, &error);
        allocations_left = -1;
        if (r < 0)
            assert_int_equal(error.code, PULLKEY_INTERNAL);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(counting_works),
        cmocka_unit_test(nothing),
        cmocka_unit_test(in_any_order),
        cmocka_unit_test(in_one_place),
        cmocka_unit_test(before_a_replacement),
        cmocka_unit_test(refused),
        cmocka_unit_test(limits),
        cmocka_unit_test(bytes),
        cmocka_unit_test(lines),
        cmocka_unit_test(wiped),
        cmocka_unit_test(out_of_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
