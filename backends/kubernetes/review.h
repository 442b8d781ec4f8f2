/* SPDX-License-Identifier: Apache-2.0 */
/* Asks the API server whether it would let us do something (authorization.k8s.io/v1). */
#ifndef PULLKEY_KUBERNETES_REVIEW_H
#define PULLKEY_KUBERNETES_REVIEW_H

#include "api.h"

/* A SelfSubjectAccessReview about a verb and a resource of the core group, in no namespace. */
int review_write(const char *verb, const char *resource, struct pullkey_secret *ret,
                 struct pullkey_error *error);

/* Sends it; -PULLKEY_DENIED says nothing about what was asked. */
int review_ask(struct api *api, const char *verb, const char *resource, struct json *ret,
               struct pullkey_error *error);

/* 0 if the answer allows it, -PULLKEY_DENIED with its reason if not, -PULLKEY_INVALID where it says
 * neither. */
int review_read(const struct json *answer, const char *verb, const char *resource,
                struct pullkey_error *error);

#endif
