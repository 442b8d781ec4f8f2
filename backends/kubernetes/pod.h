/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pod that a workload's token names. The API server verifies the token (token-review.h), and
 * the claims are compared with the pod as it is there: a review may be some seconds old, and knows
 * neither the pod's node for sure nor whether the service account is still the pod's.
 *
 * A node may read the pods that are bound to it, and what they refer to (the node authorizer,
 * k8s.io/kubernetes/plugin/pkg/auth/authorizer/node). What it may read follows a binding by a
 * moment, during which the answer is 403, or 404: so both are asked again for POD_PATIENCE_MS.
 */
#ifndef PULLKEY_KUBERNETES_POD_H
#define PULLKEY_KUBERNETES_POD_H

#include "api.h"

#define POD_PATIENCE_MS 2000

/*
 * Reads the pod. -PULLKEY_NO_IDENTITY if there is no workload; -PULLKEY_DENIED if what it claims is
 * not true, or if there is no such pod. A pod that is being deleted is one.
 */
int pod_read(struct api *api, const struct pullkey_workload *workload, struct json *ret,
             struct pullkey_error *error);

/* Reads what a pod refers to; errors as api_call has them. */
int pod_call(struct api *api, const struct api_object *object, struct json *ret,
             struct pullkey_error *error);

/* NAME of the first certificate in PEM whose subject is that of a node, CN=system:node:NAME; ""
 * where it is another's. */
void pod_own_node(const struct pullkey_secret *certificate, char ret[API_NAME_MAX + 1]);

#endif
