/* SPDX-License-Identifier: Apache-2.0 */
/*
 * token/google-credentials, google-proof and google-reply: the first byte chooses what the rest is,
 * a file, a part of one or an answer. What is taken is whole; what is refused leaves nothing
 * behind, and its error is one line.
 */
#include <stdlib.h>
#include <string.h>

#include "base/secret.h"
#include "base/text.h"
#include "token/google.h"
#include "token/registry-host.h"

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

static void try_config(const struct buffer *text)
{
    static const char *const names[] = { "cert_path", "key_path" };
    cleanup_json struct json json = { 0 };
    struct pullkey_error error = { 0 };
    const char *path;

    if (json_parse(&json, "config", text->data, text->length, 0, &error) < 0)
        return;
    for (size_t i = 0; i < 2; i++) {
        if (google_certificate_path(&json, names[i], &path, &error) < 0)
            check_error(&error);
        else
            require(path[0] == '/');
    }
}

/* A certificate, a NUL, and a chain. What comes out is a list of JSON with nothing twice. */
static void try_chain(const struct buffer *text)
{
    cleanup_buffer struct buffer list = BUFFER_INIT(PULLKEY_SECRET_MAX);
    const size_t length = strlen(text->data);
    cleanup_json struct json json = { 0 };
    struct pullkey_error error = { 0 };
    const cJSON *item;

    if (google_certificate_chain(text->data, length < text->length ? text->data + length + 1 : "",
                                 &list, &error) < 0) {
        check_error(&error);
        return;
    }
    if (!text_is_utf8(list.data, list.length))
        return;
    require(json_parse(&json, "list", list.data, list.length, 0, &error) == 0);
    require(cJSON_IsArray(json.root) && cJSON_GetArraySize(json.root) <= 11);
    cJSON_ArrayForEach(item, json.root->child->next)
        require(strcmp(item->valuestring, json.root->child->valuestring) != 0);
}

/* An address: who is signed for is STS, whatever surrounds the region. */
static void try_address(const struct buffer *text)
{
    static const char *const domains[] = {
        "amazonaws.com",
        "amazonaws.com.cn",
        "amazonaws.eu",
        "api.aws",
        "api.amazonwebservices.com.cn",
        "api.amazonwebservices.eu",
    };
    char address[GOOGLE_AWS_ADDRESS_SIZE];
    struct pullkey_error error = { 0 };
    bool is_amazon = false;
    struct url url;

    if (strlen(text->data) != text->length)
        return;
    if (google_aws_address(text->data, "eu-west-1", address, &error) < 0) {
        check_error(&error);
        return;
    }
    require(url_parse(address, &url, &error) == 0 && url.https && url.port == 443);
    for (size_t i = 0; i < sizeof(domains) / sizeof(domains[0]); i++)
        is_amazon = is_amazon || registry_host_is_below(url.host, domains[i]);
    require(is_amazon && strncmp(url.host, "sts", 3) == 0);
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
    case 'a': try_address(&text); break;
    case 'c': try_config(&text); break;
    case 'f': try_file(&text); break;
    case 'i': try_iam(&text); break;
    case 'p': try_chain(&text); break;
    case 'e':
        check_token(google_executable_read(&text, NOW, &token, &error), &token, &error);
        break;
    default:
        check_token(google_subject_read(data[0] == 'j' ? &json : &plain, &text, &token, &error),
                    &token, &error);
    }
    return 0;
}
