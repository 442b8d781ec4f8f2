/* SPDX-License-Identifier: Apache-2.0 */
#include "unit-free.h"

#include <sys/ioctl.h>
#include <sys/wait.h>

#include "base/buffer.h"
#include "base/secret.h"

static void limit_is_exact(void **state)
{
    static const size_t limits[] = { 0, 1, 510, 511, 512, 513, 1023, 1024, 5000 };
    char bytes[5001];
    struct pullkey_error error;

    (void)state;
    memset(bytes, 'x', sizeof(bytes));
    for (size_t i = 0; i < UNIT_COUNT(limits); i++) {
        struct buffer buffer = BUFFER_INIT(limits[i]);

        buffer_append(&buffer, bytes, limits[i]);
        assert_fine(buffer_check(&buffer, &error), error);
        assert_int_equal(buffer.length, limits[i]);
        assert_int_equal(buffer.data[limits[i]], '\0');
        assert_true(buffer.capacity <= (limits[i] < 512 ? 512 : limits[i] + 1));
        buffer_append(&buffer, bytes, 1);
        assert_refused(buffer_check(&buffer, &error), PULLKEY_INVALID, "more than", error);
        assert_int_equal(buffer.length, limits[i]);
        buffer_done(&buffer);
        /* In one go, and byte by byte. */
        buffer_append(&buffer, bytes, limits[i] + 1);
        assert_int_equal(buffer_check(&buffer, &error), -PULLKEY_INVALID);
        buffer_done(&buffer);
        for (size_t j = 0; j < limits[i]; j++)
            buffer_append(&buffer, bytes, 1);
        assert_fine(buffer_check(&buffer, &error), error);
        assert_int_equal(buffer.length, limits[i]);
        buffer_done(&buffer);
    }
}

static void failure_is_sticky(void **state)
{
    cleanup_buffer struct buffer buffer = BUFFER_INIT(4);
    struct pullkey_error error;

    (void)state;
    buffer_append_text(&buffer, "abc");
    buffer_append_text(&buffer, "de");
    buffer_append_text(&buffer, "f");
    buffer_printf(&buffer, "%d", 7);
    assert_string_equal(buffer.data, "abc");
    assert_int_equal(buffer_check(&buffer, &error), -PULLKEY_INVALID);
    assert_int_equal(buffer_check(&buffer, &error), -PULLKEY_INVALID);
}

static void formatted_text(void **state)
{
    cleanup_buffer struct buffer buffer = BUFFER_INIT(600);
    struct pullkey_error error;

    (void)state;
    buffer_printf(&buffer, "%s-%d", "a", 7);
    buffer_printf(&buffer, "%590s", "b");
    assert_fine(buffer_check(&buffer, &error), error);
    assert_int_equal(buffer.length, 593);
    buffer_printf(&buffer, "%s", "1234567");
    assert_fine(buffer_check(&buffer, &error), error);
    assert_int_equal(strlen(buffer.data), 600);
    buffer_printf(&buffer, "%c", '8');
    assert_int_equal(buffer_check(&buffer, &error), -PULLKEY_INVALID);
}

static void what_is_left_behind_is_wiped(void **state)
{
    struct buffer buffer = BUFFER_INIT(100000);

    (void)state;
    assert_wiped({
        for (unsigned int i = 0; i < 3000; i++)
            buffer_append_text(&buffer, MARKER);
        buffer_done(&buffer);
    });
    assert_null(buffer.data);
    assert_int_equal(buffer.limit, 100000);
}

static void want_of_memory_is_sticky(void **state)
{
    cleanup_buffer struct buffer buffer = BUFFER_INIT(100000);
    struct pullkey_error error;

    (void)state;
    buffer_append_text(&buffer, "kept");
    allocations_left = 0;
    for (unsigned int i = 0; i < 1000; i++)
        buffer_append(&buffer, "", 1);
    allocations_left = -1;
    buffer_append_text(&buffer, "x");
    assert_refused(buffer_check(&buffer, &error), PULLKEY_INTERNAL, "out of memory", error);
    assert_string_equal(buffer.data, "kept");
    assert_int_equal(buffer.length, 511);
}

static void moving_out(void **state)
{
    struct buffer buffer = BUFFER_INIT(10);
    struct pullkey_secret secret = { 0 };
    struct pullkey_error error;

    (void)state;
    buffer_append(&buffer, "a\0b", 3);
    assert_fine(buffer_steal(&buffer, &secret, &error), error);
    assert_null(buffer.data);
    assert_int_equal(secret.length, 3);
    assert_memory_equal(secret.bytes, "a\0b", 4);
    secret_done(&secret);
    assert_fine(buffer_steal(&buffer, &secret, &error), error);
    assert_string_equal(secret.bytes, "");
    secret_done(&secret);
    buffer_append_text(&buffer, "more than that");
    assert_int_equal(buffer_steal(&buffer, &secret, &error), -PULLKEY_INVALID);
    assert_null(secret.bytes);
    buffer_done(&buffer);
}

/* A pipe with bytes in it, whose other end is closed if `ended`. */
static int make_pipe(const char *bytes, size_t length, bool ended, int ret[2])
{
    assert_int_equal(pipe2(ret, O_CLOEXEC), 0);
    assert_int_equal(write(ret[1], bytes, length), (ssize_t)length);
    if (ended) {
        close(ret[1]);
        ret[1] = -1;
    }
    return ret[0];
}

static void close_pipe(const int ends[2])
{
    close(ends[0]);
    if (ends[1] >= 0)
        close(ends[1]);
}

static void reading_knows_the_limit(void **state)
{
    static const size_t limits[] = { 1, 511, 512, 513, 3000 };
    char bytes[3001];
    struct pullkey_error error;
    int ends[2];

    (void)state;
    memset(bytes, 'x', sizeof(bytes));
    for (size_t i = 0; i < UNIT_COUNT(limits); i++) {
        for (size_t more = 0; more < 2; more++) {
            cleanup_buffer struct buffer buffer = BUFFER_INIT(limits[i]);
            int r = buffer_read(&buffer, make_pipe(bytes, limits[i] + more, true, ends), &error);

            assert_int_equal(r, more ? -PULLKEY_INVALID : 0);
            assert_int_equal(buffer.length, limits[i]);
            if (!more)
                assert_int_equal(buffer.data[limits[i]], '\0');
            close_pipe(ends);
        }
    }
}

static void reading_a_size(void **state)
{
    char bytes[3000];
    struct pullkey_error error;
    int ends[2];

    (void)state;
    memset(bytes, 'x', sizeof(bytes));
    for (size_t size = 0; size <= sizeof(bytes); size += 500) {
        cleanup_buffer struct buffer buffer = BUFFER_INIT(2000);
        int r = buffer_read_file(&buffer, make_pipe(bytes, 1500, true, ends), size, &error);

        /* Of a size that is not known all is read, of one that is too large nothing. */
        assert_int_equal(r, size <= 2000 ? 0 : -PULLKEY_INVALID);
        assert_int_equal(buffer.length, size == 0 || size > 1500 ? (size <= 2000 ? 1500 : 0) : size);
        if (r == 0)
            assert_int_equal(buffer.data[buffer.length], '\0');
        close_pipe(ends);
    }
    {
        cleanup_buffer struct buffer buffer = BUFFER_INIT(2000);

        assert_int_equal(buffer_read_file(&buffer, -1, 5, &error), -PULLKEY_INTERNAL);
    }
}

static void reading_nothing(void **state)
{
    cleanup_buffer struct buffer buffer = BUFFER_INIT(0);
    struct pullkey_error error;
    int ends[2];

    (void)state;
    assert_fine(buffer_read(&buffer, make_pipe("", 0, true, ends), &error), error);
    assert_string_equal(buffer.data, "");
    close_pipe(ends);
    assert_int_equal(buffer_read(&buffer, -1, &error), -PULLKEY_INTERNAL);
}

static void reading_appends(void **state)
{
    cleanup_buffer struct buffer buffer = BUFFER_INIT(100);
    struct pullkey_error error;
    int ends[2];

    (void)state;
    buffer_append_text(&buffer, "ab");
    assert_fine(buffer_read(&buffer, make_pipe("cd", 2, true, ends), &error), error);
    assert_string_equal(buffer.data, "abcd");
    close_pipe(ends);
}

/* Writes once the reader has taken what was there, so that its next read finds nothing. */
static pid_t write_late(int fd)
{
    pid_t child = fork();
    int waiting = 1;

    if (child != 0)
        return child;
    while (waiting > 0)
        if (ioctl(fd, FIONREAD, &waiting) < 0)
            _exit(1);
    _exit(write(fd, " more", 5) == 5 ? 0 : 1);
}

static void reading_waits(void **state)
{
    (void)state;
    for (unsigned int nonblocking = 0; nonblocking < 2; nonblocking++) {
        cleanup_buffer struct buffer buffer = BUFFER_INIT(100);
        struct pullkey_error error;
        int ends[2], status;
        int fd = make_pipe("half", 4, false, ends);
        pid_t child;

        if (nonblocking)
            assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
        child = write_late(ends[1]);
        assert_true(child > 0);
        assert_int_equal(close(ends[1]), 0);
        ends[1] = -1;
        assert_fine(buffer_read(&buffer, fd, &error), error);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
        assert_string_equal(buffer.data, "half more");
        close_pipe(ends);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counting_works),
        cmocka_unit_test(limit_is_exact),
        cmocka_unit_test(failure_is_sticky),
        cmocka_unit_test(formatted_text),
        cmocka_unit_test(what_is_left_behind_is_wiped),
        cmocka_unit_test(want_of_memory_is_sticky),
        cmocka_unit_test(moving_out),
        cmocka_unit_test(reading_knows_the_limit),
        cmocka_unit_test(reading_a_size),
        cmocka_unit_test(reading_nothing),
        cmocka_unit_test(reading_appends),
        cmocka_unit_test(reading_waits),
    };

    return cmocka_run_group_tests_name("buffer", tests, NULL, NULL);
}
