/* SPDX-License-Identifier: Apache-2.0 */
#include "oauth.h"

#include <string.h>

#include "base/error.h"
#include "base/secret.h"
#include "base/text.h"
#include "expiry.h"

#define DESCRIPTION_MAX 200

void oauth_reply_done(struct oauth_reply *reply)
{
    secret_done(&reply->access_token);
    secret_done(&reply->refresh_token);
}

static int copy_text(const cJSON *item, struct pullkey_secret *ret, struct pullkey_error *error)
{
    const size_t length = strlen(item->valuestring);

    if (length > PULLKEY_SECRET_MAX)
        return error_set(error, PULLKEY_INVALID, "the token is larger than %d bytes",
                         PULLKEY_SECRET_MAX);
    return secret_set(ret, item->valuestring, length, error);
}

/* Others want proofs with each request, which no registry client makes. */
static int check_type(const cJSON *type, struct pullkey_error *error)
{
    if (!type || (cJSON_IsString(type) && (text_equal_any_case(type->valuestring, "Bearer") ||
                                           text_equal_any_case(type->valuestring, "N_A"))))
        return 0;
    return error_set(error, PULLKEY_INVALID, "its token_type is neither Bearer nor N_A");
}

static int find_expiry(const cJSON *root, int64_t now, struct oauth_reply *reply,
                       struct pullkey_error *error)
{
    int r = expiry_in(json_member(root, "expires_in"), now, &reply->expiry, error);

    if (r < 0)
        return r;
    if (reply->expiry == 0)
        reply->expiry = expiry_jwt(&reply->access_token, now);
    if (reply->expiry == 0)
        reply->expiry = now + EXPIRY_UNKNOWN_SECONDS;
    return expiry_check(reply->expiry, now, error);
}

int oauth_read_reply(const struct buffer *body, int64_t now, struct oauth_reply *ret,
                     struct pullkey_error *error)
{
    cleanup_json struct json json = { 0 };
    struct oauth_reply reply = { 0 };
    const cJSON *token, *refresh, *issued;
    int r = json_parse(&json, "reply", body->data ? body->data : "", body->length, 0, error);

    if (r < 0)
        return r;
    token = json_member(json.root, "access_token");
    refresh = json_member(json.root, "refresh_token");
    issued = json_member(json.root, "issued_token_type");
    if (cJSON_IsString(refresh) && refresh->valuestring[0] != '\0')
        r = copy_text(refresh, &ret->refresh_token, error);
    if (r < 0)
        return r;
    if (!cJSON_IsString(token) || token->valuestring[0] == '\0')
        return error_set(error, PULLKEY_INVALID, "it has no access_token");
    if (issued && (!cJSON_IsString(issued) || strlen(issued->valuestring) >= OAUTH_TYPE_SIZE))
        return error_set(error, PULLKEY_INVALID, "its issued_token_type is no type");
    r = check_type(json_member(json.root, "token_type"), error);
    if (r == 0)
        r = copy_text(token, &reply.access_token, error);
    if (r == 0 && !text_is_ascii(token->valuestring, reply.access_token.length, '!'))
        r = error_set(error, PULLKEY_INVALID,
                      "its access_token holds bytes that no token may have");
    if (r == 0)
        r = find_expiry(json.root, now, &reply, error);
    if (r < 0) {
        oauth_reply_done(&reply);
        return r;
    }
    if (issued)
        memcpy(reply.issued_type, issued->valuestring, strlen(issued->valuestring) + 1);
    reply.refresh_token = ret->refresh_token;
    *ret = reply;
    return 0;
}

/* RFC 6749 section 5.2, RFC 8693 section 2.2.2, and what servers answer beside them. */
static const struct code {
    const char *code, *advice;
    enum pullkey_error_class class;
} codes[] = {
    { "invalid_request", "a parameter is missing or wrong, or the identity token is not accepted",
      PULLKEY_DENIED },
    { "invalid_client", "check client_id, its secret, and how it is sent (client_auth)",
      PULLKEY_DENIED },
    { "invalid_grant",
      "the identity or refresh token has expired, was used, or is for another client or audience",
      PULLKEY_DENIED },
    { "unauthorized_client",
      "allow this grant to the client at the server; some say so of a wrong secret too: check "
      "client_id and how it is sent (client_auth)",
      PULLKEY_DENIED },
    { "unsupported_grant_type", "the server does not know this grant", PULLKEY_DENIED },
    { "invalid_scope", "check \"scope\"", PULLKEY_DENIED },
    { "invalid_target", "check \"audience\" and \"resource\"", PULLKEY_DENIED },
    { "access_denied",
      "the server does not trust this identity token: check its issuer, subject and audience there",
      PULLKEY_DENIED },
    { "server_error", "try again later", PULLKEY_UNREACHABLE },
    { "temporarily_unavailable", "try again later", PULLKEY_UNREACHABLE },
    { "internal_failure", "try again later", PULLKEY_UNREACHABLE },
};
static const struct code unknown_code = { "", "see its documentation", PULLKEY_DENIED };

static const struct code *find_code(const char *text)
{
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
        if (strcmp(codes[i].code, text) == 0)
            return &codes[i];
    return &unknown_code;
}

static bool is_passing(long status)
{
    return status == 429 || status >= 500;
}

/* Codes are of a few characters (RFC 6749 section 5.2); what is none is not shown. */
static bool is_code(const char *text)
{
    const size_t length = strlen(text);

    return length > 0 && length <= 40 &&
           strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_-") == length;
}

/* The parameters of a form that are secrets. */
static bool is_secret(const char *name, size_t length)
{
    static const char *const names[] = { "access_token",  "actor_token",   "assertion",
                                         "client_secret", "refresh_token", "client_assertion",
                                         "subject_token", "password",      "authorization" };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strlen(names[i]) == length && memcmp(names[i], name, length) == 0)
            return true;
    return false;
}

/* Whether a text has some of a secret in it, or all of a short one. Both are form-encoded. */
static bool repeats(const struct buffer *text, const char *secret, size_t length)
{
    enum { RUN = 16 };

    if (length <= RUN)
        return length > 0 && memmem(text->data, text->length, secret, length);
    for (size_t i = 0; i + RUN <= text->length; i++)
        if (memmem(secret, length, text->data + i, RUN))
            return true;
    return false;
}

/* A form that could not take everything cannot be compared with. */
static bool is_repetition(const char *text, size_t length, const struct buffer *form)
{
    cleanup_buffer struct buffer encoded = BUFFER_INIT(3 * 2 * DESCRIPTION_MAX);
    const char *at = form->data, *end = at + form->length;

    http_query_value(&encoded, text, length);
    if (encoded.state != BUFFER_FINE || form->state != BUFFER_FINE)
        return true;
    while (encoded.length > 0 && at < end) {
        const char *next = memchr(at, '&', (size_t)(end - at));
        const char *value = memchr(at, '=', (size_t)((next ? next : end) - at));

        if (value && is_secret(at, (size_t)(value - at)) &&
            repeats(&encoded, value + 1, (size_t)((next ? next : end) - value - 1)))
            return true;
        at = next ? next + 1 : end;
    }
    return false;
}

/* What the server says, if it may be shown: what begins in it must not go on as a secret. */
static void read_description(const cJSON *description, const struct buffer *form,
                             char ret[DESCRIPTION_MAX + 1])
{
    const char *text = cJSON_IsString(description) ? description->valuestring : "";

    ret[0] = '\0';
    if (is_repetition(text, strnlen(text, 2 * DESCRIPTION_MAX), form))
        return;
    memcpy(mempcpy(ret, text, strnlen(text, DESCRIPTION_MAX)), "", 1);
    text_make_printable(ret);
}

int oauth_read_error(const struct buffer *body, long status, const char *server, const char *who,
                     const struct buffer *form, struct pullkey_error *error)
{
    cleanup_json struct json json = { 0 };
    struct pullkey_error ignored;
    const struct code *code;
    const cJSON *text = NULL;
    char shown[DESCRIPTION_MAX + 1];

    if (body->length > 0 && json_parse(&json, "reply", body->data, body->length, 0, &ignored) == 0)
        text = json_member(json.root, "error");
    if (!cJSON_IsString(text) || !is_code(text->valuestring)) {
        if (is_passing(status))
            return error_set(error, PULLKEY_UNREACHABLE,
                             "the token server %s answers %ld to %s; try again later", server,
                             status, who);
        return error_set(error, status == 401 || status == 403 ? PULLKEY_DENIED : PULLKEY_INVALID,
                         "the token server %s answers %ld to %s, and not as an OAuth server would: "
                         "is its address right?",
                         server, status, who);
    }
    read_description(json_member(json.root, "error_description"), form, shown);
    code = find_code(text->valuestring);
    return error_set(error, is_passing(status) ? PULLKEY_UNREACHABLE : code->class,
                     "the token server %s refuses %s: %s%s%s%s (%s)", server, who,
                     text->valuestring, shown[0] != '\0' ? ", \"" : "", shown,
                     shown[0] != '\0' ? "\"" : "", code->advice);
}
