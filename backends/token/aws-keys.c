/* SPDX-License-Identifier: Apache-2.0 */
#include "aws-keys.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "aws-reply.h"
#include "base/error.h"
#include "expiry.h"

static const char *const option_names[] = { "profile",      "role_arn", "external_id",
                                            "session_name", "region",   NULL };

int aws_options_check(const struct settings *settings, struct pullkey_error *error)
{
    const cJSON *options = json_member(settings->json.root, "aws"), *item;
    const char *region = settings_text(options, "region");

    cJSON_ArrayForEach(item, options) {
        size_t i = 0;

        if (strcmp(item->string, "imds") == 0) {
            if (!cJSON_IsBool(item))
                return json_error(&settings->json, item, error, "must be true or false");
            continue;
        }
        while (option_names[i] && strcmp(option_names[i], item->string) != 0)
            i++;
        if (!option_names[i])
            return json_error(&settings->json, item, error, "there is no such option");
        if (!cJSON_IsString(item) || item->valuestring[0] == '\0')
            return json_error(&settings->json, item, error, "must be text");
    }
    if (region && !aws_is_region(region))
        return json_error(&settings->json, json_member(options, "region"), error,
                          "must be a region, as \"us-east-1\"");
    return 0;
}

int aws_nothing(struct aws *aws, struct pullkey_error *error, const char *format, ...)
{
    char text[PULLKEY_ERROR_SIZE / 2];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (aws->looked.length > 0)
        buffer_append(&aws->looked, "; ", 2);
    buffer_append_text(&aws->looked, text);
    return error_set(error, PULLKEY_NOT_FOUND, "%s", text);
}

int aws_check_life(const struct aws *aws, const char *date, const char *what, const char *advice,
                   struct pullkey_error *error)
{
    struct pullkey_error ignored;
    int64_t end;

    if (date[0] == '\0' || expiry_date(date, aws_now(aws), &end, &ignored) < 0 ||
        end > aws_now(aws))
        return 0;
    return error_set(error, PULLKEY_DENIED, "%s expired at %.*s; %s", what, AWS_EXPIRATION_SIZE,
                     date, advice);
}

int aws_environment_keys(struct aws *aws, struct aws_keys *ret, struct pullkey_error *error)
{
    const char *id = exchange_environment("AWS_ACCESS_KEY_ID");
    const char *secret = exchange_environment("AWS_SECRET_ACCESS_KEY");
    const char *session = exchange_environment("AWS_SESSION_TOKEN");
    const char *end = exchange_environment("AWS_CREDENTIAL_EXPIRATION");
    int r;

    if (!id && !secret)
        return aws_nothing(aws, error, "AWS_ACCESS_KEY_ID is not set");
    if (!id || !secret)
        return error_set(error, PULLKEY_INVALID, "%s is set and %s is not; set both or neither",
                         id ? "AWS_ACCESS_KEY_ID" : "AWS_SECRET_ACCESS_KEY",
                         id ? "AWS_SECRET_ACCESS_KEY" : "AWS_ACCESS_KEY_ID");
    (void)snprintf(ret->what, sizeof(ret->what), "the keys %.4s... of the environment", id);
    r = aws_check_life(aws, end ? end : "", ret->what, "get new ones", error);
    if (r < 0)
        return r;
    if (!session)
        session = exchange_environment("AWS_SECURITY_TOKEN");
    r = aws_keys_set(ret, id, secret, session, error);
    return r < 0 ? error_wrap(error, "the environment") : 0;
}

static int web_identity_keys(struct aws *aws, struct aws_keys *ret, struct pullkey_error *error)
{
    const struct aws_role role = {
        .arn = exchange_environment("AWS_ROLE_ARN"),
        .session_name = exchange_environment("AWS_ROLE_SESSION_NAME"),
        .token_file = exchange_environment("AWS_WEB_IDENTITY_TOKEN_FILE"),
    };

    if (!role.token_file)
        return aws_nothing(aws, error, "AWS_WEB_IDENTITY_TOKEN_FILE is not set");
    if (!role.arn)
        return error_set(
            error, PULLKEY_INVALID,
            "AWS_WEB_IDENTITY_TOKEN_FILE is set and AWS_ROLE_ARN is not; set it to the "
            "role that the token is for");
    return aws_assume_role(aws, NULL, &role, ret, error);
}

/* In the order of the header. */
static int find_first(struct aws *aws, struct aws_keys *ret, struct pullkey_error *error)
{
    const cJSON *imds = json_member(aws->options, "imds");
    const char *profile = aws_option(aws, "profile");
    int r = -PULLKEY_NOT_FOUND;

    if (profile)
        return aws_profile_keys(aws, profile, ret, error);
    r = aws_environment_keys(aws, ret, error);
    if (r == -PULLKEY_NOT_FOUND)
        r = web_identity_keys(aws, ret, error);
    if (r == -PULLKEY_NOT_FOUND)
        r = aws_profile_keys(aws, NULL, ret, error);
    if (r == -PULLKEY_NOT_FOUND)
        r = aws_container_keys(aws, ret, error);
    if (r == -PULLKEY_NOT_FOUND && cJSON_IsFalse(imds))
        return aws_nothing(aws, error, "the machine's metadata are not to be asked (\"imds\")");
    if (r == -PULLKEY_NOT_FOUND)
        r = aws_machine_keys(aws, cJSON_IsTrue(imds), ret, error);
    return r;
}

/* The role of the options, by the keys of whoever this is. */
static int take_role(struct aws *aws, struct aws_keys *keys, struct pullkey_error *error)
{
    const struct aws_role role = {
        .arn = aws_option(aws, "role_arn"),
        .session_name = aws_option(aws, "session_name"),
        .external_id = aws_option(aws, "external_id"),
    };
    struct aws_keys own = { 0 };
    int r;

    if (!role.arn)
        return 0;
    r = aws_assume_role(aws, keys, &role, &own, error);
    aws_keys_done(keys);
    if (r == 0)
        *keys = own;
    return r;
}

int aws_keys_find(struct aws *aws, struct aws_keys *ret, struct pullkey_error *error)
{
    struct aws_keys keys = { 0 };
    int r = find_first(aws, &keys, error);

    if (r == 0)
        r = take_role(aws, &keys, error);
    if (r == -PULLKEY_NOT_FOUND)
        return error_set(error, PULLKEY_NO_IDENTITY, "no identity for AWS on this machine: %s",
                         aws->looked.data ? aws->looked.data : error->message);
    if (r < 0)
        aws_keys_done(&keys);
    else
        *ret = keys;
    return r;
}
