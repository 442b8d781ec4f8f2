/* SPDX-License-Identifier: Apache-2.0 */
/* The sources of identity tokens that need more than a read. Inside backends/token. */
#ifndef PULLKEY_TOKEN_IDENTITY_SOURCES_H
#define PULLKEY_TOKEN_IDENTITY_SOURCES_H

#include "identity.h"

#define EXPIRED_LEEWAY 60 /* seconds, of clocks that differ */

/* A list of texts, the first an absolute path. */
int identity_check_command(const struct settings *settings, const cJSON *value,
                           struct pullkey_error *error);
int identity_get_command(struct exchange *exchange, const cJSON *value, struct identity_token *ret,
                         struct pullkey_error *error);

/* https://docs.github.com/actions, "OpenID Connect": the runner's own endpoint. */
int identity_get_github(struct exchange *exchange, const cJSON *value, struct identity_token *ret,
                        struct pullkey_error *error);

/*
 * A token for a service account, which an API server makes (TokenRequest of
 * authentication.k8s.io/v1):
 *
 *   "service_account": NAMESPACE/NAME, or NAME in the namespace of the access
 *   "audience": TEXT
 *   "seconds": how long it is good for, 600 (the least) without it
 *   "kubeconfig", "context", or "server", "ca_file", "token_file": how the API server is reached,
 * as kubernetes/access.h says of all of them
 */
int identity_check_kubernetes(const struct settings *settings, const cJSON *value,
                              struct pullkey_error *error);
int identity_get_kubernetes(struct exchange *exchange, const cJSON *value,
                            struct identity_token *ret, struct pullkey_error *error);

#endif
