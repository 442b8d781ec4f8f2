/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a service account token says: the claims of a JWT (RFC 7519), as
 * k8s.io/kubernetes/pkg/serviceaccount/claims.go makes them. The signature is not verified: whoever
 * lets the claims choose a credential asks resolve_verify first.
 */
#ifndef PULLKEY_KUBELET_CLAIMS_H
#define PULLKEY_KUBELET_CLAIMS_H

#include "base/json.h"

#define CLAIMS_LEEWAY_SECONDS 60 /* clocks of two machines */

struct claims {
    struct json json; /* what the workload's pointers point into */
    struct buffer annotations, audiences;
    struct pullkey_workload workload;
};

/*
 * `token` and `annotations` (NULL for none) must outlive the claims; `audience` is the one that the
 * token must be for, NULL for any. -PULLKEY_INVALID if this is no service account token or its
 * claims contradict each other; -PULLKEY_DENIED if it has expired, or is for another audience.
 */
int claims_read(char *token, const cJSON *annotations, const char *audience, struct claims *ret,
                struct pullkey_error *error);
void claims_done(struct claims *claims);

#define cleanup_claims __attribute__((cleanup(claims_done)))

#endif
