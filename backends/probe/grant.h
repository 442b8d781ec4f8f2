/* SPDX-License-Identifier: Apache-2.0 */
/* What a token lets its holder do, as the distribution's token specification has it: the claim
 * `access` of a JSON Web Token, a list of { "type", "name", "actions" }. */
#ifndef PULLKEY_PROBE_GRANT_H
#define PULLKEY_PROBE_GRANT_H

#include <pullkey/backend.h>

enum {
    GRANT_UNKNOWN = -1, /* the token does not say */
    GRANT_PULL = 1,
    GRANT_PUSH = 2,
    GRANT_DELETE = 4,
};

/* The bits that it has for a repository, or GRANT_UNKNOWN. Nothing is verified: that is for the
 * registry. */
int grant_read(const struct pullkey_secret *token, const char *repository);

#endif
