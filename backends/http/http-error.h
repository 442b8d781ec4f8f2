/* SPDX-License-Identifier: Apache-2.0 */
/* What went wrong, in a sentence that a person can act on. Inside backends/http. */
#ifndef PULLKEY_HTTP_HTTP_ERROR_H
#define PULLKEY_HTTP_HTTP_ERROR_H

#include <curl/curl.h>

#include "http.h"

#define HTTP_VERIFY_UNKNOWN (-1L)

struct http_failure {
    CURLcode code;
    const char *server; /* host[:port] */
    const char *proxy;  /* NULL if there is none; never shown, it may hold a password */
    long proxy_status;  /* of its answer to CONNECT; 0 if there was none */
    const char *detail; /* libcurl's error buffer: classified here, never shown */
    const struct http_options *options;
    long verify_result; /* X509_V_ERR_... of openssl/x509_vfy.h, or HTTP_VERIFY_UNKNOWN with another
                           TLS library */
    long os_errno;
    bool loopback;  /* the server's name is one of the loopback */
    bool accepted;  /* by the server itself, before TLS */
    bool connected; /* TLS included */
    bool too_large; /* headers or body went over a limit */
    bool forbidden; /* an address was refused */
    bool beyond_link;
};

/* Sets the error; the class is as http_send says. */
int http_explain(const struct http_failure *failure, struct pullkey_error *error);

/* The same as a stable word. */
const char *http_cause_of(const struct http_failure *failure);

/* The same for a reply with a status that ends the matter; wait_ms is Retry-After's, or -1. */
int http_explain_status(const char *server, long status, int64_t wait_ms,
                        struct pullkey_error *error);

#endif
