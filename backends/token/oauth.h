/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Token endpoints of OAuth 2.0 (RFC 6749, 7523, 8693): a form is posted, JSON comes back.
 */
#ifndef PULLKEY_TOKEN_OAUTH_H
#define PULLKEY_TOKEN_OAUTH_H

#include "exchange.h"

#define OAUTH_TOKEN_EXCHANGE "urn:ietf:params:oauth:grant-type:token-exchange"
#define OAUTH_JWT_BEARER "urn:ietf:params:oauth:grant-type:jwt-bearer"
#define OAUTH_TYPE "urn:ietf:params:oauth:token-type:" /* access_token, id_token, jwt, ... */
#define OAUTH_FORM_MAX (4 * PULLKEY_SECRET_MAX + HTTP_QUERY_MAX)

/* How a client says who it is (RFC 6749 section 2.3, RFC 7523 section 2.2). */
enum oauth_client_auth {
    OAUTH_NONE,      /* client_id alone, or not even that */
    OAUTH_BASIC,     /* both are form-encoded before base64, as RFC 6749 section 2.3.1 has it */
    OAUTH_BASIC_RAW, /* they are not, as some servers want */
    OAUTH_POST,
    OAUTH_ASSERTION, /* a JWT that somebody else has signed, or we with the client's key */
};

struct oauth_client {
    enum oauth_client_auth auth;
    const char *id;               /* NULL: none */
    struct pullkey_secret secret; /* for basic and post; the assertion itself for that */
    bool is_once;                 /* something in the form may be sent once only */
};

#define OAUTH_TYPE_SIZE 128

struct oauth_reply {
    struct pullkey_secret access_token;
    struct pullkey_secret refresh_token; /* empty where there is none */
    int64_t expiry;                      /* after now; see expiry.h for servers that say nothing */
    char issued_type[OAUTH_TYPE_SIZE]; /* issued_token_type (RFC 8693); "" where it is not there */
};

/*
 * The question: adds the client to the form and posts it. Afterwards `form` has everything secret
 * that was sent, so that nothing of it is repeated. And what is made of an answer; `who` is what
 * the form is made of, for messages: "the token of /run/token". -PULLKEY_DENIED with the server's
 * own code and description (printable, cut) where it refuses, with what to do for the codes of RFC
 * 6749 section 5.2 and RFC 8693 section 2.2.2; -PULLKEY_UNREACHABLE where it says that its trouble
 * will pass. Release the reply with oauth_reply_done.
 */
int oauth_ask(struct exchange *exchange, const struct url *url, struct buffer *form,
              const struct oauth_client *client, struct http_response *ret,
              struct pullkey_error *error);
int oauth_answer(const struct exchange *exchange, const struct http_response *response,
                 const char *server, const char *who, const struct buffer *form,
                 struct oauth_reply *ret, struct pullkey_error *error);

/*
 * The two parsers of it, without any request. A token_type must be one that a registry can take:
 * Bearer, or N_A for what is no access token (RFC 8693 section 2.2.1). *ret is empty before; it has
 * the refresh token also where the rest is refused, as the one that was sent is used up. What a
 * server says of an error is left out where it has some of a secret of `form` in it.
 */
int oauth_read_reply(const struct buffer *body, int64_t now, struct oauth_reply *ret,
                     struct pullkey_error *error);
int oauth_read_error(const struct buffer *body, long status, const char *server, const char *who,
                     const struct buffer *form, struct pullkey_error *error);

void oauth_reply_done(struct oauth_reply *reply);

#define cleanup_oauth_reply __attribute__((cleanup(oauth_reply_done)))

#endif
