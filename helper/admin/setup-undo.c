/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The record of what `pullkey setup` has changed, setup-TOOL.json in the directory for state: a
 * list of edits, the last one last. They are taken back in the other order, each only where what it
 * put in is still there; one of which nothing is there is done.
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

/* It was recorded and then not made: who did that was killed, or failed. */
static bool is_void(const cJSON *entry, const struct file_state *now)
{
    char state[SETUP_STATE_SIZE];

    setup_state(now, state);
    return strcmp(state, string(entry, "before")) == 0;
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

static int parse(const struct change *file, const struct buffer *text, struct json *ret,
                 struct pullkey_error *error)
{
    return json_parse(ret, file->path, text->data ? text->data : "", text->length, JSON_ANY_CASE,
                      error);
}

/* The entry's member, if it is what was put in. */
static const cJSON *member_of(const cJSON *entry, const struct json *json)
{
    const char *parent = string(entry, "parent");
    const cJSON *item = setup_member(
        parent[0] == '\0' ? json->root : setup_member(json->root, parent), string(entry, "key"));

    return cJSON_IsString(item) && strcmp(item->valuestring, "pullkey") == 0 ? item : NULL;
}

/* The new text is JSON, and without the member. */
static int check_new(const cJSON *entry, const struct change *file, struct pullkey_error *error)
{
    cleanup_json struct json json = { 0 };
    int r = parse(file, &file->new, &json, error);

    return r == 0 && member_of(entry, &json)
               ? json_error(&json, json.root, error, "%s would stay", string(entry, "key"))
               : r;
}

/* By the member: the tool has written the file anew, in its own way. */
static int undo_member(const cJSON *entry, const struct json *json, const cJSON *item,
                       struct change *file, struct pullkey_error *error)
{
    cleanup_json_edit struct json_edit edit = JSON_EDIT_INIT;
    const char *removed = string(entry, "removed");
    int r = 0;

    buffer_done(&file->new);
    if (removed[0] == '\0')
        json_edit_remove(json, item, &edit);
    else
        r = json_edit_replace(json, item, removed, &edit, error);
    if (r == 0)
        r = json_edit_apply(&edit, json->text, json->length, &file->new, error);
    return r < 0 ? r : check_new(entry, file, error);
}

/* 1: nothing of it is there any more. */
static int take_out(const cJSON *entry, struct change *file, struct pullkey_error *error)
{
    const bool has_bytes = undo_bytes(entry, file);
    cleanup_json struct json json = { 0 };
    const cJSON *item;
    int r;

    if (has_bytes && file->new.length == 0)
        return 0;
    if (!file->old.data || !strstr(file->old.data, "pullkey"))
        return 1;
    /* What is in a new file besides may need what was put there. */
    if (string(entry, "key")[0] == '\0')
        return has_bytes && !cJSON_IsTrue(json_member(entry, "new"))
                   ? 0
                   : error_set(error, PULLKEY_INVALID,
                               "%s: what was put there was changed since, so that it is left to "
                               "you to take it out",
                               file->path);
    r = parse(file, &file->old, &json, error);
    item = r == 0 ? member_of(entry, &json) : NULL;
    if (!item)
        return r < 0 ? r : 1;
    return has_bytes && check_new(entry, file, error) == 0
               ? 0
               : undo_member(entry, &json, item, file, error);
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

static int undo(const cJSON *entry, struct pullkey_error *error)
{
    cleanup_change struct change file = CHANGE_INIT(0600);
    int r = change_open(string(entry, "file"), &file, error);

    if (r == 0)
        change_tidy(&file);
    if (r < 0 || change_is_new(&file) || is_void(entry, &file.before))
        return r;
    r = take_out(entry, &file, error);
    if (r == 1) {
        output_line("%s: what was put there is not there any more", file.path);
        return 0;
    }
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

        r = undo(last, error);
        if (r == 0)
            cJSON_Delete(cJSON_DetachItemViaPointer(record.root, last));
        if (r == 0)
            r = write_record(path, record.root, NULL, error);
    }
    return r;
}
