/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting: with a clock and a poll() that do as they are told, and with the real ones. */
#include "unit.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <sys/time.h>
#include <time.h>

#include "base/clock.h"

int __real_poll(struct pollfd *fds, nfds_t count, int timeout);
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout);

/* What poll() answers, one after the other; and what it was asked. */
static const struct answer {
    int result, errnum;
    int64_t taken_ms; /* the fake clock goes on by so much */
} *answers;
static int timeouts[8];
static unsigned int calls;

static int64_t now_ms;

static int64_t fake_wall(void)
{
    return 1700000000;
}

static int64_t fake_monotonic(void)
{
    return now_ms;
}

static const struct clock fake_clock = { fake_wall, fake_monotonic };

int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout)
{
    const struct answer *answer;

    if (!answers)
        return __real_poll(fds, count, timeout);
    assert_true(calls < UNIT_COUNT(timeouts));
    answer = &answers[calls];
    timeouts[calls++] = timeout;
    now_ms += answer->taken_ms;
    errno = answer->errnum;
    return answer->result;
}

static int wait_with(const struct answer *given, int64_t deadline_ms)
{
    struct pollfd fd = { .fd = 0, .events = POLLIN };
    int r;

    calls = 0;
    answers = given;
    r = clock_poll(&fd, 1, deadline_ms);
    answers = NULL;
    return r;
}

static int set_up(void **state)
{
    (void)state;
    now_ms = 5000;
    clock_replace(&fake_clock);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    clock_replace(NULL);
    return 0;
}

static void a_wait_ends_at_its_deadline(void **state)
{
    static const struct answer nothing[] = { { 0, 0, 250 } };

    (void)state;
    assert_int_equal(wait_with(nothing, 5250), 0);
    assert_int_equal(calls, 1);
    assert_int_equal(timeouts[0], 250);
    /* One that has passed is looked at once, without waiting. */
    assert_int_equal(wait_with(nothing, 5000), 0);
    assert_int_equal(wait_with(nothing, 0), 0);
    assert_int_equal(calls, 1);
    assert_int_equal(timeouts[0], 0);
}

static void what_is_ready_is_told(void **state)
{
    static const struct answer ready[] = { { 2, 0, 3 } };

    (void)state;
    assert_int_equal(wait_with(ready, 6000), 2);
    assert_int_equal(wait_with(ready, 0), 2);
    assert_int_equal(timeouts[0], 0);
}

static void signals_do_not_move_the_deadline(void **state)
{
    static const struct answer then_ready[] = { { -1, EINTR, 100 }, { -1, EINTR, 100 }, { 1, 0, 0 } };
    static const struct answer too_late[] = { { -1, EINTR, 100 }, { -1, EINTR, 300 }, { 0, 0, 0 } };

    (void)state;
    assert_int_equal(wait_with(then_ready, 5250), 1);
    assert_int_equal(calls, 3);
    assert_int_equal(timeouts[0], 250);
    assert_int_equal(timeouts[1], 150);
    assert_int_equal(timeouts[2], 50);
    now_ms = 5000;
    assert_int_equal(wait_with(too_late, 5250), 0);
    assert_int_equal(calls, 3);
    assert_int_equal(timeouts[2], 0);
}

static void other_errors_end_it(void **state)
{
    static const struct answer broken[] = { { -1, ENOMEM, 0 } };

    (void)state;
    assert_int_equal(wait_with(broken, 6000), -1);
    assert_int_equal(errno, ENOMEM);
    assert_int_equal(calls, 1);
}

/* Further away than poll() can count. */
static void a_far_deadline_is_waited_for_in_parts(void **state)
{
    static const struct answer parts[] = { { 0, 0, INT_MAX }, { 0, 0, INT_MAX }, { 0, 0, 7 } };
    static const struct answer ready[] = { { 0, 0, INT_MAX }, { 1, 0, 0 } };

    (void)state;
    assert_int_equal(wait_with(parts, 5000 + 2 * (int64_t)INT_MAX + 7), 0);
    assert_int_equal(calls, 3);
    assert_int_equal(timeouts[0], INT_MAX);
    assert_int_equal(timeouts[1], INT_MAX);
    assert_int_equal(timeouts[2], 7);
    assert_int_equal(wait_with(ready, INT64_MAX), 1);
    assert_int_equal(calls, 2);
    assert_int_equal(timeouts[1], INT_MAX);
}

static void a_clock_can_be_replaced(void **state)
{
    struct timespec before, after;
    int64_t wall, monotonic;

    (void)state;
    assert_int_equal(clock_wall_seconds(), 1700000000);
    assert_int_equal(clock_monotonic_ms(), 5000);
    clock_replace(NULL);
    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &before), 0);
    monotonic = clock_monotonic_ms();
    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &after), 0);
    assert_true(monotonic >= before.tv_sec * 1000 + before.tv_nsec / 1000000);
    assert_true(monotonic <= after.tv_sec * 1000 + after.tv_nsec / 1000000);
    assert_int_equal(clock_gettime(CLOCK_REALTIME, &before), 0);
    wall = clock_wall_seconds();
    assert_int_equal(clock_gettime(CLOCK_REALTIME, &after), 0);
    assert_true(wall >= before.tv_sec && wall <= after.tv_sec);
}

static volatile sig_atomic_t alarms;
static int alarm_fd = -1; /* gets a byte with the third alarm */

static void count_alarm(int number)
{
    (void)number;
    if (++alarms == 3 && alarm_fd >= 0)
        (void)!write(alarm_fd, "x", 1);
}

static void set_alarms(long interval_us)
{
    struct sigaction action = { .sa_handler = count_alarm };
    const struct itimerval interval = { { 0, interval_us }, { 0, interval_us } };

    alarms = 0;
    assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
    assert_int_equal(setitimer(ITIMER_REAL, &interval, NULL), 0);
}

static void the_real_clock_across_signals(void **state)
{
    int64_t begin, far = 60000;
    struct pollfd fd;
    int ends[2];

    (void)state;
    clock_replace(NULL);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    fd = (struct pollfd){ .fd = ends[0], .events = POLLIN };
    set_alarms(2000);
    begin = clock_monotonic_ms();
    assert_int_equal(clock_poll(&fd, 1, begin + 40), 0);
    assert_true(clock_monotonic_ms() >= begin + 40);
    assert_true(alarms > 0);
    /* And something comes while it is being interrupted. */
    alarm_fd = ends[1];
    set_alarms(2000);
    assert_int_equal(clock_poll(&fd, 1, begin + far), 1);
    assert_int_equal(fd.revents, POLLIN);
    assert_true(clock_monotonic_ms() < begin + far);
    set_alarms(0);
    alarm_fd = -1;
    close(ends[0]);
    close(ends[1]);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_wait_ends_at_its_deadline),
        CASE(what_is_ready_is_told),
        CASE(signals_do_not_move_the_deadline),
        CASE(other_errors_end_it),
        CASE(a_far_deadline_is_waited_for_in_parts),
        CASE(a_clock_can_be_replaced),
        CASE(the_real_clock_across_signals),
    };

    return cmocka_run_group_tests_name("clock", tests, NULL, NULL);
}
