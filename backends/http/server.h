/* SPDX-License-Identifier: Apache-2.0 */
/* One server, with a libcurl handle that is set up for it. Inside backends/http. */
#ifndef PULLKEY_HTTP_SERVER_H
#define PULLKEY_HTTP_SERVER_H

#include <curl/curl.h>

#include "http.h"

struct server {
    CURL *easy;
    struct url url; /* host, port and scheme count */
    char authority[URL_AUTHORITY_SIZE];
    const char *proxy;       /* NULL: none */
    char *proxy_copy;        /* memory of `proxy` where libcurl's spelling differs */
    struct curl_slist *path; /* where to connect, in place of what the URL says; NULL */
    bool public_only, beyond_link;
    bool forbidden; /* during one request: an address was refused */
};

/* The same but for `url` and those two may serve another request. -PULLKEY_INTERNAL where this
 * libcurl lacks what keeps credentials safe: a handle that is not as it must be is not there. */
int server_open(const struct http_options *options, const struct http_request *request,
                struct server *ret, struct pullkey_error *error);
void server_close(struct server *server);

/* What makes the request out of it; `ret_headers` is the caller's to free after the transfer. */
int server_set_request(const struct server *server, const struct http_options *options,
                       const struct http_request *request, struct curl_slist **ret_headers,
                       struct pullkey_error *error);

/* The one that a client has asked, whatever else of the request; NULL: it has not. */
const struct server *http_server(const struct http *http, const struct url *url);

/* The handle outlives the request; what the request lent it does not. */
void server_forget_request(const struct server *server);

#endif
