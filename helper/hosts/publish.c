/* SPDX-License-Identifier: Apache-2.0 */
#include "publish.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "toml.h"

#define NEW_ENTRY ".pullkey-new"
#define NEW_FILE ".pullkey-new"
#define FILE_MAX (2 * TOML_SIZE_MAX)

static void close_fd(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

static void close_directory(DIR **directory)
{
    if (*directory)
        (void)closedir(*directory);
}

#define cleanup_fd __attribute__((cleanup(close_fd)))
#define cleanup_dir __attribute__((cleanup(close_directory)))

static int failed(const struct publish *publish, const char *name, struct pullkey_error *error)
{
    return error_errno(error, errno, "cannot write %s/%s", publish->target_path, name);
}

/* A directory stream of its own: the descriptor stays as it is. */
static DIR *list_directory(int directory, const char *name)
{
    int fd = openat(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *stream = fd < 0 ? NULL : fdopendir(fd);

    if (!stream && fd >= 0)
        (void)close(fd);
    return stream;
}

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static bool is_link_at(int directory, const char *name)
{
    struct stat status;

    return fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(status.st_mode);
}

static bool is_private(const struct stat *status, mode_t kind)
{
    return (status->st_mode & S_IFMT) == kind && status->st_uid == file_caller() &&
           (status->st_mode & 077) == 0;
}

/* Beside hosts.toml there are only links, and what an earlier run left unfinished. */
static bool is_our_file(int directory, const char *name)
{
    struct stat status;

    if (fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return false;
    if (strcmp(name, PUBLISH_FILE) == 0 || strcmp(name, NEW_FILE) == 0)
        return is_private(&status, S_IFREG);
    return S_ISLNK(status.st_mode);
}

/* A link, or a directory as publish_file makes them: people's own are open to everybody. */
static bool is_ours(int directory, const char *name)
{
    cleanup_dir DIR *stream = list_directory(directory, name);
    struct stat status;

    if (!stream)
        return is_link_at(directory, name);
    if (fstat(dirfd(stream), &status) < 0 || !is_private(&status, S_IFDIR))
        return false;
    for (const struct dirent *entry; (entry = readdir(stream));)
        if (!is_dots(entry->d_name) && !is_our_file(dirfd(stream), entry->d_name))
            return false;
    return true;
}

/* Removes a link, or a directory of ours with all that is in it. */
static int remove_entry(int directory, const char *name)
{
    cleanup_dir DIR *stream = NULL;

    if (unlinkat(directory, name, 0) == 0 || errno == ENOENT)
        return 0;
    if (errno != EISDIR)
        return -1;
    if (!is_ours(directory, name)) {
        errno = EEXIST;
        return -1;
    }
    stream = list_directory(directory, name);
    if (!stream)
        return -1;
    for (const struct dirent *entry; (entry = readdir(stream));)
        if (!is_dots(entry->d_name) && unlinkat(dirfd(stream), entry->d_name, 0) < 0)
            return -1;
    return unlinkat(directory, name, AT_REMOVEDIR);
}

static bool is_same(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* From the directory upwards: the first that is the source, with 0 for the directory itself. */
static int find_above(int directory, const struct stat *source)
{
    cleanup_fd int fd = fcntl(directory, F_DUPFD_CLOEXEC, 0);
    struct stat status, last = { 0 };

    for (int level = 0; fd >= 0 && fstat(fd, &status) == 0; level++) {
        int above;

        if (is_same(&status, source))
            return level;
        if (level > 0 && is_same(&status, &last))
            break;
        last = status;
        above = openat(fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
        (void)close(fd);
        fd = above;
    }
    return -1;
}

static int refuse_place(const char *target, bool is_source, struct pullkey_error *error)
{
    return error_set(error, PULLKEY_INVALID,
                     "%s is %s; the target must be a directory of its own, beside it or elsewhere",
                     target, is_source ? "the source itself" : "in the source");
}

int publish_check_source(const struct publish *publish, struct pullkey_error *error)
{
    struct stat source;
    int level = stat(publish->source_path, &source) < 0 ? -1 : find_above(publish->target, &source);

    return level < 0 ? 0 : refuse_place(publish->target_path, level == 0, error);
}

/* The nearest directory above a path that is there. */
static int open_above(const char *path)
{
    char above[FILE_PATH_MAX];
    int fd = -1;

    (void)snprintf(above, sizeof(above), "%s", path);
    for (char *slash; fd < 0 && (slash = strrchr(above, '/'));) {
        slash[slash == above] = '\0';
        fd = open(above, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (slash == above)
            break;
    }
    return fd;
}

int publish_check_place(const char *target, const char *source, struct pullkey_error *error)
{
    cleanup_fd int above = -1;
    struct stat status;

    if (stat(target, &status) == 0 || stat(source, &status) < 0)
        return 0;
    above = open_above(target);
    return above < 0 || find_above(above, &status) < 0 ? 0 : refuse_place(target, false, error);
}

bool publish_is_there(const struct publish *publish)
{
    struct stat there, target;

    return stat(publish->target_path, &there) == 0 && fstat(publish->target, &target) == 0 &&
           is_same(&there, &target);
}

bool publish_stat(const struct publish *publish, const char *name, struct stat *ret)
{
    char path[FILE_PATH_MAX];
    int length = snprintf(path, sizeof(path), "%s/" PUBLISH_FILE, name);

    return length < (int)sizeof(path) &&
           fstatat(publish->target, path, ret, AT_SYMLINK_NOFOLLOW) == 0;
}

bool publish_is_at_work(int target)
{
    return flock(target, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
}

static int check_target(const struct publish *publish, struct pullkey_error *error)
{
    cleanup_dir DIR *stream = list_directory(publish->target, ".");
    struct stat status;

    /* Held until the descriptor is closed. */
    if (flock(publish->target, LOCK_EX | LOCK_NB) < 0)
        return error_set(error, PULLKEY_DENIED, "another pullkey-hosts is at work on %s",
                         publish->target_path);
    if (!stream || fstat(publish->target, &status) < 0)
        return error_errno(error, errno, "cannot read %s", publish->target_path);
    if (status.st_uid != file_caller() || (status.st_mode & 077) != 0)
        return error_set(error, PULLKEY_DENIED,
                         "%s must belong to the user who runs this, with mode 0700",
                         publish->target_path);
    for (const struct dirent *entry; (entry = readdir(stream));)
        if (!is_dots(entry->d_name) && strcmp(entry->d_name, NEW_ENTRY) != 0 &&
            !is_ours(publish->target, entry->d_name))
            return error_set(error, PULLKEY_DENIED,
                             "%s holds %s, which this program did not make; the target must be a "
                             "directory for it alone",
                             publish->target_path, entry->d_name);
    return 0;
}

/* What a run that was killed has left: it may hold a header. */
static int remove_unfinished(const struct publish *publish, struct pullkey_error *error)
{
    cleanup_dir DIR *stream = list_directory(publish->target, ".");
    char path[sizeof(((struct dirent *)0)->d_name) + sizeof("/" NEW_FILE)];

    if (remove_entry(publish->target, NEW_ENTRY) < 0)
        return failed(publish, NEW_ENTRY, error);
    for (const struct dirent *entry; stream && (entry = readdir(stream));) {
        if (entry->d_name[0] == '.' || entry->d_type == DT_LNK)
            continue;
        (void)snprintf(path, sizeof(path), "%s/" NEW_FILE, entry->d_name);
        if (unlinkat(publish->target, path, 0) < 0 && errno != ENOENT && errno != ENOTDIR)
            return failed(publish, path, error);
    }
    return 0;
}

int publish_open(const char *target, const char *source, struct publish *ret,
                 struct pullkey_error *error)
{
    struct publish publish = { .target = -1, .target_path = target, .source_path = source };
    int r = publish_check_place(target, source, error);

    if (r < 0)
        return r;
    if (mkdir(target, 0700) < 0 && errno != EEXIST)
        return error_errno(error, errno, "cannot make %s", target);
    publish.target = open(target, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (publish.target < 0)
        return error_errno(error, errno, "cannot open %s", target);
    r = check_target(&publish, error);
    /* That may be why, and says it better. */
    if (r < 0 && publish_check_source(&publish, error) < 0)
        r = -(int)error->code;
    if (r == 0)
        r = remove_unfinished(&publish, error);
    if (r < 0) {
        publish_close(&publish);
        return r;
    }
    *ret = publish;
    return 0;
}

void publish_close(struct publish *publish)
{
    close_fd(&publish->target);
}

bool publish_is_held(const char *target)
{
    cleanup_fd int fd = open(target, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return fd >= 0 && publish_is_at_work(fd);
}

/* NEW_ENTRY takes the place of a registry, whatever stands there. */
static int exchange(const struct publish *publish, const char *name, struct pullkey_error *error)
{
    if (renameat2(publish->target, NEW_ENTRY, publish->target, name, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EEXIST ||
        renameat2(publish->target, NEW_ENTRY, publish->target, name, RENAME_EXCHANGE) < 0 ||
        remove_entry(publish->target, NEW_ENTRY) < 0)
        return failed(publish, name, error);
    return 0;
}

static bool leads_to(int directory, const char *name, const char *path)
{
    char target[FILE_PATH_MAX];
    ssize_t length = readlinkat(directory, name, target, sizeof(target));

    return length > 0 && (size_t)length == strlen(path) &&
           memcmp(target, path, (size_t)length) == 0;
}

bool publish_is_link(const struct publish *publish, const char *name)
{
    char path[FILE_PATH_MAX];
    struct pullkey_error ignored;

    return file_join(path, publish->source_path, name, &ignored) == 0 &&
           leads_to(publish->target, name, path);
}

int publish_link(const struct publish *publish, const char *name, struct pullkey_error *error)
{
    char path[FILE_PATH_MAX];
    int r = file_join(path, publish->source_path, name, error);

    if (r < 0)
        return r;
    if (leads_to(publish->target, name, path) || symlinkat(path, publish->target, name) == 0)
        return 0;
    if (errno != EEXIST)
        return failed(publish, name, error);
    if (remove_entry(publish->target, NEW_ENTRY) < 0 ||
        symlinkat(path, publish->target, NEW_ENTRY) < 0)
        return failed(publish, name, error);
    return exchange(publish, name, error);
}

int publish_link_unread(const struct publish *publish, const char *name,
                        struct pullkey_error *error)
{
    struct stat status;

    if (fstatat(publish->target, name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
        S_ISDIR(status.st_mode))
        return 0;
    return publish_link(publish, name, error);
}

/* Everything else that stands beside hosts.toml: containerd reads certificates there. */
static int add_links(const struct publish *publish, int directory, const char *name,
                     struct pullkey_error *error)
{
    char path[FILE_PATH_MAX], other[FILE_PATH_MAX];
    cleanup_dir DIR *stream = NULL;
    int r = file_join(path, publish->source_path, name, error);

    if (r < 0)
        return r;
    stream = opendir(path);
    for (const struct dirent *entry; stream && (entry = readdir(stream));) {
        if (entry->d_name[0] == '.' || strcmp(entry->d_name, PUBLISH_FILE) == 0)
            continue;
        r = file_join(other, path, entry->d_name, error);
        if (r < 0)
            return r;
        if (leads_to(directory, entry->d_name, other))
            continue;
        (void)unlinkat(directory, entry->d_name, 0);
        if (symlinkat(other, directory, entry->d_name) < 0)
            return failed(publish, name, error);
    }
    return 0;
}

/* Links to what is no longer in the source. */
static void remove_dead_links(int directory)
{
    cleanup_dir DIR *stream = list_directory(directory, ".");
    struct stat status;

    for (const struct dirent *entry; stream && (entry = readdir(stream));)
        if (!is_dots(entry->d_name) && is_link_at(directory, entry->d_name) &&
            fstatat(directory, entry->d_name, &status, 0) < 0)
            (void)unlinkat(directory, entry->d_name, 0);
}

static int read_at(int directory, const char *name, struct buffer *ret, struct pullkey_error *error)
{
    cleanup_fd int fd = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat status;

    if (fd < 0 || fstat(fd, &status) < 0 || !S_ISREG(status.st_mode))
        return error_set(error, PULLKEY_NOT_FOUND, "there is no %s", name);
    return buffer_read_file(ret, fd, (size_t)status.st_size, error);
}

/* No fsync: the target is memory, and after a power failure it is made anew. */
static int write_file(const struct publish *publish, int directory, const char *name,
                      const char *text, size_t length, struct publish_change *change,
                      struct pullkey_error *error)
{
    const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    cleanup_fd int fd = -1;
    struct stat status;
    int r;

    (void)unlinkat(directory, NEW_FILE, 0);
    fd = openat(directory, NEW_FILE, flags, 0600);
    if (fd < 0)
        return failed(publish, name, error);
    r = file_write_all(fd, text, length, error);
    if (r == 0 && fstat(fd, &status) < 0)
        r = failed(publish, name, error);
    if (r == 0 && change->announce)
        r = change->announce(change->context, status.st_ino, error);
    if (r == 0 && renameat(directory, NEW_FILE, directory, PUBLISH_FILE) < 0)
        r = failed(publish, name, error);
    if (r < 0) {
        (void)unlinkat(directory, NEW_FILE, 0);
        return error_wrap(error, "%s/%s", publish->target_path, name);
    }
    change->changed = true;
    change->status = status;
    return 0;
}

/* True if the file is that already. */
static bool has_text(int fd, const char *text, size_t length, struct publish_change *change)
{
    cleanup_buffer struct buffer old = BUFFER_INIT(FILE_MAX);
    struct pullkey_error ignored;

    if (fd < 0 || fstat(fd, &change->status) < 0 || !S_ISREG(change->status.st_mode))
        return false;
    return buffer_read_file(&old, fd, (size_t)change->status.st_size, &ignored) == 0 &&
           old.length == length && (length == 0 || memcmp(old.data, text, length) == 0);
}

static int fill(const struct publish *publish, int directory, const char *name, const char *text,
                size_t length, struct publish_change *change, struct pullkey_error *error)
{
    const int flags = change->wants_old ? O_RDWR : O_RDONLY;
    cleanup_fd int old = -1;
    int r = 0;

    if (!change->alone)
        r = add_links(publish, directory, name, error);
    if (r < 0)
        return r;
    if (!change->alone)
        remove_dead_links(directory);
    old = openat(directory, PUBLISH_FILE, flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (has_text(old, text, length, change) && !change->force)
        return 0;
    r = write_file(publish, directory, name, text, length, change, error);
    if (r == 0 && change->wants_old) {
        change->old = old;
        old = -1;
    }
    return r;
}

int publish_file(const struct publish *publish, const char *name, const char *text, size_t length,
                 struct publish_change *change, struct pullkey_error *error)
{
    const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    cleanup_fd int directory = openat(publish->target, name, flags);
    int r;

    change->old = -1;
    if (directory >= 0)
        return fill(publish, directory, name, text, length, change, error);
    if (remove_entry(publish->target, NEW_ENTRY) < 0 ||
        mkdirat(publish->target, NEW_ENTRY, 0700) < 0)
        return failed(publish, name, error);
    directory = openat(publish->target, NEW_ENTRY, flags);
    if (directory < 0)
        return failed(publish, name, error);
    r = fill(publish, directory, name, text, length, change, error);
    if (r == 0)
        r = exchange(publish, name, error);
    if (r < 0)
        (void)remove_entry(publish->target, NEW_ENTRY);
    return r;
}

int publish_read(const struct publish *publish, const char *name, struct buffer *ret,
                 struct pullkey_error *error)
{
    cleanup_fd int directory =
        openat(publish->target, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (directory < 0)
        return error_set(error, PULLKEY_NOT_FOUND, "%s is not rendered", name);
    return read_at(directory, PUBLISH_FILE, ret, error);
}

int publish_remove(const struct publish *publish, const char *name, struct pullkey_error *error)
{
    if (is_link_at(publish->target, name))
        return unlinkat(publish->target, name, 0) < 0 ? failed(publish, name, error) : 0;
    /* Out of sight first, so that nobody finds it half empty. */
    if (remove_entry(publish->target, NEW_ENTRY) < 0 ||
        renameat2(publish->target, name, publish->target, NEW_ENTRY, RENAME_NOREPLACE) < 0 ||
        remove_entry(publish->target, NEW_ENTRY) < 0)
        return failed(publish, name, error);
    return 0;
}

int publish_list(const struct publish *publish, publish_visit *visit, void *context,
                 struct pullkey_error *error)
{
    cleanup_dir DIR *stream = list_directory(publish->target, ".");
    int r = 0;

    if (!stream)
        return error_errno(error, errno, "cannot read %s", publish->target_path);
    for (const struct dirent *entry; r == 0 && (entry = readdir(stream));)
        if (entry->d_name[0] != '.')
            r = visit(context, entry->d_name, error);
    return r;
}

int publish_switch(const char *path, const char *target, struct pullkey_error *error)
{
    char new_path[FILE_PATH_MAX];
    struct stat status;

    if (leads_to(AT_FDCWD, path, target))
        return 0;
    if (lstat(path, &status) == 0 && !S_ISLNK(status.st_mode))
        return error_set(error, PULLKEY_DENIED, "%s is no symbolic link; remove it first", path);
    if (snprintf(new_path, sizeof(new_path), "%s.pullkey-new", path) >= (int)sizeof(new_path))
        return error_set(error, PULLKEY_INVALID, "%s is too long a path", path);
    (void)unlink(new_path);
    if (symlink(target, new_path) < 0 || rename(new_path, path) < 0)
        return error_errno(error, errno, "cannot make %s a link to %s", path, target);
    return 0;
}
