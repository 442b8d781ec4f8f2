/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changing a secret that others may change at the same time: it is read, changed and written back
 * with the resourceVersion that was read, again where somebody else was faster. Everything in it
 * that is not ours stays.
 */
#ifndef PULLKEY_KUBERNETES_WRITE_H
#define PULLKEY_KUBERNETES_WRITE_H

#include "api.h"

/*
 * Puts an entry in place of its aliases; a secret that is not there is made, of the type
 * kubernetes.io/dockerconfigjson. Without a credential removes the entry and its aliases;
 * -PULLKEY_NOT_FOUND if there is none. `keep` (NULL: none) has nothing of the secret from then on,
 * unless the server was not reached.
 */
int write_change(struct api *api, const struct keep *keep, const char *namespace_name,
                 const char *name, const struct pullkey_request *request,
                 const struct pullkey_credential *credential, struct pullkey_error *error);

#endif
