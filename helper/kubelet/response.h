/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kubelet gets: one JSON object CredentialProviderResponse, which it decodes strictly
 * (k8s.io/kubernetes/pkg/credentialprovider/plugin/plugin.go): nothing but the members below, and
 * one of two values for cacheKeyType (there is a third, "Global", that we never need).
 */
#ifndef PULLKEY_KUBELET_RESPONSE_H
#define PULLKEY_KUBELET_RESPONSE_H

#include "base/buffer.h"
#include "request.h"

struct response {
    const struct pullkey_credential *credential; /* NULL: there is none */
    bool is_registry_wide; /* good for every image of the registry, else for this image */
    bool anonymous_last;   /* after the credential none is tried */
    int64_t cache_seconds; /* 0: the kubelet asks again each time */
};

/* -PULLKEY_INVALID for a credential that this protocol cannot carry. */
int response_write(const struct request *request, const struct response *response,
                   struct buffer *ret, struct pullkey_error *error);

#endif
