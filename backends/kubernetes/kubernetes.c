/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Credentials from Kubernetes secrets: one by name, those of a service account, or those with a
 * label. A secret by name can be written too. Everything is read anew at each request.
 */
#include <pullkey/backend.h>

#include <string.h>

#include "api.h"
#include "auths/auths.h"
#include "base/error.h"
#include "base/secret.h"
#include "options.h"
#include "secret.h"
#include "write.h"

#define QUERY_MAX 4096
#define NAMESPACE_SIZE (API_NAME_MAX + 1)

struct kubernetes {
    const struct pullkey_host *host;
    struct options options;
};

/* The best entry so far. */
struct search {
    const struct kubernetes *kubernetes;
    const struct pullkey_request *request;
    struct pullkey_credential *ret;
    int rank;
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

static void forget(const struct kubernetes *kubernetes, struct pullkey_credential *credential)
{
    kubernetes->host->release(credential->username);
    kubernetes->host->release(credential->secret.bytes);
    *credential = (struct pullkey_credential){ 0 };
}

/* Takes what it has if that is better than what was found before. */
static int look_into(struct search *search, const cJSON *object, bool must_fit,
                     struct pullkey_error *error)
{
    const struct pullkey_host *host = search->kubernetes->host;
    struct pullkey_credential found = { 0 };
    struct secret secret;
    const cJSON *entry;
    int r = secret_read(host, object, &secret, error), rank;

    if (r < 0)
        return r;
    if (secret.type == SECRET_OTHER && must_fit)
        r = error_set(error, PULLKEY_INVALID,
                      "the %s has another type than kubernetes.io/dockerconfigjson, "
                      "kubernetes.io/dockercfg or kubernetes.io/basic-auth",
                      secret.name);
    rank = secret.type == SECRET_OTHER ? 0 : secret_rank(host, &secret, search->request, &entry);
    if (r == 0 && rank > search->rank) {
        r = secret_get(host, &secret, entry, &found, error);
        if (r == 0) {
            forget(search->kubernetes, search->ret);
            *search->ret = found;
            search->rank = rank;
        }
    }
    secret_close(host, &secret);
    return r;
}

static int search_one(struct search *search, struct api *api, const char *namespace_name,
                      const char *name, bool must_fit, struct pullkey_error *error)
{
    cleanup_json struct json json = { 0 };
    const struct api_object object = { "get", "secrets", namespace_name, name, NULL };
    int r = api_call(api, &object, NULL, &json, error);

    return r < 0 ? r : look_into(search, json.root, must_fit, error);
}

/* Of several, one that is missing or no registry's is passed over, as the kubelet does. */
static int search_account(struct search *search, struct api *api, const char *namespace_name,
                          struct pullkey_error *error)
{
    const char *account = search->kubernetes->options.name;
    const struct api_object object = { "get", "serviceaccounts", namespace_name, account, NULL };
    cleanup_json struct json json = { 0 };
    const cJSON *item;
    int r = api_call(api, &object, NULL, &json, error);

    if (r < 0)
        return r;
    cJSON_ArrayForEach(item, json_member(json.root, "imagePullSecrets")) {
        const cJSON *name = json_member(item, "name");

        if (!cJSON_IsString(name) || !api_is_name(name->valuestring))
            continue;
        r = search_one(search, api, namespace_name, name->valuestring, false, error);
        if (r == -PULLKEY_NOT_FOUND)
            search->kubernetes->host->log("kubernetes", "%s", error->message);
        else if (r < 0)
            return r;
    }
    return 0;
}

static int search_label(struct search *search, struct api *api, const char *namespace_name,
                        struct pullkey_error *error)
{
    const char *selector = search->kubernetes->options.selector;
    cleanup_buffer struct buffer query = BUFFER_INIT(QUERY_MAX);
    cleanup_json struct json json = { 0 };
    struct api_object object = { "list", "secrets", namespace_name, NULL, NULL };
    cJSON *item;
    int r;

    http_query_add(&query, "labelSelector", selector, strlen(selector));
    r = buffer_check(&query, error);
    if (r < 0)
        return r;
    object.query = query.data;
    r = api_call(api, &object, NULL, &json, error);
    if (r < 0)
        return r;
    cJSON_ArrayForEach(item, json_member(json.root, "items")) {
        r = look_into(search, item, false, error);
        if (r < 0)
            return r;
    }
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

static int kubernetes_get(void *state, const struct pullkey_request *request,
                          struct pullkey_credential *ret, struct pullkey_error *error)
{
    const struct kubernetes *kubernetes = state;
    struct pullkey_credential found = { 0 };
    struct search search = { kubernetes, request, &found, 0 };
    char namespace_name[NAMESPACE_SIZE];
    cleanup_api struct api api;
    int r =
        api_open(kubernetes->host, &kubernetes->options.access, request->deadline_ms, &api, error);

    if (r < 0)
        return r;
    r = find_namespace(kubernetes, &api, namespace_name, error);
    if (r == 0 && kubernetes->options.source == OPTIONS_SECRET)
        r = judge(search_one(&search, &api, namespace_name, kubernetes->options.name, true, error),
                  error);
    else if (r == 0 && kubernetes->options.source == OPTIONS_SERVICE_ACCOUNT)
        r = judge(search_account(&search, &api, namespace_name, error), error);
    else if (r == 0)
        r = search_label(&search, &api, namespace_name, error);
    if (r == 0 && search.rank == 0)
        r = error_set(error, PULLKEY_NOT_FOUND, "no secret has an entry for %s", request->text);
    if (r < 0) {
        forget(kubernetes, &found);
        return r;
    }
    *ret = found;
    return 0;
}

static int check_writable(const struct kubernetes *kubernetes, struct pullkey_error *error)
{
    if (kubernetes->options.source == OPTIONS_SECRET)
        return 0;
    return error_set(error, PULLKEY_UNSUPPORTED,
                     "only a \"secret\" by name can be written, not what a \"%s\" finds",
                     kubernetes->options.source == OPTIONS_SELECTOR ? "selector"
                                                                    : "service_account");
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
    const char *name = kubernetes->options.name;
    char namespace_name[NAMESPACE_SIZE];
    struct api api;
    int r = check_writable(kubernetes, error);

    if (r == 0)
        r = open_named(kubernetes, request->deadline_ms, &api, namespace_name, error);
    if (r < 0)
        return r;
    r = credential ? write_store(&api, namespace_name, name, request, credential, error)
                   : write_erase(&api, namespace_name, name, request, error);
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

    if (kubernetes->options.source != OPTIONS_SECRET)
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

/* What access_open looks at besides the options; kubernetes.inputs is the same text. */
static const char inputs[] = "env KUBERNETES_SERVICE_HOST\n"
                             "env KUBERNETES_SERVICE_PORT\n"
                             "env KUBECONFIG\n"
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
    .writable = kubernetes_writable,
    .close = kubernetes_close,
};

PULLKEY_EXPORT_MODULE(kubernetes_backend);
