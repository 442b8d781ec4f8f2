/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who this machine or job is: the object `identity` of the configuration, or of a provider when
 * there is none. Exactly one of
 *
 *   "file": PATH          read anew at each use, as such tokens rotate; one line end is cut
 *   "env": NAME           one that is empty counts as missing. In a GitLab CI job it is what
 *                         "id_tokens:" of the job calls its token, as GITLAB_OIDC_TOKEN
 *   "command": [ARGV]     its standard output; run as exec runs helpers
 *   "github": AUDIENCE    the ID token of a GitHub Actions job
 *   "gcp": AUDIENCE       the ID token of the machine, from Google's metadata service
 *   "azure": RESOURCE     a managed identity's token for a resource
 *   "aws": AUDIENCE       a token that AWS signs for its caller (STS GetWebIdentityToken)
 *   "kubernetes": {...}   a token for a service account: see identity-sources.h
 *   "kubelet": true       the service account token that came with the kubelet's question
 */
#ifndef PULLKEY_TOKEN_IDENTITY_H
#define PULLKEY_TOKEN_IDENTITY_H

#include "exchange.h"

#define IDENTITY_WHAT_SIZE 160

struct identity_token {
    struct pullkey_secret token;
    int64_t expiry;                /* of a JWT, 0 where it is not known */
    char what[IDENTITY_WHAT_SIZE]; /* for messages: "the token in /run/secrets/token" */
};

/* At open: one source, of the right type, for this caller. */
int identity_check(const struct settings *settings, const cJSON *identity,
                   struct pullkey_error *error);

/*
 * -PULLKEY_NO_IDENTITY where there is none, with what is missing (in a GitHub job: id-token:
 * write). A token with CR, LF, NUL or a blank inside, or that has expired, is -PULLKEY_INVALID.
 * Release with identity_token_done.
 */
int identity_get(struct exchange *exchange, const cJSON *identity, struct identity_token *ret,
                 struct pullkey_error *error);
/* The same for what a client says to a server, which may have blanks (RFC 6749 appendix A.2). */
int identity_get_secret(struct exchange *exchange, const cJSON *source, struct identity_token *ret,
                        struct pullkey_error *error);
void identity_token_done(struct identity_token *token);

#define cleanup_identity_token __attribute__((cleanup(identity_token_done)))

#endif
