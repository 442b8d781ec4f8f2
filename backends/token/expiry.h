/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When a token ends, as servers say it, in seconds since 1970. What is no time is refused
 * (-PULLKEY_INVALID); what is more than EXPIRY_MAX_SECONDS away is taken for that; what is over is
 * given as it is, for expiry_check or a caller who knows what is over.
 */
#ifndef PULLKEY_TOKEN_EXPIRY_H
#define PULLKEY_TOKEN_EXPIRY_H

#include "base/json.h"

#define EXPIRY_MAX_SECONDS (7 * 24 * 3600)
#define EXPIRY_UNKNOWN_SECONDS 60 /* RFC 6749 leaves it open; as registries do */

/*
 * `expires_in` (RFC 6749 section 5.1), a number or a string of digits (some servers), cut to whole
 * seconds; 0 where it is not there. Less than a second is refused.
 */
int expiry_in(const cJSON *item, int64_t now, int64_t *ret, struct pullkey_error *error);

/*
 * A time since 1970 as a number or a string of digits, with or without a fraction: seconds, or from
 * 10^11 (March 1973) on milliseconds.
 */
int expiry_epoch(const cJSON *item, int64_t now, int64_t *ret, struct pullkey_error *error);

/* RFC 3339, with or without a fraction, "Z" or an offset; each part of it in its range. */
int expiry_date(const char *text, int64_t now, int64_t *ret, struct pullkey_error *error);

/* The member `exp` of a JWT, which is not verified; 0 where the secret is none, or has none. */
int64_t expiry_jwt(const struct pullkey_secret *token, int64_t now);

/* -PULLKEY_INVALID if an end is not after now. */
int expiry_check(int64_t end, int64_t now, struct pullkey_error *error);

#endif
