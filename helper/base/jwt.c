/* SPDX-License-Identifier: Apache-2.0 */
#include "jwt.h"

#include <string.h>

#include "error.h"
#include "text.h"

#define LATEST 253402300799.0 /* the end of the year 9999 */

static int refuse(struct pullkey_error *error)
{
    return error_set(error, PULLKEY_INVALID, "this is no JSON Web Token");
}

/* Base64url without padding (RFC 7515 section 2), and the dots between. */
static bool is_compact(const struct pullkey_secret *token)
{
    static const char characters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                     "0123456789-_.";

    return token->bytes && token->length <= PULLKEY_SECRET_MAX &&
           strspn(token->bytes, characters) == token->length;
}

/* The second of exactly three parts. */
static int decode_payload(const struct pullkey_secret *token, struct buffer *ret,
                          struct pullkey_error *error)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(PULLKEY_SECRET_MAX);
    const char *begin, *end;

    if (!is_compact(token))
        return refuse(error);
    begin = strchr(token->bytes, '.');
    end = begin ? strchr(begin + 1, '.') : NULL;
    if (!end || strchr(end + 1, '.') || end[1] == '\0' || end == begin + 1 || begin == token->bytes)
        return refuse(error);
    buffer_append(&text, begin + 1, (size_t)(end - begin - 1));
    if (buffer_check(&text, error) < 0)
        return -(int)error->code;
    for (size_t i = 0; i < text.length; i++) {
        char c = text.data[i];

        text.data[i] = (char)(c == '-' ? '+' : c == '_' ? '/' : c);
    }
    return text_base64_decode(text.data, text.length, ret, error) < 0 ? refuse(error) : 0;
}

int jwt_claims(const struct pullkey_secret *token, struct json *ret, struct pullkey_error *error)
{
    cleanup_buffer struct buffer payload = BUFFER_INIT(PULLKEY_SECRET_MAX);
    int r = decode_payload(token, &payload, error);

    if (r < 0)
        return r;
    if (payload.length == 0 || payload.data[0] != '{' ||
        json_parse(ret, "token", payload.data, payload.length, 0, error) < 0)
        return refuse(error);
    return 0;
}

int64_t jwt_expiry(const struct pullkey_secret *token)
{
    cleanup_json struct json claims = { 0 };
    struct pullkey_error ignored;
    const cJSON *expiry;

    if (jwt_claims(token, &claims, &ignored) < 0)
        return 0;
    expiry = json_member(claims.root, "exp");
    if (!cJSON_IsNumber(expiry) || !(expiry->valuedouble > 0 && expiry->valuedouble <= LATEST))
        return 0;
    return (int64_t)expiry->valuedouble;
}
