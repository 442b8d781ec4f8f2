/* SPDX-License-Identifier: Apache-2.0 */
/*
 * token/aws-reply, aws-xml, aws-failure and aws-login: the first byte chooses who answers, the rest
 * is the answer. What is taken can stand in a header; what is refused leaves nothing behind, and
 * its error is one printable line.
 */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/secret.h"
#include "token/aws-failure.h"
#include "token/aws-login.h"
#include "token/aws-reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

#define NOW 1700000000

static void check_text(const char *text)
{
    for (const char *c = text; *c != '\0'; c++)
        require(*c > 0x20 && *c < 0x7f);
}

static void check_error(int r, const struct pullkey_error *error)
{
    require(r < 0 && (error->code == PULLKEY_INVALID || error->code == PULLKEY_DENIED));
    require(error->message[0] != '\0' && strlen(error->message) < 300);
    for (const char *c = error->message; *c != '\0'; c++)
        require((unsigned char)*c >= 0x20 && *c != 0x7f);
}

static void check_keys(int r, struct aws_keys *keys, const struct pullkey_error *error)
{
    if (r < 0) {
        require(!keys->secret.bytes && !keys->session.bytes);
        check_error(r, error);
        return;
    }
    require(keys->id[0] != '\0' && keys->secret.length > 0);
    check_text(keys->id);
    check_text(keys->secret.bytes);
    check_text(keys->session.bytes ? keys->session.bytes : "");
    aws_keys_done(keys);
}

static void try_json(enum aws_json kind, const struct buffer *body)
{
    char expiration[AWS_EXPIRATION_SIZE] = "";
    struct pullkey_error error = { 0 };
    struct aws_keys keys = { 0 };
    int r = aws_read_json(kind, body, &keys, expiration, &error);

    check_keys(r, &keys, &error);
    require(strlen(expiration) < sizeof(expiration));
}

static void try_sts(const struct buffer *body)
{
    cleanup_secret struct pullkey_secret token = { 0 };
    struct pullkey_error error = { 0 };
    struct aws_keys keys = { 0 };
    int r = aws_read_sts("AssumeRole", body, &keys, &error);

    check_keys(r, &keys, &error);
    r = aws_read_web_token(body, &token, &error);
    if (r < 0)
        check_error(r, &error);
    else
        require(token.length > 0 && strlen(token.bytes) == token.length);
}

static void try_token(bool is_public, const struct buffer *body)
{
    cleanup_aws_token struct aws_token token = { 0 };
    struct pullkey_error error = { 0 };
    int r = aws_read_token(is_public, body, &token, &error);

    if (r < 0) {
        require(!token.password.bytes);
        check_error(r, &error);
        return;
    }
    require(token.username[0] != '\0' && !strchr(token.username, ':'));
    require(token.password.length > 0 && token.password.length <= PULLKEY_SECRET_MAX);
    require(strlen(token.password.bytes) == token.password.length);
    require(token.expiry > 0);
}

static void try_failure(const struct buffer *body)
{
    struct aws_failure failure;

    aws_read_failure(body, &failure);
    check_text(failure.code);
    require(strlen(failure.message) < sizeof(failure.message));
    for (const char *c = failure.message; *c != '\0'; c++)
        require((unsigned char)*c >= 0x20 && *c != 0x7f);
    require(!(aws_failure_passes(&failure) && aws_failure_is_skew(&failure)));
    (void)aws_failure_advice(&failure);
}

static void try_session(const struct buffer *body)
{
    cleanup_buffer struct buffer line = BUFFER_INIT(AWS_SESSION_MAX + 64);
    struct pullkey_error error = { 0 };
    int r = aws_read_session(body, &line, &error);

    if (r < 0) {
        require(line.length == 0);
        check_error(r, &error);
        return;
    }
    require(strlen(line.data) == line.length && line.length <= AWS_SESSION_MAX + 26);
    require(strcspn(line.data, "\r\n\t") == line.length);
}

/* It becomes a part of a path. */
static void try_role(const struct buffer *body)
{
    char role[AWS_ROLE_SIZE] = "";
    struct pullkey_error error = { 0 };
    int r = aws_read_role(body, role, &error);

    if (r < 0) {
        require(role[0] == '\0');
        check_error(r, &error);
        return;
    }
    require(role[0] != '\0' && strlen(role) < AWS_ROLE_SIZE);
    for (const char *c = role; *c != '\0'; c++)
        require(*c > 0x20 && *c < 0x7f && !strchr("/\\?#%\"", *c));
}

/* A file, a NUL, and what CreateToken answers. */
static void try_login(const struct buffer *body)
{
    const char *end = body->data ? memchr(body->data, '\0', body->length) : NULL;
    cleanup_buffer struct buffer file = BUFFER_INIT(JSON_SIZE_MAX);
    cleanup_buffer struct buffer reply = BUFFER_INIT(JSON_SIZE_MAX);
    cleanup_buffer struct buffer text = BUFFER_INIT(2 * JSON_SIZE_MAX);
    cleanup_secret struct pullkey_secret request = { 0 };
    cleanup_login struct aws_login login = { 0 }, again = { 0 };
    struct pullkey_error error = { 0 };
    int r;

    if (!end)
        return;
    buffer_append(&file, body->data, (size_t)(end - body->data));
    buffer_append(&reply, end + 1, body->length - file.length - 1);
    r = aws_login_read(&file, NOW, &login, &error);
    if (r < 0) {
        require(!login.token && !login.json.root);
        check_error(r, &error);
        return;
    }
    check_text(login.token);
    if (!login.is_renewable)
        return;
    require(aws_login_ask(&login, &request, &error) == 0);
    r = aws_login_renew(&login, &reply, NOW, &error);
    check_text(login.token);
    if (r < 0) {
        check_error(r, &error);
        return;
    }
    require(login.end > NOW);
    require(aws_login_write(&login, &text, &error) == 0);
    require(aws_login_read(&text, NOW, &again, &error) == 0);
    require(strcmp(again.token, login.token) == 0 && again.end == login.end);
    require(again.is_renewable == login.is_renewable);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cleanup_buffer struct buffer body = BUFFER_INIT(JSON_SIZE_MAX);
    struct pullkey_error error;

    json_start();
    if (size == 0)
        return 0;
    buffer_append(&body, (const char *)data + 1, size - 1);
    if (buffer_check(&body, &error) < 0)
        return 0;
    switch (data[0]) {
    case 't': try_session(&body); break;
    case 'r': try_role(&body); break;
    case 'm': try_json(AWS_JSON_METADATA, &body); break;
    case 'p': try_json(AWS_JSON_PROCESS, &body); break;
    case 's': try_json(AWS_JSON_SSO, &body); break;
    case 'l': try_json(AWS_JSON_LOGIN, &body); break;
    case 'x': try_sts(&body); break;
    case 'e': try_token(false, &body); break;
    case 'E': try_token(true, &body); break;
    case 'c': try_login(&body); break;
    default: try_failure(&body);
    }
    return 0;
}
