/* SPDX-License-Identifier: Apache-2.0 */
#include "status.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/json.h"
#include "notes.h"
#include "pullkey-build.h"

#define PIECE 32768 /* bytes */
#define NOTES_MAX (4u * 1024 * 1024)

int status_directory(const char *target, char *ret, struct pullkey_error *error)
{
    const char *slash = strrchr(target, '/');
    size_t length = slash ? (size_t)(slash - target) : 0;

    if (length >= FILE_PATH_MAX)
        return error_set(error, PULLKEY_INVALID, "%s is too long a path", target);
    if (length == 0)
        memcpy(ret, "/", 2);
    else
        memcpy(mempcpy(ret, target, length), "", 1);
    return 0;
}

/* Written in pieces: there may be thousands of hosts. */
struct document {
    struct buffer text;
    int fd;
    int result; /* of the first write that failed */
    size_t written;
    char path[FILE_PATH_MAX], new_path[FILE_PATH_MAX];
};

static int open_document(const char *directory, const char *name, mode_t mode, struct document *ret,
                         struct pullkey_error *error)
{
    int r = file_join(ret->path, directory, name, error);

    ret->text = (struct buffer)BUFFER_INIT(STATUS_SIZE_MAX);
    ret->fd = -1;
    ret->result = 0;
    ret->written = 0;
    if (r < 0)
        return r;
    if (snprintf(ret->new_path, FILE_PATH_MAX, "%s.tmp", ret->path) >= FILE_PATH_MAX)
        return error_set(error, PULLKEY_INVALID, "%s is too long a path", ret->path);
    (void)unlink(ret->new_path);
    ret->fd = open(ret->new_path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    return ret->fd < 0 ? error_errno(error, errno, "cannot write %s", ret->path) : 0;
}

static void write_piece(struct document *document, struct pullkey_error *error)
{
    if (document->result == 0)
        document->result = buffer_check(&document->text, error);
    document->written += document->text.length;
    if (document->result == 0 && document->written > STATUS_SIZE_MAX)
        document->result =
            error_set(error, PULLKEY_UNSUPPORTED, "%s would be too long", document->path);
    if (document->result == 0)
        document->result =
            file_write_all(document->fd, document->text.data, document->text.length, error);
    document->text.length = 0;
}

/* To be called after each host. */
static void settle(struct document *document, struct pullkey_error *error)
{
    if (document->text.length >= PIECE)
        write_piece(document, error);
}

/* Without fsync: it is in memory, and says how things are now. */
static int close_document(struct document *document, mode_t mode, struct pullkey_error *error)
{
    write_piece(document, error);
    if (document->result == 0 &&
        (fchmod(document->fd, mode) < 0 || rename(document->new_path, document->path) < 0))
        document->result = error_errno(error, errno, "cannot write %s", document->path);
    (void)close(document->fd);
    if (document->result < 0)
        (void)unlink(document->new_path);
    buffer_done(&document->text);
    return document->result;
}

static void append_text(struct buffer *text, const char *key, const char *value)
{
    buffer_append_text(text, key);
    if (value)
        json_write_name(text, value);
    else
        buffer_append_text(text, "null");
}

static void append_host(struct buffer *text, const struct need *need)
{
    bool failed = need->error.code != PULLKEY_OK;

    append_text(text, "{\"host\":", need->url);
    append_text(text, ",\"helper\":", need->helper);
    buffer_printf(text, ",\"header\":%s", need->header.length > 0 ? "true" : "false");
    buffer_printf(text, ",\"expires\":%lld,\"last_success\":%lld,\"asked\":%llu,\"failures\":%u",
                  (long long)need->expiry, (long long)need->success_wall,
                  (unsigned long long)need->asked, need->failures);
    buffer_printf(text, ",\"open_timeouts\":%llu", (unsigned long long)need->open_timeouts);
    append_text(text, ",\"class\":", failed ? error_class_name(need->error.code) : NULL);
    append_text(text, ",\"message\":", failed ? needs_message(need) : NULL);
    buffer_append_text(text, "}");
}

static void append_entry(struct buffer *text, const struct tree_entry *entry)
{
    append_text(text, "{\"registry\":", entry->name);
    buffer_printf(text, ",\"rendered\":%s",
                  entry->is_managed && entry->is_published ? "true" : "false");
    append_text(text, ",\"problem\":", entry->problem);
    buffer_append_text(text, ",\"hosts\":[");
    for (size_t i = 0; i < entry->use_count; i++) {
        buffer_append_text(text, i > 0 ? "," : "");
        append_host(text, entry->uses[i].need);
    }
    buffer_append_text(text, "]}");
}

static int write_json(const char *directory, const struct status *status, const struct tree *tree,
                      const struct buffer *notes, int64_t now, struct pullkey_error *error)
{
    struct document document;
    struct buffer *text = &document.text;
    int r = open_document(directory, STATUS_FILE, 0600, &document, error);
    bool first = true;

    if (r < 0)
        return r;
    append_text(text, "{\"version\":", PULLKEY_VERSION);
    append_text(text, ",\"source\":", tree->source);
    append_text(text, ",\"target\":", tree->publish->target_path);
    buffer_printf(text, ",\"pid\":%ld,\"started\":%lld,\"written\":%lld", (long)getpid(),
                  (long long)status->started, (long long)now);
    append_text(text, ",\"configuration_problem\":", status->configuration_problem);
    append_text(text, ",\"source_problem\":", status->source_problem);
    append_text(text, ",\"target_problem\":", status->target_problem);
    buffer_printf(text, ",\"on_open\":%s,\"open_timeouts\":%llu", tree->open ? "true" : "false",
                  (unsigned long long)status->open_timeouts);
    buffer_append_text(text, ",\"notes\":");
    notes_write(notes, text);
    buffer_printf(text, ",\"registries\":%zu,\"entries\":[", tree->count);
    for (size_t i = 0; i < tree->count; i++) {
        if (!tree->entries[i]->is_managed && !tree->entries[i]->problem)
            continue;
        buffer_append_text(text, first ? "" : ",");
        append_entry(text, tree->entries[i]);
        settle(&document, error);
        first = false;
    }
    buffer_append_text(text, "]}\n");
    return close_document(&document, 0600, error);
}

/* Of a label's value. */
static void append_label(struct buffer *text, const char *name, const char *value)
{
    buffer_printf(text, "%s=\"", name);
    for (; *value != '\0'; value++) {
        if (*value == '\n')
            buffer_append_text(text, "\\n");
        else if (*value == '"' || *value == '\\')
            buffer_printf(text, "\\%c", *value);
        else
            buffer_append(text, value, 1);
    }
    buffer_append_text(text, "\"");
}

static void append_head(struct buffer *text, const char *name, const char *type, const char *help)
{
    buffer_printf(text, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void append_sample(struct buffer *text, const char *name, const struct need *need,
                          const char *class_name, long long value)
{
    buffer_printf(text, "%s{", name);
    append_label(text, "host", need->url);
    buffer_append_text(text, ",");
    append_label(text, "helper", need->helper);
    if (class_name) {
        buffer_append_text(text, ",");
        append_label(text, "class", class_name);
    }
    buffer_printf(text, "} %lld\n", value);
}

/* One kind of sample for every need. */
static void append_needs(struct document *document, const struct needs *needs, const char *name,
                         long long (*value)(const struct need *need), struct pullkey_error *error)
{
    for (const struct need *need = needs->first; need; need = need->next) {
        append_sample(&document->text, name, need, NULL, value(need));
        settle(document, error);
    }
}

static long long has_header(const struct need *need)
{
    return need->header.length > 0;
}

static long long expiry_of(const struct need *need)
{
    return need->header.length > 0 ? need->expiry : 0;
}

static long long success_of(const struct need *need)
{
    return need->success_wall;
}

static long long runs_of(const struct need *need)
{
    return (long long)need->asked;
}

static long long timeouts_of(const struct need *need)
{
    return (long long)need->open_timeouts;
}

static size_t count_problems(const struct tree *tree)
{
    size_t count = 0;

    for (size_t i = 0; i < tree->count; i++)
        count += tree->entries[i]->problem != NULL;
    return count;
}

static void append_failures(struct document *document, const struct needs *needs, const char *name,
                            struct pullkey_error *error)
{
    for (const struct need *need = needs->first; need; need = need->next) {
        for (int i = PULLKEY_NOT_FOUND; need->failed && i < PULLKEY_ERROR_CLASS_MAX; i++)
            if (need->failed[i] > 0)
                append_sample(&document->text, name, need,
                              error_class_name((enum pullkey_error_class)i),
                              (long long)need->failed[i]);
        settle(document, error);
    }
}

static const char *first_problem(const struct status *status)
{
    return status->configuration_problem ? status->configuration_problem
           : status->source_problem      ? status->source_problem
                                         : status->target_problem;
}

static int write_metrics(const char *directory, const struct status *status,
                         const struct tree *tree, int64_t now, struct pullkey_error *error)
{
    struct document document;
    struct buffer *text = &document.text;
    const struct needs *needs = tree->needs;
    int r = open_document(directory, STATUS_METRICS_FILE, 0644, &document, error);

    if (r < 0)
        return r;

    append_head(text, "pullkey_hosts_header", "gauge", "1 where the host has a header now.");
    append_needs(&document, needs, "pullkey_hosts_header", has_header, error);
    append_head(
        text, "pullkey_hosts_header_expiry_seconds", "gauge",
        "When the header expires, in seconds since 1970; 0 where there is none or it is not "
        "known.");
    append_needs(&document, needs, "pullkey_hosts_header_expiry_seconds", expiry_of, error);
    append_head(text, "pullkey_hosts_last_success_seconds", "gauge",
                "When the helper last answered a credential, in seconds since 1970.");
    append_needs(&document, needs, "pullkey_hosts_last_success_seconds", success_of, error);
    append_head(text, "pullkey_hosts_helper_runs_total", "counter", "How often it was asked.");
    append_needs(&document, needs, "pullkey_hosts_helper_runs_total", runs_of, error);
    append_head(text, "pullkey_hosts_helper_failures_total", "counter",
                "How often it answered no credential, by class of error.");
    append_failures(&document, needs, "pullkey_hosts_helper_failures_total", error);
    append_head(text, "pullkey_hosts_problems", "gauge",
                "Registries of the source that are not served as they ask.");
    buffer_printf(text, "pullkey_hosts_problems %zu\n", count_problems(tree));
    append_head(text, "pullkey_hosts_configuration_valid", "gauge",
                "0 where the configuration, the source or the target cannot be used.");
    buffer_printf(text, "pullkey_hosts_configuration_valid %d\n", !first_problem(status));
    append_head(text, "pullkey_hosts_open_timeouts_total", "counter",
                "Opens that waited in vain for a fresh header.");
    append_needs(&document, needs, "pullkey_hosts_open_timeouts_total", timeouts_of, error);
    append_head(text, "pullkey_hosts_on_open", "gauge", "1 where opens wait for a fresh header.");
    buffer_printf(text, "pullkey_hosts_on_open %d\n", tree->open != NULL);
    append_head(text, "pullkey_hosts_written_seconds", "gauge", "When this file was written.");
    buffer_printf(text, "pullkey_hosts_written_seconds %lld\n", (long long)now);
    return close_document(&document, 0644, error);
}

int status_write(const char *directory, struct status *status, const struct tree *tree, int64_t now,
                 struct pullkey_error *error)
{
    cleanup_buffer struct buffer notes = BUFFER_INIT(NOTES_MAX);
    int r;

    /* Of a source that cannot be read nothing is known. */
    if (!status->source_problem)
        notes_collect(tree, &notes);
    r = buffer_check(&notes, error);
    if (r < 0)
        return r;
    notes_say(&notes, &status->noted);
    r = write_json(directory, status, tree, &notes, now, error);

    return r < 0 ? r : write_metrics(directory, status, tree, now, error);
}

void status_summary(const struct status *status, const struct tree *tree, char *ret, size_t size)
{
    size_t managed = 0, hosts = 0, missing = 0, problems = count_problems(tree);

    for (size_t i = 0; i < tree->count; i++)
        managed += tree->entries[i]->is_managed;
    for (const struct need *need = tree->needs->first; need; need = need->next) {
        hosts++;
        missing += need->header.length == 0;
    }
    if (first_problem(status))
        (void)snprintf(ret, size, "%s", first_problem(status));
    else
        (void)snprintf(ret, size,
                       "%zu of %zu registries rendered; of %zu hosts %zu have no header; %zu "
                       "problems",
                       managed, tree->count, hosts, missing, problems);
}
