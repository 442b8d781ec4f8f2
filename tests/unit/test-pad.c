/* SPDX-License-Identifier: Apache-2.0 */
/* Texts that are padded to a page: of any length, with a line end or without. */
#include "hosts/hosts-file.h"
#include "hosts/pad.h"

#include "unit.h"

#include "base/json.h"
#include "base/secret.h"

#define PAGE 4096

/* The padding, and a line end that was missing, and no more. */
static void check_begin(const struct buffer *text, size_t length, bool ends)
{
    size_t begin = pad_begin(text);

    if (length >= PAGE)
        return;
    assert_true(begin == length || begin == length + 1 || length + 2 >= PAGE);
    if (ends && length + 1 < PAGE)
        assert_int_equal('\n', text->data[begin - 1]);
}

static void every_length(void **ignored)
{
    static const char begin[] = "server = \"https://a.example\"";
    struct pullkey_error error;

    (void)ignored;
    json_start();
    for (size_t length = sizeof(begin) - 1; length <= PAGE + 1; length++) {
        for (int ends = 0; ends < 2; ends++) {
            struct buffer text = BUFFER_INIT(2 * PAGE);
            struct hosts_file file;

            buffer_append_text(&text, begin);
            if (length > text.length)
                buffer_append_text(&text, "\n");
            if (length > text.length)
                buffer_append_text(&text, "#");
            while (text.length < length)
                buffer_append_text(&text, text.length + 1 == length && ends ? "\n" : "x");
            assert_int_equal(length <= PAGE, pad_text(&text, PAGE));
            assert_true(text.length == (length > PAGE ? length : PAGE));
            assert_memory_equal(begin, text.data, sizeof(begin) - 1);
            check_begin(&text, length, ends);
            assert_fine(
                hosts_file_parse("x", "a.example", text.data, text.length, NULL, &file, &error),
                error);
            assert_int_equal(1, file.host_count);
            hosts_file_done(&file);
            buffer_done(&text);
        }
    }
}

static void nothing(void **ignored)
{
    struct buffer text = BUFFER_INIT(2 * PAGE);

    (void)ignored;
    assert_true(pad_text(&text, PAGE));
    assert_int_equal('#', text.data[0]);
    assert_int_equal('\n', text.data[PAGE - 1]);
    buffer_done(&text);
}

static void no_memory(void **ignored)
{
    struct buffer text = BUFFER_INIT(100);

    (void)ignored;
    buffer_append_text(&text, "a = 1\n");
    assert_false(pad_text(&text, PAGE));
    buffer_done(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_length),
        cmocka_unit_test(nothing),
        cmocka_unit_test(no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
