/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changing a secret that others may change at the same time: it is read, changed and written back
 * with the resourceVersion that was read, again where somebody else was faster. Everything in it
 * that is not ours stays.
 */
#ifndef PULLKEY_KUBERNETES_WRITE_H
#define PULLKEY_KUBERNETES_WRITE_H

#include "api.h"

/* Puts an entry in place of its aliases. A secret that is not there is made, of the type
 * kubernetes.io/dockerconfigjson. */
int write_store(struct api *api, const char *namespace_name, const char *name,
                const struct pullkey_request *request, const struct pullkey_credential *credential,
                struct pullkey_error *error);

/* Removes an entry and its aliases. -PULLKEY_NOT_FOUND if there is none. */
int write_erase(struct api *api, const char *namespace_name, const char *name,
                const struct pullkey_request *request, struct pullkey_error *error);

#endif
