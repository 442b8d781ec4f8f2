/* SPDX-License-Identifier: Apache-2.0 */
#include "token-request.h"

#include <string.h>

#include "base/error.h"
#include "base/secret.h"

#define REQUEST_MAX 16384

int token_request_write(const char *audience, int64_t seconds, struct pullkey_secret *ret,
                        struct pullkey_error *error)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(REQUEST_MAX);

    buffer_append_text(&text, "{\"apiVersion\":\"authentication.k8s.io/v1\","
                              "\"kind\":\"TokenRequest\",\"spec\":{\"audiences\":[");
    json_write_string(&text, audience, strlen(audience));
    buffer_printf(&text, "],\"expirationSeconds\":%lld}}", (long long)seconds);
    return buffer_steal(&text, ret, error);
}

int token_request_read(const struct json *answer, struct pullkey_secret *ret,
                       struct pullkey_error *error)
{
    const cJSON *status = json_member(answer->root, "status");
    const cJSON *token = status ? json_member(status, "token") : NULL;
    const size_t length = cJSON_IsString(token) ? strlen(token->valuestring) : 0;

    if (length == 0 || length > PULLKEY_SECRET_MAX)
        return error_set(error, PULLKEY_INVALID,
                         "the API server answers a TokenRequest without a token");
    return secret_set(ret, token->valuestring, length, error);
}
