/* SPDX-License-Identifier: Apache-2.0 */
/* Whether and when a request is sent again (RFC 9110 section 10.2.3 for Retry-After). */
#ifndef PULLKEY_HTTP_RETRY_H
#define PULLKEY_HTTP_RETRY_H

#include "base/buffer.h"

#define RETRY_ATTEMPTS 3
#define RETRY_FIRST_MS 1000 /* doubled each time, plus or minus a tenth */
#define RETRY_AFTER_MAX_S 86400

/* 408, 429, 500, 502, 503 and 504. */
bool retry_status(long status);

/* A JSON body whose "error" says that the server's trouble will pass. For replies with a status of
 * 400 to 499. */
bool retry_body(const struct buffer *body);

/*
 * The wait that a Retry-After header asks for, from a number of seconds or a date; -1 if the value
 * is neither. Between 0 and RETRY_AFTER_MAX_S seconds.
 */
int64_t retry_after_ms(const char *value, int64_t wall_seconds);

/* The wait after attempt number `attempt` (from 0), with jitter from `random`. */
int64_t retry_delay_ms(unsigned int attempt, unsigned int random);

#endif
