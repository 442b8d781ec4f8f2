/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a Kubernetes secret holds for registries. Its type and its key must both fit, as the kubelet
 * wants it:
 *
 *   kubernetes.io/dockerconfigjson   .dockerconfigjson: {"auths": {KEY: ENTRY}}
 *   kubernetes.io/dockercfg          .dockercfg: {KEY: ENTRY}
 *   kubernetes.io/basic-auth         username, password: for whatever registry a rule sends here
 *
 * ENTRY is as backends/auths/auths.h has it. KEY may have '*' in the labels of its host
 * (k8s.io/kubernetes/pkg/credentialprovider/keyring.go). For the kubelet http:// before it is no
 * other registry; here it is one in a secret that is named, which pullkey login may have written.
 * Other than for the kubelet a path stands for whole segments, so team/app is not for
 * team/application, and '?' and character classes ([a-c]) match nothing.
 */
#ifndef PULLKEY_KUBERNETES_SECRET_H
#define PULLKEY_KUBERNETES_SECRET_H

#include "base/json.h"

enum secret_type {
    SECRET_OTHER = 0,
    SECRET_DOCKERCONFIGJSON,
    SECRET_DOCKERCFG,
    SECRET_BASIC_AUTH,
};

struct secret {
    enum secret_type type;
    char name[520];                       /* "secret NAMESPACE/NAME", for messages */
    struct json document;                 /* of the first two types: {"auths": ...} */
    const char *resource_version;         /* points into the object that it was read from */
    struct pullkey_credential credential; /* of the third */
    bool is_immutable;
    bool any_scheme; /* http:// before a key means nothing; false until somebody sets it */
};

/* True for an object of the API that names no registry: basic-auth, for whatever is sent there. */
bool secret_is_for_any(const cJSON *object);

/* Of an object of the API; SECRET_OTHER is no error. Release with secret_close. */
int secret_read(const struct pullkey_host *host, const cJSON *object, struct secret *ret,
                struct pullkey_error *error);
void secret_close(const struct pullkey_host *host, struct secret *secret);

/* How well it serves a request: 0 not at all. *ret_entry is what to hand to secret_get. */
int secret_rank(const struct pullkey_host *host, const struct secret *secret,
                const struct pullkey_request *request, const cJSON **ret_entry);
int secret_get(const struct pullkey_host *host, struct secret *secret, const cJSON *entry,
               struct pullkey_credential *ret, struct pullkey_error *error);

/* What an answer of it is good for besides the request's path. */
enum pullkey_scope secret_scope(const struct pullkey_host *host, const struct secret *secret,
                                const struct pullkey_request *request);

/* Adds its keys to a list, but those with a '*', which name no registry. */
int secret_list(const struct pullkey_host *host, struct secret *secret, struct pullkey_list *list,
                struct pullkey_error *error);

/* Puts the content of `secret`, as it was changed, into the object that it was read from. */
int secret_write(const struct secret *secret, cJSON *object, struct pullkey_error *error);

/* How well a key serves a request; the higher the better. `any_scheme` as above. */
int secret_match(const struct pullkey_host *host, const struct pullkey_request *request,
                 const char *key, bool any_scheme);

#endif
