/* SPDX-License-Identifier: Apache-2.0 */
/*
 * token/google-credentials and token/google-reply: the first byte chooses what the rest is, a file
 * with credentials or an answer. What is taken is whole; what is refused leaves nothing behind, and
 * its error is one line.
 */
#include <stdlib.h>
#include <string.h>

#include "base/secret.h"
#include "token/google.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

#define NOW 1700000000

static void check_error(const struct pullkey_error *error)
{
    require(error->code == PULLKEY_INVALID || error->code == PULLKEY_DENIED);
    require(error->message[0] != '\0' && !strchr(error->message, '\n'));
}

static void check_token(int r, const struct pullkey_secret *token,
                        const struct pullkey_error *error)
{
    if (r < 0) {
        require(!token->bytes);
        check_error(error);
        return;
    }
    require(token->length > 0 && token->length <= PULLKEY_SECRET_MAX);
    require(strlen(token->bytes) == token->length);
}

static void try_file(const struct buffer *text)
{
    cleanup_json struct json json = { 0 };
    struct google_credentials credentials, source;
    struct pullkey_error error = { 0 };

    if (json_parse(&json, "file", text->data, text->length, 0, &error) < 0)
        return;
    if (google_credentials_read(&json, json.root, &credentials, &error) < 0) {
        check_error(&error);
        return;
    }
    switch (credentials.kind) {
    case GOOGLE_SERVICE_ACCOUNT:
        require(credentials.email[0] != '\0' && credentials.private_key[0] != '\0');
        break;
    case GOOGLE_AUTHORIZED_USER:
        require(credentials.client_id[0] != '\0' && credentials.client_secret[0] != '\0' &&
                credentials.refresh_token[0] != '\0');
        break;
    case GOOGLE_EXTERNAL_ACCOUNT:
        require(credentials.audience[0] != '\0' && credentials.token_url[0] != '\0');
        require((credentials.source.file != NULL) + (credentials.source.url != NULL) +
                    (credentials.source.command != NULL) +
                    (credentials.source.verification_url != NULL) +
                    (credentials.source.certificate != NULL) ==
                1);
        require(!credentials.source.command ||
                (credentials.source.command[0] == '/' && credentials.source.timeout_ms >= 5000));
        break;
    case GOOGLE_IMPERSONATED:
        require(credentials.impersonation_url[0] != '\0');
        (void)google_credentials_read(&json, credentials.source_credentials, &source, &error);
        break;
    }
    require(credentials.lifetime >= 600 && credentials.lifetime <= 43200);
}

static void try_iam(const struct buffer *text)
{
    struct oauth_reply reply = { 0 };
    struct pullkey_error error = { 0 };
    int r = google_read_iam(text, NOW, &reply, &error);

    check_token(r, &reply.access_token, &error);
    require(r < 0 || reply.expiry > NOW);
    secret_done(&reply.access_token);
    require(google_read_iam_error(text, 403, "iam.test", "somebody", "somebody else", &error) < 0);
    check_error(&error);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(JSON_SIZE_MAX);
    cleanup_secret struct pullkey_secret token = { 0 };
    const struct google_source plain = { 0 }, json = { .field = "value" };
    struct pullkey_error error = { 0 };

    json_start();
    if (size < 2)
        return 0;
    buffer_append(&text, (const char *)data + 1, size - 1);
    if (buffer_check(&text, &error) < 0)
        return 0;
    switch (data[0]) {
    case 'f': try_file(&text); break;
    case 'i': try_iam(&text); break;
    case 'e':
        check_token(google_executable_read(&text, NOW, &token, &error), &token, &error);
        break;
    default:
        check_token(google_subject_read(data[0] == 'j' ? &json : &plain, &text, &token, &error),
                    &token, &error);
    }
    return 0;
}
