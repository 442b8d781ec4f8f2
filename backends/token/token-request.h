/* SPDX-License-Identifier: Apache-2.0 */
/* The bodies of a TokenRequest (authentication.k8s.io/v1), and what GitHub's runner answers,
 * without any request. */
#ifndef PULLKEY_TOKEN_TOKEN_REQUEST_H
#define PULLKEY_TOKEN_TOKEN_REQUEST_H

#include "base/json.h"

#define TOKEN_REQUEST_SECONDS_MIN 600 /* less is refused by API servers */

int token_request_write(const char *audience, int64_t seconds, struct pullkey_secret *ret,
                        struct pullkey_error *error);

/* The token of an answer; -PULLKEY_INVALID for what has none. Release with secret_done. */
int token_request_read(const struct json *answer, struct pullkey_secret *ret,
                       struct pullkey_error *error);

/* The same for { "value": TOKEN }. */
int token_request_read_github(const struct buffer *body, struct pullkey_secret *ret,
                              struct pullkey_error *error);

#endif
