/* SPDX-License-Identifier: Apache-2.0 */
/*
 * token/oauth-reply and token/token-request: the first byte chooses what the rest is, a token, a
 * refusal or the answer of an API server or of GitHub's runner. What is taken is whole and has not
 * ended; what is refused leaves nothing behind, and its error is one line without any of what was
 * sent.
 */
#include <stdlib.h>
#include <string.h>

#include "base/secret.h"
#include "token/expiry.h"
#include "token/oauth.h"
#include "token/token-request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

#define NOW 1700000000
#define SECRET "sEcReT-0123456789A-abcdefghijK.lmnop"
#define RUN 16

static void check_error(const struct pullkey_error *error)
{
    require(error->message[0] != '\0' && !strchr(error->message, '\n'));
    for (size_t i = 0; i + RUN <= strlen(SECRET); i++)
        require(!memmem(error->message, strlen(error->message), &SECRET[i], RUN));
}

static void check_token(const struct pullkey_secret *token)
{
    require(token->length > 0 && token->length <= PULLKEY_SECRET_MAX);
    require(strlen(token->bytes) == token->length);
}

static void try_reply(const struct buffer *text)
{
    cleanup_oauth_reply struct oauth_reply reply = { 0 };
    struct pullkey_error error = { 0 };

    if (oauth_read_reply(text, NOW, &reply, &error) < 0) {
        require(!reply.access_token.bytes);
        if (reply.refresh_token.bytes)
            check_token(&reply.refresh_token);
        require(error.code == PULLKEY_INVALID);
        check_error(&error);
        return;
    }
    check_token(&reply.access_token);
    if (reply.refresh_token.bytes)
        check_token(&reply.refresh_token);
    require(reply.expiry > NOW && reply.expiry <= NOW + EXPIRY_MAX_SECONDS);
    require(memchr(reply.issued_type, '\0', sizeof(reply.issued_type)));
}

static void try_refusal(const struct buffer *text)
{
    static const long statuses[] = { 400, 401, 429, 503 };
    cleanup_buffer struct buffer form = BUFFER_INIT(1024);

    http_query_add(&form, "grant_type", "refresh_token", strlen("refresh_token"));
    http_query_add(&form, "refresh_token", SECRET, strlen(SECRET));
    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
        struct pullkey_error error = { 0 };
        int r = oauth_read_error(text, statuses[i], "issuer.test", "the job", &form, &error);

        require(r == -(int)error.code);
        require(error.code == PULLKEY_DENIED || error.code == PULLKEY_INVALID ||
                error.code == PULLKEY_UNREACHABLE);
        require(statuses[i] < 429 || error.code == PULLKEY_UNREACHABLE);
        require(strstr(error.message, "issuer.test"));
        check_error(&error);
    }
}

static void try_request(const struct buffer *text)
{
    cleanup_secret struct pullkey_secret token = { 0 };
    cleanup_json struct json json = { 0 };
    struct pullkey_error error = { 0 };

    if (json_parse(&json, "answer", text->data, text->length, 0, &error) < 0)
        return;
    if (token_request_read(&json, &token, &error) < 0) {
        require(!token.bytes && error.code == PULLKEY_INVALID);
        check_error(&error);
        return;
    }
    check_token(&token);
}

static void try_github(const struct buffer *text)
{
    cleanup_secret struct pullkey_secret token = { 0 };
    struct pullkey_error error = { 0 };

    if (token_request_read_github(text, &token, &error) < 0) {
        require(!token.bytes && error.code == PULLKEY_INVALID);
        check_error(&error);
        return;
    }
    check_token(&token);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(JSON_SIZE_MAX);

    json_start();
    if (size < 2)
        return 0;
    buffer_append(&text, (const char *)data + 1, size - 1);
    switch (data[0]) {
    case 'e': try_refusal(&text); break;
    case 'g': try_github(&text); break;
    case 'k': try_request(&text); break;
    default: try_reply(&text);
    }
    return 0;
}
