/* SPDX-License-Identifier: Apache-2.0 */
#include "pod.h"

#include <string.h>

#include "base/error.h"
#include "base/secret.h"
#include "base/text.h"
#include "token-review.h"

#define PAUSE_MS 100 /* before the second attempt; twice as long before each further one */
#define CERTIFICATE_MAX 65536

/* Whether an answer may be another one once the node authorizer, or the server's cache, knows of
 * the binding. */
static bool may_lag(const struct api *api, const struct api_object *object)
{
    return api->status == 403 || (api->status == 404 && strcmp(object->resource, "pods") == 0);
}

int pod_call(struct api *api, const struct api_object *object, struct json *ret,
             struct pullkey_error *error)
{
    const int64_t start = api->host->monotonic_ms();
    const int64_t end = start + POD_PATIENCE_MS < api->options.deadline_ms
                            ? start + POD_PATIENCE_MS
                            : api->options.deadline_ms;

    for (int64_t pause = PAUSE_MS;; pause *= 2) {
        int r = api_call(api, object, NULL, ret, error);

        if (r == 0 || !may_lag(api, object) || api->host->monotonic_ms() + pause >= end)
            return r;
        api->host->log(API_SOURCE, "%s; asking again in %lld ms", error->message, (long long)pause);
        http_wait(api->http, pause);
    }
}

static int deny(const struct pullkey_workload *workload, const char *what,
                struct pullkey_error *error)
{
    return error_set(error, PULLKEY_DENIED, "the token of the pod %s/%s %s",
                     workload->namespace_name, workload->pod, what);
}

static int check_claims(const struct pullkey_host *host, const struct pullkey_workload *workload,
                        struct pullkey_error *error)
{
    if (!workload)
        return error_set(error, PULLKEY_NO_IDENTITY,
                         "nobody says for which pod: that is for the kubelet, with tokenAttributes "
                         "in its configuration");
    if (!api_is_name(workload->namespace_name) || !api_is_name(workload->pod) ||
        !api_is_name(workload->service_account) || workload->pod_uid[0] == '\0')
        return error_set(error, PULLKEY_DENIED,
                         "the service account token is not bound to a pod: it does not name its "
                         "namespace, service account, pod and the pod's uid");
    if (workload->service_account_uid[0] == '\0')
        return deny(workload, "does not have the uid of its service account", error);
    if (workload->token_expiry <= host->wall_seconds())
        return deny(workload,
                    workload->token_expiry == 0 ? "never expires: it is none of the kubelet's"
                                                : "has expired",
                    error);
    return 0;
}

static bool is_text(const cJSON *object, const char *key, const char *expected)
{
    const cJSON *item = json_member(object, key);

    return cJSON_IsString(item) && strcmp(item->valuestring, expected) == 0;
}

static int check_pod(const struct api *api, const struct pullkey_workload *workload,
                     const struct json *pod, struct pullkey_error *error)
{
    const cJSON *metadata = json_member(pod->root, "metadata");
    const cJSON *spec = json_member(pod->root, "spec");
    char node[API_NAME_MAX + 1];

    if (!is_text(metadata, "name", workload->pod) ||
        !is_text(metadata, "namespace", workload->namespace_name) || !cJSON_IsObject(spec))
        return error_set(error, PULLKEY_INVALID,
                         "the API server answers with something else than the pod %s/%s",
                         workload->namespace_name, workload->pod);
    if (!is_text(metadata, "uid", workload->pod_uid))
        return deny(workload, "is of another pod with this name", error);
    if (!is_text(spec, "serviceAccountName", workload->service_account))
        return deny(workload, "is of another service account than the pod", error);
    /* Tokens name their node since Kubernetes 1.30. */
    if (workload->node[0] != '\0' && !is_text(spec, "nodeName", workload->node))
        return deny(workload, "names another node than the pod is on", error);
    pod_own_node(&api->access.certificate, node);
    if (node[0] != '\0' && !is_text(spec, "nodeName", node))
        return deny(workload, "is of a pod that is not on this node", error);
    return 0;
}

int pod_read(struct api *api, const struct pullkey_workload *workload, struct json *ret,
             struct pullkey_error *error)
{
    cleanup_json struct json pod = { 0 };
    struct api_object object = { "get", "pods", NULL, NULL, NULL };
    int r = check_claims(api->host, workload, error);

    if (r == 0)
        r = token_review_ask(api, workload, error);
    if (r < 0)
        return r;
    object.namespace_name = workload->namespace_name;
    object.name = workload->pod;
    r = pod_call(api, &object, &pod, error);
    if (r == -PULLKEY_NOT_FOUND)
        return deny(workload, "is of a pod that is not there", error);
    if (r == 0)
        r = check_pod(api, workload, &pod, error);
    if (r < 0)
        return r;
    *ret = pod;
    pod = (struct json){ 0 };
    return 0;
}

/* The bytes of the first certificate; nothing where it is not as it should be. */
static void decode_certificate(const struct pullkey_secret *pem, struct buffer *ret)
{
    static const char begin[] = "-----BEGIN CERTIFICATE-----";
    cleanup_buffer struct buffer coded = BUFFER_INIT(CERTIFICATE_MAX);
    const char *at = pem->length > 0 ? strstr(pem->bytes, begin) : NULL;
    struct pullkey_error ignored;

    if (!at)
        return;
    for (at += strlen(begin); *at != '-' && *at != '\0'; at++)
        if (!strchr("\r\n \t", *at))
            buffer_append(&coded, at, 1);
    if (!coded.data || buffer_check(&coded, &ignored) < 0 ||
        text_base64_decode(coded.data, coded.length, ret, &ignored) < 0)
        buffer_done(ret);
}

void pod_own_node(const struct pullkey_secret *certificate, char ret[API_NAME_MAX + 1])
{
    /* The type id-at-commonName (X.520) in DER; a string with a tag and a length of a byte each
     * follows. The issuer's come before the subject's. */
    static const char type[] = { 0x06, 0x03, 0x55, 0x04, 0x03 }, prefix[] = "system:node:";
    cleanup_buffer struct buffer der = BUFFER_INIT(CERTIFICATE_MAX);
    const size_t skip = sizeof(type) + 2, shortest = strlen(prefix);
    const char *at, *end;

    ret[0] = '\0';
    decode_certificate(certificate, &der);
    end = der.data ? der.data + der.length : NULL;
    for (at = der.data; at && at < end;) {
        size_t length;

        at = memmem(at, (size_t)(end - at), type, sizeof(type));
        if (!at || (size_t)(end - at) < skip)
            break;
        length = (unsigned char)at[sizeof(type) + 1];
        at += skip;
        if (length <= shortest || length > 127 || length > (size_t)(end - at) ||
            memcmp(at, prefix, shortest) != 0)
            continue;
        memcpy(mempcpy(ret, at + shortest, length - shortest), "", 1);
        if (!api_is_name(ret))
            ret[0] = '\0';
    }
}
