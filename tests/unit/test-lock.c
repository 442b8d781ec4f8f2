/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <poll.h>
#include <signal.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "base/lock.h"

#define WAITERS 200
#define SOON (clock_monotonic_ms() + 10000)
#define NOW INT64_MIN

static char place[512];
static char path[600];

static int set_up(void **state)
{
    (void)state;
    unit_make_directory(place);
    (void)snprintf(path, sizeof(path), "%s/lock", place);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unit_remove_directory(place);
    return 0;
}

static void taking_and_dropping(void **state)
{
    struct lock lock = LOCK_INIT, other = LOCK_INIT;
    struct pullkey_error error;
    struct stat status;

    (void)state;
    assert_fine(lock_take(path, NOW, &lock, &error), error);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    assert_int_equal(fcntl(lock.fd, F_GETFD), FD_CLOEXEC);
    assert_refused(lock_take(path, NOW, &other, &error), PULLKEY_UNREACHABLE, path, error);
    assert_int_equal(other.fd, -1);
    lock_drop(&lock);
    assert_int_equal(lock.fd, -1);
    lock_drop(&lock);
    assert_int_equal(access(path, F_OK), 0);
    assert_fine(lock_take(path, NOW, &other, &error), error);
    lock_drop(&other);
}

/* A child that holds the lock until the pipe is closed, and then drops it or is killed. */
static pid_t start_holder(const int ready[2], const int end[2])
{
    struct lock lock = LOCK_INIT;
    struct pullkey_error error;
    pid_t child = fork();
    char byte;

    assert_true(child >= 0);
    if (child > 0) {
        assert_int_equal(read(ready[0], &byte, 1), 1);
        return child;
    }
    close(end[1]);
    if (lock_take(path, SOON, &lock, &error) < 0 || write(ready[1], "x", 1) != 1)
        _exit(1);
    (void)!read(end[0], &byte, 1);
    lock_drop(&lock);
    _exit(0);
}

static void deadline_between_processes(void **state)
{
    struct lock lock = LOCK_INIT;
    struct pullkey_error error;
    int ready[2], end[2];
    int64_t before;
    pid_t child;

    (void)state;
    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    assert_int_equal(pipe2(end, O_CLOEXEC), 0);
    child = start_holder(ready, end);
    before = clock_monotonic_ms();
    assert_refused(lock_take(path, before + 50, &lock, &error), PULLKEY_UNREACHABLE,
                   "another process", error);
    assert_true(clock_monotonic_ms() - before >= 50);
    close(end[1]);
    assert_fine(lock_take(path, SOON, &lock, &error), error);
    lock_drop(&lock);
    assert_int_equal(unit_wait(child), 0);
    close(ready[0]);
    close(ready[1]);
    close(end[0]);
}

static void killed_holders_hold_nothing(void **state)
{
    struct lock lock = LOCK_INIT;
    struct pullkey_error error;
    int ready[2], end[2], status;
    pid_t child;

    (void)state;
    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    assert_int_equal(pipe2(end, O_CLOEXEC), 0);
    child = start_holder(ready, end);
    assert_int_equal(lock_take(path, NOW, &lock, &error), -PULLKEY_UNREACHABLE);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_fine(lock_take(path, NOW, &lock, &error), error);
    lock_drop(&lock);
    close(ready[0]);
    close(ready[1]);
    close(end[0]);
    close(end[1]);
}

/* Whoever waited for a file that was removed meanwhile must not hold what nobody else can see. */
static void removed_files_are_made_anew(void **state)
{
    struct lock lock = LOCK_INIT, third = LOCK_INIT;
    struct pullkey_error error;
    int ready[2], end[2];
    pid_t child;

    (void)state;
    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    assert_int_equal(pipe2(end, O_CLOEXEC), 0);
    assert_fine(lock_take(path, NOW, &lock, &error), error);
    child = fork();
    if (child == 0) {
        struct lock mine = LOCK_INIT;
        char byte;

        close(end[1]);
        close(lock.fd); /* a copy of the parent's, which would go on holding it */
        /* It waits on the file that is about to be removed. */
        if (lock_take(path, clock_monotonic_ms() + 20, &mine, &error) != -PULLKEY_UNREACHABLE ||
            write(ready[1], "x", 1) != 1 || lock_take(path, SOON, &mine, &error) < 0 ||
            write(ready[1], "x", 1) != 1)
            _exit(1);
        (void)!read(end[0], &byte, 1);
        _exit(0);
    }
    close(ready[1]);
    {
        char byte;

        assert_int_equal(read(ready[0], &byte, 1), 1);
        assert_int_equal(unlink(path), 0);
        lock_drop(&lock);
        assert_int_equal(read(ready[0], &byte, 1), 1);
    }
    assert_int_equal(lock_take(path, NOW, &third, &error), -PULLKEY_UNREACHABLE);
    close(end[1]);
    assert_int_equal(unit_wait(child), 0);
    assert_fine(lock_take(path, NOW, &third, &error), error);
    lock_drop(&third);
    close(ready[0]);
    close(end[0]);
}

static void what_cannot_be_a_lock(void **state)
{
    struct lock lock = LOCK_INIT;
    struct pullkey_error error;
    char other[700];

    (void)state;
    (void)snprintf(other, sizeof(other), "%s/absent/lock", place);
    assert_refused(lock_take(other, SOON, &lock, &error), PULLKEY_NOT_FOUND, "cannot open the lock",
                   error);
    (void)snprintf(other, sizeof(other), "%s/target", place);
    assert_int_equal(symlink(other, path), 0);
    assert_refused(lock_take(path, SOON, &lock, &error), PULLKEY_DENIED, "remove it", error);
    assert_int_not_equal(access(other, F_OK), 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_refused(lock_take(path, SOON, &lock, &error), PULLKEY_DENIED, "remove it", error);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(lock.fd, -1);
}

/* Each of many adds one to a number that is not atomic, so that two at once would be seen. */
static void many_waiters_take_turns(void **state)
{
    struct {
        volatile unsigned int number;
        volatile int64_t longest;
    } *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct pullkey_error error;
    pid_t children[WAITERS];
    int start[2];

    (void)state;
    assert_true(shared != MAP_FAILED);
    assert_int_equal(pipe2(start, O_CLOEXEC), 0);
    for (unsigned int i = 0; i < WAITERS; i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (children[i] == 0) {
            struct pollfd begin = { .fd = start[0] };
            struct lock lock = LOCK_INIT;
            int64_t before;
            unsigned int seen;

            close(start[1]);
            (void)poll(&begin, 1, 10000);
            before = clock_monotonic_ms();
            if (lock_take(path, before + 20000, &lock, &error) < 0)
                _exit(1);
            seen = shared->number;
            (void)poll(NULL, 0, 1);
            shared->number = seen + 1;
            if (clock_monotonic_ms() - before > shared->longest)
                shared->longest = clock_monotonic_ms() - before;
            lock_drop(&lock);
            _exit(0);
        }
    }
    close(start[1]);
    for (unsigned int i = 0; i < WAITERS; i++)
        assert_int_equal(unit_wait(children[i]), 0);
    assert_int_equal(shared->number, WAITERS);
    print_message("# the longest of %d waited %d ms\n", WAITERS, (int)shared->longest);
    munmap(shared, sizeof(*shared));
    close(start[0]);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(taking_and_dropping),
        CASE(deadline_between_processes),
        CASE(killed_holders_hold_nothing),
        CASE(removed_files_are_made_anew),
        CASE(what_cannot_be_a_lock),
        CASE(many_waiters_take_turns),
    };

    return cmocka_run_group_tests_name("lock", tests, NULL, NULL);
}
