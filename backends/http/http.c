/* SPDX-License-Identifier: Apache-2.0 */
#include "http.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/secret.h"
#include "curl-memory.h"
#include "http-error.h"
#include "retry.h"
#include "server.h"

#include <string.h>
#include <sys/random.h>
#include <unistd.h>

struct http {
    const struct pullkey_host *host;
    const struct http_options *options;
    struct server servers[HTTP_SERVERS_MAX];
    size_t server_count;
    const char *cause; /* of the last failure; NULL */
};

/* A reply while it arrives. */
struct transfer {
    struct http_response *response;
    size_t header_bytes;
    bool headers_done; /* what follows as a header is a trailer of the body, and no one asked for
                          those */
    bool too_large;
};

size_t http_body_max(const struct http_options *options)
{
    return options->body_max > 0 ? options->body_max : HTTP_BODY_MAX;
}

static size_t take_header(char *line, size_t size, size_t count, void *data)
{
    struct transfer *transfer = data;
    size_t length = size * count;

    transfer->header_bytes += length;
    if (transfer->header_bytes > HTTP_HEADERS_MAX) {
        transfer->too_large = true;
        return 0;
    }
    if (length >= 5 && memcmp(line, "HTTP/", 5) == 0) {
        transfer->response->headers.length = 0;
        transfer->headers_done = false;
        return length;
    }
    if (length <= 2 && (length == 0 || line[0] == '\r' || line[0] == '\n'))
        transfer->headers_done = true;
    else if (!transfer->headers_done)
        buffer_append(&transfer->response->headers, line, length);
    return transfer->response->headers.state == BUFFER_FINE ? length : 0;
}

static size_t take_body(char *bytes, size_t size, size_t count, void *data)
{
    struct transfer *transfer = data;

    buffer_append(&transfer->response->body, bytes, size * count);
    if (transfer->response->body.state == BUFFER_FINE)
        return size * count;
    transfer->too_large = transfer->response->body.state == BUFFER_FULL;
    return 0;
}

static int find_server(struct http *http, const struct http_request *request, struct server **ret,
                       struct pullkey_error *error)
{
    struct server *server;
    int r;

    for (size_t i = 0; i < http->server_count; i++) {
        server = &http->servers[i];
        if (server->url.https == request->url->https &&
            url_same_server(&server->url, request->url) &&
            server->public_only == request->public_only &&
            server->beyond_link == request->beyond_link) {
            *ret = server;
            return 0;
        }
    }
    if (http->server_count == HTTP_SERVERS_MAX)
        return error_set(error, PULLKEY_INTERNAL, "more than %d servers in one request",
                         HTTP_SERVERS_MAX);
    server = &http->servers[http->server_count];
    r = server_open(http->options, request, server, error);
    if (r < 0)
        return r;
    http->server_count++;
    *ret = server;
    return 0;
}

static bool set_transfer(CURL *easy, struct transfer *transfer, char *detail, int64_t attempt_ms,
                         int64_t left_ms)
{
    const long connect = attempt_ms > 0 ? (long)attempt_ms : (long)HTTP_CONNECT_MS;
    long total = left_ms > 3600 * 1000 ? 3600 * 1000L : (long)left_ms;

    if (attempt_ms > 0 && total > attempt_ms)
        total = (long)attempt_ms;
    return curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_header) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, detail) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, total) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, total < connect ? total : connect) ==
               CURLE_OK;
}

static void forget_transfer(const struct server *server)
{
    server_forget_request(server);
    (void)curl_easy_setopt(server->easy, CURLOPT_HEADERDATA, NULL);
    (void)curl_easy_setopt(server->easy, CURLOPT_WRITEDATA, NULL);
    (void)curl_easy_setopt(server->easy, CURLOPT_ERRORBUFFER, NULL);
}

static void trace(const struct http *http, const struct server *server,
                  const struct http_request *request, const struct http_response *response,
                  CURLcode code, int64_t took_ms)
{
    static const char *const methods[] = { "GET", "POST", "PUT", "HEAD" };
    static const char *const schemes[] = { "no credential", "Basic ***", "Bearer ***" };
    const char *path = request->secret_path ? "/***" : request->url->target, *address = NULL;

    (void)curl_easy_getinfo(server->easy, CURLINFO_PRIMARY_IP, &address);
    http->host->log(http->options->source, "%s %s://%s%.*s (%s%s%s) at %s: %s %ld, %lld ms",
                    methods[request->method], request->url->https ? "https" : "http",
                    server->authority, (int)strcspn(path, "?"), path, schemes[request->scheme],
                    request->body ? ", body ***" : "", server->proxy ? ", proxy" : "",
                    address && address[0] != '\0' ? address : "no address",
                    code == CURLE_OK ? "status" : curl_easy_strerror(code),
                    code == CURLE_OK ? response->status : (long)code, (long long)took_ms);
}

/* What libcurl says about a certificate is the TLS library's own number. */
static long verify_result(CURL *easy)
{
    const curl_version_info_data *info = curl_version_info(CURLVERSION_NOW);
    long result = HTTP_VERIFY_UNKNOWN;

    if (info->ssl_version && strncmp(info->ssl_version, "OpenSSL/", 8) == 0)
        (void)curl_easy_getinfo(easy, CURLINFO_SSL_VERIFYRESULT, &result);
    return result;
}

static int explain(struct http *http, const struct server *server, const struct transfer *transfer,
                   CURLcode code, const char *detail, bool *ret_again, struct pullkey_error *error)
{
    const struct http_response *response = transfer->response;
    bool ran_out = curl_memory_ran_out();
    curl_off_t connected = 0;
    long accepted = 0;
    struct http_failure failure = {
        .code = code,
        .server = server->authority,
        .proxy = server->proxy,
        .detail = detail,
        .options = http->options,
        .loopback = url_is_loopback(&server->url),
        .too_large = transfer->too_large,
        .forbidden = server->forbidden,
        .beyond_link = server->beyond_link,
    };

    *ret_again = false;
    if (response->headers.state == BUFFER_NO_MEMORY || response->body.state == BUFFER_NO_MEMORY)
        return error_memory(error);
    failure.verify_result = verify_result(server->easy);
    (void)curl_easy_getinfo(server->easy, CURLINFO_HTTP_CONNECTCODE, &failure.proxy_status);
    (void)curl_easy_getinfo(server->easy, CURLINFO_OS_ERRNO, &failure.os_errno);
    /* Not the times of the handshakes: a connection that is used again has had them. */
    (void)curl_easy_getinfo(server->easy, CURLINFO_PRETRANSFER_TIME_T, &connected);
    failure.connected = connected > 0;
    (void)curl_easy_getinfo(server->easy, CURLINFO_NUM_CONNECTS, &accepted);
    failure.accepted = failure.connected || (accepted > 0 && !server->proxy);
    /* libcurl 7.88 calls a header line over its own limit "out of memory"; before there is a
     * connection it is its TLS library that says so. */
    if (code == CURLE_OUT_OF_MEMORY && !ran_out && (failure.connected || server->proxy))
        failure.too_large = true;
    *ret_again = code == CURLE_OPERATION_TIMEDOUT && !failure.connected;
    http->cause = http_cause_of(&failure);
    return http_explain(&failure, error);
}

static int perform(struct http *http, struct server *server, const struct http_request *request,
                   struct http_response *response, bool *ret_again, struct pullkey_error *error)
{
    struct transfer transfer = { .response = response };
    char detail[CURL_ERROR_SIZE] = "";
    struct curl_slist *headers = NULL;
    int64_t start = http->host->monotonic_ms(), left = http->options->deadline_ms - start;
    CURLcode code;
    int r;

    *ret_again = false;
    if (left <= 0)
        return error_set(error, PULLKEY_UNREACHABLE, "no time is left to ask %s",
                         server->authority);
    r = server_set_request(server, http->options, request, &headers, error);
    if (r < 0)
        return r;
    server->forbidden = false;
    if (!set_transfer(server->easy, &transfer, detail, request->attempt_ms, left)) {
        r = error_memory(error);
    } else {
        code = curl_easy_perform(server->easy);
        (void)curl_easy_getinfo(server->easy, CURLINFO_RESPONSE_CODE, &response->status);
        trace(http, server, request, response, code, http->host->monotonic_ms() - start);
        if (code != CURLE_OK)
            r = explain(http, server, &transfer, code, detail, ret_again, error);
    }
    forget_transfer(server);
    curl_slist_free_all(headers);
    return r;
}

/* Only the host, and only if the server has not seen a credential that it could have written there.
 */
static int explain_redirect(struct http *http, const struct server *server,
                            const struct http_request *request,
                            const struct http_response *response, struct pullkey_error *error)
{
    char location[URL_TARGET_MAX], target[URL_AUTHORITY_SIZE] = "";
    struct pullkey_error ignored;
    const char *value;
    struct url url;
    size_t at = 0, length;

    if (request->scheme == HTTP_NO_AUTH && !request->body &&
        http_header(response, "location", &at, &value, &length) && length < sizeof(location)) {
        memcpy(location, value, length);
        location[length] = '\0';
        if (url_parse(location, &url, &ignored) == 0)
            url_authority(&url, target);
    }
    http->cause = "redirect";
    return error_set(error, PULLKEY_INVALID,
                     "%s answers with a redirect (%ld)%s%s, and redirects are not followed; use "
                     "the name of the server itself",
                     server->authority, response->status, target[0] != '\0' ? " to " : "", target);
}

static int64_t wait_of_header(const struct http *http, const struct http_response *response)
{
    char text[64];
    const char *value;
    size_t at = 0, length;

    if (!http_header(response, "retry-after", &at, &value, &length) || length >= sizeof(text))
        return -1;
    memcpy(text, value, length);
    text[length] = '\0';
    return retry_after_ms(text, http->host->wall_seconds());
}

void http_wait(const struct http *http, int64_t ms)
{
    if (http->options->wait_until)
        http->options->wait_until(http->host->monotonic_ms() + ms);
    else
        (void)clock_poll(NULL, 0, clock_monotonic_ms() + ms);
}

/* Waits before the next attempt. False if there is no time for that. */
static bool wait_for_next(const struct http *http, unsigned int attempt, int64_t asked_ms)
{
    unsigned short random = 0;

    if (asked_ms < 0) {
        if (getrandom(&random, sizeof(random), GRND_NONBLOCK) < 0)
            random = 0;
        asked_ms = retry_delay_ms(attempt, random);
    }
    if (http->host->monotonic_ms() + asked_ms >= http->options->deadline_ms)
        return false;
    http->host->log(http->options->source, "waiting %lld ms before the next attempt",
                    (long long)asked_ms);
    http_wait(http, asked_ms);
    return true;
}

bool http_wait_next(const struct http *http, const struct http_response *response,
                    unsigned int attempt)
{
    return attempt + 1 < RETRY_ATTEMPTS &&
           wait_for_next(http, attempt, wait_of_header(http, response));
}

static void empty_response(const struct http *http, struct http_response *response)
{
    http_response_done(response);
    *response = (struct http_response){
        .headers = BUFFER_INIT(HTTP_HEADERS_MAX),
        .body = BUFFER_INIT(http_body_max(http->options)),
    };
}

int http_send(struct http *http, const struct http_request *request, struct http_response *ret,
              struct pullkey_error *error)
{
    cleanup_response struct http_response response = { 0 };
    struct server *server;
    const unsigned int attempts = request->attempts > 0 && request->attempts < RETRY_ATTEMPTS
                                      ? request->attempts
                                      : RETRY_ATTEMPTS;
    int64_t wait = -1;
    bool again;
    int r;

    if (!request->url->https && !(request->allow_http && url_is_loopback(request->url)) &&
        !(request->allow_metadata && url_is_metadata(request->url)) &&
        !(request->allow_private && url_is_private(request->url)))
        return error_set(error, PULLKEY_DENIED,
                         "%s is not asked over plain http: only a server on this machine is",
                         request->url->host);
    http->cause = "proxy"; /* there is no other reason to have no handle */
    r = find_server(http, request, &server, error);
    if (r < 0)
        return r;
    for (unsigned int attempt = 0;; attempt++) {
        empty_response(http, &response);
        http->cause = NULL;
        r = perform(http, server, request, &response, &again, error);
        if (r >= 0) {
            wait = wait_of_header(http, &response);
            /* 412: Vault's server has not seen yet what another one has. */
            again =
                !request->is_once &&
                (retry_status(response.status) || response.status == 412 ||
                 (response.status >= 400 && response.status < 500 && retry_body(&response.body)));
        }
        if (!again || attempt + 1 == attempts || !wait_for_next(http, attempt, wait))
            break;
    }
    if (r < 0)
        return r;
    if (response.status >= 300 && response.status < 400)
        return explain_redirect(http, server, request, &response, error);
    *ret = response;
    response = (struct http_response){ 0 };
    if (!retry_status(ret->status))
        return 0;
    http->cause = ret->status == 429 ? "too-many-requests" : "server-error";
    return http_explain_status(server->authority, ret->status, wait, error);
}

const char *http_cause(const struct http *http)
{
    return http->cause ? http->cause : "";
}

const struct server *http_server(const struct http *http, const struct url *url)
{
    for (size_t i = 0; i < http->server_count; i++)
        if (http->servers[i].url.https == url->https && url_same_server(&http->servers[i].url, url))
            return &http->servers[i];
    return NULL;
}

void http_response_done(struct http_response *response)
{
    buffer_done(&response->headers);
    buffer_done(&response->body);
    response->status = 0;
}

int http_open(const struct pullkey_host *host, const struct http_options *options,
              struct http **ret, struct pullkey_error *error)
{
    struct http *http;
    int r = curl_memory_start(error);

    if (r < 0)
        return r;
    http = secret_alloc(sizeof(*http));
    if (!http)
        return error_memory(error);
    http->host = host;
    http->options = options;
    *ret = http;
    return 0;
}

void http_close(struct http *http)
{
    if (!http)
        return;
    for (size_t i = 0; i < http->server_count; i++)
        server_close(&http->servers[i]);
    secret_release(http);
}
