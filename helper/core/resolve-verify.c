/* SPDX-License-Identifier: Apache-2.0 */
#include "resolve-chain.h"

#include <stddef.h>

#include "base/error.h"

/* Where nothing says how to reach the API server: as the node. */
#define VERIFY_TYPE "kubernetes"
#define VERIFY_OPTIONS "{\"kubeconfig\":\"auto\",\"pod_secrets\":true}"

/* Since minor 2. */
static bool can_verify(const struct pullkey_backend *backend)
{
    return backend->module.size >= offsetof(struct pullkey_backend, verify) + sizeof(void *) &&
           backend->verify;
}

bool resolve_is_per_pod(const struct config_rule *rule)
{
    for (size_t i = 0; i < rule->chain_count; i++)
        if (cJSON_IsTrue(json_member(rule->chain[i].options, "pod_secrets")))
            return true;
    return false;
}

int resolve_verify(const struct resolve *resolve, const struct pullkey_request *request,
                   struct pullkey_error *error)
{
    const struct config_instance *instance = &resolve->config->kubelet.verify;
    cleanup_opened struct resolve_opened opened = { 0 };
    int r;

    if (!request->workload)
        return error_set(error, PULLKEY_DENIED,
                         "the kubelet sent no service account token, so nothing says which "
                         "namespace asks: set tokenAttributes in its configuration");
    r = instance->name ? resolve_open(resolve, instance, &opened, error)
                       : resolve_open_with(resolve, VERIFY_TYPE, VERIFY_OPTIONS, &opened, error);
    if (r == 0 && !can_verify(opened.backend))
        r = error_set(error, PULLKEY_UNSUPPORTED,
                      "the module \"" VERIFY_TYPE "\" is of an older release: install it again");
    if (r == 0)
        r = opened.backend->verify(opened.state, request, error);
    /* What it does not find is the pod, and no miss; an identity of its own that it lacks is none
     * that a backend may do without. */
    if (r == -PULLKEY_NOT_FOUND || r == -PULLKEY_NO_IDENTITY) {
        error->code = r == -PULLKEY_NOT_FOUND ? PULLKEY_DENIED : PULLKEY_INVALID;
        r = -(int)error->code;
    }
    return r < 0 ? error_wrap(error, "the workload is not verified") : 0;
}
