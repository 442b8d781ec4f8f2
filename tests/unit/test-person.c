/* SPDX-License-Identifier: Apache-2.0 */
/* Time that a person takes: with a clock that does as it is told, and the kernel's own alarm. */
#include "unit.h"

#include <unistd.h>

#include "base/clock.h"
#include "core/person.h"

static int64_t now_ms = 5000;

static int64_t fake_monotonic(void)
{
    return now_ms;
}

static const struct clock fake_clock = { NULL, fake_monotonic };

static int set_up(void **state)
{
    (void)state;
    clock_replace(&fake_clock);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    (void)alarm(0);
    clock_replace(NULL);
    return 0;
}

static void the_time_is_added_up(void **state)
{
    const int64_t before = person_waited_ms();

    (void)state;
    assert_int_equal(person_wait(120000), 0);
    now_ms += 61500;
    assert_int_equal(person_waited_ms(), before);
    assert_int_equal(person_wait(0), 61500);
    assert_int_equal(person_waited_ms(), before + 61500);
    now_ms += 3000;
    assert_int_equal(person_wait(1), 0);
    now_ms += 250;
    assert_int_equal(person_wait(0), 250);
    assert_int_equal(person_waited_ms(), before + 61750);
}

static void an_alarm_waits_too(void **state)
{
    (void)state;
    (void)alarm(500);
    (void)person_wait(119001);
    assert_in_range(alarm(0), 618, 620);
    (void)alarm(620);
    (void)person_wait(0);
    assert_in_range(alarm(0), 498, 500);
}

static void no_alarm_is_made(void **state)
{
    (void)state;
    (void)person_wait(120000);
    assert_int_equal(alarm(0), 0);
    (void)person_wait(0);
    assert_int_equal(alarm(0), 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(the_time_is_added_up),
        CASE(an_alarm_waits_too),
        CASE(no_alarm_is_made),
    };

    return cmocka_run_group_tests_name("person", tests, NULL, NULL);
}
