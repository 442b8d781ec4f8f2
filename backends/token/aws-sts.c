/* SPDX-License-Identifier: Apache-2.0 */
/* Roles: STS AssumeRole, signed, and AssumeRoleWithWebIdentity, with a token in place of that. */
#include "aws-keys.h"

#include <stdio.h>
#include <string.h>

#include "aws-reply.h"
#include "base/error.h"
#include "base/file.h"
#include "base/secret.h"

#define SESSION_NAME "pullkey"
#define FORM_MAX (4 * PULLKEY_SECRET_MAX)

static void add(struct buffer *form, const char *name, const char *value)
{
    if (value)
        http_query_add(form, name, value, strlen(value));
}

/* 2 to 64 letters, digits and some others; else STS answers with a regular expression. */
static int check_session_name(const char *name, struct pullkey_error *error)
{
    const size_t length = strlen(name);

    if (length < 2 || length > 64 ||
        strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+=,.@-") !=
            length)
        return error_set(error, PULLKEY_INVALID,
                         "the name of an AWS role session must be 2 to 64 letters, digits or "
                         "_+=,.@-");
    return 0;
}

/* The file is read each time: such tokens are replaced. */
static int read_token(const char *path, struct buffer *ret, struct pullkey_error *error)
{
    int r = file_read(path, FILE_INPUT, 0, ret, NULL, error);

    if (r < 0) {
        if (r == -PULLKEY_NOT_FOUND)
            error->code = PULLKEY_INVALID; /* it is named, so it must be there */
        return error_wrap(error, "the web identity token for AWS");
    }
    if (ret->length > 0 && ret->data[ret->length - 1] == '\n')
        ret->data[--ret->length] = '\0';
    for (size_t i = 0; i < ret->length; i++)
        if (ret->data[i] <= 0x20 || ret->data[i] >= 0x7f)
            return error_set(error, PULLKEY_INVALID, "%s is not one token", path);
    return ret->length > 0 ? 0 : error_set(error, PULLKEY_INVALID, "%s is empty", path);
}

/* What a token is called in messages. */
static void name_token(const struct aws_role *role, char ret[AWS_WHAT_SIZE])
{
    if (role->token)
        (void)snprintf(ret, AWS_WHAT_SIZE, "%s", role->token->what);
    else
        (void)snprintf(ret, AWS_WHAT_SIZE, "the token in %.100s", role->token_file);
}

static int make_form(const struct aws_role *role, const char *action, struct buffer *form,
                     struct pullkey_error *error)
{
    const char *name = role->session_name ? role->session_name : SESSION_NAME;
    cleanup_buffer struct buffer token = BUFFER_INIT(PULLKEY_SECRET_MAX);
    int r = check_session_name(name, error);

    if (r == 0 && role->token_file)
        r = read_token(role->token_file, &token, error);
    if (r < 0)
        return r;
    add(form, "Action", action);
    add(form, "Version", AWS_STS_VERSION);
    add(form, "RoleArn", role->arn);
    add(form, "RoleSessionName", name);
    add(form, "ExternalId", role->external_id);
    add(form, "DurationSeconds", role->duration);
    if (role->token)
        http_query_add(form, "WebIdentityToken", role->token->token.bytes,
                       role->token->token.length);
    else if (role->token_file)
        http_query_add(form, "WebIdentityToken", token.data, token.length);
    return buffer_check(form, error);
}

int aws_assume_role(struct aws *aws, const struct aws_keys *keys, const struct aws_role *role,
                    struct aws_keys *ret, struct pullkey_error *error)
{
    const char *action = keys ? "AssumeRole" : "AssumeRoleWithWebIdentity";
    cleanup_buffer struct buffer form = BUFFER_INIT(FORM_MAX);
    cleanup_secret struct pullkey_secret body = { 0 };
    cleanup_response struct http_response response = { 0 };
    char who[PULLKEY_ERROR_SIZE / 2], name[64], token[AWS_WHAT_SIZE];
    struct aws_call call = {
        .service = AWS_STS,
        .region = aws->region,
        .content_type = HTTP_FORM "; charset=utf-8",
        .body = &body,
        .keys = keys,
        .who = who,
        .action = name,
    };
    struct url url;
    int r;

    (void)snprintf(name, sizeof(name), "sts:%s", action);
    if (!keys)
        name_token(role, token);
    (void)snprintf(who, sizeof(who), "the role %.128s (by %.120s)", role->arn,
                   keys ? keys->what : token);
    r = aws_endpoint(aws, AWS_STS, aws->region, "/", &url, error);
    if (r == 0)
        r = make_form(role, action, &form, error);
    if (r == 0)
        r = buffer_steal(&form, &body, error);
    call.url = &url;
    if (r == 0)
        r = aws_call(aws, &call, &response, error);
    if (r < 0)
        return r;
    r = aws_read_sts(action, &response.body, ret, error);
    if (r < 0)
        return error_wrap(error, "%s answers %s with something else", url.host, who);
    (void)snprintf(ret->what, sizeof(ret->what), "%.255s", who);
    return 0;
}
