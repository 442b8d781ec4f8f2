/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Credentials from Kubernetes secrets: one by name, those of a service account, those with a label,
 * or those of the pod that the kubelet pulls an image for. A secret by name can be written too.
 * Everything is read anew at each request.
 */
#include <pullkey/backend.h>

#include <string.h>

#include "api.h"
#include "base/error.h"
#include "base/secret.h"
#include "options.h"
#include "pod.h"
#include "review.h"
#include "search.h"
#include "secret.h"
#include "write.h"

#define NAMESPACE_SIZE (API_NAME_MAX + 1)

struct kubernetes {
    const struct pullkey_host *host;
    struct options options;
};

static void kubernetes_close(void *state)
{
    struct kubernetes *kubernetes = state;

    options_done(&kubernetes->options);
    secret_release(kubernetes);
}

static int kubernetes_open(const struct pullkey_host *host, const struct pullkey_instance *instance,
                           void **ret, struct pullkey_error *error)
{
    struct kubernetes *kubernetes = secret_alloc(sizeof(*kubernetes));
    int r;

    if (!kubernetes)
        return error_memory(error);
    kubernetes->host = host;
    r = options_read(instance, &kubernetes->options, error);
    if (r < 0) {
        secret_release(kubernetes);
        return r;
    }
    *ret = kubernetes;
    return 0;
}

/* The namespace of the options, else that of the kubeconfig's context or the pod. */
static int find_namespace(const struct kubernetes *kubernetes, const struct api *api,
                          char ret[NAMESPACE_SIZE], struct pullkey_error *error)
{
    const char *name = kubernetes->options.namespace_name;

    if (!name)
        name = api->access.namespace_name;
    if (!api_is_name(name))
        return error_set(error, PULLKEY_INVALID,
                         "%s names no namespace: write NAMESPACE/NAME, or give \"namespace\"",
                         api->access.origin);
    memcpy(ret, name, strlen(name) + 1);
    return 0;
}

/* A secret or account that somebody named is no miss. */
static int judge(int r, struct pullkey_error *error)
{
    if (r == -PULLKEY_NOT_FOUND) {
        error->code = PULLKEY_INVALID;
        r = -(int)error->code;
    }
    return r;
}

/* As whom the options say; the workload's token is the request's. `keep` is NULL where what is kept
 * must not stand in. */
static int open_api(const struct kubernetes *kubernetes, const struct pullkey_request *request,
                    const struct keep *keep, struct api *ret, struct pullkey_error *error)
{
    struct access_settings settings = kubernetes->options.access;
    int r;

    if (kubernetes->options.as_workload) {
        if (!request->workload)
            return error_set(error, PULLKEY_NO_IDENTITY,
                             "there is no workload whose token could be sent: only the kubelet "
                             "has one, with tokenAttributes in its configuration");
        settings.bearer = &request->workload->token;
    }
    settings.plugin_may_fail = keep;
    r = api_open(kubernetes->host, &settings, request->deadline_ms - (keep ? KEEP_RESERVE_MS : 0),
                 ret, error);
    if (r == 0)
        ret->keep = keep;
    return r;
}

static int run_search(const struct kubernetes *kubernetes, struct api *api, struct search *search,
                      struct pullkey_error *error)
{
    const struct options *options = &kubernetes->options;
    char namespace_name[NAMESPACE_SIZE];
    int r;

    if (options->source == OPTIONS_POD)
        return search_pod(search, api, error);
    r = find_namespace(kubernetes, api, namespace_name, error);
    if (r < 0)
        return r;
    if (options->source == OPTIONS_SELECTOR)
        return search_label(search, api, namespace_name, options->selector, error);
    r = options->source == OPTIONS_SECRET
            ? search_secret(search, api, namespace_name, options->name, error)
            : search_account(search, api, namespace_name, options->name, error);
    return judge(r, error);
}

static int kubernetes_get(void *state, const struct pullkey_request *request,
                          struct pullkey_credential *ret, struct pullkey_error *error)
{
    const struct kubernetes *kubernetes = state;
    cleanup_search struct search search = { .host = kubernetes->host, .request = request };
    struct keep keep = kubernetes->options.keep;
    struct api api;
    int r;

    /* Static pods have no service account, and the next instance may have something for them. */
    if (kubernetes->options.source == OPTIONS_POD && !request->workload)
        return error_set(error, PULLKEY_NOT_FOUND,
                         "nobody says for which pod: that is for the kubelet, with tokenAttributes "
                         "in its configuration");
    /* Only here: neither a change nor a proof may rest on what was true once. */
    keep.host = kubernetes->host;
    r = open_api(kubernetes, request, keep.max_age > 0 ? &keep : NULL, &api, error);
    if (r < 0)
        return r;
    r = run_search(kubernetes, &api, &search, error);
    search.found.stale = api.is_stale;
    api_close(&api);
    return r < 0 ? r : search_take(&search, ret, error);
}

static int kubernetes_verify(void *state, const struct pullkey_request *request,
                             struct pullkey_error *error)
{
    cleanup_json struct json pod = { 0 };
    struct api api;
    int r = open_api(state, request, NULL, &api, error);

    if (r < 0)
        return r;
    r = pod_read(&api, request->workload, &pod, error);
    api_close(&api);
    return r;
}

static const char *const sources[] = {
    [OPTIONS_SECRET] = "secret",
    [OPTIONS_SERVICE_ACCOUNT] = "service_account",
    [OPTIONS_SELECTOR] = "selector",
    [OPTIONS_POD] = "pod_secrets",
};

static int check_writable(const struct kubernetes *kubernetes, struct pullkey_error *error)
{
    if (kubernetes->options.as_workload)
        return error_set(error, PULLKEY_UNSUPPORTED,
                         "what is read with the \"identity\" of a workload is not written");
    if (kubernetes->options.source == OPTIONS_SECRET)
        return 0;
    return error_set(error, PULLKEY_UNSUPPORTED,
                     "only a \"secret\" by name can be written, not what \"%s\" finds",
                     sources[kubernetes->options.source]);
}

static int kubernetes_writable(void *state, struct pullkey_error *error)
{
    return check_writable(state, error);
}

/* Ready to write or to list the secret by name. */
static int open_named(const struct kubernetes *kubernetes, int64_t deadline_ms, struct api *ret,
                      char ret_namespace[NAMESPACE_SIZE], struct pullkey_error *error)
{
    int r = api_open(kubernetes->host, &kubernetes->options.access, deadline_ms, ret, error);

    if (r < 0)
        return r;
    r = find_namespace(kubernetes, ret, ret_namespace, error);
    if (r < 0)
        api_close(ret);
    return r;
}

/* Without a credential the entry goes. */
static int change(const struct kubernetes *kubernetes, const struct pullkey_request *request,
                  const struct pullkey_credential *credential, struct pullkey_error *error)
{
    const struct keep *keep = &kubernetes->options.keep;
    char namespace_name[NAMESPACE_SIZE];
    struct api api;
    int r = check_writable(kubernetes, error);

    if (r == 0)
        r = open_named(kubernetes, request->deadline_ms, &api, namespace_name, error);
    if (r < 0)
        return r;
    r = write_change(&api, keep->max_age > 0 ? keep : NULL, namespace_name,
                     kubernetes->options.name, request, credential, error);
    api_close(&api);
    return r;
}

static int kubernetes_store(void *state, const struct pullkey_request *request,
                            const struct pullkey_credential *credential,
                            struct pullkey_error *error)
{
    return change(state, request, credential, error);
}

static int kubernetes_erase(void *state, const struct pullkey_request *request,
                            struct pullkey_error *error)
{
    return change(state, request, NULL, error);
}

/* Of the secret by name; keys with a '*' are no registry's. */
static int kubernetes_list(void *state, int64_t deadline_ms, struct pullkey_list *ret,
                           struct pullkey_error *error)
{
    const struct kubernetes *kubernetes = state;
    char namespace_name[NAMESPACE_SIZE];
    cleanup_json struct json json = { 0 };
    struct api_object object = { "get", "secrets", namespace_name, kubernetes->options.name, NULL };
    struct secret secret;
    struct api api;
    int r;

    if (kubernetes->options.source != OPTIONS_SECRET || kubernetes->options.as_workload)
        return 0;
    r = open_named(kubernetes, deadline_ms, &api, namespace_name, error);
    if (r < 0)
        return r;
    r = judge(api_call(&api, &object, NULL, &json, error), error);
    if (r == 0)
        r = secret_read(kubernetes->host, json.root, &secret, error);
    if (r == 0) {
        r = secret_list(kubernetes->host, &secret, ret, error);
        secret_close(kubernetes->host, &secret);
    }
    api_close(&api);
    return r;
}

static int kubernetes_review(void *state, const char *verb, const char *resource,
                             int64_t deadline_ms, struct pullkey_error *error)
{
    const struct kubernetes *kubernetes = state;
    cleanup_api struct api api;
    cleanup_json struct json answer = { 0 };
    int r = api_open(kubernetes->host, &kubernetes->options.access, deadline_ms, &api, error);

    if (r == 0)
        r = review_ask(&api, verb, resource, &answer, error);
    /* Who is refused before, or cannot read what identifies it, was not told about the right. */
    if (r == -PULLKEY_DENIED) {
        error->code = PULLKEY_NO_IDENTITY;
        r = -(int)error->code;
    }
    return r < 0 ? r : review_read(&answer, verb, resource, error);
}

/* What access_open looks at besides the options; kubernetes.inputs is the same text. */
static const char inputs[] = "env KUBERNETES_SERVICE_HOST\n"
                             "env KUBERNETES_SERVICE_PORT\n"
                             "env KUBECONFIG\n"
                             "file $KUBECONFIG\n"
                             "file ~/.kube/config\n"
                             "file /var/run/secrets/kubernetes.io/serviceaccount\n"
                             "file /etc/kubernetes/kubelet.conf\n"
                             "file /var/lib/kubelet/kubeconfig\n"
                             "file /var/lib/rancher/k3s/agent/kubelet.kubeconfig\n"
                             "file /var/lib/rancher/rke2/agent/kubelet.kubeconfig\n"
                             "file /var/lib/k0s/kubelet.conf\n"
                             "file /var/snap/microk8s/current/credentials/kubelet.config\n"
                             "file /etc/kubernetes/kubeconfig-kubelet\n"
                             "workload\n";

extern const struct pullkey_backend kubernetes_backend;
const struct pullkey_backend kubernetes_backend = {
    .module = {
        .abi_major = PULLKEY_ABI_MAJOR,
        .abi_minor = PULLKEY_ABI_MINOR,
        .size = sizeof(kubernetes_backend),
        .kind = PULLKEY_KIND_BACKEND,
        .type = "kubernetes",
        .capabilities =
            PULLKEY_CAN_GET | PULLKEY_CAN_STORE | PULLKEY_CAN_LIST | PULLKEY_COALESCES,
        .options = options_table,
        .inputs = inputs,
    },
    .open = kubernetes_open,
    .get = kubernetes_get,
    .store = kubernetes_store,
    .erase = kubernetes_erase,
    .list = kubernetes_list,
    .verify = kubernetes_verify,
    .writable = kubernetes_writable,
    .review = kubernetes_review,
    .close = kubernetes_close,
};

PULLKEY_EXPORT_MODULE(kubernetes_backend);
