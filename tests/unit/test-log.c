/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <sys/resource.h>

#include "base/log.h"
#include "base/text.h"

static char place[512];
static char path[600];

static int set_up(void **state)
{
    (void)state;
    unit_make_directory(place);
    (void)snprintf(path, sizeof(path), "%s/log", place);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    log_start("test", NULL);
    unit_remove_directory(place);
    return 0;
}

static const char *read_log(void)
{
    static char text[200000];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t used = 0;
    ssize_t got;

    assert_true(fd >= 0);
    while ((got = read(fd, text + used, sizeof(text) - 1 - used)) > 0)
        used += (size_t)got;
    assert_int_equal(got, 0);
    text[used] = '\0';
    close(fd);
    return text;
}

static void off_unless_named(void **state)
{
    (void)state;
    log_start("test", NULL);
    log_line("unit", "text");
    log_start("test", "");
    log_line("unit", "text");
    assert_int_not_equal(access(path, F_OK), 0);
}

static void one_line_each(void **state)
{
    struct stat status;
    mode_t mask = umask(0);
    char expected[100];
    const char *text;
    int year, month, day, hour, minute, second;

    (void)state;
    log_start("test", path);
    log_line("unit", "%s %d", "text", 7);
    log_line("unit", "more");
    (void)umask(mask);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    text = read_log();
    assert_int_equal(sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2dZ ", &year, &month, &day, &hour, &minute,
                            &second),
                     6);
    assert_int_equal(text[20], ' ');
    (void)snprintf(expected, sizeof(expected), "test[%d] unit: text 7\n", (int)getpid());
    assert_memory_equal(text + 21, expected, strlen(expected));
    assert_non_null(strstr(text + 21 + strlen(expected), "unit: more\n"));
}

static void lines_cannot_be_forged(void **state)
{
    (void)state;
    log_start("test", path);
    log_line("unit", "%s", "a\nb\r\x1b[0m\x9b\xc2\x9b caf\xc3\xa9");
    assert_non_null(strstr(read_log(), "unit: a?b??[0m??? caf\xc3\xa9\n"));
}

static void long_lines_are_cut(void **state)
{
    char text[5000];
    const char *line;

    (void)state;
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    log_start(text, path);
    log_line(text, "%s", text);
    line = read_log();
    assert_true(strlen(line) > 1000 && strlen(line) < 1300);
    assert_int_equal(line[strlen(line) - 1], '\n');
    assert_null(memchr(line, '\n', strlen(line) - 1));
}

static void unusable_places_are_ignored(void **state)
{
    char other[700];
    struct stat status;

    (void)state;
    (void)alarm(10);
    log_start("test", place);
    log_line("unit", "text");
    (void)snprintf(other, sizeof(other), "%s/absent/log", place);
    log_start("test", other);
    log_line("unit", "text");
    /* A FIFO that nobody reads, and a link. */
    assert_int_equal(mkfifo(path, 0600), 0);
    log_start("test", path);
    log_line("unit", "text");
    assert_int_equal(unlink(path), 0);
    (void)snprintf(other, sizeof(other), "%s/target", place);
    assert_int_equal(symlink(other, path), 0);
    log_line("unit", "text");
    assert_int_not_equal(access(other, F_OK), 0);
    log_start("test", "/dev/full");
    log_line("unit", "text");
    /* A file that others can write to, or that is somebody else's. */
    assert_int_equal(unlink(path), 0);
    log_start("test", path);
    unit_write(path, "", 0, 0622);
    log_line("unit", "text");
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_size, 0);
    if (geteuid() == 0) {
        assert_int_equal(chmod(path, 0600), 0);
        assert_int_equal(chown(path, 12345, 0), 0);
        log_line("unit", "text");
        assert_int_equal(stat(path, &status), 0);
        assert_int_equal(status.st_size, 0);
    }
    (void)alarm(0);
}

static void lines_of_many_processes_stay_whole(void **state)
{
    pid_t children[8];
    unsigned int lines = 0;
    const char *text;

    (void)state;
    log_start("test", path);
    for (unsigned int i = 0; i < UNIT_COUNT(children); i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (children[i] == 0) {
            for (unsigned int j = 0; j < 100; j++)
                log_line("unit", "begin %u %u %*s end", i, j, 100, "");
            _exit(0);
        }
    }
    for (unsigned int i = 0; i < UNIT_COUNT(children); i++)
        assert_int_equal(unit_wait(children[i]), 0);
    for (text = read_log(); *text != '\0'; text = strchr(text, '\n') + 1, lines++) {
        const char *end = strchr(text, '\n');

        assert_non_null(end);
        assert_memory_equal(end - 4, " end", 4);
        assert_non_null(memmem(text, (size_t)(end - text), " unit: begin ", 13));
    }
    assert_int_equal(lines, 800);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(off_unless_named),
        CASE(one_line_each),
        CASE(lines_cannot_be_forged),
        CASE(long_lines_are_cut),
        CASE(unusable_places_are_ignored),
        CASE(lines_of_many_processes_stay_whole),
    };

    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
