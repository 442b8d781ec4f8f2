/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The record of what `pullkey setup` has changed, setup-TOOL.json in the directory for state: a
 * list of edits, the last one last. They are taken back in the other order, each only where what it
 * put in is still there.
 */
#include "setup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/json-edit.h"
#include "base/output.h"

static int record_path(const struct setup *setup, char ret[FILE_PATH_MAX],
                       struct pullkey_error *error)
{
    char name[64];

    (void)snprintf(name, sizeof(name), "setup-%s.json", setup->call->arguments[0]);
    return change_state_path(setup->system, name, ret, error);
}

/* An empty list where there is none. */
static int read_record(const char *path, struct json *ret, struct pullkey_error *error)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(JSON_SIZE_MAX);
    int r = file_read(path, FILE_OURS, 0, &text, NULL, error);

    if (r == -PULLKEY_NOT_FOUND) {
        buffer_append_text(&text, "[]");
        r = buffer_check(&text, error);
    }
    return r < 0 ? r : json_parse(ret, path, text.data ? text.data : "", text.length, 0, error);
}

static int write_record(const char *path, const cJSON *list, const struct buffer *more,
                        struct pullkey_error *error)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(JSON_SIZE_MAX);
    int r = json_write_tree(&text, list, false, error);

    if (r < 0)
        return r;
    text.data[--text.length] = '\0'; /* the bracket */
    buffer_append_text(&text, more && more->data ? more->data + !list->child : "");
    buffer_append_text(&text, "]");
    r = buffer_check(&text, error);
    return r < 0 ? r : file_replace(path, text.data, text.length, 0600, error);
}

static const char *string(const cJSON *entry, const char *key)
{
    const cJSON *member = json_member(entry, key);

    return cJSON_IsString(member) ? member->valuestring : "";
}

void setup_state(const struct file_state *state, char ret[SETUP_STATE_SIZE])
{
    (void)snprintf(ret, SETUP_STATE_SIZE, "%llu.%llu.%llu", (unsigned long long)state->inode,
                   (unsigned long long)state->size, (unsigned long long)state->modified);
}

/* True if the file is as it was then. */
static bool is_as(const cJSON *entry, const char *key, const struct file_state *now)
{
    char state[SETUP_STATE_SIZE];

    setup_state(now, state);
    return strcmp(state, string(entry, key)) == 0;
}

/* It was recorded and then not made, or taken back and then not forgotten: who did that was
 * killed. */
static bool is_void(const cJSON *entry, const struct file_state *now)
{
    return is_as(entry, "before", now) ||
           (json_member(entry, "undone") && !is_as(entry, "undone", now));
}

int setup_record(const struct setup *setup, struct pullkey_error *error)
{
    cleanup_json struct json record = { 0 };
    char path[FILE_PATH_MAX];
    int r = record_path(setup, path, error);

    if (r == 0)
        r = read_record(path, &record, error);
    for (cJSON *entry = r == 0 ? record.root->child : NULL, *next; entry; entry = next) {
        struct file_state now;

        next = entry->next;
        file_state(string(entry, "file"), &now);
        if (is_void(entry, &now))
            cJSON_Delete(cJSON_DetachItemViaPointer(record.root, entry));
    }
    return r < 0 ? r : write_record(path, record.root, &setup->record, error);
}

/* -- Undoing ---------------------------------------------------------------------------------- */

/* By the bytes that were put in. */
static bool undo_bytes(const cJSON *entry, struct change *file)
{
    const cJSON *place = json_member(entry, "at");
    const char *inserted = string(entry, "inserted"), *removed = string(entry, "removed");
    const size_t length = strlen(inserted), size = file->old.length;
    const size_t at =
        cJSON_IsNumber(place) && place->valuedouble >= 0 && place->valuedouble <= (double)size
            ? (size_t)place->valuedouble
            : size;

    if (length == 0 || size - at < length || memcmp(file->old.data + at, inserted, length) != 0)
        return false;
    buffer_append(&file->new, file->old.data, at);
    buffer_append_text(&file->new, removed);
    buffer_append(&file->new, file->old.data + at + length, size - at - length);
    return true;
}

/* By the member: the tool has written the file anew, in its own way. */
static bool undo_member(const cJSON *entry, struct change *file, struct pullkey_error *error)
{
    cleanup_json_edit struct json_edit edit = JSON_EDIT_INIT;
    cleanup_json struct json json = { 0 };
    const char *removed = string(entry, "removed");
    const cJSON *parent, *item;

    if (string(entry, "key")[0] == '\0' ||
        json_parse(&json, file->path, file->old.data ? file->old.data : "", file->old.length,
                   JSON_ANY_CASE, error) < 0)
        return false;
    parent = string(entry, "parent")[0] == '\0' ? json.root
                                                : setup_member(json.root, string(entry, "parent"));
    item = setup_member(parent, string(entry, "key"));
    if (!cJSON_IsString(item) || strcmp(item->valuestring, "pullkey") != 0)
        return false;
    if (removed[0] == '\0')
        json_edit_remove(&json, item, &edit);
    else if (json_edit_replace(&json, item, removed, &edit, error) < 0)
        return false;
    return json_edit_apply(&edit, json.text, json.length, &file->new, error) == 0;
}

/* A file that was made goes, if nothing else is in it by now. */
static int write_undone(const cJSON *entry, const struct change *file, struct pullkey_error *error)
{
    if (!cJSON_IsTrue(json_member(entry, "new")) || file->new.length > 0)
        return change_write(file, error);
    return unlink(file->path) < 0 && errno != ENOENT
               ? error_errno(error, errno, "cannot remove %s", file->path)
               : 0;
}

/* Before it is taken back, the record says so. */
static int mark(const char *path, struct json *record, cJSON *entry, const struct change *file,
                struct pullkey_error *error)
{
    char state[SETUP_STATE_SIZE];

    setup_state(&file->before, state);
    cJSON_DeleteItemFromObjectCaseSensitive(entry, "undone");
    return cJSON_AddStringToObject(entry, "undone", state)
               ? write_record(path, record->root, NULL, error)
               : error_memory(error);
}

static int undo(const char *path, struct json *record, cJSON *entry, struct pullkey_error *error)
{
    cleanup_change struct change file = CHANGE_INIT(0600);
    int r = change_open(string(entry, "file"), &file, error);

    if (r == 0)
        change_tidy(&file);
    if (r < 0 || change_is_new(&file) || is_void(entry, &file.before))
        return r;
    error->code = PULLKEY_OK;
    if (!undo_bytes(entry, &file) && !undo_member(entry, &file, error))
        return error->code == PULLKEY_INTERNAL
                   ? -PULLKEY_INTERNAL
                   : error_set(error, PULLKEY_INVALID,
                               "%s: what was put there was changed since, so that it is left to "
                               "you to take it out",
                               file.path);
    r = mark(path, record, entry, &file, error);
    if (r == 0)
        r = write_undone(entry, &file, error);
    if (r == 0)
        output_line("%s: undone", file.path);
    return r;
}

int setup_undo(const struct setup *setup, struct pullkey_error *error)
{
    cleanup_json struct json record = { 0 };
    char path[FILE_PATH_MAX];
    int r = record_path(setup, path, error);

    if (r == 0)
        r = read_record(path, &record, error);
    if (r == 0 && !record.root->child)
        return error_set(error, PULLKEY_INVALID,
                         "there is nothing to undo: \"pullkey setup %s\" has changed nothing here",
                         setup->call->arguments[0]);
    while (r == 0 && record.root->child) {
        cJSON *last = record.root->child->prev;

        r = undo(path, &record, last, error);
        if (r == 0)
            cJSON_Delete(cJSON_DetachItemViaPointer(record.root, last));
        if (r == 0)
            r = write_record(path, record.root, NULL, error);
    }
    return r;
}
