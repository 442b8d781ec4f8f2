/* SPDX-License-Identifier: Apache-2.0 */
#include "keep.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/lock.h"
#include "base/secret.h"
#include "key/key.h"
#include "pullkey-build.h"

#define FORMAT_VERSION 1
#define SIZE_MAX_KEPT (1024 * 1024) /* what the codec takes */
#define LOCK_MS 1000
#define LEEWAY_SECONDS 60 /* of a clock that was set back a little */
#define NAME_SIZE sizeof("0123456789abcdef.cms")
#define TIME_MAX 9007199254740992.0 /* 2^53 */

/* What is kept of one object. */
struct kept {
    struct json json;
    const char *answer; /* points into it */
    int64_t age;        /* seconds; negative if the clock was set back */
};

static void kept_done(struct kept *kept)
{
    json_done(&kept->json);
}

#define cleanup_kept __attribute__((cleanup(kept_done)))

static int find_directory(const char *path, bool system, char ret[FILE_PATH_MAX],
                          struct pullkey_error *error)
{
    char home[FILE_PATH_MAX];
    int r;

    if (path) {
        if (strlen(path) + sizeof("-key/key.lock") + NAME_SIZE > FILE_PATH_MAX)
            return error_set(error, PULLKEY_INVALID, "the \"path\" of \"keep\" is too long");
        memcpy(ret, path, strlen(path) + 1);
        return 0;
    }
    if (system) {
        (void)snprintf(ret, FILE_PATH_MAX, "%s/keep", PULLKEY_STATEDIR);
        return 0;
    }
    r = file_place(FILE_STATE_HOME, home, error);
    return r < 0 ? r : file_join(ret, home, "keep", error);
}

int keep_read_option(const cJSON *option, bool system, struct keep *ret,
                     struct pullkey_error *error)
{
    const cJSON *age = json_member(option, "max_age"), *path = json_member(option, "path");
    size_t length;
    int r;

    for (const cJSON *item = option->child; item; item = item->next)
        if (item != age && item != path && strncmp(item->string, "x-", 2) != 0)
            return error_set(error, PULLKEY_INVALID, "\"keep\" has \"max_age\" and \"path\"");
    if (!cJSON_IsNumber(age) || age->valuedouble < 1 || age->valuedouble > KEEP_AGE_MAX ||
        age->valuedouble != (double)(int64_t)age->valuedouble)
        return error_set(error, PULLKEY_INVALID,
                         "\"keep\" needs a \"max_age\" of 1 to %d whole seconds", KEEP_AGE_MAX);
    if (path && (!cJSON_IsString(path) || path->valuestring[0] != '/'))
        return error_set(error, PULLKEY_INVALID,
                         "the \"path\" of \"keep\" must be an absolute path");
    r = find_directory(path ? path->valuestring : NULL, system, ret->directory, error);
    if (r < 0)
        return r;
    length = strlen(ret->directory);
    while (length > 1 && ret->directory[length - 1] == '/')
        ret->directory[--length] = '\0';
    ret->max_age = (int64_t)age->valuedouble;
    return 0;
}

/* FNV-1a: only a name, as what it is of stands inside. */
static uint64_t add_to_hash(uint64_t hash, const char *text)
{
    do {
        hash ^= (unsigned char)*text;
        hash *= UINT64_C(0x100000001b3);
    } while (*text++ != '\0');
    return hash;
}

static int find_file(const struct keep *keep, const char *reader, const struct api_object *object,
                     char ret[FILE_PATH_MAX], struct pullkey_error *error)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    char name[NAME_SIZE];

    hash = add_to_hash(hash, reader);
    hash = add_to_hash(hash, object->resource);
    hash = add_to_hash(hash, object->namespace_name);
    hash = add_to_hash(hash, object->name);
    (void)snprintf(name, sizeof(name), "%016" PRIx64 ".cms", hash);
    return file_join(ret, keep->directory, name, error);
}

static int find_key(const struct keep *keep, char ret[FILE_PATH_MAX], struct pullkey_error *error)
{
    if (snprintf(ret, FILE_PATH_MAX, "%s-key/key", keep->directory) >= FILE_PATH_MAX)
        return error_set(error, PULLKEY_INVALID, "%s: the path is too long", keep->directory);
    return 0;
}

static bool is_text(const cJSON *object, const char *key, const char *expected)
{
    const cJSON *item = json_member(object, key);

    return cJSON_IsString(item) && strcmp(item->valuestring, expected) == 0;
}

/* Out of the text that was sealed; another object's or reader's, or another format, is not found.
 */
static int parse(const struct keep *keep, const char *path, const struct pullkey_secret *plain,
                 const char *reader, const struct api_object *object, struct kept *ret,
                 struct pullkey_error *error)
{
    const cJSON *root, *version, *time, *answer;
    int r = json_parse(&ret->json, path, plain->bytes, plain->length, JSON_LARGE, error);

    if (r < 0)
        return r;
    root = ret->json.root;
    version = json_member(root, "version");
    time = json_member(root, "read");
    answer = json_member(root, "answer");
    if (!cJSON_IsNumber(version) || version->valuedouble != FORMAT_VERSION ||
        !is_text(root, "reader", reader) || !is_text(root, "resource", object->resource) ||
        !is_text(root, "namespace", object->namespace_name) ||
        !is_text(root, "name", object->name) || !cJSON_IsNumber(time) ||
        !(time->valuedouble >= 0 && time->valuedouble <= TIME_MAX) || !cJSON_IsString(answer))
        return error_set(error, PULLKEY_NOT_FOUND, "%s is of another object or reader", path);
    ret->answer = answer->valuestring;
    ret->age = keep->host->wall_seconds() - (int64_t)time->valuedouble;
    return 0;
}

static int read_kept(const struct keep *keep, const char *reader, const struct api_object *object,
                     struct kept *ret, struct pullkey_error *error)
{
    cleanup_buffer struct buffer sealed = BUFFER_INIT(SIZE_MAX_KEPT + 4096);
    cleanup_secret struct pullkey_secret key = { 0 };
    struct pullkey_secret plain;
    const struct pullkey_codec *codec;
    char path[FILE_PATH_MAX], key_path[FILE_PATH_MAX];
    int r = find_file(keep, reader, object, path, error);

    if (r == 0)
        r = find_key(keep, key_path, error);
    if (r == 0)
        r = file_read(path, FILE_OURS, FILE_PRIVATE, &sealed, NULL, error);
    if (r == 0)
        r = key_read(key_path, &key, error);
    if (r == 0)
        r = keep->host->codec("cms", &codec, error);
    if (r == 0)
        r = codec->unseal(keep->host, &key, &(struct pullkey_secret){ sealed.data, sealed.length },
                          &plain, error);
    if (r < 0)
        return r;
    r = parse(keep, path, &plain, reader, object, ret, error);
    keep->host->release(plain.bytes);
    return r;
}

static void add_member(struct buffer *text, const char *key, const char *value)
{
    buffer_printf(text, "\"%s\":", key);
    json_write_string(text, value, strlen(value));
    buffer_append_text(text, ",");
}

static bool find_count(const struct keep *keep, char ret[FILE_PATH_MAX])
{
    struct pullkey_error ignored;

    return file_join(ret, keep->directory, "forgotten", &ignored) == 0;
}

int64_t keep_forgotten(const struct keep *keep)
{
    char path[FILE_PATH_MAX];
    struct stat status;

    return find_count(keep, path) && lstat(path, &status) == 0 ? status.st_size : 0;
}

/* The time of a file is when it is too old, as the directory may be that of several instances. */
static void sweep(const struct keep *keep)
{
    const int64_t now = keep->host->wall_seconds();
    DIR *list = opendir(keep->directory);
    struct dirent *item;
    struct stat status;

    while (list && (item = readdir(list))) {
        const size_t length = strlen(item->d_name);

        if (length == NAME_SIZE - 1 && strcmp(item->d_name + length - 4, ".cms") == 0 &&
            fstatat(dirfd(list), item->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
            status.st_mtim.tv_sec < now)
            (void)unlinkat(dirfd(list), item->d_name, 0);
    }
    if (list)
        (void)closedir(list);
}

static bool set_end(const struct keep *keep, const char *path)
{
    const struct timespec times[2] = {
        { .tv_nsec = UTIME_OMIT },
        { .tv_sec = keep->host->wall_seconds() + keep->max_age },
    };

    return utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW) == 0;
}

static int write_kept(const struct keep *keep, const char *reader, const struct api_object *object,
                      const struct json *answer, int64_t forgotten, struct pullkey_error *error)
{
    const int64_t wait = keep->host->monotonic_ms() + LOCK_MS;
    cleanup_buffer struct buffer text = BUFFER_INIT(SIZE_MAX_KEPT);
    cleanup_lock struct lock lock = LOCK_INIT, key_lock = LOCK_INIT;
    cleanup_secret struct pullkey_secret key = { 0 };
    struct pullkey_secret sealed;
    const struct pullkey_codec *codec;
    char path[FILE_PATH_MAX], key_path[FILE_PATH_MAX], lock_path[FILE_PATH_MAX];
    int r = find_file(keep, reader, object, path, error);

    buffer_printf(&text, "{\"version\":%d,", FORMAT_VERSION);
    add_member(&text, "reader", reader);
    add_member(&text, "resource", object->resource);
    add_member(&text, "namespace", object->namespace_name);
    add_member(&text, "name", object->name);
    buffer_printf(&text, "\"read\":%" PRId64 ",\"answer\":", keep->host->wall_seconds());
    json_write_string(&text, answer->text, answer->length);
    buffer_append_text(&text, "}");
    if (text.state == BUFFER_FULL)
        return error_set(error, PULLKEY_UNSUPPORTED, "it is larger than %d bytes", SIZE_MAX_KEPT);
    if (r == 0)
        r = buffer_check(&text, error);
    if (r == 0)
        r = find_key(keep, key_path, error);
    if (r == 0)
        r = keep->host->codec("cms", &codec, error);
    if (r == 0)
        r = file_make_parents(path, error);
    if (r == 0)
        r = file_join(lock_path, keep->directory, "lock", error);
    if (r == 0)
        r = lock_take(lock_path, wait, &lock, error);
    if (r == 0)
        r = key_obtain(key_path, wait, &key_lock, &key, error);
    if (r == 0)
        r = codec->seal(keep->host, &key, &(struct pullkey_secret){ text.data, text.length },
                        &sealed, error);
    if (r < 0)
        return r;
    r = file_replace(path, sealed.bytes, sealed.length, 0600, error);
    keep->host->release(sealed.bytes);
    if (r < 0)
        return r;
    /* Whoever forgets counts first and removes then: one of the two sees the other's. */
    if (!set_end(keep, path) || keep_forgotten(keep) != forgotten)
        (void)unlink(path);
    sweep(keep);
    return 0;
}

void keep_save(const struct keep *keep, const char *reader, const struct api_object *object,
               const struct json *answer, int64_t forgotten)
{
    cleanup_kept struct kept kept = { 0 };
    struct pullkey_error error;
    bool is_known = read_kept(keep, reader, object, &kept, &error) == 0;
    bool is_same = is_known && strlen(kept.answer) == answer->length &&
                   memcmp(kept.answer, answer->text, answer->length) == 0;

    if (is_same && kept.age >= 0 && kept.age <= keep->max_age / 4)
        return;
    if (write_kept(keep, reader, object, answer, forgotten, &error) == 0)
        return;
    keep->host->log(API_SOURCE, "%s %s/%s is not kept: %s", object->resource,
                    object->namespace_name, object->name, error.message);
    if (!is_same)
        keep_drop(keep, reader, object);
}

void keep_forget(const struct keep *keep, const char *reader, const struct api_object *object)
{
    struct pullkey_error ignored;
    char path[FILE_PATH_MAX];
    int fd = -1;

    if (find_count(keep, path) && file_make_parents(path, &ignored) == 0)
        fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
    if (fd >= 0) {
        if (file_write_all(fd, ".", 1, &ignored) < 0)
            keep->host->log(API_SOURCE, "what is being read now may be kept: %s", ignored.message);
        (void)close(fd);
    }
    keep_drop(keep, reader, object);
}

void keep_drop(const struct keep *keep, const char *reader, const struct api_object *object)
{
    struct pullkey_error ignored;
    char path[FILE_PATH_MAX];

    if (find_file(keep, reader, object, path, &ignored) == 0)
        (void)unlink(path);
}

int keep_load(const struct keep *keep, const char *reader, const struct api_object *object,
              struct json *ret, struct pullkey_error *error)
{
    cleanup_kept struct kept kept = { 0 };
    int r = read_kept(keep, reader, object, &kept, error);

    if (r == 0 && kept.age < -LEEWAY_SECONDS)
        r = error_set(error, PULLKEY_NOT_FOUND, "it was read later than now: is the clock right?");
    if (r == 0 && kept.age > keep->max_age) {
        keep_drop(keep, reader, object);
        r = error_set(error, PULLKEY_NOT_FOUND, "it is %lld s old, and may be %lld s",
                      (long long)kept.age, (long long)keep->max_age);
    }
    if (r == 0)
        r = json_parse(ret, object->resource, kept.answer, strlen(kept.answer), JSON_LARGE, error);
    if (r < 0) {
        keep->host->log(API_SOURCE, "%s %s/%s: nothing that is kept can be used: %s",
                        object->resource, object->namespace_name, object->name, error->message);
        error->code = PULLKEY_NOT_FOUND;
        return -(int)error->code;
    }
    keep->host->log(API_SOURCE, "%s %s/%s: what is kept is used, which was read %lld s ago",
                    object->resource, object->namespace_name, object->name, (long long)kept.age);
    return 0;
}
