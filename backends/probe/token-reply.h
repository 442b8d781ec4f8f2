/* SPDX-License-Identifier: Apache-2.0 */
/* What a token server answers (distribution's token specification; RFC 6749 section 5.1). */
#ifndef PULLKEY_PROBE_TOKEN_REPLY_H
#define PULLKEY_PROBE_TOKEN_REPLY_H

#include "base/buffer.h"

/*
 * The token of a reply with status 200: the string "token", else "access_token", at most
 * PULLKEY_SECRET_MAX bytes. The caller releases it with secret_done. -PULLKEY_INVALID if there is
 * none. `server` is what errors call the server; they repeat nothing of the reply.
 */
int token_parse(const struct buffer *body, const char *server, struct pullkey_secret *ret,
                struct pullkey_error *error);

#endif
