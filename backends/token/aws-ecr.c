/* SPDX-License-Identifier: Apache-2.0 */
#include "aws-ecr.h"

#include <stdio.h>
#include <string.h>

#include "aws-keys.h"
#include "aws-reply.h"
#include "base/error.h"
#include "base/secret.h"
#include "expiry.h"

#define CONTENT_TYPE "application/x-amz-json-1.1"

static int check_hosts(const struct settings *settings, struct pullkey_error *error)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, settings->hosts) {
        if (!cJSON_IsString(item) || !aws_is_region(item->valuestring))
            return json_error(&settings->json, item, error, "must be a region, as \"us-east-1\"");
    }
    return 0;
}

/* A token takes a role, and nothing that belongs to keys. */
static int check_identity(const struct settings *settings, struct pullkey_error *error)
{
    static const char *const others[] = { "profile", "external_id", "imds" };
    const cJSON *options = json_member(settings->json.root, "aws");

    if (!json_member(options, "role_arn"))
        return json_error(&settings->json, settings->identity, error,
                          "needs \"aws\" with a \"role_arn\", the role that trusts its token");
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        const cJSON *item = json_member(options, others[i]);

        if (item)
            return json_error(&settings->json, item, error, "cannot be beside \"identity\"");
    }
    return identity_check(settings, settings->identity, error);
}

static int ecr_check(const struct settings *settings, struct pullkey_error *error)
{
    static const char *const endpoints[] = { "ecr",      "ecr-public", "sts",       "sso",
                                             "sso-oidc", "imds",       "container", NULL };
    int r = settings_check_texts(settings, settings->endpoints, endpoints, error);

    if (r == 0)
        r = check_hosts(settings, error);
    if (r == 0)
        r = aws_options_check(settings, error);
    return r == 0 && settings->identity ? check_identity(settings, error) : r;
}

/* The host of "hosts", with its port where that is not the default, or one of AWS's own. */
static bool find_registry(const struct exchange *exchange, struct aws_registry *ret)
{
    const struct pullkey_request *request = exchange->request;
    char name[URL_AUTHORITY_SIZE];
    const char *region;

    if (request->http || strlen(request->host) > URL_HOST_MAX)
        return false;
    if (request->port == 0)
        (void)snprintf(name, sizeof(name), "%s", request->host);
    else
        (void)snprintf(name, sizeof(name), "%s:%u", request->host, (unsigned int)request->port);
    region = settings_text(exchange->settings->hosts, name);
    if (!region)
        return request->port == 0 && aws_host_parse(request->host, ret);
    *ret = (struct aws_registry){ .partition = aws_partition_of(region) };
    (void)snprintf(ret->region, sizeof(ret->region), "%s", region);
    return true;
}

/* The role of the options, by the token of the options. */
static int take_role(struct aws *aws, const struct identity_token *token, struct aws_keys *ret,
                     struct pullkey_error *error)
{
    const struct aws_role role = {
        .arn = aws_option(aws, "role_arn"),
        .session_name = aws_option(aws, "session_name"),
        .token = token,
    };

    return aws_assume_role(aws, NULL, &role, ret, error);
}

static int ask(struct aws *aws, const struct aws_keys *keys, struct aws_token *ret,
               struct pullkey_error *error)
{
    const bool is_public = aws->registry.is_public;
    const struct pullkey_secret body = { .bytes = (char[]){ "{}" }, .length = 2 };
    cleanup_response struct http_response response = { 0 };
    struct aws_call call = {
        .service = is_public ? AWS_ECR_PUBLIC : AWS_ECR,
        .region = aws->registry.region,
        .target = is_public ? "SpencerFrontendService.GetAuthorizationToken"
                            : "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken",
        .content_type = CONTENT_TYPE,
        .body = &body,
        .keys = keys,
        .who = keys->what,
        .action = is_public ? "ecr-public:GetAuthorizationToken and sts:GetServiceBearerToken"
                            : "ecr:GetAuthorizationToken",
    };
    struct url url;
    int r = aws_endpoint(aws, call.service, call.region, "/", &url, error);

    call.url = &url;
    if (r == 0)
        r = aws_call(aws, &call, &response, error);
    if (r < 0)
        return r;
    r = aws_read_token(is_public, &response.body, ret, error);
    return r < 0 ? error_wrap(error, "the answer of %s", url.host) : 0;
}

/* By this machine's clock, which whoever keeps the token looks at; 0 where nobody is to keep it. */
static int64_t find_expiry(const struct aws *aws, int64_t expiry)
{
    const struct pullkey_host *host = aws->exchange->host;
    const int64_t now = aws_now(aws);

    if (expiry <= now) {
        host->log(EXCHANGE_SOURCE,
                  "the token of %s ended %lld s ago by this machine's clock, so it is not kept; is "
                  "the clock right?",
                  aws->exchange->request->host, (long long)(now - expiry));
        return 0;
    }
    if (expiry > now + EXPIRY_MAX_SECONDS)
        expiry = now + EXPIRY_MAX_SECONDS;
    return expiry - aws->skew;
}

/* A private registry has nothing for who is nobody, so that is the end; a public one has. */
static int no_identity(const struct aws *aws, struct pullkey_error *error)
{
    if (aws->registry.is_public)
        return -PULLKEY_NO_IDENTITY;
    error->code = PULLKEY_DENIED;
    return error_wrap(error, "%s is private", aws->exchange->request->host);
}

static int ecr_get(struct exchange *exchange, struct pullkey_credential *ret,
                   struct pullkey_error *error)
{
    const cJSON *identity = exchange->settings->identity;
    cleanup_identity_token struct identity_token own = { 0 };
    cleanup_aws_keys struct aws_keys keys = { 0 };
    cleanup_aws_token struct aws_token token = { 0 };
    struct aws_registry registry;
    cleanup_aws struct aws aws = { 0 };
    int r = 0;

    if (!find_registry(exchange, &registry))
        return error_set(error, PULLKEY_NOT_FOUND, "%s is no registry of AWS",
                         exchange->request->host);
    /* Whoever gives the token need not be known to the authorities of AWS_CA_BUNDLE. */
    if (identity)
        r = identity_get(exchange, identity, &own, error);
    aws_open(exchange, &registry, &aws);
    if (r == 0)
        r = identity ? take_role(&aws, &own, &keys, error) : aws_keys_find(&aws, &keys, error);
    if (r == -PULLKEY_NO_IDENTITY)
        return no_identity(&aws, error);
    if (r == 0)
        r = ask(&aws, &keys, &token, error);
    if (r < 0)
        return r;
    return exchange_answer(exchange, token.username, &token.password,
                           find_expiry(&aws, token.expiry), ret, error);
}

const struct provider aws_ecr_provider = { .recipe = "ecr", .check = ecr_check, .get = ecr_get };
