/* SPDX-License-Identifier: Apache-2.0 */
/* What libcrypto is for here: hashes and signatures. */
#ifndef PULLKEY_TOKEN_SIGN_H
#define PULLKEY_TOKEN_SIGN_H

#include <pullkey/backend.h>

#include "base/buffer.h"

#define SIGN_SHA256_SIZE 32
#define SIGN_SHA256_TEXT_SIZE (2 * SIGN_SHA256_SIZE + 1) /* lower-case hexadecimal and a NUL */

/* FIPS 180-4. */
int sign_sha256(const void *bytes, size_t length, unsigned char ret[SIGN_SHA256_SIZE],
                struct pullkey_error *error);

/* RFC 2104 over SHA-256. */
int sign_hmac(const void *key, size_t key_length, const void *bytes, size_t length,
              unsigned char ret[SIGN_SHA256_SIZE], struct pullkey_error *error);

void sign_hex(const unsigned char hash[SIGN_SHA256_SIZE], char ret[SIGN_SHA256_TEXT_SIZE]);

/*
 * A signed JWT (RFC 7515 compact form, RS256 of RFC 7518 section 3.3): `header` and `claims` are
 * JSON, `key` is PEM (PKCS#8 or PKCS#1) of an RSA key of at least 2048 bits, without a passphrase.
 * -PULLKEY_INVALID for a key that is none; the message does not quote it. Release with secret_done.
 */
int sign_jwt(const struct pullkey_secret *key, const struct buffer *header,
             const struct buffer *claims, struct pullkey_secret *ret, struct pullkey_error *error);

#endif
