/* SPDX-License-Identifier: Apache-2.0 */
/* JSON Web Tokens that we sign ourselves, to say who a client is or to ask for a grant (RFC 7523
 * section 3). */
#ifndef PULLKEY_TOKEN_ASSERTION_H
#define PULLKEY_TOKEN_ASSERTION_H

#include <pullkey/backend.h>

#define ASSERTION_SECONDS 300 /* from now to `exp`: for one request, and clocks that differ */

struct assertion {
    const char *key_file; /* PEM; not for everybody to read */
    const char *key_id;   /* `kid` of the header; NULL: none */
    const char *key_x5t;  /* the thumbprint of the certificate, as base64url; NULL: none */
    const char *issuer, *subject, *audience;
};

/*
 * Signs with RS256; the claims are iss, sub, aud, iat, exp and a jti that is new each time.
 * -PULLKEY_NO_IDENTITY where the key's file is missing. Release with secret_done.
 */
int assertion_make(const struct assertion *assertion, int64_t now, struct pullkey_secret *ret,
                   struct pullkey_error *error);

#endif
