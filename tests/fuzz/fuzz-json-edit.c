/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/json-edit: the first byte of the input is the flags, the second says which object or list,
 * the rest is a document. A member that is put in is all that differs, in the tree and in the text;
 * another value of it is that; and with the member out again, the tree is the first.
 */
#include "fuzz-host.h"

#include <string.h>
#include <strings.h>

#include "base/json-edit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define KEY "new key"

struct text {
    struct buffer buffer;
    struct json json;
};

static void text_done(struct text *text)
{
    buffer_done(&text->buffer);
    json_done(&text->json);
}

#define cleanup_text __attribute__((cleanup(text_done)))

static cJSON *find_container(cJSON *tree, unsigned int *number)
{
    if ((cJSON_IsObject(tree) || cJSON_IsArray(tree)) && (*number)-- == 0)
        return tree;
    for (cJSON *item = tree->child; item; item = item->next) {
        cJSON *found = find_container(item, number);

        if (found)
            return found;
    }
    return NULL;
}

/* Applies the edit, and parses what comes out. */
static void apply(const struct json *json, const struct json_edit *edit, struct text *ret)
{
    struct pullkey_error error;
    const size_t rest = json->length - edit->end;

    require(edit->begin <= edit->end && edit->end <= json->length);
    require(json_edit_apply(edit, json->text, json->length, &ret->buffer, &error) == 0);
    require(ret->buffer.length == edit->begin + edit->text.length + rest);
    require(memcmp(ret->buffer.data, json->text, edit->begin) == 0);
    require(memcmp(ret->buffer.data + ret->buffer.length - rest, json->text + edit->end, rest) ==
            0);
    require(json_parse(&ret->json, "edited", ret->buffer.data, ret->buffer.length, json->flags,
                       &error) == 0);
}

static void require_equal(const cJSON *a, const cJSON *b)
{
    cleanup_buffer struct buffer first = BUFFER_INIT(4 * JSON_SIZE_MAX);
    cleanup_buffer struct buffer second = BUFFER_INIT(4 * JSON_SIZE_MAX);
    struct pullkey_error error;

    require(json_write_tree(&first, a, false, &error) == 0);
    require(json_write_tree(&second, b, false, &error) == 0);
    require(strcmp(first.data, second.data) == 0);
}

static void edit_object(const struct json *json, cJSON *object, unsigned int number)
{
    cleanup_json_edit struct json_edit edit = JSON_EDIT_INIT, other = JSON_EDIT_INIT,
                                       removal = JSON_EDIT_INIT;
    cleanup_text struct text inserted = { .buffer = BUFFER_INIT(JSON_SIZE_MAX) },
                             replaced = { .buffer = BUFFER_INIT(JSON_SIZE_MAX) },
                             removed = { .buffer = BUFFER_INIT(JSON_SIZE_MAX) };
    cJSON *item = cJSON_CreateString("value");
    const cJSON *member;
    struct pullkey_error error;
    unsigned int at = number;

    require(json_edit_insert(json, object, KEY, "\"value\"", &edit, &error) == 0);
    require(edit.begin == edit.end);
    apply(json, &edit, &inserted);
    member = json_member(find_container(inserted.json.root, &at), KEY);
    require(member != NULL);

    json_edit_remove(&inserted.json, member, &removal);
    apply(&inserted.json, &removal, &removed);
    require_equal(removed.json.root, json->root);

    require(json_edit_replace(&inserted.json, member, "\"\\\\\\\"\"", &other, &error) == 0);
    apply(&inserted.json, &other, &replaced);
    at = number;
    member = json_member(find_container(replaced.json.root, &at), KEY);
    require(member && strcmp(member->valuestring, "\\\"") == 0);

    item->string = secret_copy(KEY, strlen(KEY));
    require(item->string && cJSON_InsertItemInArray(object, 0, item));
    require_equal(inserted.json.root, json->root);
}

static void edit_list(const struct json *json, cJSON *list)
{
    cleanup_json_edit struct json_edit edit = JSON_EDIT_INIT;
    cleanup_text struct text inserted = { .buffer = BUFFER_INIT(JSON_SIZE_MAX) };
    struct pullkey_error error;

    require(json_edit_insert(json, list, NULL, "true", &edit, &error) == 0);
    apply(json, &edit, &inserted);
    require(cJSON_InsertItemInArray(list, 0, cJSON_CreateTrue()));
    require_equal(inserted.json.root, json->root);
}

/* A string that is there already, whatever stands around it. */
static void remove_strings(const struct json *json, const cJSON *object)
{
    for (const cJSON *item = object->child; item; item = item->next) {
        cleanup_json_edit struct json_edit edit = JSON_EDIT_INIT;
        cleanup_text struct text removed = { .buffer = BUFFER_INIT(JSON_SIZE_MAX) };
        cJSON *copy;

        if (!cJSON_IsString(item))
            continue;
        json_edit_remove(json, item, &edit);
        apply(json, &edit, &removed);
        if (object != json->root)
            return;
        copy = cJSON_Duplicate(object, 1);
        require(copy != NULL);
        cJSON_DeleteItemFromObjectCaseSensitive(copy, item->string);
        require_equal(removed.json.root, copy);
        cJSON_Delete(copy);
        return;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cleanup_json struct json json = { 0 };
    struct pullkey_error error;
    unsigned int number;
    cJSON *parent;

    if (size < 2 || size > JSON_SIZE_MAX / 2)
        return 0;
    json_start();
    if (json_parse(&json, "input", (const char *)data + 2, size - 2, data[0] & 3, &error) < 0)
        return 0;
    number = data[1];
    parent = find_container(json.root, &number);
    if (cJSON_IsArray(parent))
        edit_list(&json, parent);
    if (!cJSON_IsObject(parent))
        return 0;
    remove_strings(&json, parent);
    for (const cJSON *item = parent->child; item; item = item->next)
        if (strcasecmp(item->string, KEY) == 0)
            return 0;
    edit_object(&json, parent, data[1]);
    return 0;
}
