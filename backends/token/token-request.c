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

static int take(const cJSON *token, const char *none, struct pullkey_secret *ret,
                struct pullkey_error *error)
{
    const size_t length = cJSON_IsString(token) ? strlen(token->valuestring) : 0;

    if (length == 0 || length > PULLKEY_SECRET_MAX)
        return error_set(error, PULLKEY_INVALID, "%s", none);
    return secret_set(ret, token->valuestring, length, error);
}

int token_request_read(const struct json *answer, struct pullkey_secret *ret,
                       struct pullkey_error *error)
{
    const cJSON *status = json_member(answer->root, "status");

    return take(status ? json_member(status, "token") : NULL,
                "the API server answers a TokenRequest without a token", ret, error);
}

int token_request_read_github(const struct buffer *body, struct pullkey_secret *ret,
                              struct pullkey_error *error)
{
    cleanup_json struct json json = { 0 };
    const cJSON *value = NULL;

    if (json_parse(&json, "reply", body->data ? body->data : "", body->length, 0, error) == 0)
        value = json_member(json.root, "value");
    return take(value, "the answer of GitHub Actions has no \"value\" with an identity token", ret,
                error);
}
