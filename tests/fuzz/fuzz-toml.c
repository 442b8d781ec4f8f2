/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hosts/toml: the input is a document. What is read is a tree whose places are right: each value,
 * key and header, read alone from where it is said to stand, is the same once more.
 */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "hosts/toml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ALONE_MAX 200 /* values that are read alone, of one document */

static void require(bool condition)
{
    if (!condition)
        abort();
}

static bool is_same(const struct toml_item *a, const struct toml_item *b)
{
    const struct toml_item *c = a->first, *d = b->first;

    if (a->kind != b->kind || !a->key != !b->key || (a->key && strcmp(a->key, b->key) != 0))
        return false;
    if (a->kind == TOML_STRING)
        return a->string_length == b->string_length &&
               memcmp(a->string, b->string, a->string_length + 1) == 0;
    if (a->integer != b->integer || a->boolean != b->boolean)
        return false;
    for (; c && d; c = c->next, d = d->next)
        if (!is_same(c, d))
            return false;
    return !c && !d;
}

static void read_alone(struct toml_document *ret, const struct toml_document *toml,
                       const char *before, size_t begin, size_t end, const char *after)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(TOML_SIZE_MAX);
    struct pullkey_error error;

    buffer_append_text(&text, before);
    buffer_append(&text, toml->text + begin, end - begin);
    buffer_append_text(&text, after);
    require(toml_parse(ret, "alone", text.data, text.length, &error) == 0);
}

static void check_value(const struct toml_document *toml, const struct toml_item *item)
{
    cleanup_toml struct toml_document alone = { 0 };
    struct toml_item copy = *item;

    read_alone(&alone, toml, "key = ", item->begin, item->end, "\n");
    copy.key = alone.root->first->key;
    require(is_same(alone.root->first, &copy) && !alone.root->first->next);
}

static void check_key(const struct toml_document *toml, const struct toml_item *item)
{
    cleanup_toml struct toml_document alone = { 0 };

    read_alone(&alone, toml, "", item->key_begin, item->key_end, " = 1\n");
    require(strcmp(alone.root->first->key, item->key) == 0);
}

/* A header ends in the key of its table. */
static void check_header(const struct toml_document *toml, const struct toml_item *table)
{
    cleanup_toml struct toml_document alone = { 0 };
    const struct toml_item *found;

    require(toml->text[table->begin] == '[' && toml->text[table->end - 1] == ']');
    read_alone(&alone, toml, "", table->begin, table->end, "\n");
    for (found = alone.root->first; found->first; found = found->first)
        ;
    require(found->kind == TOML_TABLE);
    if (table->key)
        require(strcmp(found->key, table->key) == 0);
}

static void check_item(const struct toml_document *toml, const struct toml_item *item, size_t *left)
{
    const struct toml_item *before = NULL;

    require(item->begin <= item->end && item->end <= toml->length && item->line >= 1);
    require(item->key_begin <= item->key_end && item->key_end <= toml->length);
    require(!item->key || (item->parent && item->parent->kind == TOML_TABLE));
    if (item->parent && *left > 0) {
        --*left;
        if (item->kind != TOML_TABLE || item->is_inline) {
            if (toml->text[item->begin] != '[' || item->key_end > 0 || !item->key)
                check_value(toml, item);
        } else if (item->has_header) {
            check_header(toml, item);
        }
        if (item->key_end > 0)
            check_key(toml, item);
    }
    for (const struct toml_item *member = item->first; member; member = member->next) {
        require(member->parent == item && (!before || before->begin <= member->begin));
        require(!item->is_inline || (member->begin >= item->begin && member->end <= item->end));
        check_item(toml, member, left);
        before = member;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cleanup_toml struct toml_document toml = { 0 };
    cleanup_buffer struct buffer string = BUFFER_INIT(16 * TOML_SIZE_MAX);
    struct pullkey_error error = { 0 };
    size_t left = ALONE_MAX;

    if (toml_parse(&toml, "input", (const char *)data, size, &error) < 0) {
        require(error.code == PULLKEY_INVALID && strncmp(error.message, "input:", 6) == 0 &&
                !strchr(error.message, '\n') && !toml.root);
        return 0;
    }
    require(toml.length == size && (size == 0 || memcmp(toml.text, data, size) == 0));
    check_item(&toml, toml.root, &left);

    /* All of it as one string. */
    toml_write_string(&string, toml.text, toml.length);
    if (string.length < TOML_SIZE_MAX / 2) {
        cleanup_toml struct toml_document alone = { 0 };
        cleanup_buffer struct buffer text = BUFFER_INIT(TOML_SIZE_MAX);

        buffer_printf(&text, "key = %s", string.data);
        require(toml_parse(&alone, "string", text.data, text.length, &error) == 0);
        require(alone.root->first->string_length == size && !alone.root->first->next);
    }
    return 0;
}
