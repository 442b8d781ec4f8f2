/* SPDX-License-Identifier: Apache-2.0 */
/* pullkey setup: makes a tool ask pullkey, in the tool's own files. */
#include "setup.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/diff.h"
#include "base/error.h"
#include "base/output.h"
#include "base/text.h"

#define NOTES_MAX 16384

static const struct tool {
    const char *name;
    int (*plan)(struct setup *setup, struct pullkey_error *error);
    int (*hides)(struct setup *setup, struct pullkey_error *error); /* or NULL */
} tools[] = {
    { "docker", setup_docker, setup_docker_hides },
    { "podman", setup_podman, NULL },
    { "containerd", setup_containerd, NULL },
    { "kubelet", setup_kubelet, NULL },
};

static void setup_done(struct setup *setup)
{
    for (size_t i = 0; i < setup->count; i++)
        change_done(&setup->files[i]);
    buffer_done(&setup->record);
    buffer_done(&setup->logins);
    buffer_done(&setup->notes);
}

#define cleanup_setup __attribute__((cleanup(setup_done)))

/* -- For the tools ---------------------------------------------------------------------------- */

int setup_open(struct setup *setup, const char *path, mode_t mode, struct change **ret,
               struct pullkey_error *error)
{
    *ret = &setup->files[setup->count++];
    **ret = (struct change)CHANGE_INIT(mode);
    return change_open(path, *ret, error);
}

static void write_member(struct buffer *text, const char *key, const char *value, size_t length)
{
    buffer_printf(text, ",\"%s\":", key);
    json_write_string(text, value, length);
}

int setup_edit(struct setup *setup, struct change *file, size_t begin, size_t end, const char *text,
               size_t length, const char *parent, const char *key, struct pullkey_error *error)
{
    cleanup_buffer struct buffer before = BUFFER_INIT(file->new.limit);
    struct buffer *now = &file->new, *record = &setup->record;
    char state[SETUP_STATE_SIZE];

    if (now->data) {
        before = *now;
        *now = (struct buffer)BUFFER_INIT(before.limit);
    } else {
        buffer_append(&before, file->old.data ? file->old.data : "", file->old.length);
    }
    if (buffer_check(&before, error) < 0)
        return -(int)error->code;
    buffer_printf(record, ",{\"at\":%zu,\"new\":%s", begin, change_is_new(file) ? "true" : "false");
    write_member(record, "file", file->path, strlen(file->path));
    write_member(record, "removed", before.data + begin, end - begin);
    write_member(record, "inserted", text, length);
    if (key)
        write_member(record, "key", key, strlen(key));
    if (parent)
        write_member(record, "parent", parent, strlen(parent));
    setup_state(&file->before, state);
    buffer_printf(record, ",\"before\":\"%s\"}", state);
    buffer_append(now, before.data, begin);
    buffer_append(now, text, length);
    buffer_append(now, before.data + end, before.length - end);
    return buffer_check(now, error);
}

void setup_note(struct setup *setup, const char *format, ...)
{
    struct pullkey_error text;
    va_list arguments;

    va_start(arguments, format);
    (void)error_set_list(&text, PULLKEY_INVALID, format, arguments);
    va_end(arguments);
    buffer_printf(&setup->notes, "%s\n", text.message);
}

cJSON *setup_member(const cJSON *object, const char *key)
{
    for (cJSON *item = object ? object->child : NULL; item; item = item->next)
        if (item->string && text_equal_any_case(item->string, key))
            return item;
    return NULL;
}

/* -- Showing ---------------------------------------------------------------------------------- */

/* Whether a value, or the object that it is in, names helpers. */
enum place { PLACE_OTHER, PLACE_STORE, PLACE_HELPERS, PLACE_IN_HELPERS };

static bool is_word(const char *text, size_t length, const char *word)
{
    return length == strlen(word) && strncasecmp(text, word, length) == 0;
}

/* Behind these characters, which are no string's. */
static enum place place_behind(enum place place, const char *text, size_t length)
{
    if (place == PLACE_HELPERS)
        return memchr(text, '{', length) && strcspn(text, "}[") >= length ? PLACE_IN_HELPERS
                                                                          : PLACE_OTHER;
    return strcspn(text, "{}[]") < length || (place == PLACE_STORE && memchr(text, ',', length))
               ? PLACE_OTHER
               : place;
}

/* Strings that are values may be secrets, and a key may be a URL with one; the name of a helper is
 * none. */
static void mask(const char *text, struct buffer *ret)
{
    enum place place = PLACE_OTHER;

    while (*text != '\0') {
        const size_t before = strcspn(text, "\"");
        size_t length, rest;
        bool is_key;

        buffer_append(ret, text, before);
        place = place_behind(place, text, before);
        text += before;
        if (*text == '\0')
            return;
        for (length = 1; text[length] != '"'; length++)
            length += text[length] == '\\';
        length++;
        rest = length + strspn(text + length, " \t\r\n");
        is_key = text[rest] == ':' && !memchr(text, '@', length);
        if (is_key && place != PLACE_IN_HELPERS)
            place = is_word(text, length, "\"credsStore\"")    ? PLACE_STORE
                    : is_word(text, length, "\"credHelpers\"") ? PLACE_HELPERS
                                                               : PLACE_OTHER;
        if (is_key || (text[rest] != ':' && place >= PLACE_STORE))
            buffer_append(ret, text, length);
        else
            buffer_append_text(ret, "\"********\"");
        text += length;
    }
}

static int write_diff(const struct change *file, bool is_masked, struct buffer *ret,
                      struct pullkey_error *error)
{
    cleanup_buffer struct buffer old = BUFFER_INIT(8u * JSON_SIZE_MAX), new = old;
    struct diff_text a = { file->old.data, file->old.length,
                           change_is_new(file) ? "/dev/null" : file->path };
    struct diff_text b = { file->new.data, file->new.length, file->path };
    int r = 0;

    if (is_masked && file->old.length > 0) {
        mask(file->old.data, &old);
        mask(file->new.data, &new);
        r = buffer_check(&old, error);
        if (r == 0)
            r = buffer_check(&new, error);
        a.text = old.data;
        a.length = old.length;
        b.text = new.data;
        b.length = new.length;
    }
    /* What is not masked is shown by the lines that change alone. */
    return r < 0 ? r : diff_unified(&a, &b, is_masked ? DIFF_CONTEXT : 0, ret, error);
}

static int show_files(const struct setup *setup, struct pullkey_error *error)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < setup->count; i++) {
        cleanup_buffer struct buffer diff = BUFFER_INIT(8u * JSON_SIZE_MAX);

        if (!setup->files[i].new.data)
            continue;
        r = write_diff(&setup->files[i], setup->is_masked, &diff, error);
        if (r == 0)
            output_lines(&diff);
    }
    return r;
}

/* With --json all of it, in the end. */
static int show_json(const struct setup *setup, bool is_done, struct pullkey_error *error)
{
    cleanup_buffer struct buffer json = BUFFER_INIT(64u * JSON_SIZE_MAX);
    const char *at = setup->notes.data ? setup->notes.data : "", *before = "";
    int r = 0;

    json_write_format(&json, "{\"tool\":%s,", setup->call->arguments[0]);
    buffer_printf(&json, "\"done\":%s,\"files\":[", is_done ? "true" : "false");
    for (size_t i = 0; r == 0 && i < setup->count; i++) {
        cleanup_buffer struct buffer diff = BUFFER_INIT(8u * JSON_SIZE_MAX);
        const struct change *file = &setup->files[i];

        if (file->new.data)
            r = write_diff(file, setup->is_masked, &diff, error);
        json_write_format(&json,
                          i > 0 ? ",\n {\"file\":%s,\"diff\":%s" : "\n {\"file\":%s,\"diff\":%s",
                          file->path, diff.data ? diff.data : "");
        buffer_printf(&json, ",\"changes\":%s}", file->new.data ? "true" : "false");
    }
    buffer_printf(&json, "],\"logins\":[%s],\"notes\":[",
                  setup->logins.data ? setup->logins.data : "");
    for (size_t length; *at != '\0'; at += length + 1, before = ",") {
        length = strcspn(at, "\n");
        buffer_append_text(&json, before);
        json_write_string(&json, at, length);
    }
    buffer_append_text(&json, "]}\n");
    return r < 0 ? r : output_buffer(&json, error);
}

static void say_notes(const struct setup *setup)
{
    for (const char *at = setup->notes.data ? setup->notes.data : ""; *at != '\0';) {
        const size_t length = strcspn(at, "\n");

        output_note("%.*s", (int)length, at);
        at += length + 1;
    }
}

/* -- The command ------------------------------------------------------------------------------ */

static int write_files(struct setup *setup, struct pullkey_error *error)
{
    /* The record first: what it names and is not there needs no undoing. */
    int r = setup_record(setup, error);

    for (size_t i = 0; r == 0 && i < setup->count; i++)
        if (setup->files[i].new.data) {
            r = change_write(&setup->files[i], error);
            if (r == 0 && !setup->call->values[ADMIN_JSON])
                output_line("%s is written", setup->files[i].path);
        }
    return r;
}

static int make(struct setup *setup, const struct tool *tool, struct pullkey_error *error)
{
    int r = setup->call->values[ADMIN_JSON] ? 0 : show_files(setup, error);

    if (r == 0 && tool->hides)
        r = tool->hides(setup, error);
    return r == 0 && setup->call->values[ADMIN_WRITE] ? write_files(setup, error) : r;
}

static int run(struct setup *setup, const struct tool *tool, struct pullkey_error *error)
{
    const bool writes = setup->call->values[ADMIN_WRITE] != NULL;
    const bool is_json = setup->call->values[ADMIN_JSON] != NULL;
    int r = tool->plan(setup, error);

    if (r == 0)
        r = buffer_check(&setup->record, error);
    if (r == 0 && setup->record.data)
        r = make(setup, tool, error);
    if (r == 0)
        r = buffer_check(&setup->notes, error);
    if (is_json && (r == 0 || r == ADMIN_PROBLEM)) {
        const int shown = show_json(setup, r == 0 && (writes || !setup->record.data), error);

        return shown < 0 ? shown : r;
    }
    if (r < 0)
        return r;
    if (!setup->record.data)
        output_line("%s asks pullkey already", tool->name);
    say_notes(setup);
    if (setup->record.data && !writes)
        output_note("Nothing is changed yet: \"--write\" does it, and \"--undo\" takes it back");
    return 0;
}

int admin_setup(const struct admin_call *call, struct pullkey_error *error)
{
    cleanup_setup struct setup setup = {
        .call = call,
        .system = call->values[ADMIN_SYSTEM] != NULL,
        .record = BUFFER_INIT(JSON_SIZE_MAX),
        .logins = BUFFER_INIT(32u * JSON_SIZE_MAX),
        .notes = BUFFER_INIT(NOTES_MAX),
    };
    cleanup_lock struct lock lock = LOCK_INIT;
    const struct tool *tool = NULL;
    int r;

    for (size_t i = 0; i < sizeof(tools) / sizeof(tools[0]); i++)
        if (strcmp(tools[i].name, call->arguments[0]) == 0)
            tool = &tools[i];
    if (!tool)
        return admin_usage(error,
                           "there is no set-up of \"%s\": it is docker, podman, containerd or "
                           "kubelet",
                           call->arguments[0]);
    if (call->values[ADMIN_UNDO] &&
        (call->values[ADMIN_WRITE] || call->values[ADMIN_JSON] || call->item_count > 0))
        return admin_usage(error, "--undo takes back everything, and goes with no --write, --for "
                                  "or --json");
    if (setup.system && tool->plan == setup_docker)
        return admin_usage(error,
                           "docker has no file for the whole machine: run this as each user");
    /* Files and record of a node are the machine's. */
    setup.system = setup.system || tool->plan == setup_kubelet || tool->plan == setup_containerd;
    if (call->item_count > 0 && tool->plan != setup_docker)
        return admin_usage(error, "--for goes with docker: %s asks one helper for all registries",
                           tool->name);
    /* What only looks makes no directory for it. */
    r = call->values[ADMIN_WRITE] || call->values[ADMIN_UNDO]
            ? change_lock(setup.system, "setup.lock", &lock, error)
            : 0;
    if (r < 0)
        return r;
    if (!call->values[ADMIN_UNDO])
        return run(&setup, tool, error);
    r = setup_undo(&setup, error);
    if (r == 0 && tool->hides)
        output_note("Logins that were imported stay in the store");
    return r;
}
