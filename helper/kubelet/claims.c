/* SPDX-License-Identifier: Apache-2.0 */
#include "claims.h"

#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/jwt.h"
#include "core/config.h"

#define ANNOTATIONS_MAX JSON_SIZE_MAX
#define AUDIENCES_MAX JSON_SIZE_MAX
#define SUBJECT "system:serviceaccount:"

static int refuse(struct pullkey_error *error)
{
    return error_set(error, PULLKEY_INVALID,
                     "what the kubelet sent as serviceAccountToken is no service account token");
}

static const char *text_of(const cJSON *object, const char *key)
{
    const cJSON *item = json_member(object, key);

    return cJSON_IsString(item) ? item->valuestring : "";
}

/* The subject is made of the same two names, so that a token in which they differ is no one's. */
static bool is_subject(const char *subject, const struct pullkey_workload *workload)
{
    const size_t length = strlen(workload->namespace_name);

    if (strncmp(subject, SUBJECT, strlen(SUBJECT)) != 0)
        return false;
    subject += strlen(SUBJECT);
    return length > 0 && strncmp(subject, workload->namespace_name, length) == 0 &&
           subject[length] == ':' && workload->service_account[0] != '\0' &&
           strcmp(subject + length + 1, workload->service_account) == 0;
}

/* One audience or a list of them, as a list. A token for none in particular is no one's to hand on.
 */
static int read_audiences(const cJSON *root, const char *expected, struct claims *ret,
                          struct pullkey_error *error)
{
    const cJSON *audience = json_member(root, "aud");
    struct buffer *text = &ret->audiences;
    bool is_ours = !expected;

    for (const cJSON *item = config_first(audience); item; item = config_next(audience, item)) {
        if (!cJSON_IsString(item) || item->valuestring[0] == '\0')
            return refuse(error);
        is_ours = is_ours || strcmp(item->valuestring, expected) == 0;
        buffer_append_text(text, text->length == 0 ? "[" : ",");
        json_write_string(text, item->valuestring, strlen(item->valuestring));
    }
    if (text->length == 0)
        return refuse(error);
    buffer_append_text(text, "]");
    if (buffer_check(text, error) < 0)
        return -(int)error->code;
    ret->workload.audiences = text->data;
    if (is_ours)
        return 0;
    return error_set(error, PULLKEY_DENIED,
                     "the service account token that the kubelet sent is not for the audience "
                     "\"%s\": write the same in tokenAttributes of the kubelet's configuration and "
                     "in \"kubelet\" of pullkey's",
                     expected);
}

static int check_time(const cJSON *root, struct pullkey_workload *ret, struct pullkey_error *error)
{
    const cJSON *expiry = json_member(root, "exp"), *begin = json_member(root, "nbf");
    const int64_t now = clock_wall_seconds();

    if (!cJSON_IsNumber(expiry) || !(expiry->valuedouble > 0 && expiry->valuedouble < 1e15))
        return refuse(error);
    ret->token_expiry = (int64_t)expiry->valuedouble;
    if (ret->token_expiry + CLAIMS_LEEWAY_SECONDS <= now)
        return error_set(error, PULLKEY_DENIED,
                         "the service account token that the kubelet sent has expired: is this "
                         "machine's clock right?");
    if (begin && !cJSON_IsNumber(begin))
        return refuse(error);
    if (begin && begin->valuedouble > (double)(now + CLAIMS_LEEWAY_SECONDS))
        return error_set(error, PULLKEY_DENIED,
                         "the service account token that the kubelet sent is not valid yet: is "
                         "this machine's clock right?");
    return 0;
}

static void read_names(const cJSON *root, struct pullkey_workload *ret)
{
    const cJSON *claims = json_member(root, "kubernetes.io");
    const cJSON *account = json_member(claims, "serviceaccount");
    const cJSON *pod = json_member(claims, "pod"), *node = json_member(claims, "node");

    ret->namespace_name = text_of(claims, "namespace");
    ret->service_account = text_of(account, "name");
    ret->service_account_uid = text_of(account, "uid");
    ret->pod = text_of(pod, "name");
    ret->pod_uid = text_of(pod, "uid");
    ret->node = text_of(node, "name");
    ret->node_uid = text_of(node, "uid");
}

static int read_claims(const char *audience, struct claims *ret, struct pullkey_error *error)
{
    int r = jwt_claims(&ret->workload.token, &ret->json, error);

    if (r < 0)
        return refuse(error);
    read_names(ret->json.root, &ret->workload);
    if (!is_subject(text_of(ret->json.root, "sub"), &ret->workload))
        return refuse(error);
    r = read_audiences(ret->json.root, audience, ret, error);
    return r < 0 ? r : check_time(ret->json.root, &ret->workload, error);
}

int claims_read(char *token, const cJSON *annotations, const char *audience, struct claims *ret,
                struct pullkey_error *error)
{
    int r;

    *ret = (struct claims){ .annotations = BUFFER_INIT(ANNOTATIONS_MAX),
                            .audiences = BUFFER_INIT(AUDIENCES_MAX) };
    ret->workload.size = sizeof(ret->workload);
    ret->workload.token = (struct pullkey_secret){ .bytes = token, .length = strlen(token) };
    r = read_claims(audience, ret, error);
    if (r == 0 && annotations)
        r = json_write_tree(&ret->annotations, annotations, false, error);
    if (r < 0) {
        claims_done(ret);
        return r;
    }
    ret->workload.annotations = ret->annotations.data ? ret->annotations.data : "{}";
    return 0;
}

void claims_done(struct claims *claims)
{
    json_done(&claims->json);
    buffer_done(&claims->annotations);
    buffer_done(&claims->audiences);
}
