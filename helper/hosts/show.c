/* SPDX-License-Identifier: Apache-2.0 */
/* `show` and `status`: what containerd gets now, without the secrets. */
#include "hosts.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/output.h"
#include "base/secret.h"
#include "check.h"
#include "edit.h"
#include "hosts-file.h"
#include "lifetime.h"
#include "mask-text.h"
#include "mask.h"
#include "publish.h"
#include "status.h"

#define COLUMNS 6

static int find_registry(const char *target, const char *registry, char *ret_name,
                         struct pullkey_error *error)
{
    char names[HOSTS_NAMES_MAX][HOSTS_NAME_SIZE], path[FILE_PATH_MAX];
    size_t count;
    int r;

    if (strchr(registry, '/') || registry[0] == '.' || registry[0] == '\0')
        return hosts_usage(error, "HOST is the name of a registry, like registry.example.com:5000");
    if (strlen(registry) > REGISTRY_HOST_MAX + 6)
        return hosts_usage(error, "the name of the registry is too long");
    count = hosts_registry_names(registry, names);
    for (size_t i = 0; i < count; i++) {
        r = file_join(path, target, names[i], error);
        if (r < 0)
            return r;
        if (access(path, F_OK) == 0) {
            memcpy(ret_name, names[i], strlen(names[i]) + 1);
            return 0;
        }
        if (errno != ENOENT)
            return error_errno(error, errno, "cannot read %s", path);
    }
    if (access(target, F_OK) < 0)
        return error_set(error, PULLKEY_NOT_FOUND,
                         "there is no %s: %s has not run since this machine was started, and "
                         "containerd reads the source",
                         target, hosts_daemon());
    return error_set(error, PULLKEY_NOT_FOUND,
                     "%s has no directory for %s: containerd asks the registry itself, without a "
                     "header (Docker Hub is docker.io)",
                     target, registry);
}

/* The user and password of a URL, and its query. A host's may be a wrong one, whose password has a
 * slash in it. */
static int mask_url(struct mask *mask, const char *text, bool is_host, struct pullkey_error *error)
{
    const char *scheme = strstr(text, "://");
    const char *begin = scheme ? scheme + 3 : text, *query = strchr(begin, '?');
    size_t length = is_host ? strlen(begin) : strcspn(begin, "/");
    int r = 0;

    if (!scheme && !is_host)
        return 0;
    if (query)
        r = mask_add(mask, query + 1, strlen(query + 1), error);
    while (length > 0 && begin[length - 1] != '@')
        length--;
    return r == 0 && length > 1 ? mask_add(mask, begin, length - 1, error) : r;
}

static bool means_secret(const char *key)
{
    return check_is_secret_name(key) || mask_means_secret(key);
}

/* As mask_places has it. */
static bool is_secret_item(const struct toml_item *item, bool is_below_secret)
{
    return is_below_secret ||
           (item->key &&
            (mask_is_headers(item->key) || (item->kind != TOML_TABLE && means_secret(item->key))));
}

/* All values of all headers, whatever has the name of a secret, and users in URLs. */
static int mask_item(struct mask *mask, const struct toml_item *item, bool is_secret,
                     struct pullkey_error *error)
{
    int r = 0;

    is_secret = is_secret_item(item, is_secret);
    if (item->key)
        r = mask_url(mask, item->key, true, error);
    if (r == 0 && item->kind == TOML_STRING)
        r = is_secret ? mask_add(mask, item->string, item->string_length, error)
                      : mask_url(mask, item->string, item->key && hosts_key_is(item->key, "server"),
                                 error);
    for (item = item->first; r == 0 && item; item = item->next)
        r = mask_item(mask, item, is_secret, error);
    return r;
}

struct places {
    const struct mask *mask;
    const struct toml_document *toml;
    struct edits edits;
};

static bool is_hidden(const struct places *places, const char *text, size_t begin, size_t end)
{
    return mask_finds(places->mask, text, strlen(text)) &&
           !mask_finds(places->mask, places->toml->text + begin, end - begin);
}

/* Keys and strings with a secret in them that the text writes in another way, and private keys.
 * `has_key`: a key above has one. */
static int mask_hidden(struct places *places, const struct toml_item *item, bool is_secret,
                       bool has_key, struct pullkey_error *error)
{
    static const char text[] = "\"" MASK_TEXT "\"", header[] = "[\"" MASK_TEXT "\"]";
    struct edits *edits = &places->edits;
    int r = 0;

    has_key = has_key || (item->key && mask_finds(places->mask, item->key, strlen(item->key)));
    is_secret = is_secret_item(item, is_secret);
    if (item->key_end > 0 && is_hidden(places, item->key, item->key_begin, item->key_end))
        r = edits_add(edits, item->key_begin, item->key_end, text, sizeof(text) - 1, error);
    if (r == 0 && item->has_header && has_key &&
        memchr(places->toml->text + item->begin, '\\', item->end - item->begin))
        r = edits_add(edits, item->begin, item->end, header, sizeof(header) - 1, error);
    if (r == 0 && item->kind == TOML_STRING && !is_secret &&
        (strstr(item->string, "PRIVATE KEY") ||
         is_hidden(places, item->string, item->begin, item->end)))
        r = edits_add(edits, item->begin, item->end, text, sizeof(text) - 1, error);
    for (item = item->first; r == 0 && item; item = item->next)
        r = mask_hidden(places, item, is_secret, has_key, error);
    return r;
}

static int mask_file(const struct toml_document *toml, struct buffer *ret,
                     struct pullkey_error *error)
{
    cleanup_buffer struct buffer placed = BUFFER_INIT(4 * TOML_SIZE_MAX);
    cleanup_buffer struct buffer masked = BUFFER_INIT(4 * TOML_SIZE_MAX);
    cleanup_mask struct mask mask = { 0 };
    struct places places = { .mask = &mask, .toml = toml };
    int r = mask_item(&mask, toml->root, false, error);

    if (r == 0)
        r = mask_places(toml->root, means_secret, false, &places.edits, error);
    if (r == 0)
        r = mask_hidden(&places, toml->root, false, false, error);
    if (r == 0)
        r = edits_apply(&places.edits, toml->text, toml->length, &placed, error);
    edits_done(&places.edits);
    if (r == 0)
        r = mask_apply(&mask, placed.data ? placed.data : "", placed.length, &masked, error);
    return r < 0 ? r : mask_comments(&masked, ret, error);
}

int hosts_show(const struct hosts_call *call, struct pullkey_error *error)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(2 * TOML_SIZE_MAX);
    cleanup_buffer struct buffer masked = BUFFER_INIT(4 * TOML_SIZE_MAX);
    cleanup_toml struct toml_document toml = { 0 };
    char target[FILE_PATH_MAX], name[FILE_PATH_MAX], path[FILE_PATH_MAX], file[FILE_PATH_MAX];
    int r = hosts_target(call, target, error);

    if (r == 0)
        r = find_registry(target, call->argument, name, error);
    if (r < 0)
        return r;
    r = file_join(path, target, name, error);
    if (r == 0)
        r = file_join(file, path, PUBLISH_FILE, error);
    if (r == 0)
        r = file_read(file, FILE_INPUT, 0, &text, NULL, error);
    if (r == -(int)PULLKEY_NOT_FOUND) {
        output_note("%s: there is no hosts.toml; containerd uses the certificates beside it", path);
        return 0;
    }
    if (r == 0)
        r = toml_parse(&toml, file, text.data ? text.data : "", text.length, error);
    if (r == 0)
        r = mask_file(&toml, &masked, error);
    if (r < 0)
        return r;
    output_note("%s:", file);
    return output_buffer(&masked, error);
}

struct table {
    const char **cells;
    char (*times)[2][LIFETIME_SIZE];
    size_t rows;
};

static void add_row(struct table *table, const cJSON *entry, const cJSON *host)
{
    const char **row = table->cells + COLUMNS * table->rows;
    bool has_header = cJSON_IsTrue(json_member(host, "header"));
    const char *message = json_text(host, "message");

    lifetime_write((int64_t)json_number(host, "expires"), table->times[table->rows][0]);
    lifetime_write((int64_t)json_number(host, "last_success"), table->times[table->rows][1]);
    row[0] = json_text(entry, "registry");
    row[1] = json_text(host, "host");
    row[2] = json_text(host, "helper");
    row[3] = !has_header ? "no header" : message ? "old header" : "header";
    row[4] = table->times[table->rows][0];
    row[5] = table->times[table->rows][1];
    for (size_t i = 0; i < COLUMNS; i++)
        row[i] = row[i] ? row[i] : "-";
    table->rows++;
}

static size_t count_hosts(const cJSON *entries)
{
    size_t count = 0;

    for (const cJSON *entry = entries ? entries->child : NULL; entry; entry = entry->next)
        count += (size_t)cJSON_GetArraySize(json_member(entry, "hosts"));
    return count;
}

static int print_hosts(const cJSON *entries, struct pullkey_error *error)
{
    static const char *const heads[COLUMNS] = { "REGISTRY", "HOST",    "HELPER",
                                                "STATE",    "EXPIRES", "LAST ANSWER" };
    size_t count = count_hosts(entries) + 1;
    struct table table = { secret_alloc(count * sizeof(heads)),
                           secret_alloc(count * sizeof(*table.times)), 1 };
    int r = 0;

    if (!table.cells || !table.times) {
        r = error_memory(error);
    } else {
        memcpy(table.cells, heads, sizeof(heads));
        for (const cJSON *entry = entries ? entries->child : NULL; entry; entry = entry->next) {
            const cJSON *hosts = json_member(entry, "hosts");

            for (const cJSON *host = hosts ? hosts->child : NULL; host; host = host->next)
                add_row(&table, entry, host);
        }
        if (count > 1)
            r = output_table(table.cells, COLUMNS, table.rows, error);
        else
            output_line("No hosts.toml in the source names a credHelper.");
    }
    secret_release(table.cells);
    secret_release(table.times);
    return r;
}

static void print_problem(bool print, const char *registry, const char *host, const char *text)
{
    if (print)
        output_line("error: %s: %s%s%s", registry, host ? host : "", host ? ": " : "", text);
}

/* What is wrong, one line each if they are to be printed: how many there are. */
static size_t count_problems(const cJSON *root, const cJSON *entries, bool print)
{
    static const char *const keys[] = { "configuration_problem", "source_problem",
                                        "target_problem" };
    size_t count = 0;

    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        if (!json_text(root, keys[i]))
            continue;
        if (print)
            output_finding(OUTPUT_ERROR, json_text(root, keys[i]));
        count++;
    }
    for (const cJSON *entry = entries ? entries->child : NULL; entry; entry = entry->next) {
        const cJSON *hosts = json_member(entry, "hosts");

        if (json_text(entry, "problem")) {
            print_problem(print, json_text(entry, "registry"), NULL, json_text(entry, "problem"));
            count++;
        }
        for (const cJSON *host = hosts ? hosts->child : NULL; host; host = host->next) {
            if (!json_text(host, "message"))
                continue;
            print_problem(print, json_text(entry, "registry"), json_text(host, "host"),
                          json_text(host, "message"));
            count++;
        }
    }
    return count;
}

static void print_notes(const cJSON *notes)
{
    for (const cJSON *note = notes ? notes->child : NULL; note; note = note->next)
        if (cJSON_IsString(note))
            output_finding(OUTPUT_NOTE, note->valuestring);
}

int hosts_read_status(const char *target, struct json *ret, struct buffer *text,
                      struct pullkey_error *error)
{
    char directory[FILE_PATH_MAX], path[FILE_PATH_MAX];
    int r = status_directory(target, directory, error);

    if (r == 0)
        r = file_join(path, directory, STATUS_FILE, error);
    if (r == 0)
        r = file_read(path, FILE_OURS, 0, text, NULL, error);
    if (r == -(int)PULLKEY_NOT_FOUND)
        return error_set(error, PULLKEY_NOT_FOUND,
                         "there is no %s: %s has not run since this machine was started", path,
                         hosts_daemon());
    return r < 0 ? r
                 : json_parse(ret, path, text->data ? text->data : "", text->length, JSON_LARGE,
                              error);
}

int hosts_status(const struct hosts_call *call, struct pullkey_error *error)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(JSON_LARGE_MAX);
    cleanup_buffer struct buffer answer = BUFFER_INIT(2 * (size_t)JSON_LARGE_MAX);
    cleanup_json struct json json = { 0 };
    char target[FILE_PATH_MAX], message[PULLKEY_ERROR_SIZE];
    const cJSON *entries;
    size_t problems;
    bool running;
    int r = hosts_target(call, target, error);

    if (r == 0)
        r = hosts_read_status(target, &json, &text, error);
    if (r < 0)
        return r;
    running = publish_is_held(target);
    entries = json_member(json.root, "entries");
    if (call->values[HOSTS_JSON]) {
        if (!cJSON_AddBoolToObject(json.root, "running", running))
            return error_memory(error);
        r = json_write_tree(&answer, json.root, true, error);
        buffer_append_text(&answer, "\n");
        r = r < 0 ? r : output_buffer(&answer, error);
        if (r < 0)
            return r;
        return running && count_problems(json.root, entries, false) == 0 ? 0 : HOSTS_PROBLEM;
    }
    r = print_hosts(entries, error);
    if (r < 0)
        return r;
    problems = count_problems(json.root, entries, true);
    print_notes(json_member(json.root, "notes"));
    if (!running) {
        (void)snprintf(message, sizeof(message),
                       "the daemon does not run: start %s; headers stay as they are until then",
                       hosts_daemon());
        output_finding(OUTPUT_ERROR, message);
    }
    return problems > 0 || !running ? HOSTS_PROBLEM : 0;
}
