/* SPDX-License-Identifier: Apache-2.0 */
#include "http.h"

#include "address.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/secret.h"
#include "base/text.h"
#include "curl-memory.h"
#include "http-error.h"
#include "proxy.h"
#include "pullkey-build.h"
#include "retry.h"

#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define AUTHORIZATION_MAX (2 * PULLKEY_SECRET_MAX)
#define URL_TEXT_MAX (URL_AUTHORITY_SIZE + URL_TARGET_MAX + HTTP_QUERY_MAX + 16)

/* One server and all that is known about it. */
struct server {
    CURL *easy;
    struct url url; /* host, port and scheme count */
    char authority[URL_AUTHORITY_SIZE];
    const char *proxy;
    bool public_only;
    bool forbidden; /* during one request: an address was refused */
};

struct http {
    const struct pullkey_host *host;
    const struct http_options *options;
    struct server servers[HTTP_SERVERS_MAX];
    size_t server_count;
};

/* A reply while it arrives. */
struct transfer {
    struct http_response *response;
    size_t header_bytes;
    bool headers_done; /* what follows as a header is a trailer of the body, and no one asked for
                          those */
    bool too_large;
};

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

/* The one place where a connection is made: the last look at where it goes. A proxy's address is
 * the user's own choice. */
static curl_socket_t open_socket(void *data, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct server *server = data;

    (void)purpose;
    if (!server->proxy && ((!server->url.https && !address_is_loopback(&address->addr)) ||
                           (server->public_only && !address_is_public(&address->addr)))) {
        server->forbidden = true;
        return CURL_SOCKET_BAD;
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* libcurl's own directory of trusted certificates, where only what is needed is read; NULL: use its
 * bundle. */
static const char *system_ca_dir(void)
{
    const curl_version_info_data *info = curl_version_info(CURLVERSION_NOW);

    if (info->age < CURLVERSION_SEVENTH || !info->capath || access(info->capath, R_OK | X_OK) != 0)
        return NULL;
    return info->capath;
}

static bool set_trust(CURL *easy, const struct http_options *options)
{
    const char *file = options->ca_file, *dir = options->ca_dir;
    bool fine = true;

    if (!file && !dir) {
        dir = system_ca_dir();
        if (!dir)
            return true;
    }
    fine &= curl_easy_setopt(easy, CURLOPT_CAINFO, file) == CURLE_OK;
    fine &= curl_easy_setopt(easy, CURLOPT_CAPATH, dir) == CURLE_OK;
    return fine;
}

/* What is the same for every request to a server. */
static bool set_up_server(struct server *server, const struct http_options *options)
{
    CURL *easy = server->easy;
    bool fine = true;

#define SET(option, value) (fine &= curl_easy_setopt(easy, option, value) == CURLE_OK)
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_QUICK_EXIT, 1L); /* else the end waits for a name server that does not answer */
    SET(CURLOPT_PROTOCOLS_STR, server->url.https ? "https" : "http");
    SET(CURLOPT_REDIR_PROTOCOLS_STR, "https");
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_UNRESTRICTED_AUTH, 0L);
    SET(CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
    SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    SET(CURLOPT_PATH_AS_IS, 1L);
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_HTTP09_ALLOWED, 0L);
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(CURLOPT_SSL_VERIFYPEER, 1L);
    SET(CURLOPT_SSL_VERIFYHOST, 2L);
    SET(CURLOPT_PROXY, server->proxy ? server->proxy : "");
    SET(CURLOPT_NOPROXY, "");
    SET(CURLOPT_HEADEROPT, (long)CURLHEADER_SEPARATE);
    SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    SET(CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)HTTP_BODY_MAX);
    SET(CURLOPT_USERAGENT, "pullkey/" PULLKEY_VERSION);
    SET(CURLOPT_HEADERFUNCTION, take_header);
    SET(CURLOPT_WRITEFUNCTION, take_body);
    SET(CURLOPT_OPENSOCKETFUNCTION, open_socket);
    SET(CURLOPT_OPENSOCKETDATA, server);
#undef SET
    return set_trust(easy, options) && fine;
}

static int find_server(struct http *http, const struct http_request *request, struct server **ret,
                       struct pullkey_error *error)
{
    struct server *server;

    for (size_t i = 0; i < http->server_count; i++) {
        server = &http->servers[i];
        if (server->url.https == request->url->https &&
            url_same_server(&server->url, request->url) &&
            server->public_only == request->public_only) {
            *ret = server;
            return 0;
        }
    }
    if (http->server_count == HTTP_SERVERS_MAX)
        return error_set(error, PULLKEY_INTERNAL, "more than %d servers in one request",
                         HTTP_SERVERS_MAX);
    server = &http->servers[http->server_count];
    *server = (struct server){ .url = *request->url, .public_only = request->public_only };
    url_authority(&server->url, server->authority);
    server->proxy = proxy_for(&server->url);
    server->easy = curl_easy_init();
    if (!server->easy)
        return error_memory(error);
    /* One that is not as it must be is not there. */
    if (!set_up_server(server, http->options)) {
        curl_easy_cleanup(server->easy);
        return curl_memory_ran_out()
                   ? error_memory(error)
                   : error_set(error, PULLKEY_INTERNAL,
                               "this libcurl lacks an option that keeps credentials safe");
    }
    http->server_count++;
    *ret = server;
    return 0;
}

static int append_header(struct curl_slist **list, const char *line)
{
    struct curl_slist *longer = curl_slist_append(*list, line);

    if (!longer)
        return -1;
    *list = longer;
    return 0;
}

static int write_authorization(const struct http_request *request, struct buffer *line,
                               struct pullkey_error *error)
{
    cleanup_buffer struct buffer pair = BUFFER_INIT(AUTHORIZATION_MAX);
    int r;

    if (request->scheme == HTTP_BEARER) {
        for (size_t i = 0; i < request->secret->length; i++)
            if (request->secret->bytes[i] <= 0x20 || request->secret->bytes[i] >= 0x7f)
                return error_set(error, PULLKEY_INVALID,
                                 "the token holds bytes that no token may have");
        buffer_append_text(line, "Authorization: Bearer ");
        buffer_append(line, request->secret->bytes, request->secret->length);
        return buffer_check(line, error);
    }
    if (strchr(request->username, ':'))
        return error_set(
            error, PULLKEY_INVALID,
            "the user name holds a colon, which HTTP Basic authentication cannot carry");
    buffer_append_text(&pair, request->username);
    buffer_append(&pair, ":", 1);
    buffer_append(&pair, request->secret->bytes, request->secret->length);
    r = buffer_check(&pair, error);
    if (r < 0)
        return r;
    buffer_append_text(line, "Authorization: Basic ");
    text_base64_encode(line, pair.data, pair.length);
    return buffer_check(line, error);
}

/* Everything here is in memory that is wiped on release, libcurl's lists included. */
static int make_headers(const struct http_request *request, struct curl_slist **ret,
                        struct pullkey_error *error)
{
    cleanup_buffer struct buffer line = BUFFER_INIT(AUTHORIZATION_MAX);
    struct curl_slist *list = NULL;
    int r = 0;

    if (request->scheme != HTTP_NO_AUTH)
        r = write_authorization(request, &line, error);
    if (r < 0)
        return r;
    if (append_header(&list, "Accept: application/json") < 0 ||
        append_header(&list, "Expect:") < 0 || (line.data && append_header(&list, line.data) < 0)) {
        curl_slist_free_all(list);
        return error_memory(error);
    }
    *ret = list;
    return 0;
}

static int set_url(const struct server *server, const struct http_request *request,
                   struct pullkey_error *error)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(URL_TEXT_MAX);
    int r;

    buffer_printf(&text, "%s://%s%s", request->url->https ? "https" : "http", server->authority,
                  request->url->target);
    if (request->query)
        buffer_printf(&text, "%c%s", strchr(request->url->target, '?') ? '&' : '?', request->query);
    r = buffer_check(&text, error);
    if (r >= 0 && curl_easy_setopt(server->easy, CURLOPT_URL, text.data) != CURLE_OK)
        r = error_memory(error);
    return r;
}

static bool set_method(CURL *easy, const struct http_request *request)
{
    const struct pullkey_secret *form = request->form;

    if (!form)
        return curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L) == CURLE_OK;
    return curl_easy_setopt(easy, CURLOPT_POST, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_POSTFIELDS, form->bytes) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)form->length) ==
               CURLE_OK;
}

static bool set_transfer(CURL *easy, struct transfer *transfer, struct curl_slist *headers,
                         char *detail, int64_t left_ms)
{
    long total = left_ms > 3600 * 1000 ? 3600 * 1000L : (long)left_ms;

    return curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, detail) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, total) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                            total < HTTP_CONNECT_MS ? total : (long)HTTP_CONNECT_MS) == CURLE_OK;
}

/* The handle outlives the request; what the request lent it does not. */
static void forget_request(CURL *easy)
{
    (void)curl_easy_setopt(easy, CURLOPT_HTTPHEADER, NULL);
    (void)curl_easy_setopt(easy, CURLOPT_POSTFIELDS, NULL);
    (void)curl_easy_setopt(easy, CURLOPT_HEADERDATA, NULL);
    (void)curl_easy_setopt(easy, CURLOPT_WRITEDATA, NULL);
    (void)curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, NULL);
}

static void trace(const struct http *http, const struct server *server,
                  const struct http_request *request, const struct http_response *response,
                  CURLcode code, int64_t took_ms)
{
    static const char *const schemes[] = { "no credential", "Basic ***", "Bearer ***" };
    const char *address = NULL;

    (void)curl_easy_getinfo(server->easy, CURLINFO_PRIMARY_IP, &address);
    http->host->log(http->options->source, "%s %s://%s%.*s (%s%s%s) at %s: %s %ld, %lld ms",
                    request->form ? "POST" : "GET", request->url->https ? "https" : "http",
                    server->authority, (int)strcspn(request->url->target, "?"),
                    request->url->target, schemes[request->scheme],
                    request->form ? ", form ***" : "", server->proxy ? ", proxy" : "",
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

static int explain(const struct http *http, const struct server *server,
                   const struct transfer *transfer, CURLcode code, const char *detail,
                   bool *ret_again, struct pullkey_error *error)
{
    const struct http_response *response = transfer->response;
    bool ran_out = curl_memory_ran_out();
    curl_off_t connected = 0;
    struct http_failure failure = {
        .code = code,
        .server = server->authority,
        .proxy = server->proxy,
        .detail = detail,
        .ca_file = http->options->ca_file,
        .ca_dir = http->options->ca_dir,
        .loopback = url_is_loopback(&server->url),
        .too_large = transfer->too_large,
        .forbidden = server->forbidden,
    };

    *ret_again = false;
    if (response->headers.state == BUFFER_NO_MEMORY || response->body.state == BUFFER_NO_MEMORY)
        return error_memory(error);
    failure.verify_result = verify_result(server->easy);
    (void)curl_easy_getinfo(server->easy, CURLINFO_OS_ERRNO, &failure.os_errno);
    (void)curl_easy_getinfo(
        server->easy, server->url.https ? CURLINFO_APPCONNECT_TIME_T : CURLINFO_CONNECT_TIME_T,
        &connected);
    failure.connected = connected > 0;
    /* libcurl 7.88 calls a header line over its own limit "out of memory"; before there is a
     * connection it is its TLS library that says so. */
    if (code == CURLE_OUT_OF_MEMORY && !ran_out && (failure.connected || server->proxy))
        failure.too_large = true;
    *ret_again = code == CURLE_OPERATION_TIMEDOUT && !failure.connected;
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
    r = set_url(server, request, error);
    if (r >= 0)
        r = make_headers(request, &headers, error);
    if (r < 0)
        return r;
    server->forbidden = false;
    if (!set_method(server->easy, request) ||
        !set_transfer(server->easy, &transfer, headers, detail, left)) {
        r = error_memory(error);
    } else {
        code = curl_easy_perform(server->easy);
        (void)curl_easy_getinfo(server->easy, CURLINFO_RESPONSE_CODE, &response->status);
        trace(http, server, request, response, code, http->host->monotonic_ms() - start);
        if (code != CURLE_OK)
            r = explain(http, server, &transfer, code, detail, ret_again, error);
    }
    forget_request(server->easy);
    curl_slist_free_all(headers);
    return r;
}

/* Only the host, and only if the server has not seen a credential that it could have written there.
 */
static int explain_redirect(const struct server *server, const struct http_request *request,
                            const struct http_response *response, struct pullkey_error *error)
{
    char location[URL_TARGET_MAX], target[URL_AUTHORITY_SIZE] = "";
    struct pullkey_error ignored;
    const char *value;
    struct url url;
    size_t at = 0, length;

    if (request->scheme == HTTP_NO_AUTH && !request->form &&
        http_header(response, "location", &at, &value, &length) && length < sizeof(location)) {
        memcpy(location, value, length);
        location[length] = '\0';
        if (url_parse(location, &url, &ignored) == 0)
            url_authority(&url, target);
    }
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

/* Waits before the next attempt. False if there is no time for that. */
static bool wait_for_next(const struct http *http, unsigned int attempt, int64_t asked_ms)
{
    unsigned short random = 0;
    int64_t until = http->host->monotonic_ms();

    if (asked_ms < 0) {
        if (getrandom(&random, sizeof(random), GRND_NONBLOCK) < 0)
            random = 0;
        asked_ms = retry_delay_ms(attempt, random);
    }
    until += asked_ms;
    if (until >= http->options->deadline_ms)
        return false;
    http->host->log(http->options->source, "waiting %lld ms before the next attempt",
                    (long long)asked_ms);
    if (http->options->wait_until)
        http->options->wait_until(until);
    else
        (void)clock_poll(NULL, 0, clock_monotonic_ms() + asked_ms);
    return true;
}

static void empty_response(struct http_response *response)
{
    http_response_done(response);
    *response = (struct http_response){
        .headers = BUFFER_INIT(HTTP_HEADERS_MAX),
        .body = BUFFER_INIT(HTTP_BODY_MAX),
    };
}

int http_send(struct http *http, const struct http_request *request, struct http_response *ret,
              struct pullkey_error *error)
{
    cleanup_response struct http_response response = { 0 };
    struct server *server;
    int64_t wait = -1;
    bool again;
    int r;

    if (!request->url->https && !(request->allow_http && url_is_loopback(request->url)))
        return error_set(error, PULLKEY_DENIED,
                         "%s is not asked over plain http: only a server on this machine is",
                         request->url->host);
    r = find_server(http, request, &server, error);
    if (r < 0)
        return r;
    for (unsigned int attempt = 0;; attempt++) {
        empty_response(&response);
        r = perform(http, server, request, &response, &again, error);
        if (r >= 0) {
            wait = wait_of_header(http, &response);
            again = retry_status(response.status) ||
                    (response.status >= 400 && response.status < 500 && retry_body(&response.body));
        }
        if (!again || attempt + 1 == RETRY_ATTEMPTS || !wait_for_next(http, attempt, wait))
            break;
    }
    if (r < 0)
        return r;
    if (response.status >= 300 && response.status < 400)
        return explain_redirect(server, request, &response, error);
    if (retry_status(response.status))
        return http_explain_status(server->authority, response.status, wait, error);
    *ret = response;
    response = (struct http_response){ 0 };
    return 0;
}

void http_query_add(struct buffer *query, const char *name, const char *value, size_t length)
{
    if (query->length > 0)
        buffer_append(query, "&", 1);
    buffer_append_text(query, name);
    buffer_append(query, "=", 1);
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)value[i];

        /* RFC 3986 section 2.3 */
        if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
            (c != '\0' && strchr("-._~", c)))
            buffer_append(query, &value[i], 1);
        else
            buffer_printf(query, "%%%02X", c);
    }
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
        curl_easy_cleanup(http->servers[i].easy);
    secret_release(http);
}
