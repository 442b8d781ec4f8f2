/* SPDX-License-Identifier: Apache-2.0 */
#include "http.h"

#include <string.h>

void http_query_value(struct buffer *query, const char *value, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)value[i];

        /* RFC 3986 section 2.3 */
        if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
            (c != '\0' && strchr("-._~", c)))
            buffer_append(query, &value[i], 1);
        else
            buffer_printf(query, "%%%02X", c);
    }
}

void http_query_add(struct buffer *query, const char *name, const char *value, size_t length)
{
    if (query->length > 0)
        buffer_append(query, "&", 1);
    buffer_append_text(query, name);
    buffer_append(query, "=", 1);
    http_query_value(query, value, length);
}
