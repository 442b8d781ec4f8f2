/* SPDX-License-Identifier: Apache-2.0 */
#include "aws-identity.h"

#include <stdio.h>
#include <string.h>

#include "aws-keys.h"
#include "aws-reply.h"
#include "base/error.h"
#include "base/secret.h"

#define FORM_MAX 4096
#define LIFE "300" /* seconds; it is used at once */

int aws_check_identity(const struct settings *settings, const cJSON *value,
                       struct pullkey_error *error)
{
    if (!cJSON_IsString(value) || value->valuestring[0] == '\0')
        return json_error(&settings->json, value, error, "must be text");
    return aws_options_check(settings, error);
}

/* There is no registry whose region could be meant. */
static int find_region(const struct exchange *exchange, struct aws_registry *ret,
                       struct pullkey_error *error)
{
    const char *region = settings_text(json_member(exchange->settings->json.root, "aws"), "region");

    if (!region)
        region = exchange_environment("AWS_REGION");
    if (!region)
        region = exchange_environment("AWS_DEFAULT_REGION");
    if (!region || !aws_is_region(region))
        return error_set(error, PULLKEY_INVALID,
                         "a token of AWS needs a region: set \"region\" of \"aws\", or AWS_REGION");
    *ret = (struct aws_registry){ .partition = aws_partition_of(region) };
    (void)snprintf(ret->region, sizeof(ret->region), "%s", region);
    return 0;
}

static int ask(struct aws *aws, const struct aws_keys *keys, const char *audience,
               struct identity_token *ret, struct pullkey_error *error)
{
    cleanup_buffer struct buffer form = BUFFER_INIT(FORM_MAX);
    cleanup_secret struct pullkey_secret body = { 0 };
    cleanup_response struct http_response response = { 0 };
    struct url url;
    const struct aws_call call = {
        .service = AWS_STS,
        .region = aws->region,
        .url = &url,
        .content_type = HTTP_FORM "; charset=utf-8",
        .body = &body,
        .keys = keys,
        .who = keys->what,
        .action = "sts:GetWebIdentityToken",
    };
    int r = aws_endpoint(aws, AWS_STS, aws->region, "/", &url, error);

    http_query_add(&form, "Action", "GetWebIdentityToken", strlen("GetWebIdentityToken"));
    http_query_add(&form, "Version", AWS_STS_VERSION, strlen(AWS_STS_VERSION));
    http_query_add(&form, "Audience.member.1", audience, strlen(audience));
    http_query_add(&form, "SigningAlgorithm", "RS256", strlen("RS256"));
    http_query_add(&form, "DurationSeconds", LIFE, strlen(LIFE));
    if (r == 0)
        r = buffer_steal(&form, &body, error);
    if (r == 0)
        r = aws_call(aws, &call, &response, error);
    if (r < 0)
        return r;
    r = aws_read_web_token(&response.body, &ret->token, error);
    return r < 0 ? error_wrap(error, "%s", url.host) : 0;
}

int aws_get_identity(struct exchange *exchange, const cJSON *value, struct identity_token *ret,
                     struct pullkey_error *error)
{
    cleanup_aws_keys struct aws_keys keys = { 0 };
    struct aws_registry registry;
    cleanup_aws struct aws aws = { 0 };
    int r = find_region(exchange, &registry, error);

    if (r < 0)
        return r;
    aws_open(exchange, &registry, &aws);
    r = aws_keys_find(&aws, &keys, error);
    if (r < 0)
        return r;
    (void)snprintf(ret->what, sizeof(ret->what), "the token of AWS for %.100s", keys.what);
    return ask(&aws, &keys, value->valuestring, ret, error);
}
