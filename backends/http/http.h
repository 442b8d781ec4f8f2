/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP client of all modules: libcurl, with everything off that could send a credential where
 * it does not belong.
 *
 * https with TLS 1.2 or newer and full verification, unless the user has asked twice, or it is
 * a look at a certificate that was refused, with nothing to lose; plain http to the loopback, the
 * clouds' metadata services and private addresses only, only if a request says so, and never
 * through a proxy. No redirects, no cookies, no .netrc, no decompression. One libcurl handle for
 * each server, so that nothing of one is ever sent to another; credentials are set for each request
 * and wiped after it.
 *
 * A POST goes out on a connection of its own, as it may be one that a server takes once.
 *
 * Limits: HTTP_BODY_MAX (or body_max) and HTTP_HEADERS_MAX, HTTP_CONNECT_MS for each connection,
 * the deadline for everything with all retries. The log gets one line for each attempt: method,
 * server, path (if it is not secret), status and time. Never query, credential, headers or body.
 */
#ifndef PULLKEY_HTTP_HTTP_H
#define PULLKEY_HTTP_HTTP_H

#include "base/buffer.h"
#include "url.h"

#define HTTP_BODY_MAX (1024 * 1024)
#define HTTP_HEADERS_MAX (64 * 1024) /* all header lines of a reply, interim replies included */
#define HTTP_QUERY_MAX 8192
#define HTTP_CONNECT_MS 5000
#define HTTP_SERVERS_MAX 8 /* of one client: a chain of clouds asks five and more */

struct http_options {
    const char *source;  /* begins the log lines */
    const char *ca_file; /* PEM: these authorities instead of the system's; NULL: the system's */
    const char *ca_dir;  /* the same, as a directory of hashed names */
    const struct pullkey_secret *ca_data; /* the same, as PEM itself */
    /* What a person does whose authority is not known here, for messages: "pass ... with --ca-file"
     */
    const char *ca_advice;
    const struct pullkey_secret *client_certificate; /* PEM, with its chain; NULL: none */
    const struct pullkey_secret *client_key;         /* PEM, without a passphrase */
    bool insecure; /* the certificate is not looked at; for a kubeconfig that says so, twice, and
                      for requests without anything secret */
    const char *server_name; /* what TLS asks for and the certificate must have in place of the
                                URL's host; NULL */
    const char *proxy;   /* http, https, socks5 or socks5h; "": none; NULL: as proxy.h says. Never
                            for what proxy_is_forbidden names. An https one is trusted by the
                            system's authorities and by the ones above */
    bool certificates;   /* are kept, for http_certificate */
    size_t body_max;     /* of a reply, in bytes; 0: HTTP_BODY_MAX */
    int64_t deadline_ms; /* on the clock of the host */
    /* Waits until a time on that clock; NULL: really waits. */
    void (*wait_until)(int64_t ms);
};

#define HTTP_FORM "application/x-www-form-urlencoded"

enum http_method { HTTP_GET, HTTP_POST, HTTP_PUT, HTTP_HEAD };
enum http_scheme { HTTP_NO_AUTH, HTTP_BASIC, HTTP_BEARER };

struct http_request {
    const struct url *url;
    const char *query; /* made by http_query_add; follows the target; NULL: none */
    enum http_scheme scheme;
    const char *username;                /* for HTTP_BASIC: without a colon */
    const struct pullkey_secret *secret; /* the password, or the token */
    enum http_method method;
    /* "Name: value" lines beside Accept, Content-Type and Authorization, which they may replace;
     * ends with NULL; may hold secrets. A line without "Name: " or with a control character is
     * refused. NULL: none */
    const char *const *headers;
    const struct pullkey_secret *body; /* NULL with HTTP_GET, and where there is none */
    const char *content_type;          /* of the body; a form is made by http_query_add */
    unsigned int attempts; /* at most; 0: as retry.h says. A metadata service that is not there is
                              asked once */
    bool is_once;          /* a reply ends it, whatever it is */
    int64_t attempt_ms;    /* of one attempt, connecting included; 0: HTTP_CONNECT_MS to connect,
                              the deadline for the rest */
    bool allow_http;       /* plain http, to the loopback */
    bool allow_metadata;   /* plain http, where url_is_metadata */
    bool allow_private;    /* plain http, where url_is_private: to what the platform has named */
    bool secret_path;      /* whoever knows it is answered: not for the log */
    bool public_only; /* refuse addresses that are not public (address.h); a proxy hides them */
    bool beyond_link; /* refuse those of this link, which clouds have their metadata at */
};

struct http_response {
    long status;
    struct buffer headers; /* lines of the final reply, each with its CRLF */
    struct buffer body;
};

struct http;

/* The host table, the options and what they point to must outlive the client. */
int http_open(const struct pullkey_host *host, const struct http_options *options,
              struct http **ret, struct pullkey_error *error);
void http_close(struct http *http);

/*
 * Sends a request, again where retry.h says so and after 412, and returns the reply; release it
 * with http_response_done.
 *
 * Not a reply but an error: 3xx (-PULLKEY_INVALID), and 408, 429, 500, 502, 503 and 504 after the
 * last attempt (-PULLKEY_UNREACHABLE; *ret is the reply all the same). A server that cannot be
 * reached, or not in time, is -PULLKEY_UNREACHABLE; one whose certificate or reply is wrong
 * -PULLKEY_INVALID; one at an address that public_only or beyond_link forbids -PULLKEY_DENIED.
 * Messages name the host.
 */
int http_send(struct http *http, const struct http_request *request, struct http_response *ret,
              struct pullkey_error *error);
/*
 * Why the last http_send failed, as a stable word: "unknown-host", "connection-refused",
 * "timeout", "no-answer", "proxy", "unknown-authority", "expired-certificate", "wrong-name",
 * "no-tls", ... (all of them are in http-error.c). "" where it did not.
 */
const char *http_cause(const struct http *http);

/* How far the last request to a server came, and how long each part took: milliseconds, -1 where it
 * did not come to that. `address` and `proxy` are "" or NULL where there is none. */
struct http_seen {
    int64_t lookup_ms, connect_ms, tls_ms, answer_ms;
    const char *address;
    const char *proxy; /* may hold a password */
};
void http_see(const struct http *http, const struct url *url, struct http_seen *ret);

/* The directory of the authorities that this machine trusts; NULL: libcurl has a bundle of its own.
 */
const char *http_system_authorities(void);

/* Of the certificates that the server has shown, the server's own first; times in seconds since
 * 1970. Valid until the next request. False if there is no such one. */
struct http_certificate {
    const char *subject, *issuer;
    int64_t begin, end;
};
bool http_certificate(const struct http *http, const struct url *url, int number,
                      struct http_certificate *ret);

/* Waits as it does between two attempts. */
void http_wait(const struct http *http, int64_t ms);
/* The same after that reply to attempt number `attempt` (from 0), as the reply or retry.h says.
 * False if there is no time for that, or no other attempt. */
bool http_wait_next(const struct http *http, const struct http_response *response,
                    unsigned int attempt);
void http_response_done(struct http_response *response);

/* What a reply may have, in bytes. */
size_t http_body_max(const struct http_options *options);

/*
 * The value of the next header of that name (lower case), without outer blanks. *at begins as 0 and
 * walks through the headers, past those with a CR or NUL inside. False if there is no other.
 */
bool http_header(const struct http_response *response, const char *name, size_t *at,
                 const char **ret_value, size_t *ret_length);

/* Adds a value as it stands in a query or form: everything but RFC 3986's unreserved is encoded. */
void http_query_value(struct buffer *query, const char *value, size_t length);

/* Adds "name=value" to a query or form, '&' before it if it is not the first; encodes the value. */
void http_query_add(struct buffer *query, const char *name, const char *value, size_t length);

#define cleanup_response __attribute__((cleanup(http_response_done)))

#endif
