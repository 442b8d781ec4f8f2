/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <linux/magic.h>
#include <sys/file.h>
#include <sys/vfs.h>
#include <time.h>

#include "admin/run-directory.h"

/* A place of the test's own: what run_directory_choose finds is the machine's. */
struct place {
    char path[512];
    struct run_directory directory;
};

static void set_up(struct place *place, const char *name)
{
    struct pullkey_error error;

    place->directory = (struct run_directory)RUN_DIRECTORY_INIT;
    place->directory.base = open(place->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(place->directory.base >= 0);
    (void)snprintf(place->directory.name, sizeof(place->directory.name), "%s", name);
    assert_fine(file_join(place->directory.path, place->path, name, &error), error);
}

/* The machine's shared memory, so that the directory is in memory; unit_make_directory's may not be. */
static void make(struct place *place)
{
    struct pullkey_error error;

    (void)snprintf(place->path, sizeof(place->path), "/dev/shm/pullkey-unit-XXXXXX");
    assert_non_null(mkdtemp(place->path));
    set_up(place, "run-0123456789abcdef0123456789abcdef");
    assert_fine(run_directory_make(&place->directory, &error), error);
}

static void clean_up(struct place *place)
{
    run_directory_done(&place->directory);
    unit_remove_directory(place->path);
}

static const char *in(const struct place *place, const char *name)
{
    static char path[FILE_PATH_MAX + 64];

    (void)snprintf(path, sizeof(path), "%s/%s", place->path, name);
    return path;
}

static bool exists(const struct place *place, const char *name)
{
    struct stat status;

    return lstat(in(place, name), &status) == 0;
}

#define NAME "run-0123456789abcdef0123456789abcdef"

static void remove_it(struct place *place)
{
    struct pullkey_error error;

    assert_fine(run_directory_remove(&place->directory, &error), error);
    assert_false(exists(place, NAME));
}

static void what_is_made(void **state)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(16);
    struct pullkey_error error;
    struct place place;
    struct stat status;

    (void)state;
    make(&place);
    assert_int_equal(lstat(in(&place, NAME), &status), 0);
    assert_int_equal(status.st_mode, S_IFDIR | 0700);
    buffer_append_text(&text, "x");
    assert_fine(run_directory_write(&place.directory, "file", &text, &error), error);
    assert_int_equal(lstat(in(&place, NAME "/file"), &status), 0);
    assert_int_equal(status.st_mode, S_IFREG | 0600);
    assert_int_equal(status.st_size, 1);
    /* Nothing that is there is taken. */
    assert_refused(run_directory_write(&place.directory, "file", &text, &error), PULLKEY_INTERNAL,
                   "/file", error);
    place.directory.fd = -1;
    assert_true(run_directory_make(&place.directory, &error) < 0);
    remove_it(&place);
    remove_it(&place);
    clean_up(&place);
}

/* Directories without any permission, links, FIFOs, deep trees. */
static void what_the_command_leaves(void **state)
{
    char path[FILE_PATH_MAX + 64];
    struct place place;
    size_t length;

    (void)state;
    make(&place);
    unit_write(in(&place, "outside"), "x", 1, 0600);
    assert_int_equal(mkdir(in(&place, "kept"), 0700), 0);
    unit_write(in(&place, "kept/file"), "x", 1, 0600);
    assert_int_equal(symlink("../outside", in(&place, NAME "/link")), 0);
    assert_int_equal(symlink("../kept", in(&place, NAME "/links")), 0);
    assert_int_equal(mkfifo(in(&place, NAME "/fifo"), 0600), 0);
    assert_int_equal(mkdir(in(&place, NAME "/shut"), 0700), 0);
    unit_write(in(&place, NAME "/shut/file"), "x", 1, 0);
    assert_int_equal(chmod(in(&place, NAME "/shut"), 0), 0);
    (void)snprintf(path, sizeof(path), "%s", in(&place, NAME));
    for (length = strlen(path); length < 180; length += 2) {
        memcpy(path + length, "/d", 3);
        assert_int_equal(mkdir(path, 0700), 0);
    }
    assert_int_equal(chmod(in(&place, NAME), 0), 0);
    remove_it(&place);
    assert_true(exists(&place, "outside") && exists(&place, "kept/file"));
    clean_up(&place);
}

static void a_link_in_its_place(void **state)
{
    struct place place;

    (void)state;
    make(&place);
    assert_int_equal(mkdir(in(&place, "kept"), 0700), 0);
    unit_write(in(&place, "kept/file"), "x", 1, 0600);
    unit_write(in(&place, NAME "/secret"), "x", 1, 0600);
    {
        char from[FILE_PATH_MAX + 64];

        (void)snprintf(from, sizeof(from), "%s", in(&place, NAME));
        assert_int_equal(rename(from, in(&place, "moved")), 0);
    }
    assert_int_equal(symlink("kept", in(&place, NAME)), 0);
    remove_it(&place);
    assert_true(exists(&place, "kept/file"));
    /* What was moved away is emptied. */
    assert_true(exists(&place, "moved"));
    assert_false(exists(&place, "moved/secret"));
    clean_up(&place);
}

static void another_in_its_place(void **state)
{
    struct place place;

    (void)state;
    make(&place);
    assert_int_equal(rmdir(in(&place, NAME)), 0);
    assert_int_equal(mkdir(in(&place, NAME), 0700), 0);
    unit_write(in(&place, NAME "/file"), "x", 1, 0600);
    remove_it(&place);
    unit_write(in(&place, NAME), "x", 1, 0600);
    remove_it(&place);
    clean_up(&place);
}

static void make_old(const struct place *place, const char *name)
{
    const struct timespec times[2] = { { .tv_sec = 1000000000 }, { .tv_sec = 1000000000 } };

    assert_int_equal(utimensat(AT_FDCWD, in(place, name), times, 0), 0);
}

static void what_others_left(void **state)
{
    static const char *const names[] = {
        "run-00000000000000000000000000000001", /* old, and nobody's */
        "run-00000000000000000000000000000002", /* new */
        "run-00000000000000000000000000000003", /* old and in use */
        "run-0000000000000000000000000000000",  /* another name */
        "ran-00000000000000000000000000000004", /* another name */
    };
    struct place place;
    int used;

    (void)state;
    make(&place);
    for (size_t i = 0; i < UNIT_COUNT(names); i++) {
        assert_int_equal(mkdir(in(&place, names[i]), 0700), 0);
        if (i != 1)
            make_old(&place, names[i]);
    }
    make_old(&place, NAME);
    unit_write(in(&place, "run-0000000000000000000000000000000f"), "x", 1, 0600);
    make_old(&place, "run-0000000000000000000000000000000f");
    assert_int_equal(symlink(names[3], in(&place, "run-0000000000000000000000000000000e")), 0);
    used = open(in(&place, names[2]), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(flock(used, LOCK_EX), 0);
    run_directory_sweep(&place.directory);
    assert_false(exists(&place, names[0]));
    for (size_t i = 1; i < UNIT_COUNT(names); i++)
        assert_true(exists(&place, names[i]));
    assert_true(exists(&place, NAME));
    assert_true(exists(&place, "run-0000000000000000000000000000000f"));
    assert_true(exists(&place, "run-0000000000000000000000000000000e"));
    (void)close(used);
    run_directory_sweep(&place.directory);
    assert_false(exists(&place, names[2]));
    clean_up(&place);
}

static void never_on_a_disk(void **state)
{
    struct pullkey_error error;
    struct place place;
    struct statfs status;

    (void)state;
    unit_make_directory(place.path);
    assert_int_equal(statfs(place.path, &status), 0);
    set_up(&place, NAME);
    if (status.f_type == TMPFS_MAGIC)
        print_message("# the scratch directory is in memory itself\n");
    else
        assert_refused(run_directory_make(&place.directory, &error), PULLKEY_DENIED,
                       "not in memory", error);
    clean_up(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_made),         cmocka_unit_test(what_the_command_leaves),
        cmocka_unit_test(a_link_in_its_place),  cmocka_unit_test(another_in_its_place),
        cmocka_unit_test(what_others_left),     cmocka_unit_test(never_on_a_disk),
    };

    return cmocka_run_group_tests_name("run-directory", tests, NULL, NULL);
}
