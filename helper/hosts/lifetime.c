/* SPDX-License-Identifier: Apache-2.0 */
#include "lifetime.h"

#include <string.h>

#include "base/json.h"
#include "base/text.h"

#define LATEST 253402300799 /* the end of the year 9999 */

/* base64 and base64url are one alphabet but for two characters. */
static int decode(const char *text, size_t length, struct buffer *ret, struct pullkey_error *error)
{
    cleanup_buffer struct buffer plain = BUFFER_INIT(PULLKEY_SECRET_MAX);

    for (size_t i = 0; i < length; i++) {
        char c = text[i] == '-' ? '+' : text[i] == '_' ? '/' : text[i];

        buffer_append(&plain, &c, 1);
    }
    return plain.length != length ? -PULLKEY_INVALID
                                  : text_base64_decode(plain.data, length, ret, error);
}

/* A member that is a number, of an object in base64. */
static int64_t read_member(const char *text, size_t length, const char *key)
{
    cleanup_buffer struct buffer plain = BUFFER_INIT(PULLKEY_SECRET_MAX);
    cleanup_json struct json json = { 0 };
    struct pullkey_error ignored;
    const cJSON *value;

    if (length == 0 || decode(text, length, &plain, &ignored) < 0 || plain.length == 0 ||
        plain.data[0] != '{' ||
        json_parse(&json, "secret", plain.data, plain.length, 0, &ignored) < 0)
        return 0;
    value = json_member(json.root, key);
    if (!cJSON_IsNumber(value) || !(value->valuedouble > 0 && value->valuedouble <= LATEST))
        return 0;
    return (int64_t)value->valuedouble;
}

int64_t lifetime_read(const struct pullkey_secret *secret)
{
    const char *payload = memchr(secret->bytes, '.', secret->length);
    const char *end = secret->bytes + secret->length;
    const char *signature;

    if (!payload)
        return read_member(secret->bytes, secret->length, "expiration");
    payload++;
    signature = memchr(payload, '.', (size_t)(end - payload));
    if (!signature || memchr(signature + 1, '.', (size_t)(end - signature - 1)))
        return 0;
    return read_member(payload, (size_t)(signature - payload), "exp");
}
