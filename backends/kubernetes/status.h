/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an API server's answer means that is not what was asked for. It is an object of kind Status
 * (k8s.io/apimachinery/pkg/apis/meta/v1), or else it is not the API server that answers.
 */
#ifndef PULLKEY_KUBERNETES_STATUS_H
#define PULLKEY_KUBERNETES_STATUS_H

#include "api.h"

/* The parties to a request, for messages. */
struct status_parties {
    const char *server; /* host[:port] */
    const char *origin; /* where the identity comes from */
    const struct api_object *object;
};

/*
 * Sets the error and returns its class as api_call has it, or returns API_CONFLICT. Of the answer
 * only the name of a user and of a reason are repeated: anybody may have written it.
 */
int status_explain(const struct status_parties *parties, long status, const struct buffer *body,
                   struct pullkey_error *error);

#endif
