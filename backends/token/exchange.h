/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One get: what every part of it needs, and what a provider of credentials is. Where a message
 * names who was asked, it is by host, and never by query, body or token.
 */
#ifndef PULLKEY_TOKEN_EXCHANGE_H
#define PULLKEY_TOKEN_EXCHANGE_H

#include <pullkey/backend.h>

#include "http/http.h"
#include "settings.h"

#define EXCHANGE_SOURCE "token" /* in the log */

struct exchange {
    const struct pullkey_host *host;
    const struct settings *settings;
    const struct pullkey_request *request;
    struct http_options http_options;
    struct http *http;
    bool is_username_secret; /* it is an answer's, and who watches does not see it */
    /* What http_options point to where somebody is asked with a certificate. */
    struct pullkey_secret client_certificate, client_key;
};

/* Turns an identity into a credential for one kind of registry. */
struct provider {
    const char *recipe; /* the option that names it */
    /* Looks at the options that are its own. NULL: it has none. */
    int (*check)(const struct settings *settings, struct pullkey_error *error);
    /*
     * -PULLKEY_NOT_FOUND, without a request to anybody, for a host that is none of its own;
     * -PULLKEY_NO_IDENTITY where nothing on this machine says who it is; -PULLKEY_DENIED where
     * somebody is refused, and says who was and by whom.
     */
    int (*get)(struct exchange *exchange, struct pullkey_credential *ret,
               struct pullkey_error *error);
};

/* `ret` must stay where it is until exchange_close. */
int exchange_open(const struct pullkey_host *host, const struct settings *settings,
                  const struct pullkey_request *request, struct exchange *ret,
                  struct pullkey_error *error);
void exchange_close(struct exchange *exchange);

/* A variable of the environment; NULL also for an empty one. */
const char *exchange_environment(const char *name);

/*
 * The address of an endpoint: what the option "endpoints" has under that name, else `usual`. Plain
 * http is for the loopback, and for the metadata services.
 */
int exchange_endpoint(const struct exchange *exchange, const char *name, const char *usual,
                      struct url *ret, struct pullkey_error *error);

/*
 * Tells who watches (host->trace) about a step: one JSON object with its kind as "step" and nothing
 * secret in it. identity_get, exchange_send and exchange_answer do so themselves.
 */
#define EXCHANGE_TRACE_MAX 16384
void exchange_trace(const struct exchange *exchange, const struct buffer *json);

/* http_send, to an address that exchange_endpoint has found, or a private one where the request
 * says so. */
int exchange_send(struct exchange *exchange, struct http_request *request,
                  struct http_response *ret, struct pullkey_error *error);

/* Sets a credential; `expiry` as in backend.h. The secret is copied. */
int exchange_answer(const struct exchange *exchange, const char *username,
                    const struct pullkey_secret *secret, int64_t expiry,
                    struct pullkey_credential *ret, struct pullkey_error *error);

#define cleanup_exchange __attribute__((cleanup(exchange_close)))

#endif
