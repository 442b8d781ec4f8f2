/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "base/text.h"
#include "hosts/mask.h"

static void add(struct mask *mask, const char *secret)
{
    struct pullkey_error error;

    assert_fine(mask_add(mask, secret, strlen(secret), &error), error);
}

static void assert_masked(const struct mask *mask, const char *text, const char *expected)
{
    cleanup_buffer struct buffer masked = BUFFER_INIT(65536);
    struct pullkey_error error;

    assert_fine(mask_apply(mask, text, strlen(text), &masked, &error), error);
    assert_string_equal(masked.data, expected);
    assert_int_equal(mask_finds(mask, text, strlen(text)), strcmp(text, expected) != 0);
    assert_false(mask_finds(mask, masked.data, masked.length));
}

static void secrets_are_found_anywhere(void **state)
{
    cleanup_mask struct mask mask = { 0 };

    (void)state;
    add(&mask, "hunter2-hunter2");
    assert_masked(&mask, "password = \"hunter2-hunter2\"", "password = \"********\"");
    assert_masked(&mask, "xhunter2-hunter2hunter2-hunter2y", "x****************y");
    assert_masked(&mask, "hunter2-hunter", "hunter2-hunter");
}

static void the_longest_is_masked(void **state)
{
    cleanup_mask struct mask mask = { 0 };

    (void)state;
    add(&mask, "abcdefgh");
    add(&mask, "abcdefghij");
    assert_masked(&mask, "abcdefghij", "********");
}

static void short_ones_are_words(void **state)
{
    cleanup_mask struct mask mask = { 0 };

    (void)state;
    add(&mask, "pull");
    assert_masked(&mask, "credHelper = \"pullkey\", puller", "credHelper = \"pullkey\", puller");
    assert_masked(&mask, "[\"pull\"]", "[\"********\"]");
    assert_masked(&mask, "pull", "********");
}

static void quoted_forms_are_found(void **state)
{
    cleanup_mask struct mask mask = { 0 };

    (void)state;
    add(&mask, "pass\"word\\<\t>");
    assert_masked(&mask, "\"pass\\\"word\\\\<\\u0009>\"", "\"********\"");
    assert_masked(&mask, "\"pass\\\"word\\\\\\u003c\\t\\u003e\"", "\"********\"");
}

/* With anything in front of it and behind it, in both alphabets. */
static void base64_is_found(void **state)
{
    static const char secret[] = "s3cret>>>???word";
    cleanup_mask struct mask mask = { 0 };

    (void)state;
    add(&mask, secret);
    for (size_t before = 0; before < 7; before++) {
        cleanup_buffer struct buffer text = BUFFER_INIT(4096);
        cleanup_buffer struct buffer encoded = BUFFER_INIT(4096);

        buffer_append(&text, "robot$:", before);
        buffer_printf(&text, "%s%s", secret, "tail");
        text_base64_encode(&encoded, text.data, text.length);
        assert_true(mask_finds(&mask, encoded.data, encoded.length));
        for (size_t i = 0; i < encoded.length; i++)
            if (strchr("+/", encoded.data[i]))
                encoded.data[i] = encoded.data[i] == '+' ? '-' : '_';
        assert_true(mask_finds(&mask, encoded.data, encoded.length));
    }
}

/* Each is found at once, however short it is, and whatever follows. */
static void thousands(void **state)
{
    cleanup_mask struct mask mask = { 0 };
    cleanup_buffer struct buffer text = BUFFER_INIT(1024 * 1024);
    cleanup_buffer struct buffer expected = BUFFER_INIT(1024 * 1024);
    cleanup_buffer struct buffer masked = BUFFER_INIT(1024 * 1024);
    struct pullkey_error error;

    (void)state;
    for (int i = 0; i < 20000; i++) {
        char secret[32];

        (void)snprintf(secret, sizeof(secret), "%d-secret", i);
        secret[i < 3 ? i + 1 : 31] = '\0';
        add(&mask, secret);
        buffer_printf(&text, "%s\n", secret);
        buffer_append_text(&expected, MASK_TEXT "\n");
    }
    buffer_append_text(&text, "2-s");
    buffer_append_text(&expected, MASK_TEXT);
    assert_fine(mask_apply(&mask, text.data, text.length, &masked, &error), error);
    assert_string_equal(masked.data, expected.data);
}

static void nothing_is_no_secret(void **state)
{
    cleanup_mask struct mask mask = { 0 };
    struct pullkey_error error;

    (void)state;
    add(&mask, "");
    assert_int_equal(mask.count, 0);
    assert_masked(&mask, "text", "text");
    assert_refused(mask_add(&mask, "x", PULLKEY_SECRET_MAX + 1, &error), PULLKEY_INVALID, "more",
                   error);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(secrets_are_found_anywhere),
        cmocka_unit_test(the_longest_is_masked),
        cmocka_unit_test(short_ones_are_words),
        cmocka_unit_test(quoted_forms_are_found),
        cmocka_unit_test(base64_is_found),
        cmocka_unit_test(thousands),
        cmocka_unit_test(nothing_is_no_secret),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
