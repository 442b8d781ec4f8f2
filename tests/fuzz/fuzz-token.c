/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probe/token-reply: the input is what a token server answers. A token keeps the limits and is in
 * the reply; an error is one of three sentences, so it holds nothing of the reply.
 */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/secret.h"
#include "probe/token-reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

#define SERVER "auth.example.com"

static void check_token(const struct buffer *body, const struct pullkey_secret *token)
{
    require(token->bytes && token->length > 0 && token->length <= PULLKEY_SECRET_MAX);
    require(strlen(token->bytes) == token->length);
    if (!memchr(body->data, '\\', body->length))
        require(memmem(body->data, body->length, token->bytes, token->length));
}

static void check_error(const struct pullkey_secret *token, const struct pullkey_error *error)
{
    static const char *const sentences[] = {
        "the token server " SERVER " does not answer with proper JSON",
        "the answer of the token server " SERVER " holds no token",
        "the token of the token server " SERVER " is too long",
    };
    bool known = false;

    require(!token->bytes && token->length == 0 && error->code == PULLKEY_INVALID);
    for (size_t i = 0; i < sizeof(sentences) / sizeof(sentences[0]); i++)
        known = known || strcmp(error->message, sentences[i]) == 0;
    require(known);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cleanup_buffer struct buffer body = BUFFER_INIT(JSON_SIZE_MAX);
    cleanup_secret struct pullkey_secret token = { 0 };
    struct pullkey_error error = { 0 };

    json_start();
    buffer_append(&body, (const char *)data, size);
    if (buffer_check(&body, &error) < 0)
        return 0;
    if (token_parse(&body, SERVER, &token, &error) == 0)
        check_token(&body, &token);
    else
        check_error(&token, &error);
    return 0;
}
