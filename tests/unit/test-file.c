/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <dirent.h>
#include <grp.h>
#include <limits.h>
#include <signal.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/file.h"

#define STRANGER 12345

static char place[512];

static int set_up(void **state)
{
    (void)state;
    unit_make_directory(place);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unit_remove_directory(place);
    return 0;
}

/* The path of a name in the scratch directory: of the last eight that were asked for. */
static const char *at(const char *name)
{
    static char paths[8][FILE_PATH_MAX];
    static unsigned int next;
    char *path = paths[next++ % 8];

    assert_true(snprintf(path, FILE_PATH_MAX, "%s/%s", place, name) < FILE_PATH_MAX);
    return path;
}

static int read_it(const char *path, enum file_trust trust, unsigned int flags,
                   struct pullkey_error *error)
{
    cleanup_buffer struct buffer buffer = BUFFER_INIT(1000);
    mode_t mode = 0;
    int r = file_read(path, trust, flags, &buffer, &mode, error);

    if (r == 0) {
        struct stat status;

        assert_string_equal(buffer.data, "content");
        assert_int_equal(stat(path, &status), 0);
        assert_int_equal(mode, status.st_mode & 07777);
    }
    return r;
}

static void modes_that_are_trusted(void **state)
{
    struct pullkey_error error;

    (void)state;
    for (mode_t mode = 0400; mode <= 0777; mode++) {
        bool writable = mode & 022, shared = mode & 077;
        int r;

        if (!(mode & 0400))
            continue;
        unit_write(at("file"), "content", 7, mode);
        r = read_it(at("file"), FILE_OURS, 0, &error);
        assert_int_equal(r, writable ? -PULLKEY_DENIED : 0);
        if (r < 0)
            assert_non_null(strstr(error.message, "run chmod go-w"));
        r = read_it(at("file"), FILE_OURS, FILE_PRIVATE, &error);
        assert_int_equal(r, shared ? -PULLKEY_DENIED : 0);
        if (r < 0)
            assert_non_null(strstr(error.message, "run chmod 0400"));
        assert_int_equal(read_it(at("file"), FILE_INPUT, 0, &error),
                         writable ? -PULLKEY_DENIED : 0);
        assert_int_equal(unlink(at("file")), 0);
    }
}

static void unreadable_is_an_error(void **state)
{
    struct pullkey_error error;

    (void)state;
    only_as_root(false);
    unit_write(at("file"), "content", 7, 0);
    assert_refused(read_it(at("file"), FILE_OURS, 0, &error), PULLKEY_DENIED, "Permission denied",
                   error);
}

static void absence_is_not_found(void **state)
{
    struct pullkey_error error;

    (void)state;
    unit_write(at("file"), "content", 7, 0600);
    assert_refused(read_it(at("absent"), FILE_OURS, 0, &error), PULLKEY_NOT_FOUND, "absent", error);
    assert_int_equal(read_it(at("absent"), FILE_INPUT, 0, &error), -PULLKEY_NOT_FOUND);
    assert_int_equal(read_it(at("no/such/place"), FILE_OURS, 0, &error), -PULLKEY_NOT_FOUND);
    /* What stands where the directory should be is no absence; further up it is. */
    assert_refused(read_it(at("file/inside"), FILE_OURS, 0, &error), PULLKEY_DENIED,
                   "file is not a directory", error);
    assert_int_equal(read_it(at("file/a/inside"), FILE_OURS, 0, &error), -PULLKEY_NOT_FOUND);
    assert_int_equal(read_it(at("file/inside"), FILE_INPUT, 0, &error), -PULLKEY_NOT_FOUND);
}

static void links(void **state)
{
    struct pullkey_error error;

    (void)state;
    unit_write(at("file"), "content", 7, 0600);
    assert_int_equal(symlink("file", at("link")), 0);
    assert_int_equal(symlink("absent", at("dangling")), 0);
    assert_refused(read_it(at("link"), FILE_OURS, 0, &error), PULLKEY_DENIED, "symbolic link", error);
    assert_refused(read_it(at("dangling"), FILE_OURS, 0, &error), PULLKEY_DENIED, "symbolic link",
                   error);
    assert_fine(read_it(at("link"), FILE_INPUT, 0, &error), error);
    assert_int_equal(read_it(at("dangling"), FILE_INPUT, 0, &error), -PULLKEY_NOT_FOUND);
    /* The directory may be a link: many keep their configuration so. */
    assert_int_equal(mkdir(at("real"), 0700), 0);
    unit_write(at("real/file"), "content", 7, 0600);
    assert_int_equal(symlink("real", at("by-link")), 0);
    assert_fine(read_it(at("by-link/file"), FILE_OURS, 0, &error), error);
}

static void hard_links(void **state)
{
    struct pullkey_error error;

    (void)state;
    unit_write(at("file"), "content", 7, 0600);
    assert_int_equal(link(at("file"), at("other")), 0);
    assert_refused(read_it(at("file"), FILE_OURS, 0, &error), PULLKEY_DENIED, "hard link", error);
    assert_fine(read_it(at("file"), FILE_INPUT, 0, &error), error);
    assert_int_equal(unlink(at("other")), 0);
    assert_fine(read_it(at("file"), FILE_OURS, 0, &error), error);
}

/* None of them may make a reader wait. */
static void what_is_no_file(void **state)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    struct pullkey_error error;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)state;
    (void)alarm(10);
    assert_int_equal(mkfifo(at("fifo"), 0600), 0);
    assert_int_equal(mkdir(at("directory"), 0700), 0);
    assert_true(snprintf(address.sun_path, sizeof(address.sun_path), "%s/socket", place) <
                (int)sizeof(address.sun_path));
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    for (int trust = FILE_OURS; trust <= FILE_INPUT; trust++) {
        assert_refused(read_it(at("fifo"), trust, 0, &error), PULLKEY_DENIED, "not a regular file",
                       error);
        assert_refused(read_it(at("directory"), trust, 0, &error), PULLKEY_DENIED,
                       "not a regular file", error);
        assert_true(read_it(at("socket"), trust, 0, &error) < 0);
        assert_true(read_it("/dev/null", trust, 0, &error) < 0);
    }
    (void)alarm(0);
    close(fd);
}

static void directories_that_others_write(void **state)
{
    static const mode_t modes[] = { 0770, 0707, 0777, 01777 };
    struct pullkey_error error;

    (void)state;
    unit_write(at("file"), "content", 7, 0600);
    for (size_t i = 0; i < UNIT_COUNT(modes); i++) {
        const char *advice = modes[i] & S_ISVTX ? "choose another directory" : "chmod go-w";
        assert_int_equal(chmod(place, modes[i]), 0);
        assert_refused(read_it(at("file"), FILE_OURS, 0, &error), PULLKEY_DENIED, advice, error);
        assert_fine(read_it(at("file"), FILE_INPUT, 0, &error), error);
        assert_refused(file_replace(at("file"), "x", 1, 0600, &error), PULLKEY_DENIED, advice, error);
    }
    assert_int_equal(chmod(place, 0755), 0);
    assert_fine(read_it(at("file"), FILE_OURS, 0, &error), error);
}

static void foreign_owners(void **state)
{
    struct pullkey_error error;

    (void)state;
    only_as_root(true);
    unit_write(at("file"), "content", 7, 0600);
    assert_int_equal(chown(at("file"), STRANGER, 0), 0);
    assert_refused(read_it(at("file"), FILE_OURS, 0, &error), PULLKEY_DENIED, "user 12345", error);
    assert_refused(read_it(at("file"), FILE_INPUT, 0, &error), PULLKEY_DENIED, "user 12345", error);
    /* Also where a link of ours leads to it. */
    assert_int_equal(symlink("file", at("link")), 0);
    assert_refused(read_it(at("link"), FILE_INPUT, 0, &error), PULLKEY_DENIED, "user 12345", error);
    assert_int_equal(chown(at("file"), 0, 0), 0);
    assert_int_equal(chown(place, STRANGER, 0), 0);
    assert_refused(read_it(at("file"), FILE_OURS, 0, &error), PULLKEY_DENIED, "user 12345", error);
    /* The overflow owner means something in a user namespace only. */
    assert_int_equal(chown(place, 65534, 0), 0);
    assert_int_equal(read_it(at("file"), FILE_OURS, 0, &error), -PULLKEY_DENIED);
}

/* As an ordinary user: root's files are trusted, those of another user are not. */
static void owners_seen_by_a_user(void **state)
{
    struct pullkey_error error;
    pid_t child;

    (void)state;
    only_as_root(true);
    assert_int_equal(chmod(place, 0755), 0);
    unit_write(at("roots"), "content", 7, 0644);
    unit_write(at("mine"), "content", 7, 0600);
    unit_write(at("theirs"), "content", 7, 0644);
    assert_int_equal(chown(at("mine"), STRANGER, STRANGER), 0);
    assert_int_equal(chown(at("theirs"), STRANGER + 1, STRANGER), 0);
    child = fork();
    if (child == 0) {
        if (setgroups(0, NULL) < 0 || setgid(STRANGER) < 0 || setuid(STRANGER) < 0)
            _exit(1);
        /* Before that is said the old one is the caller. */
        if (read_it(at("mine"), FILE_OURS, FILE_PRIVATE, &error) != -PULLKEY_DENIED)
            _exit(5);
        file_caller_changed();
        if (read_it(at("roots"), FILE_OURS, 0, &error) < 0)
            _exit(2);
        if (read_it(at("mine"), FILE_OURS, FILE_PRIVATE, &error) < 0)
            _exit(3);
        if (read_it(at("theirs"), FILE_OURS, 0, &error) != -PULLKEY_DENIED)
            _exit(4);
        _exit(0);
    }
    assert_int_equal(unit_wait(child), 0);
}

enum { NO_NAMESPACES = 77 };

/* A namespace in which `inside` is this user, and where nobody else has a number. */
static void enter_namespace(uid_t user, uid_t inside)
{
    char map[64];
    int length = snprintf(map, sizeof(map), "%u %u 1\n", (unsigned int)inside, (unsigned int)user);
    int fd;

    if (unshare(CLONE_NEWUSER) < 0)
        _exit(NO_NAMESPACES);
    /* Since the change of user the files below /proc/self are root's. */
    (void)prctl(PR_SET_DUMPABLE, 1);
    fd = open("/proc/self/uid_map", O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, map, (size_t)length) != length || close(fd) < 0)
        _exit(NO_NAMESPACES);
    if (geteuid() != inside)
        _exit(1);
    file_caller_changed();
}

/* Ends the process with 0 if what is root's is trusted there, and what others may write is not. */
static void read_in_namespace(uid_t inside)
{
    bool is_root = geteuid() == 0;
    struct pullkey_error error;
    struct stat status;

    if (is_root && (setgroups(0, NULL) < 0 || setgid(STRANGER) < 0 || setuid(STRANGER) < 0))
        _exit(2);
    enter_namespace(geteuid(), inside);
    if (stat("/etc/passwd", &status) < 0 || status.st_uid != 65534)
        _exit(3);
    if (file_check("/etc/passwd", FILE_LINKED, &error) < 0)
        _exit(4);
    if (read_it(at("mine"), FILE_OURS, FILE_PRIVATE, &error) < 0)
        _exit(5);
    if (is_root && read_it(at("roots"), FILE_OURS, 0, &error) < 0)
        _exit(6);
    if (is_root && read_it(at("open"), FILE_OURS, 0, &error) != -PULLKEY_DENIED)
        _exit(7);
    _exit(0);
}

/* As rootless containers have it: root's configuration shows the overflow owner. */
static void owners_in_a_user_namespace(void **state)
{
    uid_t user = geteuid() == 0 ? STRANGER : geteuid();
    const uid_t seen_as[] = { user, 0 };

    (void)state;
    assert_int_equal(chmod(place, 0755), 0);
    unit_write(at("mine"), "content", 7, 0600);
    unit_write(at("roots"), "content", 7, 0644);
    unit_write(at("open"), "content", 7, 0666);
    if (geteuid() == 0)
        assert_int_equal(chown(at("mine"), STRANGER, STRANGER), 0);
    for (size_t i = 0; i < UNIT_COUNT(seen_as); i++) {
        pid_t child = fork();
        int status;

        if (child == 0)
            read_in_namespace(seen_as[i]);
        status = unit_wait(child);
        if (status == NO_NAMESPACES) {
            print_message("# %s: there are no user namespaces here\n", __func__);
            return;
        }
        assert_int_equal(status, 0);
    }
}

/* A process swaps the file for a link to a file that says something else, as fast as it can. */
static void swapping_never_leads_elsewhere(void **state)
{
    struct pullkey_error error;
    unsigned int read = 0, refused = 0;
    pid_t child;

    (void)state;
    unit_write(at("file"), "content", 7, 0600);
    unit_write(at("elsewhere"), "foreign", 7, 0600);
    assert_int_equal(symlink("elsewhere", at("link")), 0);
    child = fork();
    if (child == 0) {
        char first[FILE_PATH_MAX], second[FILE_PATH_MAX];

        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)snprintf(first, sizeof(first), "%s", at("file"));
        (void)snprintf(second, sizeof(second), "%s", at("link"));
        for (;;) {
            if (renameat2(AT_FDCWD, first, AT_FDCWD, second, RENAME_EXCHANGE) < 0)
                _exit(1);
            (void)sched_yield();
        }
    }
    while (read < 300 || refused < 300) {
        cleanup_buffer struct buffer buffer = BUFFER_INIT(1000);
        int r = file_read(at("file"), FILE_OURS, 0, &buffer, NULL, &error);

        if (r == 0) {
            assert_string_equal(buffer.data, "content");
            read++;
        } else {
            assert_int_equal(r, -PULLKEY_DENIED);
            refused++;
        }
        (void)sched_yield();
    }
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

/* A reader that comes while the file is being replaced gets the old one or the new one. */
static void replacing_never_disturbs_readers(void **state)
{
    struct pullkey_error error;
    pid_t child;

    (void)state;
    unit_write(at("file"), "content", 7, 0600);
    child = fork();
    if (child == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        while (file_replace(at("file"), "content", 7, 0600, &error) == 0)
            continue;
        _exit(1);
    }
    for (unsigned int i = 0; i < 20000; i++)
        assert_fine(read_it(at("file"), FILE_OURS, FILE_PRIVATE, &error), error);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

static void limits_hold(void **state)
{
    cleanup_buffer struct buffer buffer = BUFFER_INIT(6);
    struct pullkey_error error;

    (void)state;
    unit_write(at("file"), "content", 7, 0600);
    assert_refused(file_read(at("file"), FILE_OURS, 0, &buffer, NULL, &error), PULLKEY_INVALID,
                   "more than 6 bytes", error);
    assert_non_null(strstr(error.message, at("file")));
}

static void paths_are_split(void **state)
{
    static const char *const bad[] = { "", "/", ".", "..", "a/", "a/.", "a/..", "/." };
    char longest[FILE_PATH_MAX + 10];
    struct pullkey_error error;
    char here[FILE_PATH_MAX];

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(bad); i++)
        assert_refused(read_it(bad[i], FILE_OURS, 0, &error), PULLKEY_INVALID, "does not name a file",
                       error);
    memset(longest, 'a', sizeof(longest));
    longest[0] = '/';
    memcpy(longest + FILE_PATH_MAX, "/x", 3);
    assert_int_equal(read_it(longest, FILE_OURS, 0, &error), -PULLKEY_INVALID);
    assert_int_equal(file_replace(longest, "", 0, 0600, &error), -PULLKEY_INVALID);
    unit_write(at("file"), "content", 7, 0600);
    assert_non_null(getcwd(here, sizeof(here)));
    assert_int_equal(chdir(place), 0);
    assert_fine(read_it("file", FILE_OURS, 0, &error), error);
    assert_fine(read_it("./file", FILE_OURS, 0, &error), error);
    assert_fine(read_it(".//file", FILE_OURS, 0, &error), error);
    assert_int_equal(chdir(here), 0);
}

static void replacing_in_time(void **state)
{
    struct file_state before;
    struct pullkey_error error;

    (void)state;
    file_state(at("file"), &before);
    assert_fine(file_replace_by(at("file"), ".mine", &before, "content", 7, 0600, &error), error);
    assert_refused(file_replace_by(at("file"), ".mine", &before, "x", 1, 0600, &error),
                   PULLKEY_UNREACHABLE, "another program", error);
    assert_int_not_equal(access(at("file.mine"), F_OK), 0);
}

static void replacing(void **state)
{
    static const mode_t modes[] = { 0600, 0644, 0400 };
    struct pullkey_error error;
    struct stat status;
    mode_t mask = umask(0);

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(modes); i++) {
        assert_fine(file_replace(at("file"), "content", 7, modes[i], &error), error);
        assert_fine(read_it(at("file"), FILE_OURS, 0, &error), error);
        assert_int_equal(stat(at("file"), &status), 0);
        assert_int_equal(status.st_mode & 07777, modes[i]);
    }
    (void)umask(mask);
    assert_int_not_equal(access(at("file.tmp"), F_OK), 0);
}

static void replacing_ignores_what_lies_in_the_way(void **state)
{
    struct pullkey_error error;
    struct stat status;

    (void)state;
    unit_write(at("victim"), "content", 7, 0600);
    assert_int_equal(symlink("victim", at("file.tmp")), 0);
    assert_fine(file_replace(at("file"), "new", 3, 0600, &error), error);
    assert_fine(read_it(at("victim"), FILE_OURS, 0, &error), error);
    /* A link in the file's place is replaced, not followed. */
    assert_int_equal(unlink(at("file")), 0);
    assert_int_equal(symlink("victim", at("file")), 0);
    assert_fine(file_replace(at("file"), "new", 3, 0600, &error), error);
    assert_int_equal(lstat(at("file"), &status), 0);
    assert_true(S_ISREG(status.st_mode));
    assert_fine(read_it(at("victim"), FILE_OURS, 0, &error), error);
}

static void failed_replacing_leaves_the_old(void **state)
{
    char name[NAME_MAX + 1];
    struct pullkey_error error;

    (void)state;
    unit_write(at("file"), "content", 7, 0600);
    assert_int_equal(mkdir(at("file.tmp"), 0700), 0);
    assert_refused(file_replace(at("file"), "new", 3, 0600, &error), PULLKEY_INTERNAL,
                   "file was not changed", error);
    assert_fine(read_it(at("file"), FILE_OURS, 0, &error), error);
    assert_int_equal(mkdir(at("directory"), 0700), 0);
    assert_true(file_replace(at("directory"), "new", 3, 0600, &error) < 0);
    assert_int_not_equal(access(at("directory.tmp"), F_OK), 0);
    assert_int_equal(file_replace(at("absent/file"), "new", 3, 0600, &error), -PULLKEY_NOT_FOUND);
    memset(name, 'n', NAME_MAX);
    name[NAME_MAX] = '\0';
    assert_refused(file_replace(at(name), "new", 3, 0600, &error), PULLKEY_INVALID, "too long", error);
}

static void full_disk_leaves_the_old(void **state)
{
    struct pullkey_error error;
    int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);

    (void)state;
    assert_true(fd >= 0);
    assert_refused(file_write_all(fd, "x", 1, &error), PULLKEY_INTERNAL, "No space left", error);
    close(fd);
}

static void parents_are_made(void **state)
{
    char deep[FILE_PATH_MAX];
    size_t length = 0;
    struct pullkey_error error;
    struct stat status;
    mode_t mask = umask(0);

    (void)state;
    assert_fine(file_make_parents(at("a/b/c/file"), &error), error);
    (void)umask(mask);
    assert_int_equal(stat(at("a"), &status), 0);
    assert_int_equal(status.st_mode & 07777, 0700);
    assert_int_equal(stat(at("a/b/c"), &status), 0);
    assert_int_equal(status.st_mode & 07777, 0700);
    assert_int_not_equal(access(at("a/b/c/file"), F_OK), 0);
    assert_fine(file_make_parents(at("a/b/c/file"), &error), error);
    assert_fine(file_make_parents(at("d//e/file"), &error), error);
    assert_fine(file_make_parents("file", &error), error);
    assert_fine(file_make_parents("/file", &error), error);
    unit_write(at("file"), "", 0, 0600);
    assert_true(file_make_parents(at("file/x/y"), &error) < 0);
    /* As deep as a path can be. */
    length = (size_t)snprintf(deep, sizeof(deep), "%s", place);
    while (length + 4 < sizeof(deep))
        length += (size_t)snprintf(deep + length, sizeof(deep) - length, "/x");
    assert_fine(file_make_parents(deep, &error), error);
    assert_int_equal(chdir("/"), 0);
}

static void joining(void **state)
{
    char path[FILE_PATH_MAX];
    char longest[FILE_PATH_MAX];
    struct pullkey_error error;

    (void)state;
    assert_fine(file_join(path, "/a/b", "c", &error), error);
    assert_string_equal(path, "/a/b/c");
    memset(longest, 'a', sizeof(longest));
    longest[FILE_PATH_MAX - 3] = '\0';
    assert_fine(file_join(path, longest, "c", &error), error);
    assert_int_equal(strlen(path), FILE_PATH_MAX - 1);
    assert_int_equal(file_join(path, longest, "cd", &error), -PULLKEY_INVALID);
}

static void checking_without_reading(void **state)
{
    struct pullkey_error error;

    (void)state;
    unit_write(at("file"), "content", 7, 0600);
    assert_fine(file_check(at("file"), FILE_PRIVATE, &error), error);
    assert_int_equal(chmod(at("file"), 0640), 0);
    assert_fine(file_check(at("file"), 0, &error), error);
    assert_int_equal(file_check(at("file"), FILE_PRIVATE, &error), -PULLKEY_DENIED);
    assert_int_equal(chmod(at("file"), 0620), 0);
    assert_int_equal(file_check(at("file"), 0, &error), -PULLKEY_DENIED);
    assert_int_equal(chmod(at("file"), 0600), 0);
    assert_int_equal(symlink("file", at("link")), 0);
    assert_true(file_check(at("link"), 0, &error) < 0);
    assert_int_equal(link(at("file"), at("other")), 0);
    assert_int_equal(file_check(at("file"), 0, &error), -PULLKEY_DENIED);
    assert_fine(file_check(at("file"), FILE_LINKED, &error), error);
    assert_int_equal(file_check(at("absent"), 0, &error), -PULLKEY_NOT_FOUND);
}

static void places(void **state)
{
    static const struct {
        enum file_place place;
        const char *variable, *value, *home, *expected; /* NULL: there is none */
    } rows[] = {
        { FILE_CONFIG_HOME, "XDG_CONFIG_HOME", "/x", "/h", "/x/pullkey" },
        { FILE_CONFIG_HOME, "XDG_CONFIG_HOME", NULL, "/h", "/h/.config/pullkey" },
        { FILE_CONFIG_HOME, "XDG_CONFIG_HOME", "", "/h", "/h/.config/pullkey" },
        { FILE_CONFIG_HOME, "XDG_CONFIG_HOME", "relative", "/h", "/h/.config/pullkey" },
        { FILE_STATE_HOME, "XDG_STATE_HOME", "/x", "/h", "/x/pullkey" },
        { FILE_STATE_HOME, "XDG_STATE_HOME", NULL, "/h", "/h/.local/state/pullkey" },
        { FILE_RUNTIME_HOME, "XDG_RUNTIME_DIR", "/x", "/h", "/x/pullkey" },
        { FILE_RUNTIME_HOME, "XDG_RUNTIME_DIR", NULL, "/h", NULL },
        { FILE_RUNTIME_HOME, "XDG_RUNTIME_DIR", "relative", "/h", NULL },
    };
    char path[FILE_PATH_MAX];
    struct pullkey_error error;

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        int r;

        setenv("HOME", rows[i].home, 1);
        if (rows[i].value)
            setenv(rows[i].variable, rows[i].value, 1);
        else
            unsetenv(rows[i].variable);
        r = file_place(rows[i].place, path, &error);
        assert_int_equal(r, rows[i].expected ? 0 : -PULLKEY_NOT_FOUND);
        if (r == 0)
            assert_string_equal(path, rows[i].expected);
    }
}

/* The first home of the effective user in /etc/passwd; "" where there is none. Read as text, as the code does not. */
static void account_home(char ret[FILE_PATH_MAX])
{
    FILE *accounts = fopen("/etc/passwd", "re");
    char line[2 * FILE_PATH_MAX];

    ret[0] = '\0';
    while (accounts && ret[0] == '\0' && fgets(line, sizeof(line), accounts)) {
        char *rest = line, *fields[7] = { NULL };

        for (size_t i = 0; i < UNIT_COUNT(fields) && rest; i++)
            fields[i] = strsep(&rest, ":");
        if (fields[5] && fields[5][0] == '/' && strtoul(fields[2], NULL, 10) == geteuid())
            assert_true(snprintf(ret, FILE_PATH_MAX, "%s", fields[5]) < FILE_PATH_MAX);
    }
    if (accounts)
        assert_int_equal(fclose(accounts), 0);
}

static void home_without_the_variable(void **state)
{
    static const char *const values[] = { NULL, "", "relative" };
    char expected[FILE_PATH_MAX];
    char path[FILE_PATH_MAX];
    struct pullkey_error error;

    (void)state;
    account_home(expected);
    for (size_t i = 0; i < UNIT_COUNT(values); i++) {
        if (values[i])
            setenv("HOME", values[i], 1);
        else
            unsetenv("HOME");
        /* Some accounts of test machines are not in /etc/passwd; what is said then must be plain. */
        if (expected[0] == '\0') {
            assert_refused(file_home(path, &error), PULLKEY_NOT_FOUND, "HOME is not set", error);
            continue;
        }
        assert_fine(file_home(path, &error), error);
        assert_string_equal(path, expected);
    }
}

/* An account that /etc/passwd does not have. */
static void a_user_without_a_home(void **state)
{
    char path[FILE_PATH_MAX];
    struct pullkey_error error;
    pid_t child;

    (void)state;
    only_as_root(true);
    child = fork();
    if (child == 0) {
        unsetenv("HOME");
        if (setgid(STRANGER) < 0 || setuid(STRANGER) < 0)
            _exit(1);
        file_caller_changed();
        account_home(path);
        if (path[0] != '\0')
            _exit(2);
        if (file_home(path, &error) != -PULLKEY_NOT_FOUND || !strstr(error.message, "user 12345"))
            _exit(3);
        _exit(0);
    }
    assert_int_equal(unit_wait(child), 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(modes_that_are_trusted),
        CASE(unreadable_is_an_error),
        CASE(absence_is_not_found),
        CASE(links),
        CASE(hard_links),
        CASE(what_is_no_file),
        CASE(directories_that_others_write),
        CASE(foreign_owners),
        CASE(owners_seen_by_a_user),
        CASE(owners_in_a_user_namespace),
        CASE(swapping_never_leads_elsewhere),
        CASE(replacing_never_disturbs_readers),
        CASE(limits_hold),
        CASE(paths_are_split),
        CASE(replacing),
        CASE(replacing_in_time),
        CASE(replacing_ignores_what_lies_in_the_way),
        CASE(failed_replacing_leaves_the_old),
        CASE(full_disk_leaves_the_old),
        CASE(parents_are_made),
        CASE(joining),
        CASE(checking_without_reading),
        CASE(places),
        CASE(home_without_the_variable),
        CASE(a_user_without_a_home),
    };

    return cmocka_run_group_tests_name("file", tests, NULL, NULL);
}
