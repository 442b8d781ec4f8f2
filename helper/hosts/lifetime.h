/* SPDX-License-Identifier: Apache-2.0 */
/* When a secret of another helper expires, read from the secret itself, as the docker protocol has
 * no word for it; and such a time as people read it. */
#ifndef PULLKEY_HOSTS_LIFETIME_H
#define PULLKEY_HOSTS_LIFETIME_H

#include <pullkey/backend.h>

/*
 * Seconds since 1970: "exp" of a JWT (RFC 7519 section 4.1.4), "expiration" of an ECR token (base64
 * of a JSON object). 0 where the secret is neither, or says something that is no time.
 */
int64_t lifetime_read(const struct pullkey_secret *secret);

/* "2026-11-30T12:00:00Z", or "-" where it is not known. */
#define LIFETIME_SIZE 32
void lifetime_write(int64_t seconds, char ret[LIFETIME_SIZE]);

#endif
