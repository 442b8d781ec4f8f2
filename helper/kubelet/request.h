/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kubelet sends to a credential provider: one JSON object CredentialProviderRequest on
 * standard input (k8s.io/kubelet/pkg/apis/credentialprovider/v1, v1beta1, v1alpha1). Unknown
 * members are ignored, as later releases add some; keys that are there twice are refused.
 */
#ifndef PULLKEY_KUBELET_REQUEST_H
#define PULLKEY_KUBELET_REQUEST_H

#include "base/json.h"
#include "core/registry.h"

#define REQUEST_SIZE_MAX JSON_SIZE_MAX
#define REQUEST_IMAGE_MAX 1024

struct request {
    struct json json;         /* what the pointers below point into */
    const char *api_version;  /* one of the three, as the answer must repeat it */
    const char *image;        /* host[:port]/path; the kubelet sends it without tag and digest */
    size_t image_length;      /* without them, if some other caller does */
    size_t host_length;       /* of the image's host[:port] */
    char *token;              /* of the pod's service account, or NULL */
    const cJSON *annotations; /* of the service account: an object of strings, or NULL */
    struct registry_reference reference; /* the image's registry and repository */
};

/* -PULLKEY_INVALID with what is wrong. No error holds a value of the request but the version. */
int request_parse(const char *text, size_t length, struct request *ret,
                  struct pullkey_error *error);
void request_done(struct request *request);

#define cleanup_request __attribute__((cleanup(request_done)))

#endif
