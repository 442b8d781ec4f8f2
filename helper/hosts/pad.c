/* SPDX-License-Identifier: Apache-2.0 */
#include "pad.h"

bool pad_text(struct buffer *text, size_t size)
{
    if (text->length > 0 && text->length < size && text->data[text->length - 1] != '\n')
        buffer_append_text(text, "\n");
    if (text->length + 1 < size)
        buffer_append_text(text, "#");
    while (text->state == BUFFER_FINE && text->length + 1 < size)
        buffer_append_text(text, " ");
    if (text->length < size)
        buffer_append_text(text, "\n");
    return text->state == BUFFER_FINE && text->length == size;
}

size_t pad_begin(const struct buffer *text)
{
    size_t end = text->length > 0 ? text->length - 1 : 0;

    while (end > 0 && text->data[end - 1] == ' ')
        end--;
    /* "#" and spaces at the end of the file. */
    if (end > 0 && text->data[end - 1] == '#' && text->data[text->length - 1] == '\n' &&
        (end == 1 || text->data[end - 2] == '\n'))
        return end - 1;
    return text->length;
}
