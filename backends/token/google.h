/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Access tokens of Google, for its registries. Who this machine or job is, in this order: the file
 * that the option "credentials" names, the option "identity" (a token of somebody else, exchanged
 * as "audience" says), Google's application default credentials, and the metadata service of a
 * machine of Google's.
 *
 *   "google": {
 *     "credentials": PATH,        a file as Google's tools write it
 *     "scopes": [SCOPE],          of the token; else all of the cloud platform
 *     "impersonate": EMAIL,       the service account that the identity may act as
 *     "audience": "//iam.googleapis.com/projects/...", the workload identity provider of "identity"
 *     "subject_token_type": TYPE, of "identity"; else a JWT
 *     "universe_domain": DOMAIN   else googleapis.com
 *   }
 *
 * An external account of AWS finds its keys as "ecr" does, with the object "aws" of the options.
 *
 * Endpoints: token, sts, iam, google_metadata, credential_source; imds and container of AWS. Files
 * with credentials name addresses too. Such an address must be https and of the universe domain,
 * which only the options choose; where "endpoints" names one, that is used instead.
 */
#ifndef PULLKEY_TOKEN_GOOGLE_H
#define PULLKEY_TOKEN_GOOGLE_H

#include "google-credentials.h"
#include "identity.h"
#include "oauth.h"

#define GOOGLE_SCOPE "https://www.googleapis.com/auth/cloud-platform"
#define GOOGLE_UNIVERSE "googleapis.com"
#define GOOGLE_WHAT_SIZE 320

/* What registry hosts of Google's look like. */
#define GOOGLE_REGISTRIES                                                                          \
    "^(([a-z]+\\.)?gcr\\.io|[a-z]+(-[a-z0-9]+)*-docker\\.pkg\\.dev|"                               \
    "docker\\.[a-z0-9-]+\\.rep\\.pkg\\.dev)$"

struct google {
    struct exchange *exchange;
    const cJSON *options; /* "google", or NULL */
    const char *universe;
    char what[GOOGLE_WHAT_SIZE]; /* whose token it is, for messages */
};

/* google-host.c */

/* Whether an address out of a file may be asked: https, and a host of the universe domain. */
bool google_is_own(const struct url *url, const char *universe);

/*
 * Where to ask: what "endpoints" has under `name` (with the path of `usual` where it has none),
 * else `usual`, which is looked at first. `member` is what a file calls it, for messages.
 */
int google_find_url(const struct google *google, const char *name, const char *member,
                    const char *usual, struct url *ret, struct pullkey_error *error);

/* google-metadata.c: the machine itself. -PULLKEY_NO_IDENTITY where it is none of Google's. */
int google_metadata_token(struct google *google, const char *scopes, struct oauth_reply *ret,
                          struct pullkey_error *error);
/* The source "gcp" of identity tokens. */
int google_get_identity(struct exchange *exchange, const cJSON *value, struct identity_token *ret,
                        struct pullkey_error *error);

/* google-subject.c: the token of somebody else that a file's credential_source leads to. */
int google_get_subject(struct google *google, const struct google_credentials *credentials,
                       struct pullkey_secret *ret, struct pullkey_error *error);

/* google-aws.c: a question to AWS in the name of whoever has keys of it, signed, for Google to ask.
 */
int google_aws_subject(struct google *google, const struct google_credentials *credentials,
                       struct pullkey_secret *ret, struct pullkey_error *error);

/* The same without keys and clock of its own: what is signed, and how it is written down. */
struct aws_keys;
int google_aws_write(const char *address, const char *region, const char *audience,
                     const char *date, const struct aws_keys *keys, struct pullkey_secret *ret,
                     struct pullkey_error *error);

/* google-proof.c: the parts of files that lead to whoever has no token, without reading one. */

/* A file with the certificate of this machine or its key (`name`), as certificate_config.json has
 * it: "cert_configs": { "workload": { "cert_path": PATH, "key_path": PATH } } */
int google_certificate_path(const struct json *config, const char *name, const char **ret,
                            struct pullkey_error *error);

/* The first certificate of one PEM text and all of another, as a list of JSON. */
int google_certificate_chain(const char *leaf_pem, const char *chain_pem, struct buffer *ret,
                             struct pullkey_error *error);

/* Puts the region into the address, which must be STS's: the signature is for whom it names. */
#define GOOGLE_AWS_ADDRESS_SIZE 512
int google_aws_address(const char *pattern, const char *region, char ret[GOOGLE_AWS_ADDRESS_SIZE],
                       struct pullkey_error *error);

/* google-certificate.c: a chain of certificates; the client's own is what STS is asked with. */
int google_certificate_subject(struct google *google, const struct google_credentials *credentials,
                               struct pullkey_secret *ret, struct pullkey_error *error);

/* google-token.c */

/* The token of a file, for a list of scopes with blanks between; sets google->what. */
int google_file_token(struct google *google, const struct google_credentials *credentials,
                      const char *scopes, struct oauth_reply *ret, struct pullkey_error *error);
/* Exchanges the token of another issuer (RFC 8693). */
int google_exchange(struct google *google, const struct google_credentials *credentials,
                    const struct pullkey_secret *subject, const char *scopes,
                    struct oauth_reply *ret, struct pullkey_error *error);

/* google-iam.c: replaces the token by one of a service account. `url` as a file has it, or NULL for
 * the one of `email`. */
int google_impersonate(struct google *google, const char *url, const char *email,
                       const cJSON *delegates, int lifetime, const char *scopes,
                       struct oauth_reply *token, struct pullkey_error *error);

/* google-reply.c: its answers, without a request. */
int google_read_iam(const struct buffer *body, int64_t now, struct oauth_reply *ret,
                    struct pullkey_error *error);
int google_read_iam_error(const struct buffer *body, long status, const char *server,
                          const char *who, const char *account, struct pullkey_error *error);

#endif
