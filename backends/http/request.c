/* SPDX-License-Identifier: Apache-2.0 */
/* What makes a request: its URL, its method, its headers and body. */
#include "server.h"

#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "base/text.h"

#define AUTHORIZATION_MAX (2 * PULLKEY_SECRET_MAX)
#define LINE_MAX_BYTES 1024
#define URL_TEXT_MAX (URL_AUTHORITY_SIZE + URL_TARGET_MAX + HTTP_QUERY_MAX + 16)

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
        if (!text_is_ascii(request->secret->bytes, request->secret->length, '!'))
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

static int append_line(struct curl_slist **list, const char *name, const char *value,
                       struct pullkey_error *error)
{
    cleanup_buffer struct buffer line = BUFFER_INIT(LINE_MAX_BYTES);
    int r;

    buffer_printf(&line, "%s: %s", name, value);
    r = buffer_check(&line, error);
    if (r < 0)
        return r;
    return append_header(list, line.data) < 0 ? error_memory(error) : 0;
}

static int append_authorization(struct curl_slist **list, const struct http_request *request,
                                struct pullkey_error *error)
{
    cleanup_buffer struct buffer line = BUFFER_INIT(AUTHORIZATION_MAX);
    int r = write_authorization(request, &line, error);

    if (r < 0)
        return r;
    return append_header(list, line.data) < 0 ? error_memory(error) : 0;
}

static bool is_same_name(const char *line, const char *name, size_t length)
{
    return strncasecmp(line, name, length) == 0 && line[length] == ':';
}

/* Whether the caller has a line of that name, as "Accept". */
static bool has_own(const struct http_request *request, const char *name)
{
    for (const char *const *line = request->headers; line && *line; line++)
        if (is_same_name(*line, name, strlen(name)))
            return true;
    return false;
}

/* libcurl would end a line at its CR or LF and begin another, and take "Name:" for "leave it out".
 */
static bool is_header_line(const char *line)
{
    const size_t name = strcspn(line, ":");

    if (name == 0 || line[name] == '\0' || line[name + 1] != ' ' || line[name + 2] == '\0')
        return false;
    for (const char *c = line; *c != '\0'; c++)
        if ((unsigned char)*c < 0x20 || (unsigned char)*c >= 0x7f ||
            (c < line + name && (*c == ' ' || *c == '"')))
            return false;
    return true;
}

static int append_own(struct curl_slist **list, const struct http_request *request,
                      struct pullkey_error *error)
{
    for (const char *const *line = request->headers; line && *line; line++) {
        if (!is_header_line(*line))
            return error_set(error, PULLKEY_INVALID,
                             "a header line of the request holds bytes that none may have");
        if (append_header(list, *line) < 0)
            return error_memory(error);
    }
    return 0;
}

/* Everything here is in memory that is wiped on release, libcurl's lists included. */
static int make_headers(const struct server *server, const struct http_options *options,
                        const struct http_request *request, struct curl_slist **ret,
                        struct pullkey_error *error)
{
    struct curl_slist *list = NULL;
    int r = append_own(&list, request, error);

    if (r == 0 && !has_own(request, "Accept"))
        r = append_line(&list, "Accept", "application/json", error);
    if (r == 0)
        r = append_header(&list, "Expect:") < 0 ? error_memory(error) : 0;
    /* The URL has another name then. */
    if (r == 0 && options->server_name)
        r = append_line(&list, "Host", server->authority, error);
    if (r == 0 && request->body && !has_own(request, "Content-Type"))
        r = append_line(&list, "Content-Type", request->content_type, error);
    if (r == 0 && !request->body)
        r = append_header(&list, "Content-Type:") < 0 ? error_memory(error) : 0;
    if (r == 0 && request->scheme != HTTP_NO_AUTH)
        r = append_authorization(&list, request, error);
    if (r < 0)
        curl_slist_free_all(list);
    else
        *ret = list;
    return r;
}

static int set_url(const struct server *server, const struct http_options *options,
                   const struct http_request *request, struct pullkey_error *error)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(URL_TEXT_MAX);
    int r;

    buffer_printf(&text, "%s://", server->url.https ? "https" : "http");
    if (options->server_name)
        buffer_printf(&text, "%s:%u", options->server_name, (unsigned int)server->url.port);
    else
        buffer_append_text(&text, server->authority);
    buffer_append_text(&text, request->url->target);
    if (request->query)
        buffer_printf(&text, "%c%s", strchr(request->url->target, '?') ? '&' : '?', request->query);
    r = buffer_check(&text, error);
    if (r >= 0 && curl_easy_setopt(server->easy, CURLOPT_URL, text.data) != CURLE_OK)
        r = error_memory(error);
    return r;
}

static bool set_method(CURL *easy, const struct http_request *request)
{
    static char nothing[] = "";
    const struct pullkey_secret *body =
        request->body ? request->body : &(const struct pullkey_secret){ .bytes = nothing };

    /* libcurl itself sends again what a server that closes a kept connection may have read. */
    if (curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, (long)(request->method == HTTP_POST)) !=
        CURLE_OK)
        return false;
    if (request->method == HTTP_HEAD)
        return curl_easy_setopt(easy, CURLOPT_NOBODY, 1L) == CURLE_OK;
    if (request->method == HTTP_GET)
        return curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L) == CURLE_OK;
    return curl_easy_setopt(easy, CURLOPT_POST, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body->bytes) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body->length) ==
               CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST,
                            request->method == HTTP_PUT ? "PUT" : NULL) == CURLE_OK;
}

int server_set_request(const struct server *server, const struct http_options *options,
                       const struct http_request *request, struct curl_slist **ret_headers,
                       struct pullkey_error *error)
{
    struct curl_slist *headers = NULL;
    int r = set_url(server, options, request, error);

    if (r >= 0)
        r = make_headers(server, options, request, &headers, error);
    if (r < 0)
        return r;
    if (!set_method(server->easy, request) ||
        curl_easy_setopt(server->easy, CURLOPT_HTTPHEADER, headers) != CURLE_OK) {
        curl_slist_free_all(headers);
        return error_memory(error);
    }
    *ret_headers = headers;
    return 0;
}

void server_forget_request(const struct server *server)
{
    (void)curl_easy_setopt(server->easy, CURLOPT_HTTPHEADER, NULL);
    (void)curl_easy_setopt(server->easy, CURLOPT_POSTFIELDS, NULL);
    (void)curl_easy_setopt(server->easy, CURLOPT_CUSTOMREQUEST, NULL);
}
