/* SPDX-License-Identifier: Apache-2.0 */
/*
 * docker's config.json: "credsStore", or with --for "credHelpers" entries, which go before it. What
 * docker has stored in "auths", or with the helper before this one, it would not look at any more,
 * and overwrites: that is imported first.
 */
#include "setup.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/json-edit.h"
#include "base/output.h"
#include "import.h"
#include "run-process.h"

#define VALUE "\"pullkey\""
#define STORE "credsStore"
#define HELPERS "credHelpers"
#define HUB_KEY "https://index.docker.io/v1/"

/* The file as it is by now. */
static int parse(const struct change *file, struct json *ret, struct pullkey_error *error)
{
    const struct buffer *text = file->new.data ? &file->new : &file->old;

    int r = json_parse(ret, file->path, text->data ? text->data : "", text->length, JSON_ANY_CASE,
                       error);

    if (r == 0 && !cJSON_IsObject(ret->root))
        r = json_error(ret, ret->root, error, "expected an object");
    return r;
}

static int put(struct setup *setup, struct change *file, const struct json *json,
               const char *parent, const char *key, struct pullkey_error *error)
{
    cleanup_buffer struct buffer value = BUFFER_INIT(PULLKEY_KEY_MAX * 6);
    cleanup_json_edit struct json_edit edit = JSON_EDIT_INIT;
    const cJSON *object = parent ? setup_member(json->root, parent) : json->root;
    const cJSON *item = setup_member(object, key);
    int r;

    if (object && !cJSON_IsObject(object))
        return json_error(json, object, error, "expected an object");
    if (item && !cJSON_IsString(item))
        return json_error(json, item, error, "expected a string");
    if (item && strcmp(item->valuestring, "pullkey") == 0)
        return 0;
    if (item) {
        r = json_edit_replace(json, item, VALUE, &edit, error);
    } else if (object) {
        r = json_edit_insert(json, object, key, VALUE, &edit, error);
    } else {
        buffer_append_text(&value, "{ ");
        json_write_string(&value, key, strlen(key));
        buffer_append_text(&value, ": " VALUE " }");
        r = buffer_check(&value, error);
        if (r == 0)
            r = json_edit_insert(json, json->root, parent, value.data, &edit, error);
    }
    return r < 0 ? r
                 : setup_edit(setup, file, edit.begin, edit.end, edit.text.data, edit.text.length,
                              parent, key, error);
}

/* As docker calls it. */
static int key_of(const char *registry, char ret[REGISTRY_CANONICAL_MAX],
                  struct pullkey_error *error)
{
    struct registry_reference reference;
    int r = admin_reference(registry, &reference, error);

    if (r < 0)
        return r;
    registry_canonical(&reference, ret);
    if (strcmp(ret, "docker.io") == 0)
        memcpy(ret, HUB_KEY, sizeof(HUB_KEY));
    return 0;
}

static int put_all(struct setup *setup, struct change *file, struct pullkey_error *error)
{
    const struct admin_call *call = setup->call;
    char key[REGISTRY_CANONICAL_MAX + sizeof(HUB_KEY)] = STORE;
    int r = 0;

    for (size_t i = 0; r == 0 && i < (call->item_count > 0 ? call->item_count : 1); i++) {
        cleanup_json struct json json = { 0 };

        if (call->item_count > 0)
            r = key_of(call->items[i], key, error);
        if (r == 0)
            r = parse(file, &json, error);
        if (r == 0)
            r = put(setup, file, &json, call->item_count > 0 ? HELPERS : NULL, key, error);
    }
    return r;
}

/* Helpers of others are asked for their registries as before. */
static void note_helpers(struct setup *setup, const struct json *json)
{
    const cJSON *helpers = setup_member(json->root, HELPERS);

    for (const cJSON *item = helpers ? helpers->child : NULL; item; item = item->next)
        if (cJSON_IsString(item) && item->string && strcmp(item->valuestring, "pullkey") != 0)
            setup_note(setup, "For %s docker goes on asking docker-credential-%s", item->string,
                       item->valuestring);
}

int setup_docker(struct setup *setup, struct pullkey_error *error)
{
    static const char fresh[] = "{\n\t\"" STORE "\": " VALUE "\n}\n", empty[] = "{}\n";
    const bool is_whole = setup->call->item_count == 0;
    cleanup_json struct json json = { 0 };
    char path[FILE_PATH_MAX];
    struct change *file;
    int r;

    setup->is_masked = true;
    r = import_docker_path(path, error);
    if (r == 0)
        r = setup_open(setup, path, 0600, &file, error);
    if (r < 0)
        return r;
    if (file->old.length == 0)
        r = setup_edit(setup, file, 0, 0, is_whole ? fresh : empty,
                       is_whole ? sizeof(fresh) - 1 : sizeof(empty) - 1, NULL, STORE, error);
    if (r == 0 && (!is_whole || file->old.length > 0))
        r = put_all(setup, file, error);
    if (r == 0)
        r = parse(file, &json, error);
    if (r == 0 && is_whole)
        note_helpers(setup, &json);
    return r;
}

/* What docker has with the helper before this one. */
static int take_helper(struct setup *setup, const char *helper, struct pullkey_error *error)
{
    char name[FILE_PATH_MAX];
    char *const program[] = { name, NULL };
    struct run_program found;
    struct pullkey_error ignored;
    int r;

    (void)snprintf(name, sizeof(name), "docker-credential-%s", helper);
    r = import_hidden(setup->call, helper, &setup->logins, error);
    if (r >= 0 || r == ADMIN_PROBLEM || r == -PULLKEY_INTERNAL)
        return r;
    setup_note(setup, "What %s has is not imported: %s", name, error->message);
    /* One that is not there gives docker nothing either, and of a registry that is named somebody
     * knows what it had. */
    if (!setup->call->values[ADMIN_WRITE] || setup->call->item_count > 0 ||
        run_program_find(program, &found, &ignored) < 0)
        return 0;
    output_note("Nothing was changed: what %s has, docker would not find any more, and it cannot "
                "be imported: %s. \"--for REGISTRY\" leaves the others to it",
                name, error->message);
    return ADMIN_PROBLEM;
}

/* The helper that a member named before. */
static int take_member(struct setup *setup, const cJSON *object, const char *key,
                       struct pullkey_error *error)
{
    const cJSON *item = setup_member(object, key);
    const char *name = cJSON_IsString(item) ? item->valuestring : "";

    return name[0] == '\0' || strcmp(name, "pullkey") == 0 ? 0 : take_helper(setup, name, error);
}

int setup_docker_hides(struct setup *setup, struct pullkey_error *error)
{
    const struct change *file = &setup->files[0];
    cleanup_json struct json json = { 0 };
    int r;

    if (file->old.length == 0)
        return 0;
    r = json_parse(&json, file->path, file->old.data, file->old.length, JSON_ANY_CASE, error);
    /* In the order in which docker asks them. */
    for (size_t i = 0; r == 0 && i < setup->call->item_count; i++) {
        char key[REGISTRY_CANONICAL_MAX + sizeof(HUB_KEY)];

        r = key_of(setup->call->items[i], key, error);
        if (r == 0)
            r = take_member(setup, setup_member(json.root, HELPERS), key, error);
    }
    if (r == 0)
        r = take_member(setup, json.root, STORE, error);
    return r < 0 ? r : import_hidden(setup->call, NULL, &setup->logins, error);
}
