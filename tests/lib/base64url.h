/* SPDX-License-Identifier: Apache-2.0 */
/* For tests that make tokens: base64 as RFC 7515 has it, with "-" and "_" and without padding. */
#ifndef PULLKEY_TESTS_BASE64URL_H
#define PULLKEY_TESTS_BASE64URL_H

#include "base/text.h"

static inline void append_base64url(struct buffer *buffer, const char *bytes, size_t length)
{
    const size_t begin = buffer->length;

    text_base64_encode(buffer, bytes, length);
    while (buffer->length > begin && buffer->data[buffer->length - 1] == '=')
        buffer->data[--buffer->length] = '\0';
    for (size_t i = begin; i < buffer->length; i++) {
        char c = buffer->data[i];

        buffer->data[i] = (char)(c == '+' ? '-' : c == '/' ? '_' : c);
    }
}

#endif
