/* SPDX-License-Identifier: Apache-2.0 */
/* A refresh token in its file: read with care, replaced whole, by one process at a time. */
#include "unit.h"

#include <dirent.h>
#include <signal.h>
#include <sys/syscall.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/secret.h"
#include "token/rotate.h"

#define LONG_DEADLINE (clock_monotonic_ms() + 20000)
#define PROCESSES 8
#define TURNS 25
#define KILLS 40

static char place[512], path[600], lock_path[640], temporary[640];

static bool is_killed_at_flush;

/* In place of the C library's. */
int fsync(int fd)
{
    if (is_killed_at_flush)
        (void)raise(SIGKILL);
    return (int)syscall(SYS_fsync, fd);
}

static int set_up(void **state)
{
    (void)state;
    unit_make_directory(place);
    (void)snprintf(path, sizeof(path), "%s/token", place);
    (void)snprintf(lock_path, sizeof(lock_path), "%s.lock", path);
    (void)snprintf(temporary, sizeof(temporary), "%s.tmp", path);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unit_remove_directory(place);
    return 0;
}

static void put(const char *text)
{
    unit_write(path, text, strlen(text), 0600);
}

/* What the file has, in static memory. */
static const char *content(void)
{
    static char text[4096];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length;

    assert_true(fd >= 0);
    length = read(fd, text, sizeof(text) - 1);
    assert_true(length >= 0);
    assert_int_equal(close(fd), 0);
    text[length] = '\0';
    return text;
}

static int replace(struct rotate *rotate, const char *text, struct pullkey_error *error)
{
    cleanup_secret struct pullkey_secret token = { 0 };

    assert_fine(secret_set(&token, text, strlen(text), error), *error);
    return rotate_replace(rotate, &token, error);
}

/* Whose token it is: the state that its file had when somebody else wrote it. */
static struct file_state founder(void)
{
    struct file_family family;

    file_family(path, &family);
    return family.founder;
}

static bool is_own_founder(void)
{
    const struct file_state found = founder();
    struct file_state own;

    file_state(path, &own);
    return memcmp(&found, &own, sizeof(own)) == 0;
}

#define assert_founder(wanted)                                                                     \
    do {                                                                                           \
        const struct file_state found = founder();                                                 \
        assert_memory_equal(&found, &(wanted), sizeof(found));                                     \
    } while (0)

static void rotate_once(const char *text)
{
    cleanup_rotate struct rotate rotate;
    struct pullkey_error error;

    assert_fine(rotate_open(path, LONG_DEADLINE, &rotate, &error), error);
    assert_fine(replace(&rotate, text, &error), error);
}

static void in_a_family(void **state)
{
    struct file_state first, other;
    char aside[640];

    (void)state;
    put("first");
    first = founder();
    assert_true(is_own_founder());
    rotate_once("first"); /* which is no change */
    assert_true(is_own_founder());
    rotate_once("second");
    assert_false(is_own_founder());
    assert_founder(first);
    rotate_once("third");
    assert_founder(first);
    /* Another's, by rename with the same size, and in place. */
    (void)snprintf(aside, sizeof(aside), "%s/aside", place);
    unit_write(aside, "THIRD\n", 6, 0600);
    assert_int_equal(rename(aside, path), 0);
    assert_true(is_own_founder());
    other = founder();
    assert_memory_not_equal(&first, &other, sizeof(first));
    rotate_once("fourth");
    assert_founder(other);
    put("else\n");
    assert_true(is_own_founder());
    /* None is nobody's, and a copy is another's. */
    rotate_once("again");
    assert_false(is_own_founder());
    assert_int_equal(rename(path, aside), 0);
    assert_true(is_own_founder());
    put("again\n");
    assert_true(is_own_founder());
    assert_int_equal(rename(aside, path), 0);
    assert_false(is_own_founder());
    /* What tells it is gone, or is nothing. */
    (void)snprintf(aside, sizeof(aside), "%s.family", path);
    assert_int_equal(truncate(aside, 40), 0);
    assert_true(is_own_founder());
    assert_int_equal(unlink(aside), 0);
    assert_true(is_own_founder());
    assert_int_equal(mkfifo(aside, 0600), 0);
    assert_true(is_own_founder());
}

/* Somebody who does not know the lock writes another while a server is asked. */
static void no_family_of_anothers(void **state)
{
    cleanup_rotate struct rotate rotate;
    struct pullkey_error error;
    struct file_state first, other;

    (void)state;
    put("first");
    rotate_once("second");
    first = founder();
    assert_fine(rotate_open(path, LONG_DEADLINE, &rotate, &error), error);
    put("other");
    other = founder();
    assert_fine(replace(&rotate, "third", &error), error);
    assert_true(is_own_founder());
    put("other");
    assert_true(is_own_founder());
    assert_memory_not_equal(&first, &other, sizeof(first));
}

static void replaced(void **state)
{
    cleanup_rotate struct rotate rotate;
    struct pullkey_error error;
    struct stat before, after;

    (void)state;
    put("first\r\n");
    /* What a killed process has left is no obstacle. */
    unit_write(temporary, "ha", 2, 0644);
    assert_fine(rotate_open(path, LONG_DEADLINE, &rotate, &error), error);
    assert_string_equal(rotate.token.bytes, "first");
    assert_int_equal(rotate.token.length, 5);
    assert_int_equal(stat(path, &before), 0);
    assert_fine(replace(&rotate, "first", &error), error);
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
    assert_fine(replace(&rotate, "second", &error), error);
    assert_string_equal(content(), "second\n");
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(after.st_mode & 07777, 0600);
    assert_int_equal(access(temporary, F_OK), -1);
    assert_refused(replace(&rotate, "two words", &error), PULLKEY_INVALID, "bytes", error);
    assert_refused(replace(&rotate, "", &error), PULLKEY_INVALID, "bytes", error);
    assert_string_equal(content(), "second\n");
}

/* By somebody who does not know the lock: a person who has logged in again. */
static void read_again(void **state)
{
    cleanup_rotate struct rotate rotate;
    struct pullkey_error error;
    bool is_changed = true;

    (void)state;
    put("first");
    assert_fine(rotate_open(path, LONG_DEADLINE, &rotate, &error), error);
    assert_fine(rotate_again(&rotate, &is_changed, &error), error);
    assert_false(is_changed);
    put("other\n");
    assert_fine(rotate_again(&rotate, &is_changed, &error), error);
    assert_true(is_changed);
    assert_string_equal(rotate.token.bytes, "other");
    assert_int_equal(unlink(path), 0);
    assert_refused(rotate_again(&rotate, &is_changed, &error), PULLKEY_INVALID, "is missing",
                   error);
    assert_string_equal(rotate.token.bytes, "other");
}

static void refuse(enum pullkey_error_class class, const char *part)
{
    struct rotate rotate;
    struct pullkey_error error;

    assert_refused(rotate_open(path, LONG_DEADLINE, &rotate, &error), class, part, error);
    assert_null(rotate.token.bytes);
    assert_null(strstr(error.message, "first"));
    assert_int_equal(access(lock_path, F_OK), -1);
}

static void files_that_are_none(void **state)
{
    char other[640];

    (void)state;
    refuse(PULLKEY_INVALID, "is missing");
    put("");
    refuse(PULLKEY_INVALID, "holds no refresh token");
    put("\n");
    refuse(PULLKEY_INVALID, "holds no refresh token");
    put("first second");
    refuse(PULLKEY_INVALID, "holds no refresh token");
    put("first\nsecond");
    refuse(PULLKEY_INVALID, "holds no refresh token");
    put("first");
    assert_int_equal(chmod(path, 0640), 0);
    refuse(PULLKEY_DENIED, path);
    assert_int_equal(chmod(path, 0600), 0);
    (void)snprintf(other, sizeof(other), "%s/other", place);
    assert_int_equal(link(path, other), 0);
    refuse(PULLKEY_DENIED, path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink(other, path), 0);
    refuse(PULLKEY_DENIED, path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rename(other, path), 0);
    assert_int_equal(chmod(place, 0777), 0);
    refuse(PULLKEY_DENIED, place);
}

static void of_somebody_else(void **state)
{
    (void)state;
    only_as_root(true);
    put("first");
    assert_int_equal(chown(path, 12345, 12345), 0);
    refuse(PULLKEY_DENIED, path);
}

static void one_at_a_time(void **state)
{
    struct pullkey_error error;
    struct rotate first, second;

    (void)state;
    put("first");
    assert_fine(rotate_open(path, LONG_DEADLINE, &first, &error), error);
    assert_refused(rotate_open(path, clock_monotonic_ms(), &second, &error), PULLKEY_UNREACHABLE,
                   lock_path, error);
    assert_null(second.token.bytes);
    rotate_close(&first);
    assert_fine(rotate_open(path, clock_monotonic_ms(), &second, &error), error);
    rotate_close(&second);
}

/* Makes the number in the file one larger. */
static void take_turn(void)
{
    cleanup_rotate struct rotate rotate;
    struct pullkey_error error;
    char text[32];

    if (rotate_open(path, LONG_DEADLINE, &rotate, &error) < 0)
        _exit(1);
    (void)snprintf(text, sizeof(text), "%ld", strtol(rotate.token.bytes, NULL, 10) + 1);
    if (replace(&rotate, text, &error) < 0)
        _exit(2);
}

static void many_processes(void **state)
{
    pid_t children[PROCESSES];
    char want[32];

    struct file_state first;

    (void)state;
    put("0");
    first = founder();
    for (size_t i = 0; i < PROCESSES; i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (children[i] == 0) {
            for (size_t k = 0; k < TURNS; k++)
                take_turn();
            _exit(0);
        }
    }
    for (size_t i = 0; i < PROCESSES; i++)
        assert_int_equal(unit_wait(children[i]), 0);
    (void)snprintf(want, sizeof(want), "%d\n", PROCESSES * TURNS);
    assert_string_equal(content(), want);
    assert_founder(first);
}

/* Wherever it is killed: what is there is a number, not less than before, and of the same family.
 */
static void killed(void **state)
{
    long last = 1000000;
    struct file_state first;

    (void)state;
    put("1000000");
    first = founder();
    for (size_t i = 0; i < KILLS; i++) {
        pid_t child = fork();
        int status;
        char *end;
        long number;

        assert_true(child >= 0);
        if (child == 0)
            for (;;)
                take_turn();
        /* Until it is at work, and then some. */
        do
            number = strtol(content(), NULL, 10);
        while (number < last + 1);
        for (size_t k = 0; k < i; k++)
            (void)content();
        assert_int_equal(kill(child, SIGKILL), 0);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        number = strtol(content(), &end, 10);
        assert_string_equal(end, "\n");
        assert_true(number >= last + 1);
        assert_founder(first);
        last = number;
    }
}

/* What is tried before the server is asked leaves nothing behind, nor minds what is left. */
static void killed_before_the_question(void **state)
{
    struct pullkey_error error;
    struct rotate rotate;
    struct dirent *entry;
    char room[640];
    int status;
    DIR *directory;
    pid_t child;

    (void)state;
    put("first");
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        is_killed_at_flush = true;
        _exit(rotate_open(path, LONG_DEADLINE, &rotate, &error) < 0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    directory = opendir(place);
    assert_non_null(directory);
    while ((entry = readdir(directory)))
        if (entry->d_name[0] != '.' && strcmp(entry->d_name, "token") != 0 &&
            strcmp(entry->d_name, "token.lock") != 0)
            fail_msg("%s is left", entry->d_name);
    assert_int_equal(closedir(directory), 0);
    (void)snprintf(room, sizeof(room), "%s.tmp", path);
    unit_write(room, "x", 1, 0600);
    assert_fine(rotate_open(path, LONG_DEADLINE, &rotate, &error), error);
    rotate_close(&rotate);
    assert_int_equal(access(room, F_OK), -1);
    assert_int_equal(mkdir(room, 0700), 0);
    assert_true(rotate_open(path, LONG_DEADLINE, &rotate, &error) < 0);
    assert_non_null(strstr(error.message, "the refresh token is not used"));
    assert_int_equal(rmdir(room), 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(in_a_family),
        CASE(no_family_of_anothers),
        CASE(replaced),
        CASE(read_again),
        CASE(files_that_are_none),
        CASE(of_somebody_else),
        CASE(one_at_a_time),
        CASE(many_processes),
        CASE(killed),
        CASE(killed_before_the_question),
    };

    return cmocka_run_group_tests_name("rotate", tests, NULL, NULL);
}
