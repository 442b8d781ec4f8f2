/* SPDX-License-Identifier: Apache-2.0 */
/* What IAM answers to generateAccessToken. */
#include <string.h>

#include "base/error.h"
#include "base/secret.h"
#include "expiry.h"
#include "google.h"

#define STATUS_MAX 40

/* The value of a member that is text; NULL without it. */
static const char *text_of(const cJSON *object, const char *name)
{
    const cJSON *item = json_member(object, name);

    return cJSON_IsString(item) ? item->valuestring : NULL;
}

int google_read_iam(const struct buffer *body, int64_t now, struct oauth_reply *ret,
                    struct pullkey_error *error)
{
    cleanup_json struct json json = { 0 };
    struct pullkey_error ignored;
    const char *token, *end;
    int64_t expiry;
    int r;

    if (json_parse(&json, "reply", body->data ? body->data : "", body->length, 0, &ignored) < 0)
        return error_set(error, PULLKEY_INVALID, "it is no proper JSON");
    token = text_of(json.root, "accessToken");
    end = text_of(json.root, "expireTime");
    if (!token || token[0] == '\0' || strlen(token) > PULLKEY_SECRET_MAX)
        return error_set(error, PULLKEY_INVALID, "it has no accessToken, or a huge one");
    if (!end)
        return error_set(error, PULLKEY_INVALID, "it has no expireTime");
    r = expiry_date(end, now, &expiry, error);
    if (r == 0)
        r = expiry_check(expiry, now, error);
    if (r < 0)
        return r;
    ret->refresh_token = (struct pullkey_secret){ 0 };
    ret->expiry = expiry;
    return secret_set(&ret->access_token, token, strlen(token), error);
}

/* https://cloud.google.com/apis/design/errors, "google.rpc.Code". */
static const struct {
    const char *status, *advice;
} statuses[] = {
    { "PERMISSION_DENIED", "grant it roles/iam.serviceAccountTokenCreator there (for an identity "
                           "of another issuer: roles/iam.workloadIdentityUser), and enable the IAM "
                           "Service Account Credentials API" },
    { "UNAUTHENTICATED", "its token is not accepted: is it of this universe?" },
    { "NOT_FOUND", "there is no such service account: check its name" },
    { "INVALID_ARGUMENT", "check \"scopes\", and the lifetime that the file asks for" },
    { "FAILED_PRECONDITION", "is the service account disabled?" },
};

static const char *advice_of(const char *status)
{
    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++)
        if (strcmp(statuses[i].status, status) == 0)
            return statuses[i].advice;
    return "see the documentation of generateAccessToken";
}

static bool is_status(const char *text)
{
    const size_t length = strlen(text);

    return length > 0 && length <= STATUS_MAX &&
           strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_") == length;
}

int google_read_iam_error(const struct buffer *body, long status, const char *server,
                          const char *who, const char *account, struct pullkey_error *error)
{
    cleanup_json struct json json = { 0 };
    struct pullkey_error ignored;
    const char *code = NULL;

    if (body->length > 0 && json_parse(&json, "reply", body->data, body->length, 0, &ignored) == 0)
        code = text_of(json_member(json.root, "error"), "status");
    if (!code || !is_status(code))
        return error_set(error, status == 401 || status == 403 ? PULLKEY_DENIED : PULLKEY_INVALID,
                         "%s answers %ld to %s, and not as IAM would: is its address right?",
                         server, status, who);
    return error_set(error, PULLKEY_DENIED, "%s does not let %s act as %s: %s (%s)", server, who,
                     account, code, advice_of(code));
}
