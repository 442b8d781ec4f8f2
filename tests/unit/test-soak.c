/* SPDX-License-Identifier: Apache-2.0 */
/* Days of the daemon, good ones and bad ones (soak.h). */
#include "unit.h"

#include <signal.h>

#include "machine.h"
#include "soak.h"

/* What happens meanwhile. */

static void go_down(void)
{
    soak_now.is_down = true;
    soak_now.calm_ms = INT64_MAX;
}

static void come_back(void)
{
    soak_now.is_down = false;
    soak_now.calm_ms = machine_ms();
    soak_now.settle_ms = BACKOFF_MS;
}

static void set_forward(void)
{
    machine_move_wall(DAY);
    soak_forget_given();
}

static void set_back(void)
{
    machine_move_wall(-DAY);
    soak_forget_given();
}

static void sleep_for(int64_t seconds)
{
    machine_move_wall(seconds);
    soak_now.slept_ms += seconds * 1000;
    soak_now.woken_ms = machine_ms();
    soak_forget_given();
}

static void sleep_a_day(void)
{
    sleep_for(DAY);
}

static void sleep_half_an_hour(void)
{
    sleep_for(HOUR / 2);
}

static void fill_up(void)
{
    machine_fill(true);
    soak_now.calm_ms = soak_now.strict_ms = INT64_MAX;
}

static void make_room(void)
{
    machine_fill(false);
    soak_now.calm_ms = machine_ms();
    soak_now.settle_ms = SETTLE_MS;
    soak_now.strict_ms = machine_ms() + 10000;
}

static void restart(void)
{
    assert_int_equal(0, raise(SIGTERM));
}

static void edit_comment(void)
{
    soak_write(0, "  credHelper = \"pullkey\" # ours\n");
}

static void remove_two(void)
{
    soak_remove(1);
    soak_write(2, "");
    soak_set_managed(2, false);
}

static void break_one(void)
{
    soak_write(3, "  credHelper = \n");
}

static void add_them(void)
{
    for (unsigned int i = soak_hosts() - SOAK_LATER; i < soak_hosts(); i++)
        soak_add(i);
    soak_add(1);
    soak_add(2);
}

static void mend_one(void)
{
    soak_write(3, "  credHelper = \"pullkey\"\n");
}

/* A generator removes before it writes. */
static void take_away(void)
{
    char path[600], away[600];

    soak_path(path, 4, "/hosts.toml");
    assert_int_equal(0, unlink(path));
    soak_path(path, 5, "");
    soak_path(away, 5, ".away");
    assert_int_equal(0, rename(path, away));
}

static void bring_again(void)
{
    char path[600], away[600];

    soak_write(4, "  credHelper = \"pullkey\"\n");
    soak_path(path, 5, "");
    soak_path(away, 5, ".away");
    assert_int_equal(0, rename(away, path));
}

static void move_source(const char *from, const char *to)
{
    char path[600], other[600];

    (void)snprintf(path, sizeof(path), "%s/%s", soak_now.scratch, from);
    (void)snprintf(other, sizeof(other), "%s/%s", soak_now.scratch, to);
    assert_int_equal(0, rename(path, other));
}

static void take_source(void)
{
    move_source("source", "elsewhere");
}

static void bring_source(void)
{
    move_source("elsewhere", "source");
}

/* Days. */

static void a_day(void **ignored)
{
    static const struct soak plain = { .hosts = 200, .length = DAY };

    (void)ignored;
    soak_run(&plain);
}

static void an_hour_without_the_issuer(void **ignored)
{
    static const struct soak_event events[] = { { 5 * HOUR, go_down }, { 6 * HOUR, come_back } };
    /* 5, 10, ... 160, 300 seconds, less a quarter at most: 19 tries in an hour. */
    static const struct soak outage = {
        60, 12 * HOUR, 0, 0, 60 * 20, events, UNIT_COUNT(events),
    };

    (void)ignored;
    soak_run(&outage);
}

static void one_answer_in_twenty_fails(void **ignored)
{
    static const struct soak failing = {
        .hosts = 50,
        .length = DAY,
        .per_mille = 50,
        .failures_max = 50 * 24 * 110 / 100 * 6 / 100,
    };

    (void)ignored;
    soak_run(&failing);
}

/* With nobody to ask, and a wall clock that says that a day is left, only the other clock can tell
 * that a header has expired. */
static void the_wall_clock_is_set(void **ignored)
{
    static const struct soak_event events[] = {
        { 2 * HOUR + 1, set_forward }, { 5 * HOUR + 7, set_back },  { 7 * HOUR, go_down },
        { 7 * HOUR + 2, set_back },    { 8 * HOUR + 9, come_back }, { 10 * HOUR + 3, set_forward },
    };
    static const struct soak jumps = { 50, 12 * HOUR, 0, 4, 50 * 20, events, UNIT_COUNT(events) };

    (void)ignored;
    soak_run(&jumps);
}

static void the_machine_sleeps(void **ignored)
{
    static const struct soak_event events[] = {
        { 2 * HOUR + 1, sleep_half_an_hour },
        { 4 * HOUR + 7, sleep_a_day },
    };
    static const struct soak sleeps = { 50, 12 * HOUR, 0, 2, 0, events, UNIT_COUNT(events) };

    (void)ignored;
    soak_run(&sleeps);
}

static void the_source_changes(void **ignored)
{
    static const struct soak_event events[] = {
        { 2 * HOUR, edit_comment },    { 3 * HOUR, remove_two },   { 4 * HOUR, break_one },
        { 6 * HOUR, add_them },        { 8 * HOUR, mend_one },     { 9 * HOUR, take_away },
        { 9 * HOUR + 1, bring_again }, { 10 * HOUR, take_source }, { 10 * HOUR + 1, bring_source },
    };
    static const struct soak edits = { 50, 12 * HOUR, 0, 1, 0, events, UNIT_COUNT(events) };

    (void)ignored;
    soak_run(&edits);
}

/* Longer than a token lives. */
static void the_target_is_full(void **ignored)
{
    static const struct soak_event events[] = {
        { 2 * HOUR + 5, fill_up },
        { 4 * HOUR + 5, make_room },
    };
    static const struct soak full = { 50, 12 * HOUR, 0, 0, 0, events, UNIT_COUNT(events) };

    (void)ignored;
    soak_run(&full);
}

static void the_daemon_is_restarted(void **ignored)
{
    static const struct soak_event events[] = {
        { HOUR / 2, restart },
        { 2 * HOUR + 5, restart },
        { 3 * HOUR + 6, restart },
    };
    static const struct soak restarts = { 50, 12 * HOUR, 0, 0, 24, events, UNIT_COUNT(events) };

    (void)ignored;
    soak_run(&restarts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_day, soak_set_up, soak_tear_down),
        cmocka_unit_test_setup_teardown(an_hour_without_the_issuer, soak_set_up, soak_tear_down),
        cmocka_unit_test_setup_teardown(one_answer_in_twenty_fails, soak_set_up, soak_tear_down),
        cmocka_unit_test_setup_teardown(the_wall_clock_is_set, soak_set_up, soak_tear_down),
        cmocka_unit_test_setup_teardown(the_machine_sleeps, soak_set_up, soak_tear_down),
        cmocka_unit_test_setup_teardown(the_source_changes, soak_set_up, soak_tear_down),
        cmocka_unit_test_setup_teardown(the_target_is_full, soak_set_up, soak_tear_down),
        cmocka_unit_test_setup_teardown(the_daemon_is_restarted, soak_set_up, soak_tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
