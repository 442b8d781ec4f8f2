/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON Web Tokens (RFC 7519) in the compact form of RFC 7515 section 7.1. Nothing here verifies a
 * signature: what a token says of itself is no more than that.
 */
#ifndef PULLKEY_BASE_JWT_H
#define PULLKEY_BASE_JWT_H

#include "json.h"

/* -PULLKEY_INVALID, without a word about the content, for what is no such token: three parts of
 * base64url without padding, none of them empty, the second an object of JSON. Release with
 * json_done. */
int jwt_claims(const struct pullkey_secret *token, struct json *ret, struct pullkey_error *error);

/* `exp` in seconds since 1970; 0 for what is no token, or has none. */
int64_t jwt_expiry(const struct pullkey_secret *token);

#endif
