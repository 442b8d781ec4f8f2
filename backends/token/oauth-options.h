/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The object "oauth" of the options: a token server of RFC 6749, and what it is asked for.
 *
 *   "token_url": URL            required
 *   "grant": GRANT              token-exchange (RFC 8693; without it), jwt-bearer (RFC 7523),
 *                               client-credentials or refresh-token (RFC 6749)
 *   "audience", "resource", "scope": a text, or a list of them
 *   "parameters": {...}         more of the form, as the server has them
 *   "username": NAME            beside the token; "token" without it
 *
 * The client, if the server wants to know who asks:
 *
 *   "client_id": ID
 *   "client_secret": IDENTITY     a source as identity.h has them; no blanks inside
 *   "client_assertion": IDENTITY  a JWT that somebody else has signed
 *   "client_key": PATH            an RSA key (PEM) that signs such a JWT, with "client_key_id" as
 *                                 its kid and "client_key_x5t" as its x5t, for "client_audience"
 *                                 (without it: token_url)
 *   "client_auth": basic (with a secret, form-encoded; without it), basic-raw, post, assertion
 *                  (with the other two), none
 *
 * Of one grant each:
 *
 *   token-exchange  the option "identity" of the instance is the subject token.
 * "subject_token_type" and "actor_token_type" (jwt without them), "requested_token_type": a URI, or
 *                   what follows OAUTH_TYPE; "actor": IDENTITY
 *   jwt-bearer      the option "identity" is the assertion; or "assertion": {"key": PATH, "key_id",
 *                   "key_x5t", "issuer", "subject" (the issuer without it), "audience" (token_url
 *                   without it)}, which we sign
 *   refresh-token   "refresh_token_file": PATH, see rotate.h
 */
#ifndef PULLKEY_TOKEN_OAUTH_OPTIONS_H
#define PULLKEY_TOKEN_OAUTH_OPTIONS_H

#include "oauth.h"

enum oauth_grant {
    OAUTH_GRANT_EXCHANGE,
    OAUTH_GRANT_JWT,
    OAUTH_GRANT_CLIENT,
    OAUTH_GRANT_REFRESH,
};

int oauth_check(const struct settings *settings, struct pullkey_error *error);

/* Of options that were checked. */
enum oauth_grant oauth_grant_of(const cJSON *oauth);
enum oauth_client_auth oauth_auth_of(const cJSON *oauth);

#endif
