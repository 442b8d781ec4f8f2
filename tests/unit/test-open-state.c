/* SPDX-License-Identifier: Apache-2.0 */
/* Who is let in when: descriptors are numbers that nobody opens, and time is handed in. */
#include "hosts/open-state.h"

#include "unit.h"

#include "base/secret.h"

#define TIMEOUT_MS 10000

static int let_in[OPEN_WAITERS_MAX + 64];
static size_t let_in_count;
static char page[OPEN_PAGE];

static void allow(void *context, int fd)
{
    (void)context;
    assert_true(let_in_count < UNIT_COUNT(let_in));
    let_in[let_in_count++] = fd;
}

static struct open_state *new_state(size_t waiters)
{
    struct open_state *state = secret_alloc(sizeof(*state));

    assert_non_null(state);
    state->waiter_max = waiters;
    state->timeout_ms = TIMEOUT_MS;
    state->allow = allow;
    let_in_count = 0;
    return state;
}

static struct moment at(int64_t ms)
{
    return (struct moment){ 1795570000 + ms / 1000, ms };
}

static void free_state(struct open_state *state)
{
    const struct moment now = at(0);

    open_state_done(state, &now);
    assert_int_equal(0, state->waiter_count);
    secret_release(state);
}

static struct open_file *add(struct open_state *state, ino_t inode, bool is_fresh)
{
    static int owner;
    struct open_file *file = open_state_add(state, inode, &owner);

    assert_non_null(file);
    file->is_page = true;
    if (is_fresh)
        file->fresh = (struct fresh)FRESH_ALWAYS;
    return file;
}

/* True: it waits. */
static bool open_at(struct open_state *state, ino_t inode, int fd, int64_t ms)
{
    const struct moment now = at(ms);

    return open_state_open(state, inode, fd, true, &now);
}

static bool close_at(struct open_state *state, ino_t inode, int64_t ms)
{
    const struct moment now = at(ms);

    return open_state_close(state, inode, &now);
}

/* A descriptor that may be closed. */
static int writable(void)
{
    int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    return fd;
}

static struct open_file *replace(struct open_state *state, struct open_file *old, ino_t inode,
                                 const char *text, int64_t ms)
{
    struct open_file *current = add(state, inode, true);
    const struct moment now = at(ms);

    current->is_page = text != NULL;
    open_state_replace(state, old, current, writable(), text, &now);
    return current;
}

static void what_is_fresh_is_opened_at_once(void **ignored)
{
    struct open_state *state = new_state(8);
    struct open_file *file = add(state, 1, true);
    const struct moment now = at(0);

    (void)ignored;
    assert_false(open_at(state, 1, 10, 0));
    assert_false(open_at(state, 99, 11, 0)); /* no file of ours */
    assert_int_equal(2, let_in_count);
    assert_false(file->is_bare);
    file->is_bare = true;
    assert_true(open_at(state, 1, 12, 0));
    file->is_bare = false;
    state->is_unsettled = true;
    assert_true(open_at(state, 1, 13, 0));
    state->is_unsettled = false;
    assert_true(open_state_open(state, 1, 14, false, &now));
    file->fresh = (struct fresh){ 0 };
    assert_true(open_at(state, 1, 15, 0));
    assert_int_equal(2, let_in_count);
    assert_int_equal(4, file->waiters);
    /* Those that came later wait on. */
    assert_int_equal(2, open_state_release(state, file, 2, 0, &now));
    assert_int_equal(4, let_in_count);
    assert_int_equal(2, file->waiters);
    free_state(state);
    assert_int_equal(6, let_in_count);
}

static void nobody_waits_longer_than_the_deadline(void **ignored)
{
    struct open_state *state = new_state(2);
    struct open_file *file = add(state, 1, false);
    struct moment now = at(TIMEOUT_MS - 1);

    (void)ignored;
    assert_int_equal(INT64_MAX, open_state_deadline(state));
    assert_true(open_at(state, 1, 10, 0));
    assert_true(open_at(state, 1, 11, 5));
    assert_int_equal(TIMEOUT_MS, open_state_deadline(state));
    /* No more than that can wait: the others are let in, and counted. */
    assert_true(open_at(state, 1, 12, 6));
    assert_int_equal(1, let_in_count);
    assert_int_equal(12, let_in[0]);
    assert_false(open_state_expire(state, &now));
    now = at(TIMEOUT_MS);
    file->is_writing = true;
    assert_false(open_state_expire(state, &now));
    file->is_writing = false;
    assert_true(open_state_expire(state, &now));
    assert_int_equal(2, let_in_count);
    assert_int_equal(10, let_in[1]);
    assert_int_equal(2, file->timeouts);
    assert_true(state->has_timed_out);
    now = at(TIMEOUT_MS + 5);
    assert_true(open_state_expire(state, &now));
    assert_int_equal(3, file->timeouts);
    free_state(state);
}

static void only_one_that_nobody_reads_is_written_over(void **ignored)
{
    struct open_state *state = new_state(8);
    struct open_file *old = add(state, 1, true), *current;
    struct moment now = at(0);

    (void)ignored;
    assert_false(open_at(state, 1, 10, 0));
    assert_false(open_at(state, 1, 11, 0));
    old->fresh = (struct fresh){ 0 };
    assert_true(open_at(state, 1, 12, 1));
    current = replace(state, old, 2, page, 2);
    assert_ptr_equal(old, open_state_find(state, 1));
    assert_ptr_equal(current, open_state_find(state, 2));
    assert_false(open_state_can_write(old, &now));
    assert_int_equal(OPEN_READERS_MS, open_state_due_ms(state));
    assert_false(close_at(state, 1, 3));
    assert_true(close_at(state, 1, 4));
    assert_true(open_state_can_write(old, &now));
    /* One that comes late, too; and a reader that is never heard of again is forgotten. */
    assert_true(open_at(state, 1, 13, 5));
    assert_int_equal(2, old->waiters);
    now = at(TIMEOUT_MS + 1);
    assert_true(open_state_expire(state, &now));
    assert_int_equal(1, current->timeouts);
    now = at(TIMEOUT_MS + OPEN_READERS_MS);
    assert_false(open_state_can_write(old, &now));
    now = at(TIMEOUT_MS + 1 + OPEN_READERS_MS);
    assert_true(open_state_can_write(old, &now));
    open_state_drop(state, old, &now);
    assert_null(open_state_find(state, 1));
    assert_int_equal(4, let_in_count);
    free_state(state);
}

static void what_is_no_page_is_not_written_over(void **ignored)
{
    struct open_state *state = new_state(8);
    struct open_file *file = add(state, 1, false);

    (void)ignored;
    assert_true(open_at(state, 1, 10, 0));
    file = replace(state, file, 2, NULL, 0);
    assert_int_equal(1, let_in_count);
    assert_null(state->old);
    file->fresh = (struct fresh){ 0 };
    assert_true(open_at(state, 2, 11, 0));
    file = replace(state, file, 3, page, 0); /* the old one is none */
    assert_int_equal(2, let_in_count);
    assert_null(state->old);
    free_state(state);
}

static void several_old_ones_get_the_newest(void **ignored)
{
    struct open_state *state = new_state(8);
    struct open_file *first = add(state, 1, false), *second, *third;
    struct moment now = at(0);

    (void)ignored;
    assert_true(open_at(state, 1, 10, 0));
    memset(page, 'a', sizeof(page));
    second = replace(state, first, 2, page, 0);
    memset(page, 'b', sizeof(page));
    third = replace(state, second, 3, page, 1);
    assert_int_equal('b', first->text[0]);
    assert_int_equal('b', second->text[OPEN_PAGE - 1]);
    assert_ptr_equal(third, first->current);
    /* The one that nobody waits for is forgotten after a while. */
    now = at(OPEN_READERS_MS + 1);
    open_state_sweep(state, &now);
    assert_null(open_state_find(state, 2));
    assert_ptr_equal(first, open_state_find(state, 1));
    /* Out of the target: whoever opens one is let in. */
    open_state_forget(state, third, &now);
    assert_null(state->old);
    assert_int_equal(1, let_in_count);
    free_state(state);
}

static void only_so_many_old_ones_are_kept(void **ignored)
{
    struct open_state *state = new_state(8);
    struct open_file *file = add(state, 1, false);

    (void)ignored;
    assert_true(open_at(state, 1, 10, 0));
    for (int i = 0; i < OPEN_OLD_MAX; i++)
        file = replace(state, file, (ino_t)(2 + i), page, i);
    assert_int_equal(0, let_in_count);
    (void)replace(state, file, 1000, page, 100);
    assert_int_equal(1, let_in_count);
    assert_int_equal(OPEN_OLD_MAX, state->old_count);
    free_state(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_fresh_is_opened_at_once),
        cmocka_unit_test(nobody_waits_longer_than_the_deadline),
        cmocka_unit_test(only_one_that_nobody_reads_is_written_over),
        cmocka_unit_test(what_is_no_page_is_not_written_over),
        cmocka_unit_test(several_old_ones_get_the_newest),
        cmocka_unit_test(only_so_many_old_ones_are_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
