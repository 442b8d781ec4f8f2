/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The metadata service of machines, pods and containers of Google's. It is asked where the options
 * or the environment name it, the firmware is Google's, or the environment is that of Cloud Run,
 * whose sandbox shows no firmware.
 */
#include "google.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/secret.h"
#include "base/text.h"
#include "expiry.h"
#include "machine.h"

#define ADDRESS "http://169.254.169.254"
#define ACCOUNT "/computeMetadata/v1/instance/service-accounts/default/"

struct service {
    struct url url;
    bool is_named; /* by the options or the environment: somebody waits for it */
    bool is_guess; /* K_SERVICE alone says so, which Knative sets on any machine */
};

static int refuse_machine(struct pullkey_error *error)
{
    return error_set(error, PULLKEY_NO_IDENTITY,
                     "there are no Google credentials, and this is no machine of Google's: set "
                     "GOOGLE_APPLICATION_CREDENTIALS, or run gcloud auth application-default "
                     "login");
}

static int find_service(const struct exchange *exchange, struct service *ret,
                        struct pullkey_error *error)
{
    static const char *const names[] = { "GCE_METADATA_HOST", "GCE_METADATA_ROOT",
                                         "GCE_METADATA_IP" };
    const char *never = exchange_environment("NO_GCE_CHECK");
    const char *host = NULL, *name = names[0];
    char address[URL_AUTHORITY_SIZE + 8];
    int r;

    for (size_t i = 0; !host && i < sizeof(names) / sizeof(names[0]); i++) {
        host = exchange_environment(names[i]);
        if (host)
            name = names[i];
    }
    ret->is_named = host || json_member(exchange->settings->endpoints, "google_metadata");
    if (!ret->is_named && never && text_equal_any_case(never, "true"))
        return error_set(error, PULLKEY_NO_IDENTITY,
                         "there are no Google credentials, and NO_GCE_CHECK keeps from asking the "
                         "machine");
    ret->is_guess =
        !ret->is_named && !exchange_environment("CLOUD_RUN_JOB") && !machine_is_google("");
    if (ret->is_guess && !exchange_environment("K_SERVICE"))
        return refuse_machine(error);
    if (host && snprintf(address, sizeof(address), "http://%s", host) >= (int)sizeof(address))
        return error_set(error, PULLKEY_INVALID, "%s is too long", name);
    r = exchange_endpoint(exchange, "google_metadata", host ? address : ADDRESS, &ret->url, error);
    if (r < 0)
        return error_wrap(error, "%s", name);
    if (!ret->url.https && !url_is_metadata(&ret->url) && !url_is_loopback(&ret->url))
        return error_set(error, PULLKEY_INVALID,
                         "%s must be metadata.google.internal, its address, or this machine", name);
    return 0;
}

/* Somebody else at that address does not say so. */
static bool is_google(const struct http_response *response)
{
    const char *value;
    size_t at = 0, length;

    return http_header(response, "metadata-flavor", &at, &value, &length) && length == 6 &&
           memcmp(value, "Google", 6) == 0;
}

static const char *const headers[] = { "Metadata-Flavor: Google", NULL };

static int ask(struct exchange *exchange, const struct service *service, const char *path,
               const struct buffer *query, struct http_response *ret, struct pullkey_error *error)
{
    struct url url = service->url;
    struct http_request request = {
        .url = &url,
        .headers = headers,
        .query = query ? query->data : NULL,
        .attempt_ms = service->is_named ? 0 : MACHINE_TOKEN_MS,
    };
    size_t length = strlen(url.target);
    int r;

    while (length > 0 && url.target[length - 1] == '/')
        length--;
    if (length + strlen(path) >= sizeof(url.target))
        return error_set(error, PULLKEY_INVALID, "the metadata service has too long a path");
    memcpy(url.target + length, path, strlen(path) + 1);
    r = exchange_send(exchange, &request, ret, error);
    if (r < 0 || is_google(ret))
        return r;
    return error_set(error, PULLKEY_INVALID,
                     "%s is no metadata service of Google's: its answer has no Metadata-Flavor",
                     url.host);
}

static int ask_account(struct exchange *exchange, const char *path, const struct buffer *query,
                       struct http_response *ret, struct pullkey_error *error)
{
    struct service service;
    int r = find_service(exchange, &service, error);

    if (r == 0 && !service.is_named)
        r = machine_probe(exchange, &service.url, headers, error);
    if (r == -PULLKEY_UNREACHABLE && service.is_guess)
        return refuse_machine(error);
    if (r < 0)
        return r == -PULLKEY_UNREACHABLE ? error_wrap(error, "there are no Google credentials") : r;
    r = ask(exchange, &service, path, query, ret, error);
    if ((r == -PULLKEY_UNREACHABLE || r == -PULLKEY_INVALID) && service.is_guess && !is_google(ret))
        return refuse_machine(error);
    if (r < 0)
        return error_wrap(error, "the metadata service of this machine");
    /* GKE passes on what IAM answers. */
    if (ret->status == 404 && ret->body.data && strstr(ret->body.data, "IAM returned"))
        return error_set(error, PULLKEY_DENIED,
                         "IAM does not know the service account of this pod (404): check the "
                         "annotation iam.gke.io/gcp-service-account, and that it still exists");
    if (ret->status == 404)
        return error_set(error, PULLKEY_NO_IDENTITY,
                         "this machine of Google's has no service account: give it one");
    if (ret->status != 200)
        return error_set(error, PULLKEY_DENIED,
                         "the metadata service %s refuses the service account of this machine "
                         "(%ld): check its scopes, and who may use it",
                         service.url.host, ret->status);
    return 0;
}

/* `scopes` has blanks between, the service wants commas. */
static void add_scopes(struct buffer *query, const char *scopes)
{
    cleanup_buffer struct buffer list = BUFFER_INIT(HTTP_QUERY_MAX);

    buffer_append_text(&list, scopes);
    for (size_t i = 0; i < list.length; i++)
        if (list.data[i] == ' ')
            list.data[i] = ',';
    if (list.length > 0)
        http_query_add(query, "scopes", list.data, list.length);
}

int google_metadata_token(struct google *google, const char *scopes, struct oauth_reply *ret,
                          struct pullkey_error *error)
{
    cleanup_buffer struct buffer query = BUFFER_INIT(HTTP_QUERY_MAX);
    cleanup_response struct http_response response = { 0 };
    int r;

    (void)snprintf(google->what, sizeof(google->what), "the service account of this machine");
    if (scopes)
        add_scopes(&query, scopes);
    r = buffer_check(&query, error);
    if (r == 0)
        r = ask_account(google->exchange, ACCOUNT "token", &query, &response, error);
    if (r < 0)
        return r;
    r = oauth_read_reply(&response.body, google->exchange->host->wall_seconds(), ret, error);
    return r < 0 ? error_wrap(error, "the answer of the metadata service") : 0;
}

int google_get_identity(struct exchange *exchange, const cJSON *value, struct identity_token *ret,
                        struct pullkey_error *error)
{
    cleanup_buffer struct buffer query = BUFFER_INIT(HTTP_QUERY_MAX);
    cleanup_response struct http_response response = { 0 };
    int r;

    (void)snprintf(ret->what, sizeof(ret->what), "the service account of this machine");
    http_query_add(&query, "audience", value->valuestring, strlen(value->valuestring));
    http_query_add(&query, "format", "full", 4);
    r = buffer_check(&query, error);
    if (r == 0)
        r = ask_account(exchange, ACCOUNT "identity", &query, &response, error);
    if (r < 0)
        return r;
    return secret_set(&ret->token, response.body.data ? response.body.data : "",
                      response.body.length, error);
}
