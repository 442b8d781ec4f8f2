/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "base/buffer.h"
#include "base/diff.h"

static void assert_diff(const char *old, const char *new, const char *expected)
{
    const struct diff_text a = { old, strlen(old), "a" }, b = { new, strlen(new), "b" };
    cleanup_buffer struct buffer text = BUFFER_INIT(65536);
    struct pullkey_error error;

    assert_fine(diff_unified(&a, &b, DIFF_CONTEXT, &text, &error), error);
    assert_string_equal(text.data ? text.data : "", expected);
}

static void equal_texts_have_none(void **state)
{
    (void)state;
    assert_diff("", "", "");
    assert_diff("a\nb\n", "a\nb\n", "");
}

static void changes_have_context(void **state)
{
    (void)state;
    assert_diff("1\n2\n3\n4\n5\n6\n7\n8\n9\n", "1\n2\n3\n4\nfive\n6\n7\n8\n9\n",
                "--- a\n+++ b\n@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n");
    assert_diff("a\nb\nc\n", "a\nc\nd\n", "--- a\n+++ b\n@@ -1,3 +1,3 @@\n a\n-b\n c\n+d\n");
}

static void files_appear_and_go(void **state)
{
    (void)state;
    assert_diff("", "x\ny\n", "--- a\n+++ b\n@@ -0,0 +1,2 @@\n+x\n+y\n");
    assert_diff("x\n", "", "--- a\n+++ b\n@@ -1,1 +0,0 @@\n-x\n");
}

static void a_missing_line_end_shows(void **state)
{
    (void)state;
    assert_diff("x", "x\n",
                "--- a\n+++ b\n@@ -1,1 +1,1 @@\n-x\n\\ No newline at end of file\n+x\n");
}

static void far_changes_are_hunks_of_their_own(void **state)
{
    (void)state;
    assert_diff("a\n1\n2\n3\n4\n5\n6\n7\n8\nb\n", "A\n1\n2\n3\n4\n5\n6\n7\n8\nB\n",
                "--- a\n+++ b\n@@ -1,4 +1,4 @@\n-a\n+A\n 1\n 2\n 3\n"
                "@@ -7,4 +7,4 @@\n 6\n 7\n 8\n-b\n+B\n");
    assert_diff("a\n1\n2\n3\n4\nb\n", "A\n1\n2\n3\n4\nB\n",
                "--- a\n+++ b\n@@ -1,6 +1,6 @@\n-a\n+A\n 1\n 2\n 3\n 4\n-b\n+B\n");
}

/* What the patch program makes of it is the new text: tried with texts of two kinds of lines. */
static void patch_agrees(void **state)
{
    char directory[512], command[2048], old[64], new[64];

    (void)state;
    if (access("/usr/bin/patch", X_OK) < 0) {
        print_message("# patch is not installed\n");
        return;
    }
    unit_make_directory(directory);
    for (unsigned int seed = 0; seed < 200; seed++) {
        struct diff_text a = { old, 0, "a" }, b = { new, 0, "a" };
        cleanup_buffer struct buffer text = BUFFER_INIT(65536);
        struct pullkey_error error;
        unsigned int bits = seed * 2654435761U;
        char path[600];

        for (size_t i = 0; i < 30; i += 2, bits = bits * 1664525U + 1013904223U) {
            memcpy(old + i, bits & 0x10000 ? "x\n" : "y\n", 2);
            memcpy(new + i, bits & 0x700000 ? old + i : "z\n", 2);
        }
        a.length = 30 - 2 * (seed % 5);
        b.length = 30 - 2 * (seed % 7);
        assert_fine(diff_unified(&a, &b, DIFF_CONTEXT, &text, &error), error);
        if (text.length == 0)
            continue;
        (void)snprintf(path, sizeof(path), "%s/a", directory);
        unit_write(path, old, a.length, 0600);
        (void)snprintf(path, sizeof(path), "%s/b", directory);
        unit_write(path, new, b.length, 0600);
        (void)snprintf(path, sizeof(path), "%s/patch", directory);
        unit_write(path, text.data, text.length, 0600);
        (void)snprintf(command, sizeof(command), "cd %s && patch -s -F0 a <patch && cmp -s a b",
                       directory);
        assert_int_equal(system(command), 0);
    }
    unit_remove_directory(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_texts_have_none),
        cmocka_unit_test(changes_have_context),
        cmocka_unit_test(files_appear_and_go),
        cmocka_unit_test(a_missing_line_end_shows),
        cmocka_unit_test(far_changes_are_hunks_of_their_own),
        cmocka_unit_test(patch_agrees),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
