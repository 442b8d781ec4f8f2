/* SPDX-License-Identifier: Apache-2.0 */
#include "changes.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/secret.h"
#include "status.h"

#define QUIET_MS 30
#define LONGEST_MS 500
#define WATCHED                                                                                    \
    (IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ATTRIB |            \
     IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)

/* In the target, of what this program has made. */
#define VANISHED (IN_DELETE | IN_MOVED_FROM | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)

/* For one that is not there yet. */
#define AWAITED (IN_CREATE | IN_MOVED_TO | IN_ONLYDIR | IN_MASK_ADD)

struct changes_watch {
    bool source, configuration; /* whom a change in it concerns */
    bool target;
    bool awaits; /* a directory that is to appear below it */
    bool place;  /* the source stands in it */
    bool own;    /* the status stands in it */
};

int changes_open(struct changes *ret, struct pullkey_error *error)
{
    *ret = (struct changes){ .fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK) };
    if (ret->fd < 0) {
        (void)error_errno(error, errno,
                          "cannot watch for changes; raise "
                          "fs.inotify.max_user_instances");
        error->code = PULLKEY_INTERNAL;
        return -(int)error->code;
    }
    return 0;
}

void changes_close(struct changes *changes)
{
    if (changes->fd >= 0)
        (void)close(changes->fd);
    secret_release(changes->watches);
    *changes = (struct changes){ .fd = -1 };
}

static struct changes_watch *find_watch(struct changes *changes, int descriptor)
{
    struct changes_watch *watches;
    size_t index = (size_t)descriptor, capacity = changes->capacity > 0 ? changes->capacity : 64;

    if (index < changes->capacity)
        return &changes->watches[index];
    while (capacity <= index)
        capacity *= 2;
    watches = secret_alloc(capacity * sizeof(*watches));
    if (!watches)
        return NULL;
    if (changes->capacity > 0)
        memcpy(watches, changes->watches, changes->capacity * sizeof(*watches));
    secret_release(changes->watches);
    changes->watches = watches;
    changes->capacity = capacity;
    return &changes->watches[index];
}

/* The first login makes it: the nearest directory above it will tell. */
static void watch_above(struct changes *changes, const char *path)
{
    char above[FILE_PATH_MAX];
    struct changes_watch *watched;
    int descriptor = -1;
    char *slash;

    if (path[0] != '/' || strlen(path) >= sizeof(above))
        return;
    memcpy(above, path, strlen(path) + 1);
    while (descriptor < 0 && (slash = strrchr(above, '/')) && above[1] != '\0') {
        slash[slash == above ? 1 : 0] = '\0';
        descriptor = inotify_add_watch(changes->fd, above, AWAITED);
    }
    watched = descriptor < 0 ? NULL : find_watch(changes, descriptor);
    if (watched)
        watched->awaits = true;
}

enum watched { WATCH_SOURCE, WATCH_PLACE, WATCH_CONFIGURATION, WATCH_TARGET };

static void watch(struct changes *changes, const char *path, enum watched what)
{
    static bool is_said;
    struct changes_watch *watched;
    int descriptor =
        inotify_add_watch(changes->fd, path, what == WATCH_TARGET ? VANISHED : WATCHED);

    if (descriptor < 0 && errno == ENOENT && what == WATCH_CONFIGURATION) {
        watch_above(changes, path);
        return;
    }
    if (descriptor < 0) {
        if (errno == ENOSPC && !is_said) {
            is_said = true;
            log_line("hosts", "not everything can be watched: raise fs.inotify.max_user_watches");
        }
        return;
    }
    watched = find_watch(changes, descriptor);
    if (!watched)
        return;
    watched->source = watched->source || what == WATCH_SOURCE;
    watched->target = watched->target || what == WATCH_TARGET;
    watched->place = watched->place || what == WATCH_PLACE;
    watched->configuration = watched->configuration || what == WATCH_CONFIGURATION;
    watched->own = changes->own_directory && strcmp(path, changes->own_directory) == 0;
}

/* The directory that a file stands in. */
static void watch_place(struct changes *changes, const char *path, enum watched what)
{
    char place[FILE_PATH_MAX];
    const char *slash = strrchr(path, '/');

    if (!slash || slash == path || strlen(path) >= sizeof(place))
        return;
    memcpy(mempcpy(place, path, (size_t)(slash - path)), "", 1);
    watch(changes, place, what);
}

void changes_watch_target(struct changes *changes, const char *target)
{
    watch(changes, target, WATCH_TARGET);
}

void changes_watch_source(struct changes *changes, const char *source)
{
    DIR *stream = opendir(source);

    /* It may be removed and made again. */
    changes->source_name = strrchr(source, '/') ? strrchr(source, '/') + 1 : source;
    watch_place(changes, source, WATCH_PLACE);
    watch(changes, source, WATCH_SOURCE);
    for (const struct dirent *entry; stream && (entry = readdir(stream));) {
        char path[FILE_PATH_MAX];
        struct pullkey_error ignored;

        if (entry->d_name[0] != '.' && file_join(path, source, entry->d_name, &ignored) == 0)
            watch(changes, path, WATCH_SOURCE);
    }
    if (stream)
        (void)closedir(stream);
}

/* A path of the configuration, which may begin with ~/. */
static void watch_option(struct changes *changes, const cJSON *value)
{
    char home[FILE_PATH_MAX], path[FILE_PATH_MAX];
    struct pullkey_error ignored;

    if (!cJSON_IsString(value))
        return;
    if (value->valuestring[0] == '/')
        watch_place(changes, value->valuestring, WATCH_CONFIGURATION);
    else if (strncmp(value->valuestring, "~/", 2) == 0 && file_home(home, &ignored) == 0 &&
             file_join(path, home, value->valuestring + 2, &ignored) == 0)
        watch_place(changes, path, WATCH_CONFIGURATION);
}

/* "path", "key" and "sources" of the file backend, wherever an instance stands. */
static void watch_instance(struct changes *changes, const cJSON *options)
{
    const cJSON *sources = json_member(options, "sources");

    watch_option(changes, json_member(options, "path"));
    watch_option(changes, json_member(options, "key"));
    for (const cJSON *item = cJSON_IsArray(sources) ? sources->child : NULL; item;
         item = item->next)
        watch_option(changes, item);
}

void changes_watch_configuration(struct changes *changes, const struct config_source *source,
                                 const struct config *config)
{
    const char *credentials = secure_getenv("CREDENTIALS_DIRECTORY");
    char path[FILE_PATH_MAX];
    struct pullkey_error ignored;

    for (size_t i = 0; i < changes->capacity; i++)
        changes->watches[i].awaits = false;
    if (source->only_file)
        watch_place(changes, source->only_file, WATCH_CONFIGURATION);
    if (source->user_directory)
        watch(changes, source->user_directory, WATCH_CONFIGURATION);
    watch(changes, source->system_directory, WATCH_CONFIGURATION);
    if (file_join(path, source->system_directory, "config.d", &ignored) == 0)
        watch(changes, path, WATCH_CONFIGURATION);
    if (credentials && credentials[0] == '/')
        watch(changes, credentials, WATCH_CONFIGURATION);
    for (size_t i = 0; i < config->default_count; i++)
        if (config->default_chain[i].options)
            watch_instance(changes, config->default_chain[i].options);
    for (size_t i = 0; i < config->rule_count; i++)
        for (size_t k = 0; k < config->rules[i].chain_count; k++)
            if (config->rules[i].chain[k].options)
                watch_instance(changes, config->rules[i].chain[k].options);
}

/* Locks and unfinished files of ours come and go with every login. */
static bool is_temporary(const char *name)
{
    size_t length = strlen(name);

    return (length > 4 && strcmp(name + length - 4, ".tmp") == 0) ||
           (length > 5 && strcmp(name + length - 5, ".lock") == 0);
}

static bool is_status(const char *name)
{
    return strcmp(name, STATUS_FILE) == 0 || strcmp(name, STATUS_METRICS_FILE) == 0;
}

/* Does it concern the source, or what was made of it? Beside that in its place there may be others.
 */
static bool is_of_source(const struct changes *changes, const struct changes_watch *watched,
                         const struct inotify_event *event)
{
    if (watched->target)
        /* Names with a dot are on their way to others. */
        return event->len == 0 || event->name[0] != '.';
    return watched->source ||
           (watched->place && (event->len == 0 || strcmp(event->name, changes->source_name) == 0));
}

static void take_event(struct changes *changes, const struct inotify_event *event, int64_t now_ms)
{
    const struct changes_watch *watched = event->wd >= 0 && (size_t)event->wd < changes->capacity
                                              ? &changes->watches[event->wd]
                                              : NULL;
    bool is_quiet = !changes->source && !changes->configuration;
    bool everything = (event->mask & IN_Q_OVERFLOW) != 0;

    if (event->mask & IN_IGNORED) {
        if (watched)
            changes->watches[event->wd] = (struct changes_watch){ 0 };
        return;
    }
    if (event->len > 0 &&
        (is_temporary(event->name) || (watched && watched->own && is_status(event->name))))
        return;
    if (everything || (watched && is_of_source(changes, watched, event)))
        changes->source = true;
    if (everything || (watched && watched->configuration) ||
        (watched && watched->awaits && (event->mask & IN_ISDIR)))
        changes->configuration = true;
    if (is_quiet)
        changes->first_ms = now_ms;
    changes->last_ms = now_ms;
}

void changes_read(struct changes *changes, int64_t now_ms)
{
    _Alignas(struct inotify_event) char chunk[16384];

    for (;;) {
        ssize_t count = read(changes->fd, chunk, sizeof(chunk));

        if (count <= 0)
            return;
        for (ssize_t at = 0; at < count;) {
            const struct inotify_event *event = (const struct inotify_event *)(chunk + at);

            take_event(changes, event, now_ms);
            at += (ssize_t)(sizeof(*event) + event->len);
        }
    }
}

void changes_hurry(struct changes *changes)
{
    if (changes->source || changes->configuration)
        changes->first_ms = INT64_MIN / 2;
}

int64_t changes_due_ms(const struct changes *changes)
{
    int64_t quiet = changes->last_ms + QUIET_MS, longest = changes->first_ms + LONGEST_MS;

    if (!changes->source && !changes->configuration)
        return changes->looked_ms + CHANGES_LOOK_MS;
    return quiet < longest ? quiet : longest;
}

void changes_take(struct changes *changes, int64_t now_ms, bool *source, bool *configuration)
{
    if (now_ms < changes_due_ms(changes))
        return;
    *configuration = *configuration || changes->configuration;
    *source = true;
    changes->source = false;
    changes->configuration = false;
    changes->looked_ms = now_ms;
}
