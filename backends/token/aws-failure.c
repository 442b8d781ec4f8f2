/* SPDX-License-Identifier: Apache-2.0 */
#include "aws-failure.h"

#include <stdio.h>
#include <string.h>

#include "aws-xml.h"
#include "base/json.h"
#include "base/text.h"

static const char *text_of(const cJSON *object, const char *name)
{
    const cJSON *item = json_member(object, name);

    return cJSON_IsString(item) ? item->valuestring : NULL;
}

void aws_failure_set_code(const char *code, size_t length, struct aws_failure *failure)
{
    for (size_t i = 0; i < length; i++)
        if (!((code[i] >= 'a' && code[i] <= 'z') || (code[i] >= 'A' && code[i] <= 'Z') ||
              (code[i] >= '0' && code[i] <= '9') || code[i] == '.' || code[i] == '_'))
            return;
    if (length < sizeof(failure->code))
        memcpy(mempcpy(failure->code, code, length), "", 1);
}

static void set_message(const char *message, struct aws_failure *failure)
{
    (void)snprintf(failure->message, sizeof(failure->message), "%s", message);
    text_make_printable(failure->message);
}

static void read_json_failure(const struct json *json, struct aws_failure *ret)
{
    const char *code = text_of(json->root, "__type");
    const char *message = text_of(json->root, "message"), *hash;

    if (!code)
        code = text_of(json->root, "code");
    if (!code)
        code = text_of(json->root, "error");
    hash = code ? strrchr(code, '#') : NULL;
    if (hash)
        code = hash + 1;
    if (code)
        aws_failure_set_code(code, strcspn(code, ":"), ret);
    if (!message)
        message = text_of(json->root, "Message");
    if (message)
        set_message(message, ret);
}

void aws_read_failure(const struct buffer *body, struct aws_failure *ret)
{
    cleanup_buffer struct buffer code = BUFFER_INIT(sizeof(ret->code));
    cleanup_buffer struct buffer message = BUFFER_INIT(JSON_SIZE_MAX);
    cleanup_json struct json json = { 0 };
    struct pullkey_error ignored;

    *ret = (struct aws_failure){ 0 };
    if (body->length == 0)
        return;
    if (body->data[0] == '{') {
        if (json_parse(&json, "reply", body->data, body->length, 0, &ignored) == 0)
            read_json_failure(&json, ret);
        return;
    }
    if (aws_xml_find(body, "ErrorResponse/Error/Code", &code, &ignored) == 0 && code.data)
        aws_failure_set_code(code.data, code.length, ret);
    if (aws_xml_find(body, "ErrorResponse/Error/Message", &message, &ignored) == 0 && message.data)
        set_message(message.data, ret);
}

bool aws_failure_is(const struct aws_failure *failure, const char *begin)
{
    return strncmp(failure->code, begin, strlen(begin)) == 0;
}

bool aws_failure_passes(const struct aws_failure *failure)
{
    static const char *const codes[] = { "Throttl",
                                         "TooManyRequests",
                                         "RequestLimitExceeded",
                                         "RequestThrottled",
                                         "EC2Throttled",
                                         "ProvisionedThroughputExceeded",
                                         "LimitExceeded",
                                         "TransactionInProgress",
                                         "SlowDown",
                                         "BandwidthLimitExceeded",
                                         "PriorRequestNotComplete",
                                         "RequestTimeout",
                                         "IDPCommunicationError",
                                         "ServerException",
                                         "InternalFailure",
                                         "ServiceUnavailable" };

    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
        if (aws_failure_is(failure, codes[i]) && strcmp(failure->code, "RequestTimeTooSkewed") != 0)
            return true;
    return false;
}

bool aws_failure_is_skew(const struct aws_failure *failure)
{
    if (aws_failure_is(failure, "InvalidSignature") ||
        aws_failure_is(failure, "SignatureDoesNotMatch"))
        return strstr(failure->message, "Signature expired") ||
               strstr(failure->message, "Signature not yet current");
    return strcmp(failure->code, "RequestTimeTooSkewed") == 0 ||
           strcmp(failure->code, "RequestExpired") == 0 ||
           strcmp(failure->code, "RequestInTheFuture") == 0;
}

const char *aws_failure_advice(const struct aws_failure *failure)
{
    static const struct {
        const char *begin, *advice;
    } rows[] = {
        { "UnrecognizedClient", "the keys were deleted, or are another partition's" },
        { "InvalidClientTokenId", "the keys were deleted, or are another partition's" },
        { "InvalidSignature", "the secret is not that of the key id, or the clock is wrong" },
        { "SignatureDoesNotMatch", "the secret is not that of the key id, or the clock is wrong" },
        { "IncompleteSignature", "the key id or the secret is not complete" },
        { "ExpiredToken", "it has expired; get a new one" },
        { "RequestExpired", "set this machine's clock" },
        { "RequestTimeTooSkewed", "set this machine's clock" },
        { "RequestInTheFuture", "set this machine's clock" },
        { "AccessDenied", "allow it %s in IAM" },
        { "MissingAuthenticationToken", "the endpoint wants a signature; is it the right one?" },
        { "OptInRequired", "the account has not enabled this service or region" },
        { "RegionDisabledException", "enable STS in that region, or set the option \"region\"" },
        { "IDPRejectedClaim",
          "does the role trust the token's issuer, subject and audience, and is it still valid?" },
        { "InvalidIdentityToken",
          "does the account know the token's issuer as an OIDC provider, and its audience?" },
        { "ForbiddenException", "assign the role of the profile to this user" },
        { "UnauthorizedException", "log in again with: aws sso login" },
        { "invalid_", "log in again with: aws sso login" },
        { "expired_token", "log in again with: aws sso login" },
        { "access_denied", "log in again with: aws sso login" },
        { "unauthorized_client", "log in again with: aws sso login" },
        { "UnsupportedCommand", "the endpoint or region does not offer it" },
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (aws_failure_is(failure, rows[i].begin))
            return rows[i].advice;
    return NULL;
}
