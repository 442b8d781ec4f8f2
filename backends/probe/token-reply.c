/* SPDX-License-Identifier: Apache-2.0 */
#include "token-reply.h"

#include "base/error.h"
#include "base/json.h"
#include "base/secret.h"

#include <string.h>

int token_parse(const struct buffer *body, const char *server, struct pullkey_secret *ret,
                struct pullkey_error *error)
{
    cleanup_json struct json json = { 0 };
    struct pullkey_error why;
    const cJSON *token = NULL;
    size_t length;

    /* The reason why it is no JSON would quote the reply's keys, which are the server's own words.
     */
    if (body->length == 0 || json_parse(&json, "reply", body->data, body->length, 0, &why) < 0)
        return error_set(error, PULLKEY_INVALID,
                         "the token server %s does not answer with proper JSON", server);
    token = json_member(json.root, "token");
    if (!cJSON_IsString(token) || token->valuestring[0] == '\0')
        token = json_member(json.root, "access_token");
    if (!cJSON_IsString(token) || token->valuestring[0] == '\0')
        return error_set(error, PULLKEY_INVALID, "the answer of the token server %s holds no token",
                         server);
    length = strlen(token->valuestring);
    if (length > PULLKEY_SECRET_MAX)
        return error_set(error, PULLKEY_INVALID, "the token of the token server %s is too long",
                         server);
    return secret_set(ret, token->valuestring, length, error);
}
