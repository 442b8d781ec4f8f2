/* SPDX-License-Identifier: Apache-2.0 */
#include "hosts/needs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/json.h"
#include "base/secret.h"

#define START 1795570000 /* wall seconds */
#define HOUR 3600
#define DAY (24 * HOUR)

static uint32_t no_random(void)
{
    return 0;
}

static int set_up(void **ignored)
{
    (void)ignored;
    json_start();
    needs_random = no_random;
    return 0;
}

static struct moment at(int64_t seconds)
{
    return (struct moment){ START + seconds, 1000 + seconds * 1000 };
}

static struct record header_of(const char *user, const char *secret, int64_t expiry)
{
    struct pullkey_credential credential = { 0 };
    struct record record = { .expiry = expiry };
    struct pullkey_error error;

    credential.username = secret_copy(user, strlen(user));
    assert_int_equal(0, secret_set(&credential.secret, secret, strlen(secret), &error));
    assert_int_equal(0, record_header(&credential, &record.header, &error));
    secret_release(credential.username);
    secret_done(&credential.secret);
    return record;
}

static struct record failure_of(enum pullkey_error_class code)
{
    struct record record = { 0 };

    (void)error_set(&record.error, code, "it failed");
    return record;
}

static struct need *add(struct needs *needs, const char *url)
{
    const struct moment now = at(0);

    return needs_get(needs, "pullkey", url, 900, &now, false);
}

/* Asks for what is due and answers it. */
static void answer(struct needs *needs, struct record record, struct moment now)
{
    struct need *need = needs_take_due(needs, &now);

    assert_non_null(need);
    needs_answer(needs, need, &record, &now);
}

static void equal_needs_are_one(void **ignored)
{
    const struct moment now = at(0);
    struct needs needs = { 0 };
    struct need *need = needs_get(&needs, "pullkey", "https://a.example", 900, &now, false);

    (void)ignored;
    assert_ptr_equal(need, needs_get(&needs, "pullkey", "https://a.example", 900, &now, true));
    assert_ptr_not_equal(need, needs_get(&needs, "gcr", "https://a.example", 900, &now, false));
    assert_ptr_not_equal(need, needs_get(&needs, "pullkey", "https://b.example", 900, &now, false));
    assert_ptr_not_equal(need, needs_get(&needs, "pullkey", "https://a.example", 60, &now, false));
    needs_done(&needs);
}

/* The same sequence in each run. */
static uint32_t next_random(void)
{
    static uint32_t state = 1;

    state = state * 1664525u + 1013904223u;
    return state >> 8;
}

/* Nodes that boot together must not ask together: each asks at a moment of its own. */
static void a_start_is_spread_over_a_second(void **ignored)
{
    const struct moment now = at(0);
    struct needs needs = { 0 };
    size_t parts[10] = { 0 };
    char url[32];

    (void)ignored;
    needs_random = next_random;
    for (int i = 0; i < 1000; i++) {
        const struct need *need;
        int64_t wait;

        (void)snprintf(url, sizeof(url), "https://r%d.example", i);
        need = needs_get(&needs, "pullkey", url, 900, &now, true);
        assert_non_null(need);
        wait = need->due_ms - now.monotonic_ms;
        assert_true(wait >= 0 && wait < NEEDS_BOOT_SPREAD_MS);
        parts[wait * 10 / NEEDS_BOOT_SPREAD_MS]++;
    }
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        assert_in_range(parts[i], 50, 200);
    needs_done(&needs);
}

static void one_run_at_a_time(void **ignored)
{
    struct needs needs = { 0 };
    struct moment now = at(0);
    struct need *need = add(&needs, "https://a.example");
    struct record record = header_of("joe", "one", 0);

    (void)ignored;
    assert_int_equal(0, needs_wait_ms(&needs, &now));
    assert_ptr_equal(need, needs_take_due(&needs, &now));
    assert_null(needs_take_due(&needs, &now));
    assert_true(needs_want(&needs, need, &now));
    assert_null(needs_take_due(&needs, &now));
    needs_answer(&needs, need, &record, &now);
    assert_true(need->has_changed);
    /* Whoever wanted it while it ran has the answer of that run. */
    assert_null(needs_take_due(&needs, &now));
    needs_ask_again(&needs, NULL, &now);
    assert_ptr_equal(need, needs_take_due(&needs, &now));
    needs_ask_again(&needs, NULL, &now);
    record = header_of("joe", "two", 0);
    needs_answer(&needs, need, &record, &now);
    /* A store changed while it ran. */
    assert_ptr_equal(need, needs_take_due(&needs, &now));
    needs_done(&needs);
}

static bool is_fresh(const struct need *need, struct moment then, struct moment now)
{
    struct fresh fresh = FRESH_ALWAYS;

    needs_narrow_fresh(need, &then, &fresh);
    return fresh_is_now(&fresh, &now);
}

static void an_open_waits_for_what_is_not_fresh(void **ignored)
{
    const int64_t due = HOUR - HOUR / 16;
    struct needs needs = { 0 };
    struct need *need = add(&needs, "https://a.example");
    struct moment now = at(0);

    (void)ignored;
    assert_true(needs_is_awaited(need, &now));
    assert_false(is_fresh(need, now, now));
    answer(&needs, header_of("joe", "one", START + HOUR), now);
    assert_false(needs_is_awaited(need, &now));
    assert_true(is_fresh(need, now, at(due - 1)));
    assert_false(is_fresh(need, now, at(due)));
    assert_false(is_fresh(need, now, (struct moment){ START + due, 1000 }));
    assert_false(is_fresh(need, now, (struct moment){ START, 1000 + due * 1000 }));
    assert_false(is_fresh(need, now, (struct moment){ START - 1, 1000 }));
    /* The renewal is waited for, but not one that has failed, while the header is good. */
    now = at(due);
    assert_true(needs_want(&needs, need, &now));
    answer(&needs, failure_of(PULLKEY_UNREACHABLE), now);
    assert_false(needs_want(&needs, need, &now));
    assert_true(is_fresh(need, now, at(HOUR - 3)));
    assert_false(is_fresh(need, now, at(HOUR - 2)));
    assert_true(needs_has_failed(need));
    /* A store has changed. */
    needs_ask_again(&needs, NULL, &now);
    assert_true(needs_want(&needs, need, &now));
    assert_false(is_fresh(need, now, now));
    answer(&needs, failure_of(PULLKEY_NOT_FOUND), now);
    assert_false(needs_has_failed(need));
    /* Without a header it is asked anew, but for a moment after it has failed. */
    assert_false(needs_want(&needs, need, &now));
    assert_true(is_fresh(need, now, now));
    now = at(due + 1);
    assert_false(is_fresh(need, at(due), now));
    assert_true(needs_want(&needs, need, &now));
    needs_done(&needs);
}

static void what_is_wanted_comes_first(void **ignored)
{
    struct needs needs = { 0 };
    struct need *first = add(&needs, "https://a.example"), *last = add(&needs, "https://b.example");
    const struct moment now = at(0);

    (void)ignored;
    assert_true(needs_want(&needs, last, &now));
    assert_ptr_equal(last, needs_take_due(&needs, &now));
    assert_ptr_equal(first, needs_take_due(&needs, &now));
    assert_null(needs_take_due(&needs, &now));
    needs_done(&needs);
}

static void no_more_than_the_limit_run(void **ignored)
{
    struct needs needs = { 0 };
    const struct moment now = at(0);
    char url[64];

    (void)ignored;
    for (int i = 0; i < NEEDS_RUNNING_MAX + 3; i++) {
        (void)snprintf(url, sizeof(url), "https://r%d.example", i);
        (void)add(&needs, url);
    }
    for (int i = 0; i < NEEDS_RUNNING_MAX; i++)
        assert_non_null(needs_take_due(&needs, &now));
    assert_null(needs_take_due(&needs, &now));
    assert_int_equal(-1, needs_wait_ms(&needs, &now));
    needs_done(&needs);
}

/* Helpers that hang are asked again and again; a good one is asked between them. */
static void failures_leave_room(void **ignored)
{
    struct needs needs = { 0 };
    struct need *running[NEEDS_RUNNING_MAX], *good;
    struct moment now = at(0);
    char url[64];

    (void)ignored;
    for (int i = 0; i < 40; i++) {
        (void)snprintf(url, sizeof(url), "https://r%d.example", i);
        (void)add(&needs, url);
    }
    for (int i = 0; i < 40; i++)
        answer(&needs, failure_of(PULLKEY_UNREACHABLE), now);
    now = at(60);
    good = needs_get(&needs, "pullkey", "https://good.example", 900, &now, false);
    assert_ptr_equal(good, needs_take_due(&needs, &now));
    for (int i = 0; i < NEEDS_RETRYING_MAX; i++) {
        running[i] = needs_take_due(&needs, &now);
        assert_non_null(running[i]);
    }
    assert_null(needs_take_due(&needs, &now));
    /* Nothing can be started, so there is nothing to wake for. */
    assert_true(needs_wait_ms(&needs, &now) != 0);
    for (int i = 0; i < NEEDS_RETRYING_MAX; i++) {
        struct record record = failure_of(PULLKEY_UNREACHABLE);

        needs_answer(&needs, running[i], &record, &now);
    }
    assert_int_equal(0, needs_wait_ms(&needs, &now));
    needs_done(&needs);
}

static void renewal_comes_before_expiry(void **ignored)
{
    struct needs needs = { 0 };
    struct need *need = add(&needs, "https://a.example");
    struct moment now = at(0);

    (void)ignored;
    answer(&needs, header_of("joe", "one", START + HOUR), now);
    assert_int_equal((HOUR - HOUR / 16) * 1000, needs_wait_ms(&needs, &now));
    now = at(HOUR - HOUR / 16 - 1);
    assert_null(needs_take_due(&needs, &now));
    assert_false(needs_want(&needs, need, &now));
    now = at(HOUR - HOUR / 16);
    answer(&needs, failure_of(PULLKEY_UNREACHABLE), now);
    assert_true(need->header.length > 0);
    assert_false(needs_expire(&needs, &now));
    now = at(HOUR - 3);
    assert_false(needs_expire(&needs, &now));
    now = at(HOUR - 2);
    assert_true(needs_expire(&needs, &now));
    assert_true(need->header.length == 0 && need->has_changed);
    needs_done(&needs);
}

static void short_lives_keep_most_of_their_time(void **ignored)
{
    struct needs needs = { 0 };
    struct moment now = at(0);

    (void)ignored;
    (void)add(&needs, "https://a.example");
    answer(&needs, header_of("joe", "one", START + 300), now);
    assert_int_equal(240 * 1000, needs_wait_ms(&needs, &now));
    now = at(240);
    answer(&needs, header_of("joe", "two", START + 240 + 40), now);
    assert_int_equal(30 * 1000, needs_wait_ms(&needs, &now));
    now = at(270);
    answer(&needs, header_of("joe", "three", START + 270 + 6), now);
    assert_int_equal(3 * 1000, needs_wait_ms(&needs, &now));
    needs_done(&needs);
}

static void failures_back_off(void **ignored)
{
    static const int64_t waits[] = { 5, 10, 20, 40, 80, 160, 300, 300 };
    struct needs needs = { 0 };
    int64_t seconds = 0;

    (void)ignored;
    (void)add(&needs, "https://a.example");
    for (size_t i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
        const struct moment now = at(seconds);

        answer(&needs, failure_of(PULLKEY_UNREACHABLE), now);
        assert_int_equal(waits[i] * 1000, needs_wait_ms(&needs, &now));
        seconds += waits[i];
    }
    needs_done(&needs);
}

static void not_found_takes_the_header_away(void **ignored)
{
    struct needs needs = { 0 };
    struct need *need = add(&needs, "https://a.example");
    struct moment now = at(0);

    (void)ignored;
    answer(&needs, header_of("joe", "one", 0), now);
    needs_ask_again(&needs, "gcr", &now);
    assert_null(needs_take_due(&needs, &now));
    needs_ask_again(&needs, "pullkey", &now);
    need->has_changed = false;
    answer(&needs, failure_of(PULLKEY_NOT_FOUND), now);
    assert_true(need->header.length == 0 && need->has_changed);
    assert_int_equal(60 * 1000, needs_wait_ms(&needs, &now));
    needs_done(&needs);
}

static void a_password_stays_while_nobody_can_be_asked(void **ignored)
{
    struct needs needs = { 0 };
    struct need *need = add(&needs, "https://a.example");
    struct moment now = at(0);

    (void)ignored;
    answer(&needs, header_of("joe", "one", 0), now);
    assert_int_equal(900 * 1000, needs_wait_ms(&needs, &now));
    for (int64_t seconds = 900; seconds < 7 * DAY; seconds += 300) {
        now = at(seconds);
        answer(&needs, failure_of(PULLKEY_UNREACHABLE), now);
        assert_false(needs_expire(&needs, &now));
    }
    assert_true(need->header.length > 0);
    needs_done(&needs);
}

static void an_answer_that_has_expired_is_a_failure(void **ignored)
{
    struct needs needs = { 0 };
    struct need *need = add(&needs, "https://a.example");

    (void)ignored;
    answer(&needs, header_of("joe", "one", START - 1), at(0));
    assert_int_equal(PULLKEY_INVALID, need->error.code);
    assert_true(need->header.length == 0);
    needs_done(&needs);
}

static void the_clock_jumps_forward(void **ignored)
{
    struct needs needs = { 0 };
    struct need *need = add(&needs, "https://a.example");
    struct moment now = at(0);

    (void)ignored;
    answer(&needs, header_of("joe", "one", START + HOUR), now);
    now.wall += DAY;
    assert_int_equal(0, needs_wait_ms(&needs, &now));
    assert_true(needs_expire(&needs, &now));
    assert_true(need->header.length == 0);
    answer(&needs, header_of("joe", "two", now.wall + HOUR), now);
    assert_true(need->header.length > 0);
    needs_done(&needs);
}

static void the_clock_jumps_back(void **ignored)
{
    struct needs needs = { 0 };
    struct need *need = add(&needs, "https://a.example");
    struct moment now = at(0);

    (void)ignored;
    answer(&needs, header_of("joe", "one", START + HOUR), now);
    now.wall -= DAY;
    /* Fetched in the future: what was known then means nothing. */
    answer(&needs, failure_of(PULLKEY_UNREACHABLE), now);
    assert_true(need->header.length > 0);
    /* An hour has passed, whatever the wall clock says. */
    now.monotonic_ms += HOUR * 1000;
    assert_true(needs_expire(&needs, &now));
    needs_done(&needs);
}

static void headers_of_an_earlier_run(void **ignored)
{
    struct needs needs = { 0 };
    struct need *need = add(&needs, "https://a.example");
    struct record record = header_of("joe", "one", 0);
    const struct pullkey_secret wrong = { (char *)(uintptr_t) "Basic x\"y", 9 };
    const struct moment now = at(0);
    struct pullkey_error error;

    (void)ignored;
    assert_int_equal(0, needs_recover(need, &wrong, START + HOUR, &now, &error));
    assert_true(need->header.length == 0);
    assert_int_equal(0, needs_recover(need, &record.header, START, &now, &error));
    assert_true(need->header.length == 0);
    assert_int_equal(0, needs_recover(need, &record.header, START + HOUR, &now, &error));
    assert_true(secret_equal(&need->header, &record.header));
    /* It is not asked for again before it is time. */
    assert_int_equal((HOUR - HOUR / 16) * 1000, needs_wait_ms(&needs, &now));
    record_done(&record);
    needs_done(&needs);
}

/* The year 9999, of a helper or of an earlier run, is no reason never to ask again. */
static void no_credential_is_believed_longer_than_a_week(void **ignored)
{
    const int64_t week = 7 * DAY, year_9999 = 253402300799;
    struct needs needs = { 0 };
    struct need *answered = add(&needs, "https://a.example");
    struct need *recovered = add(&needs, "https://b.example");
    struct record record = header_of("joe", "one", year_9999);
    const struct moment now = at(0);
    struct moment then = at(week - week / 16);
    struct pullkey_error error;

    (void)ignored;
    assert_int_equal(0, needs_recover(recovered, &record.header, year_9999, &now, &error));
    assert_int_equal(START + week, recovered->expiry);
    assert_ptr_equal(answered, needs_take_due(&needs, &now));
    needs_answer(&needs, answered, &record, &now);
    assert_int_equal(START + week, answered->expiry);
    assert_int_equal((week - week / 16) * 1000, needs_wait_ms(&needs, &now));
    for (int i = 0; i < 2; i++)
        answer(&needs, failure_of(PULLKEY_UNREACHABLE), then);
    then = at(week);
    assert_true(needs_expire(&needs, &then));
    assert_true(answered->header.length == 0 && recovered->header.length == 0);
    needs_done(&needs);
}

/* One that ends within it keeps its own end to the second. */
static void a_week_is_not_cut(void **ignored)
{
    struct needs needs = { 0 };
    struct need *need = add(&needs, "https://a.example");

    (void)ignored;
    answer(&needs, header_of("joe", "one", START + 7 * DAY), at(0));
    assert_int_equal(START + 7 * DAY, need->expiry);
    answer(&needs, header_of("joe", "one", START + 14 * DAY - 1), at(7 * DAY - 60));
    assert_int_equal(START + 14 * DAY - 60, need->expiry);
    answer(&needs, header_of("joe", "one", 0), at(14 * DAY));
    assert_int_equal(0, need->expiry);
    needs_done(&needs);
}

static void what_is_not_used_goes(void **ignored)
{
    const struct moment now = at(0);
    struct needs needs = { 0 };
    struct need *running = add(&needs, "https://a.example");
    struct need *used = add(&needs, "https://b.example");
    struct record record = header_of("joe", "one", 0);

    (void)ignored;
    (void)add(&needs, "https://c.example");
    assert_ptr_equal(running, needs_take_due(&needs, &now));
    needs_begin_marking(&needs);
    used->is_used = true;
    needs_sweep(&needs);
    assert_ptr_equal(running, needs.first);
    assert_ptr_equal(used, running->next);
    assert_null(used->next);
    needs_answer(&needs, running, &record, &now);
    needs_sweep(&needs);
    assert_ptr_equal(used, needs.first);
    needs_done(&needs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(equal_needs_are_one, set_up),
        cmocka_unit_test_setup(a_start_is_spread_over_a_second, set_up),
        cmocka_unit_test_setup(one_run_at_a_time, set_up),
        cmocka_unit_test_setup(an_open_waits_for_what_is_not_fresh, set_up),
        cmocka_unit_test_setup(what_is_wanted_comes_first, set_up),
        cmocka_unit_test_setup(no_more_than_the_limit_run, set_up),
        cmocka_unit_test_setup(failures_leave_room, set_up),
        cmocka_unit_test_setup(renewal_comes_before_expiry, set_up),
        cmocka_unit_test_setup(short_lives_keep_most_of_their_time, set_up),
        cmocka_unit_test_setup(failures_back_off, set_up),
        cmocka_unit_test_setup(not_found_takes_the_header_away, set_up),
        cmocka_unit_test_setup(a_password_stays_while_nobody_can_be_asked, set_up),
        cmocka_unit_test_setup(an_answer_that_has_expired_is_a_failure, set_up),
        cmocka_unit_test_setup(the_clock_jumps_forward, set_up),
        cmocka_unit_test_setup(the_clock_jumps_back, set_up),
        cmocka_unit_test_setup(headers_of_an_earlier_run, set_up),
        cmocka_unit_test_setup(no_credential_is_believed_longer_than_a_week, set_up),
        cmocka_unit_test_setup(a_week_is_not_cut, set_up),
        cmocka_unit_test_setup(what_is_not_used_goes, set_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
