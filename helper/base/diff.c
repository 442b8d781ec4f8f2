/* SPDX-License-Identifier: Apache-2.0 */
#include "diff.h"

#include <string.h>

#include "error.h"
#include "secret.h"

#define CELLS_MAX ((size_t)4 * 1024 * 1024) /* of the table below, 4 bytes each */

struct line {
    const char *text;
    size_t length; /* with its line end, if it has one */
};

struct lines {
    struct line *items;
    size_t count;
};

/* One line of the result: ' ' of both, '-' of the old, '+' of the new text. */
struct step {
    char sign;
    const struct line *line;
};

struct script {
    struct step *items;
    size_t count;
};

static int split(const struct diff_text *text, struct lines *ret, struct pullkey_error *error)
{
    size_t count = 0;

    for (size_t i = 0; i < text->length; i++)
        count += text->text[i] == '\n';
    ret->items = secret_alloc((count + 1) * sizeof(*ret->items));
    if (!ret->items)
        return error_memory(error);
    for (size_t at = 0; at < text->length;) {
        const char *end = memchr(text->text + at, '\n', text->length - at);
        size_t length = end ? (size_t)(end - text->text) + 1 - at : text->length - at;

        ret->items[ret->count++] = (struct line){ text->text + at, length };
        at += length;
    }
    return 0;
}

static bool is_equal(const struct line *a, const struct line *b)
{
    return a->length == b->length && memcmp(a->text, b->text, a->length) == 0;
}

static void add(struct script *script, char sign, const struct line *line)
{
    script->items[script->count++] = (struct step){ sign, line };
}

/* The longest common subsequence of what lies between the equal ends, by the usual table. */
static int compare_middle(const struct line *old, size_t old_count, const struct line *new,
                          size_t new_count, struct script *script, struct pullkey_error *error)
{
    size_t width = new_count + 1, i = 0, j = 0;
    cleanup_release uint32_t *table = NULL;

    if ((old_count + 1) <= CELLS_MAX / width) {
        table = secret_alloc((old_count + 1) * width * sizeof(*table));
        if (!table)
            return error_memory(error);
        for (size_t a = old_count; a-- > 0;)
            for (size_t b = new_count; b-- > 0;) {
                uint32_t down = table[(a + 1) * width + b], right = table[a * width + b + 1];

                table[a * width + b] = is_equal(&old[a], &new[b])
                                           ? table[(a + 1) * width + b + 1] + 1
                                           : (down > right ? down : right);
            }
    }
    while (table && i < old_count && j < new_count) {
        if (is_equal(&old[i], &new[j])) {
            add(script, ' ', &old[i++]);
            j++;
        } else if (table[(i + 1) * width + j] >= table[i * width + j + 1]) {
            add(script, '-', &old[i++]);
        } else {
            add(script, '+', &new[j++]);
        }
    }
    while (i < old_count)
        add(script, '-', &old[i++]);
    while (j < new_count)
        add(script, '+', &new[j++]);
    return 0;
}

static int compare(const struct lines *old, const struct lines *new, struct script *ret,
                   struct pullkey_error *error)
{
    size_t begin = 0, end = 0;
    int r;

    ret->items = secret_alloc((old->count + new->count + 1) * sizeof(*ret->items));
    if (!ret->items)
        return error_memory(error);
    while (begin < old->count &&
           begin < new->count &&is_equal(&old->items[begin], &new->items[begin]))
        add(ret, ' ', &old->items[begin++]);
    while (end < old->count - begin &&
           end < new->count - begin &&is_equal(&old->items[old->count - 1 - end],
                                               &new->items[new->count - 1 - end]))
        end++;
    r = compare_middle(old->items + begin, old->count - begin - end, new->items + begin,
                       new->count - begin - end, ret, error);
    for (size_t i = old->count - end; i < old->count; i++)
        add(ret, ' ', &old->items[i]);
    return r;
}

static void write_step(const struct step *step, struct buffer *ret)
{
    bool has_end = step->line->length > 0 && step->line->text[step->line->length - 1] == '\n';

    buffer_printf(ret, "%c", step->sign);
    buffer_append(ret, step->line->text, step->line->length);
    if (!has_end)
        buffer_append_text(ret, "\n\\ No newline at end of file\n");
}

static void write_range(struct buffer *ret, char sign, size_t first, size_t count)
{
    buffer_printf(ret, "%c%zu,%zu ", sign, count > 0 ? first + 1 : first, count);
}

/* Where the hunk that begins with the change at `at` ends. */
static size_t find_end(const struct script *script, size_t context, size_t at)
{
    size_t end = at;

    for (size_t i = at; i < script->count && i <= end + 2 * context; i++)
        if (script->items[i].sign != ' ')
            end = i;
    return end + 1;
}

static void write_hunks(const struct script *script, size_t context, struct buffer *ret)
{
    size_t old_line = 0, new_line = 0, done = 0;

    for (size_t at = 0; at < script->count; at++) {
        size_t begin, end, stop, old_count = 0, new_count = 0;

        if (script->items[at].sign == ' ')
            continue;
        begin = at > done + context ? at - context : done;
        stop = find_end(script, context, at);
        end = script->count - stop > context ? stop + context : script->count;
        for (size_t i = done; i < begin; i++, old_line++, new_line++)
            ;
        for (size_t i = begin; i < end; i++) {
            old_count += script->items[i].sign != '+';
            new_count += script->items[i].sign != '-';
        }
        buffer_append_text(ret, "@@ ");
        write_range(ret, '-', old_line, old_count);
        write_range(ret, '+', new_line, new_count);
        buffer_append_text(ret, "@@\n");
        for (size_t i = begin; i < end; i++)
            write_step(&script->items[i], ret);
        old_line += old_count;
        new_line += new_count;
        done = end;
        at = end - 1;
    }
}

int diff_unified(const struct diff_text *old, const struct diff_text *new, size_t context,
                 struct buffer *ret, struct pullkey_error *error)
{
    struct lines old_lines = { 0 }, new_lines = { 0 };
    struct script script = { 0 };
    int r = 0;

    if (old->length == new->length &&
        (old->length == 0 || memcmp(old->text, new->text, old->length) == 0))
        return 0;
    r = split(old, &old_lines, error);
    if (r == 0)
        r = split(new, &new_lines, error);
    if (r == 0)
        r = compare(&old_lines, &new_lines, &script, error);
    if (r == 0) {
        buffer_printf(ret, "--- %s\n+++ %s\n", old->name, new->name);
        write_hunks(&script, context, ret);
        r = buffer_check(ret, error);
    }
    secret_release(script.items);
    secret_release(old_lines.items);
    secret_release(new_lines.items);
    return r;
}
