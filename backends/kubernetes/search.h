/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The entry that serves a request best, of one secret or of several: the one whose key says most;
 * of equals the first. Of several, a secret that is missing or no registry's is passed over, as the
 * kubelet does.
 */
#ifndef PULLKEY_KUBERNETES_SEARCH_H
#define PULLKEY_KUBERNETES_SEARCH_H

#include "api.h"

struct search {
    const struct pullkey_host *host;
    const struct pullkey_request *request;
    struct pullkey_credential found;
    int rank;         /* of what was found; 0: nothing yet */
    bool is_for_path; /* a secret that was read has something for a path of the registry */
};

/* One secret, which must be there and of a type for registries. */
int search_secret(struct search *search, struct api *api, const char *namespace_name,
                  const char *name, struct pullkey_error *error);
/* The imagePullSecrets of a service account. */
int search_account(struct search *search, struct api *api, const char *namespace_name,
                   const char *name, struct pullkey_error *error);
/* The secrets of a namespace with these labels. */
int search_label(struct search *search, struct api *api, const char *namespace_name,
                 const char *selector, struct pullkey_error *error);
/* The imagePullSecrets of the pod of the request's workload, once its claims are found true. */
int search_pod(struct search *search, struct api *api, struct pullkey_error *error);

/* Hands out what was found; -PULLKEY_NOT_FOUND if that is nothing. */
int search_take(struct search *search, struct pullkey_credential *ret, struct pullkey_error *error);
void search_done(struct search *search);

#define cleanup_search __attribute__((cleanup(search_done)))

#endif
