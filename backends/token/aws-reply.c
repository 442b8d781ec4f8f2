/* SPDX-License-Identifier: Apache-2.0 */
#include "aws-reply.h"

#include <stdio.h>
#include <string.h>

#include "aws-xml.h"
#include "base/error.h"
#include "base/secret.h"
#include "base/text.h"

#define EXPIRY_MAX 1e11 /* seconds: what is later is no time */

static bool is_visible(const char *text)
{
    for (; *text != '\0'; text++)
        if (*text <= 0x20 || *text >= 0x7f)
            return false;
    return true;
}

int aws_keys_set(struct aws_keys *ret, const char *id, const char *secret, const char *session,
                 struct pullkey_error *error)
{
    int r;

    if (!is_visible(id) || !is_visible(secret) || !is_visible(session ? session : "") ||
        strpbrk(id, "/,") || strlen(id) >= sizeof(ret->id) || id[0] == '\0' || secret[0] == '\0' ||
        strlen(secret) > PULLKEY_SECRET_MAX / 2 ||
        (session && strlen(session) > PULLKEY_SECRET_MAX / 2))
        return error_set(error, PULLKEY_INVALID,
                         "the key id, the secret or the session token is none of AWS's");
    memcpy(ret->id, id, strlen(id) + 1);
    r = secret_set(&ret->secret, secret, strlen(secret), error);
    if (r == 0 && session && session[0] != '\0')
        r = secret_set(&ret->session, session, strlen(session), error);
    if (r < 0)
        aws_keys_done(ret);
    return r;
}

int aws_read_session(const struct buffer *body, struct buffer *line, struct pullkey_error *error)
{
    if (body->length == 0 || body->length > AWS_SESSION_MAX || strlen(body->data) != body->length ||
        !is_visible(body->data))
        return error_set(error, PULLKEY_INVALID,
                         "the machine's metadata give no session token: is their address right?");
    buffer_append_text(line, "X-aws-ec2-metadata-token: ");
    buffer_append(line, body->data, body->length);
    return buffer_check(line, error);
}

int aws_read_role(const struct buffer *body, char ret[AWS_ROLE_SIZE], struct pullkey_error *error)
{
    const char *name = body->data ? body->data : "";
    const size_t length = strcspn(name, "\r\n");

    if (length == 0 || length >= AWS_ROLE_SIZE ||
        strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+=,.@-") !=
            length)
        return error_set(error, PULLKEY_INVALID,
                         "the machine's metadata name no role: is their address right?");
    memcpy(mempcpy(ret, name, length), "", 1);
    return 0;
}

static const char *text_of(const cJSON *object, const char *name)
{
    const cJSON *item = json_member(object, name);

    return cJSON_IsString(item) && item->valuestring[0] != '\0' ? item->valuestring : NULL;
}

static int parse(const struct buffer *body, struct json *ret, struct pullkey_error *error)
{
    struct pullkey_error ignored;

    if (body->length == 0 || json_parse(ret, "reply", body->data, body->length, 0, &ignored) < 0 ||
        !cJSON_IsObject(ret->root))
        return error_set(error, PULLKEY_INVALID, "it is not a proper JSON object");
    return 0;
}

static void set_expiration(const cJSON *object, const char *name, char ret[AWS_EXPIRATION_SIZE])
{
    const char *text = text_of(object, name);

    ret[0] = '\0';
    if (text && strlen(text) < AWS_EXPIRATION_SIZE)
        memcpy(ret, text, strlen(text) + 1);
}

/* The metadata service answers 200 also where the role of the machine cannot be used. */
static int check_code(const cJSON *root, struct pullkey_error *error)
{
    const char *code = text_of(root, "Code");
    char shown[64];

    if (!code || strcmp(code, "Success") == 0)
        return 0;
    (void)snprintf(shown, sizeof(shown), "%s", code);
    text_make_printable(shown);
    return error_set(error, PULLKEY_DENIED,
                     "it has no keys for its role: %s; look at the role and its trust policy",
                     shown);
}

int aws_read_json(enum aws_json kind, const struct buffer *body, struct aws_keys *ret,
                  char ret_expiration[AWS_EXPIRATION_SIZE], struct pullkey_error *error)
{
    static const char *const names[][4] = {
        [AWS_JSON_METADATA] = { "AccessKeyId", "SecretAccessKey", "Token", "Expiration" },
        [AWS_JSON_PROCESS] = { "AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration" },
        [AWS_JSON_SSO] = { "accessKeyId", "secretAccessKey", "sessionToken", "expiration" },
        [AWS_JSON_LOGIN] = { "accessKeyId", "secretAccessKey", "sessionToken", "expiresAt" },
    };
    cleanup_json struct json json = { 0 };
    const cJSON *object, *version;
    const char *id, *secret;
    int r = parse(body, &json, error);

    if (r < 0)
        return r;
    object = kind == AWS_JSON_SSO     ? json_member(json.root, "roleCredentials")
             : kind == AWS_JSON_LOGIN ? json_member(json.root, "accessToken")
                                      : json.root;
    version = json_member(json.root, "Version");
    if (kind == AWS_JSON_PROCESS && !(cJSON_IsNumber(version) && version->valuedouble == 1))
        return error_set(error, PULLKEY_INVALID, "it has not \"Version\": 1");
    if (kind == AWS_JSON_METADATA) {
        r = check_code(json.root, error);
        if (r < 0)
            return r;
    }
    id = text_of(object, names[kind][0]);
    secret = text_of(object, names[kind][1]);
    if (!id || !secret)
        return error_set(error, PULLKEY_INVALID, "it has no %s and %s", names[kind][0],
                         names[kind][1]);
    set_expiration(object, names[kind][3], ret_expiration);
    return aws_keys_set(ret, id, secret, text_of(object, names[kind][2]), error);
}

int aws_read_sts(const char *action, const struct buffer *body, struct aws_keys *ret,
                 struct pullkey_error *error)
{
    static const char *const names[] = { "AccessKeyId", "SecretAccessKey", "SessionToken" };
    struct buffer values[3] = { 0 };
    char path[AWS_XML_PATH_MAX];
    int r = 0;

    for (size_t i = 0; r == 0 && i < 3; i++) {
        (void)snprintf(path, sizeof(path), "%sResponse/%sResult/Credentials/%s", action, action,
                       names[i]);
        values[i].limit = PULLKEY_SECRET_MAX;
        r = aws_xml_find(body, path, &values[i], error);
        if (r == 0 && values[i].length == 0)
            r = error_set(error, PULLKEY_INVALID, "the answer has an empty %s", names[i]);
    }
    if (r == -PULLKEY_NOT_FOUND)
        error->code = PULLKEY_INVALID;
    r = r < 0 ? -(int)error->code
              : aws_keys_set(ret, values[0].data, values[1].data, values[2].data, error);
    for (size_t i = 0; i < 3; i++)
        buffer_done(&values[i]);
    return r;
}

int aws_read_web_token(const struct buffer *body, struct pullkey_secret *ret,
                       struct pullkey_error *error)
{
    cleanup_buffer struct buffer token = BUFFER_INIT(PULLKEY_SECRET_MAX);
    int r =
        aws_xml_find(body, "GetWebIdentityTokenResponse/GetWebIdentityTokenResult/WebIdentityToken",
                     &token, error);

    if (r == -PULLKEY_NOT_FOUND || (r == 0 && token.length == 0))
        return error_set(error, PULLKEY_INVALID, "the answer has no WebIdentityToken");
    return r < 0 ? r : buffer_steal(&token, ret, error);
}

/* USER:PASSWORD */
static int set_pair(const struct buffer *pair, struct aws_token *ret, struct pullkey_error *error)
{
    const char *colon = pair->data ? memchr(pair->data, ':', pair->length) : NULL;
    const size_t user = colon ? (size_t)(colon - pair->data) : 0;

    if (!colon || user == 0 || user >= sizeof(ret->username) || user + 1 == pair->length ||
        memchr(pair->data, '\0', pair->length) || !text_is_utf8(pair->data, pair->length))
        return error_set(error, PULLKEY_INVALID,
                         "its authorizationToken is not a user and a "
                         "password");
    for (size_t i = 0; i < pair->length; i++)
        if ((unsigned char)pair->data[i] < 0x20 || pair->data[i] == 0x7f)
            return error_set(error, PULLKEY_INVALID,
                             "its authorizationToken holds control characters");
    if (pair->length - user - 1 > PULLKEY_SECRET_MAX)
        return error_set(error, PULLKEY_INVALID, "its authorizationToken is too long");
    memcpy(mempcpy(ret->username, pair->data, user), "", 1);
    return secret_set(&ret->password, colon + 1, pair->length - user - 1, error);
}

int aws_read_token(bool is_public, const struct buffer *body, struct aws_token *ret,
                   struct pullkey_error *error)
{
    cleanup_buffer struct buffer pair = BUFFER_INIT(2 * PULLKEY_SECRET_MAX);
    cleanup_json struct json json = { 0 };
    const cJSON *data, *expiry;
    struct pullkey_error ignored;
    const char *token;
    int r = parse(body, &json, error);

    if (r < 0)
        return r;
    data = json_member(json.root, "authorizationData");
    if (!is_public)
        data = cJSON_IsArray(data) ? data->child : NULL;
    token = cJSON_IsObject(data) ? text_of(data, "authorizationToken") : NULL;
    expiry = cJSON_IsObject(data) ? json_member(data, "expiresAt") : NULL;
    if (!token)
        return error_set(error, PULLKEY_INVALID, "it has no authorizationToken");
    if (!cJSON_IsNumber(expiry) || !(expiry->valuedouble > 0 && expiry->valuedouble < EXPIRY_MAX))
        return error_set(error, PULLKEY_INVALID, "its expiresAt is no time");
    if (text_base64_decode(token, strlen(token), &pair, &ignored) < 0)
        return error_set(error, PULLKEY_INVALID, "its authorizationToken is not base64");
    ret->expiry = (int64_t)expiry->valuedouble;
    return set_pair(&pair, ret, error);
}

void aws_token_done(struct aws_token *token)
{
    secret_done(&token->password);
}
