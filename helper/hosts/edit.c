/* SPDX-License-Identifier: Apache-2.0 */
#include "edit.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/secret.h"

int edits_add(struct edits *edits, size_t begin, size_t end, const char *text, size_t length,
              struct pullkey_error *error)
{
    char *copy;

    if (edits->count == edits->capacity) {
        size_t capacity = edits->capacity > 0 ? 2 * edits->capacity : 8;
        struct edit *items = secret_alloc(capacity * sizeof(*items));

        if (!items)
            return error_memory(error);
        if (edits->count > 0)
            memcpy(items, edits->items, edits->count * sizeof(*items));
        secret_release(edits->items);
        edits->items = items;
        edits->capacity = capacity;
    }
    copy = secret_copy(text, length);
    if (!copy)
        return error_memory(error);
    edits->items[edits->count] = (struct edit){ begin, end, edits->count, copy, length };
    edits->count++;
    return 0;
}

static int order(const void *a, const void *b)
{
    const struct edit *first = a, *second = b;

    if (first->begin != second->begin)
        return first->begin < second->begin ? -1 : 1;
    return first->number < second->number ? -1 : 1;
}

int edits_apply(struct edits *edits, const char *text, size_t length, struct buffer *ret,
                struct pullkey_error *error)
{
    size_t at = 0;

    if (edits->count > 1)
        qsort(edits->items, edits->count, sizeof(*edits->items), order);
    for (size_t i = 0; i < edits->count; i++) {
        const struct edit *edit = &edits->items[i];

        if (edit->begin < at || edit->end < edit->begin || edit->end > length)
            return error_set(error, PULLKEY_INTERNAL, "two changes of a text overlap");
        buffer_append(ret, text + at, edit->begin - at);
        buffer_append(ret, edit->text, edit->length);
        at = edit->end;
    }
    buffer_append(ret, text + at, length - at);
    return buffer_check(ret, error);
}

void edits_done(struct edits *edits)
{
    for (size_t i = 0; i < edits->count; i++)
        secret_release(edits->items[i].text);
    secret_release(edits->items);
    *edits = (struct edits){ 0 };
}

size_t edit_line_begin(const char *text, size_t at)
{
    while (at > 0 && text[at - 1] != '\n')
        at--;
    return at;
}

size_t edit_line_end(const char *text, size_t length, size_t at)
{
    const char *end = at < length ? memchr(text + at, '\n', length - at) : NULL;

    return end ? (size_t)(end - text) + 1 : length;
}
