/* SPDX-License-Identifier: Apache-2.0 */
#include "yaml-text.h"

#include <string.h>

#include "base/error.h"
#include "edit.h"

/* Nothing but blanks, and a comment. */
static bool is_rest(const char *text, size_t begin, size_t end)
{
    while (begin < end && strchr(" \t\r\n", text[begin]))
        begin++;
    return begin == end || text[begin] == '#';
}

static bool is_indent(const char *text, size_t begin, size_t end)
{
    while (begin < end && text[begin] == ' ')
        begin++;
    return begin == end;
}

int yaml_text_remove(const char *text, size_t length, const struct pullkey_place *const *places,
                     size_t count, struct buffer *ret, struct pullkey_error *error)
{
    size_t at = 0;

    for (size_t i = 0; i < count; i++) {
        size_t begin, end;

        if (places[i]->key_begin > places[i]->end || places[i]->end > length)
            return error_set(error, PULLKEY_INTERNAL, "a place lies outside of its text");
        begin = edit_line_begin(text, places[i]->key_begin);
        end = edit_line_end(text, length, places[i]->end > 0 ? places[i]->end - 1 : 0);
        if (begin < at || !is_indent(text, begin, places[i]->key_begin) ||
            !is_rest(text, places[i]->end, end))
            return error_set(
                error, PULLKEY_INVALID,
                "line %zu: this shares its line with something else: write each key on "
                "a line of its own",
                places[i]->line);
        buffer_append(ret, text + at, begin - at);
        at = end;
    }
    buffer_append(ret, text + at, length - at);
    return buffer_check(ret, error);
}
