/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Has the API server a workload's token verified (authentication.k8s.io/v1): its signature, its
 * times, and that the service account and the pod that it is bound to are still those.
 */
#ifndef PULLKEY_KUBERNETES_TOKEN_REVIEW_H
#define PULLKEY_KUBERNETES_TOKEN_REVIEW_H

#include "api.h"

/* A TokenReview for the audiences that the token is for; it has the token in it. */
int token_review_write(const struct pullkey_workload *workload, struct pullkey_secret *ret,
                       struct pullkey_error *error);

/* 0 if the answer says what the workload claims. -PULLKEY_DENIED if the token is not good, or not
 * the workload's; -PULLKEY_INVALID for what is no answer. */
int token_review_read(const struct json *answer, const struct pullkey_workload *workload,
                      struct pullkey_error *error);

/* All of it, as the identity of the API: nodes may. The names of the workload are checked. */
int token_review_ask(struct api *api, const struct pullkey_workload *workload,
                     struct pullkey_error *error);

#endif
