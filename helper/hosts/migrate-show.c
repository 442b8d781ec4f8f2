/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Differences without secrets. What a parser finds under a name that means a secret is learnt, and
 * masked wherever it stands; so is what follows such a name in a comment. The text that comes out
 * is searched once more.
 */
#include "migrate.h"

#include <string.h>

#include "base/diff.h"
#include "base/error.h"
#include "base/secret.h"
#include "base/text.h"
#include "core/module.h"
#include "mask-text.h"

#define DIFF_MAX (8 * TOML_SIZE_MAX)
#define LEARN_AT_LEAST 6 /* bytes: "none" is a word, and masked where it stands alone */

/* "https://user:password@host": what stands between the colon and the '@'. */
static int learn_url(struct migrate *migrate, const char *text, struct pullkey_error *error)
{
    const char *begin = strstr(text, "://"), *end, *colon;

    if (!begin)
        return 0;
    begin += 3;
    end = memchr(begin, '@', strcspn(begin, "/?#"));
    colon = end ? memchr(begin, ':', (size_t)(end - begin)) : NULL;
    return colon ? mask_add(&migrate->mask, colon + 1, (size_t)(end - colon - 1), error) : 0;
}

/* The value, and behind a scheme ("Basic ...") what follows it. */
static int learn_value(struct migrate *migrate, const char *text, size_t length, bool is_secret,
                       struct pullkey_error *error)
{
    const char *blank = memchr(text, ' ', length);
    int r = learn_url(migrate, text, error);

    if (r < 0 || !is_secret || length < LEARN_AT_LEAST)
        return r;
    if (length > PULLKEY_SECRET_MAX)
        length = PULLKEY_SECRET_MAX;
    r = mask_add(&migrate->mask, text, length, error);
    if (r == 0 && blank && blank < text + length)
        r = mask_add(&migrate->mask, blank + 1, length - (size_t)(blank + 1 - text), error);
    return r;
}

static int learn_item(struct migrate *migrate, const struct toml_item *item, bool is_secret,
                      struct pullkey_error *error)
{
    int r = 0;

    if (item->kind == TOML_STRING)
        return learn_value(migrate, item->string, item->string_length, is_secret, error);
    for (const struct toml_item *child = item->first; r == 0 && child; child = child->next) {
        bool secret = is_secret || (item->kind == TOML_TABLE && child->kind != TOML_TABLE &&
                                    mask_means_secret(child->key));

        if (child->key && mask_is_headers(child->key))
            secret = true;
        r = learn_item(migrate, child, secret, error);
    }
    return r;
}

int migrate_learn_toml(struct migrate *migrate, const struct toml_document *toml,
                       struct pullkey_error *error)
{
    return toml->root ? learn_item(migrate, toml->root, false, error) : 0;
}

int migrate_learn_json(struct migrate *migrate, const cJSON *tree, struct pullkey_error *error)
{
    int r = 0;

    for (const cJSON *item = tree ? tree->child : NULL; r == 0 && item; item = item->next) {
        if (cJSON_IsString(item))
            r = learn_value(migrate, item->valuestring, strlen(item->valuestring),
                            item->string && mask_means_secret(item->string), error);
        else
            r = migrate_learn_json(migrate, item, error);
    }
    return r;
}

static int mask_toml(const struct buffer *text, struct buffer *ret, struct pullkey_error *error)
{
    cleanup_toml struct toml_document toml = { 0 };
    cleanup_edits struct edits edits = { 0 };
    struct pullkey_error ignored;
    int r;

    /* A file of another kind: its values were learnt. */
    if (toml_parse(&toml, "the text", text->data ? text->data : "", text->length, &ignored) < 0) {
        buffer_append(ret, text->data ? text->data : "", text->length);
        return buffer_check(ret, error);
    }
    r = mask_places(toml.root, mask_means_secret, false, &edits, error);
    return r < 0 ? r : edits_apply(&edits, toml.text, toml.length, ret, error);
}

/* The places of a reader are in the order of the tree. */
struct walk {
    const struct pullkey_place *places;
    size_t count, at;
    struct edits *edits;
};

static int mask_values(struct walk *walk, const cJSON *item, struct pullkey_error *error)
{
    size_t number = walk->at++;
    int r = 0;

    if (number >= walk->count)
        return error_set(error, PULLKEY_INTERNAL, "a place is not known");
    if (cJSON_IsString(item) && item->string && mask_means_secret(item->string))
        return edits_add(walk->edits, walk->places[number].begin, walk->places[number].end,
                         MASK_TEXT, sizeof(MASK_TEXT) - 1, error);
    for (const cJSON *child = item->child; r == 0 && child; child = child->next)
        r = mask_values(walk, child, error);
    return r;
}

/* An empty document has no tree. */
static int mask_yaml(const struct buffer *text, struct buffer *ret, struct pullkey_error *error)
{
    cleanup_secret struct pullkey_secret json = { 0 };
    cleanup_release struct pullkey_place *places = NULL;
    cleanup_json struct json tree = { 0 };
    cleanup_edits struct edits edits = { 0 };
    const struct pullkey_reader *reader;
    const char *bytes = text->data ? text->data : "";
    struct walk walk = { .edits = &edits };
    int r = module_find_reader("yaml", &reader, error);

    if (r == 0)
        r = reader->read(&module_host, "the text", bytes, text->length, &json, &places, &walk.count,
                         error);
    if (r == 0)
        r = json_parse(&tree, "the text", json.bytes, json.length, 0, error);
    walk.places = places;
    if (r == 0)
        r = mask_values(&walk, tree.root, error);
    return r < 0 ? r : edits_apply(&edits, bytes, text->length, ret, error);
}

static int mask_text(const struct migrate *migrate, const struct buffer *text, bool is_yaml,
                     struct buffer *ret, struct pullkey_error *error)
{
    cleanup_buffer struct buffer places = BUFFER_INIT(DIFF_MAX);
    cleanup_buffer struct buffer values = BUFFER_INIT(DIFF_MAX);
    int r = is_yaml ? mask_yaml(text, &places, error) : mask_toml(text, &places, error);

    if (r == 0)
        r = mask_apply(&migrate->mask, places.data ? places.data : "", places.length, &values,
                       error);
    return r < 0 ? r : mask_comments(&values, ret, error);
}

/* Line by line, but for the numbers of lines. */
static bool shows_secret(const struct migrate *migrate, const struct buffer *text)
{
    for (size_t at = 0; at < text->length;) {
        size_t end = edit_line_end(text->data, text->length, at);

        if (strncmp(text->data + at, "@@ ", 3) != 0 &&
            mask_finds(&migrate->mask, text->data + at, end - at))
            return true;
        at = end;
    }
    return false;
}

int migrate_show_diff(const struct migrate *migrate, const struct migrate_file *file,
                      struct buffer *ret, struct pullkey_error *error)
{
    cleanup_buffer struct buffer old = BUFFER_INIT(DIFF_MAX), new = BUFFER_INIT(DIFF_MAX);
    struct diff_text before, after;
    int r = mask_text(migrate, &file->old, file->is_yaml, &old, error);

    if (r == 0)
        r = mask_text(migrate, &file->new, file->is_yaml, &new, error);
    if (r < 0)
        return r;
    before = (struct diff_text){ old.data, old.length, file->is_new ? "/dev/null" : file->inner };
    after = (struct diff_text){ new.data, new.length, file->inner };
    r = diff_unified(&before, &after, DIFF_CONTEXT, ret, error);
    if (r == 0 && shows_secret(migrate, ret))
        return error_set(error, PULLKEY_INTERNAL,
                         "%s: the difference would show a secret, so it is not shown, and nothing "
                         "is changed",
                         file->inner);
    return r;
}
