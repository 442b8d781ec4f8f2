/* SPDX-License-Identifier: Apache-2.0 */
#include "aws-call.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"
#include "aws-failure.h"
#include "http/retry.h"

#define SKEW_MIN_SECONDS 240 /* less of it is not why AWS refuses */
#define LINE_SIZE_MAX (PULLKEY_SECRET_MAX + 64)
#define PIECE 12 /* bytes of a secret */

void aws_open(struct exchange *exchange, const struct aws_registry *registry, struct aws *ret)
{
    const char *region;

    *ret = (struct aws){
        .exchange = exchange,
        .options = json_member(exchange->settings->json.root, "aws"),
        .registry = *registry,
        .looked = BUFFER_INIT(PULLKEY_ERROR_SIZE),
    };
    region = aws_option(ret, "region");
    if (!region)
        region = exchange_environment("AWS_REGION");
    if (!region)
        region = exchange_environment("AWS_DEFAULT_REGION");
    /* Keys of one partition are nothing in another. */
    if (!region || !aws_is_region(region) || aws_partition_of(region) != registry->partition)
        region = registry->region;
    (void)snprintf(ret->region, sizeof(ret->region), "%s", region);
    if (!exchange->http_options.ca_file) {
        exchange->http_options.ca_file = exchange_environment("AWS_CA_BUNDLE");
        ret->has_bundle = exchange->http_options.ca_file != NULL;
    }
}

void aws_close(struct aws *aws)
{
    if (aws->has_bundle)
        aws->exchange->http_options.ca_file = NULL;
    aws->has_bundle = false;
    buffer_done(&aws->looked);
    aws_ini_done(&aws->config);
    aws_ini_done(&aws->credentials);
}

int64_t aws_now(const struct aws *aws)
{
    return aws->exchange->host->wall_seconds() + aws->skew;
}

const char *aws_option(const struct aws *aws, const char *name)
{
    return settings_text(aws->options, name);
}

static bool is_true(const char *variable)
{
    const char *value = exchange_environment(variable);

    return value && text_equal_any_case(value, "true");
}

static const char *endpoint_of_environment(enum aws_service service)
{
    static const char *const names[] = {
        [AWS_ECR] = "AWS_ENDPOINT_URL_ECR",
        [AWS_ECR_PUBLIC] = "AWS_ENDPOINT_URL_ECR_PUBLIC",
        [AWS_STS] = "AWS_ENDPOINT_URL_STS",
        [AWS_SSO] = "AWS_ENDPOINT_URL_SSO",
        [AWS_SSO_OIDC] = "AWS_ENDPOINT_URL_SSO_OIDC",
    };
    const char *own;

    if (is_true("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"))
        return NULL;
    own = exchange_environment(names[service]);
    return own ? own : exchange_environment("AWS_ENDPOINT_URL");
}

static int append_path(const char *path, struct url *url, struct pullkey_error *error)
{
    size_t length = strlen(url->target);

    if (strchr(url->target, '?'))
        return error_set(error, PULLKEY_INVALID, "an endpoint of AWS must have no query");
    while (length > 0 && url->target[length - 1] == '/')
        length--;
    if (length + strlen(path) >= sizeof(url->target))
        return error_set(error, PULLKEY_INVALID, "an endpoint of AWS has too long a path");
    memcpy(url->target + length, path, strlen(path) + 1);
    return 0;
}

int aws_endpoint(const struct aws *aws, enum aws_service service, const char *region,
                 const char *path, struct url *ret, struct pullkey_error *error)
{
    const bool fips =
        (service == AWS_ECR && aws->registry.fips) || is_true("AWS_USE_FIPS_ENDPOINT");
    const bool dual = aws->registry.dual_stack || is_true("AWS_USE_DUALSTACK_ENDPOINT");
    const char *own = endpoint_of_environment(service), *name = aws_service_name(service);
    char address[AWS_ADDRESS_SIZE];
    int r;

    if (settings_text(aws->exchange->settings->endpoints, name))
        own = "";
    if (!own && !aws_service_address(service, region, fips, dual, address))
        return error_set(
            error, PULLKEY_UNSUPPORTED,
            "the service %s has no FIPS endpoint; name one as \"%s\" of \"endpoints\", "
            "or unset AWS_USE_FIPS_ENDPOINT",
            name, name);
    r = exchange_endpoint(aws->exchange, name, own ? own : address, ret, error);
    if (r < 0)
        return error_wrap(error, "the endpoint of %s in the environment", name);
    return append_path(path, ret, error);
}

static bool holds(const struct pullkey_secret *secret, const char *text)
{
    return secret && secret->length > 0 &&
           memmem(secret->bytes, secret->length, text, strlen(text));
}

/* A code that is a piece of what was sent is none: it may be one of a secret. */
static bool is_sent(const struct aws_call *call, const char *code)
{
    if (strlen(code) < PIECE)
        return false;
    return (call->header && strstr(call->header, code)) || holds(call->body, code) ||
           (call->keys && (holds(&call->keys->secret, code) || holds(&call->keys->session, code)));
}

static void read_failure(const struct aws_call *call, const struct http_response *response,
                         struct aws_failure *ret)
{
    const char *value;
    size_t at = 0, length;

    aws_read_failure(&response->body, ret);
    if (ret->code[0] == '\0' && http_header(response, "x-amzn-errortype", &at, &value, &length)) {
        const char *colon = memchr(value, ':', length);

        aws_failure_set_code(value, colon ? (size_t)(colon - value) : length, ret);
    }
    if (is_sent(call, ret->code))
        ret->code[0] = '\0';
}

/* False where the reply's Date does not say that the clock is wrong, or did before. */
static bool learn_skew(struct aws *aws, const struct http_response *response)
{
    const struct pullkey_host *host = aws->exchange->host;
    char date[64];
    const char *value;
    size_t at = 0, length;
    time_t theirs;

    if (aws->skew != 0 || !http_header(response, "date", &at, &value, &length) ||
        length >= sizeof(date))
        return false;
    memcpy(mempcpy(date, value, length), "", 1);
    theirs = curl_getdate(date, NULL);
    if (theirs == -1 || llabs((long long)theirs - host->wall_seconds()) <= SKEW_MIN_SECONDS)
        return false;
    aws->skew = theirs - host->wall_seconds();
    host->log(EXCHANGE_SOURCE,
              "this machine's clock is %lld s %s that of AWS, whose is used; set it",
              llabs((long long)aws->skew), aws->skew > 0 ? "behind" : "before");
    return true;
}

/* The lines of a request: a few that tell, and those that sign. */
struct lines {
    struct buffer date, target, session, type, authorization;
    const char *list[8];
};

static void lines_done(struct lines *lines)
{
    buffer_done(&lines->date);
    buffer_done(&lines->target);
    buffer_done(&lines->session);
    buffer_done(&lines->type);
    buffer_done(&lines->authorization);
}

#define cleanup_lines __attribute__((cleanup(lines_done)))

static int make_lines(const struct aws *aws, const struct aws_call *call, struct lines *lines,
                      struct pullkey_error *error)
{
    struct aws_sign what = {
        .method = call->body ? "POST" : "GET",
        .url = call->url,
        .query = call->query,
        .service = aws_service_name(call->service),
        .region = call->region,
        .headers = lines->list,
        .body = call->body,
    };
    char date[AWS_DATE_SIZE];
    size_t count = 0;
    int r;

    aws_sign_date(aws_now(aws), date);
    what.date = date;
    buffer_printf(&lines->type, "Content-Type: %s", call->body ? call->content_type : "");
    buffer_printf(&lines->date, "X-Amz-Date: %s", date);
    if (buffer_check(&lines->type, error) < 0 || buffer_check(&lines->date, error) < 0)
        return -(int)error->code;
    if (call->body)
        lines->list[count++] = lines->type.data;
    if (call->header)
        lines->list[count++] = call->header;
    if (call->target) {
        buffer_printf(&lines->target, "X-Amz-Target: %s", call->target);
        lines->list[count++] = lines->target.data;
    }
    if (!call->keys)
        return buffer_check(&lines->target, error);
    lines->list[count++] = lines->date.data;
    if (call->keys->session.length > 0) {
        buffer_append_text(&lines->session, "X-Amz-Security-Token: ");
        buffer_append(&lines->session, call->keys->session.bytes, call->keys->session.length);
        lines->list[count++] = lines->session.data;
    }
    if (buffer_check(&lines->session, error) < 0 || buffer_check(&lines->target, error) < 0)
        return -(int)error->code;
    r = aws_sign(call->keys, &what, &lines->authorization, error);
    lines->list[count] = lines->authorization.data;
    return r;
}

static int send_once(struct aws *aws, const struct aws_call *call, struct http_response *ret,
                     struct pullkey_error *error)
{
    cleanup_lines struct lines lines = {
        .date = BUFFER_INIT(64),
        .target = BUFFER_INIT(128),
        .session = BUFFER_INIT(LINE_SIZE_MAX),
        .type = BUFFER_INIT(128),
        .authorization = BUFFER_INIT(2048),
    };
    struct http_request request = {
        .url = call->url,
        .query = call->query,
        .method = call->body ? HTTP_POST : HTTP_GET,
        .headers = lines.list,
        .body = call->body,
        .content_type = call->content_type,
    };
    int r = make_lines(aws, call, &lines, error);

    return r < 0 ? r : exchange_send(aws->exchange, &request, ret, error);
}

/* Whether a text has a piece of a secret that is long enough to be no accident. */
static bool shares_piece(const char *text, const struct pullkey_secret *secret)
{
    for (size_t length = strlen(text); length >= PIECE; length--, text++)
        if (secret->length >= PIECE && memmem(secret->bytes, secret->length, text, PIECE))
            return true;
    return false;
}

/* Only what IAM says about rights is shown: other texts repeat parts of the request. */
static bool may_show(const struct aws_call *call, const struct aws_failure *failure)
{
    return aws_failure_is(failure, "AccessDenied") && call->keys &&
           !shares_piece(failure->message, &call->keys->secret) &&
           !shares_piece(failure->message, &call->keys->session) &&
           strstr(failure->message, "is not authorized to");
}

static int explain(const struct aws_call *call, long status, const struct aws_failure *failure,
                   struct pullkey_error *error)
{
    const char *code = failure->code[0] != '\0' ? failure->code : "no code";
    const char *advice = aws_failure_advice(failure);
    char server[URL_AUTHORITY_SIZE], text[160];

    url_authority(call->url, server);
    if (aws_failure_passes(failure))
        return error_set(error, PULLKEY_UNREACHABLE,
                         "%s is busy and did not answer %s: %s (HTTP %ld); try again", server,
                         call->who, code, status);
    if (!advice && (status == 401 || status == 403))
        advice = "it may not do that";
    if (!advice)
        return error_set(error, PULLKEY_INVALID,
                         "%s cannot answer %s: %s (HTTP %ld); check the region, the role and the "
                         "endpoint that are configured",
                         server, call->who, code, status);
    if (aws_failure_is(failure, "AccessDenied"))
        (void)snprintf(text, sizeof(text), "allow it %s in IAM", call->action);
    else
        (void)snprintf(text, sizeof(text), "%s", advice);
    return error_set(error, PULLKEY_DENIED, "%s refuses %s: %s (HTTP %ld)%s%s; %s", server,
                     call->who, code, status, may_show(call, failure) ? ": " : "",
                     may_show(call, failure) ? failure->message : "", text);
}

/* What the reply asks for, else a little more each time; enough to keep two who were refused
 * together apart. */
static int64_t find_delay(const struct aws *aws, const struct http_response *response,
                          unsigned int attempt)
{
    const struct pullkey_host *host = aws->exchange->host;
    char text[64];
    const char *value;
    size_t at = 0, length;
    int64_t asked = -1;

    if (http_header(response, "retry-after", &at, &value, &length) && length < sizeof(text)) {
        memcpy(mempcpy(text, value, length), "", 1);
        asked = retry_after_ms(text, host->wall_seconds());
    }
    return asked >= 0 ? asked : retry_delay_ms(attempt, (unsigned int)host->monotonic_ms());
}

/* False where the deadline is nearer. */
static bool wait_again(const struct aws *aws, int64_t delay)
{
    const struct exchange *exchange = aws->exchange;

    if (exchange->host->monotonic_ms() + delay >= exchange->request->deadline_ms)
        return false;
    http_wait(exchange->http, delay);
    return true;
}

int aws_call(struct aws *aws, const struct aws_call *call, struct http_response *ret,
             struct pullkey_error *error)
{
    struct aws_failure failure;

    for (unsigned int attempt = 0;;) {
        int r = send_once(aws, call, ret, error);
        int64_t delay;
        long status;

        if (r < 0) {
            read_failure(call, ret, &failure);
            http_response_done(ret);
            return error_wrap(error, "%s of %s%s%s", call->action, call->who,
                              failure.code[0] != '\0' ? ": " : "", failure.code);
        }
        if (ret->status == 200)
            return 0;
        status = ret->status;
        read_failure(call, ret, &failure);
        if (aws_failure_is_skew(&failure) && learn_skew(aws, ret)) {
            http_response_done(ret);
            continue;
        }
        delay = find_delay(aws, ret, attempt);
        http_response_done(ret);
        if (!aws_failure_passes(&failure) || ++attempt == RETRY_ATTEMPTS || !wait_again(aws, delay))
            return explain(call, status, &failure, error);
    }
}
