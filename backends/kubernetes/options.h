/* SPDX-License-Identifier: Apache-2.0 */
/* The options of an instance; pullkey-backends(7) is the manual. */
#ifndef PULLKEY_KUBERNETES_OPTIONS_H
#define PULLKEY_KUBERNETES_OPTIONS_H

#include "access.h"
#include "keep.h"

/* Where the secrets come from. */
enum options_source {
    OPTIONS_SECRET,          /* one, by name */
    OPTIONS_SERVICE_ACCOUNT, /* the imagePullSecrets of a service account */
    OPTIONS_SELECTOR,        /* by label, in a namespace */
    OPTIONS_POD,             /* the imagePullSecrets of the pod that an image is pulled for */
};

struct options {
    struct json json; /* what the pointers below point into */
    struct access_settings access;
    enum options_source source;
    const char *namespace_name; /* NULL: the one of the access */
    const char *name;           /* of the secret or service account */
    const char *selector;
    struct keep keep; /* max_age 0 without the option */
    bool as_workload; /* the workload's token is the identity, not the kubeconfig's user */
};

extern const struct pullkey_option options_table[];

int options_read(const struct pullkey_instance *instance, struct options *ret,
                 struct pullkey_error *error);
void options_done(struct options *options);

#endif
