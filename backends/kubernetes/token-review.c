/* SPDX-License-Identifier: Apache-2.0 */
#include "token-review.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/secret.h"

#define GROUP "authentication.k8s.io/v1"
#define PATH "/apis/" GROUP "/tokenreviews"
#define EXTRA "authentication.kubernetes.io/"
#define BODY_MAX (PULLKEY_SECRET_MAX + JSON_SIZE_MAX)
#define REASON_MAX 200
#define RUN_MAX 16 /* bytes of a token that may show by chance */

int token_review_write(const struct pullkey_workload *workload, struct pullkey_secret *ret,
                       struct pullkey_error *error)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(BODY_MAX);

    buffer_append_text(&text, "{\"apiVersion\":\"" GROUP "\",\"kind\":\"TokenReview\",\"spec\":{"
                              "\"audiences\":");
    buffer_append_text(&text, workload->audiences);
    buffer_append_text(&text, ",\"token\":");
    json_write_string(&text, workload->token.bytes, workload->token.length);
    buffer_append_text(&text, "}}");
    return buffer_steal(&text, ret, error);
}

static bool is_string(const cJSON *item, const char *expected)
{
    return cJSON_IsString(item) && strcmp(item->valuestring, expected) == 0;
}

/* Values of "extra" are lists; those of a service account have one element. */
static bool is_extra(const cJSON *extra, const char *key, const char *expected)
{
    const cJSON *list = json_member(extra, key);

    return cJSON_IsArray(list) && list->child && !list->child->next &&
           is_string(list->child, expected);
}

static bool has_asked_audience(const cJSON *granted, const struct pullkey_workload *workload)
{
    cleanup_json struct json asked = { 0 };
    struct pullkey_error ignored;
    const cJSON *one, *other;

    if (!cJSON_IsArray(granted) || json_parse(&asked, "audiences", workload->audiences,
                                              strlen(workload->audiences), 0, &ignored) < 0)
        return false;
    cJSON_ArrayForEach(one, asked.root)
        cJSON_ArrayForEach(other, granted) {
            if (cJSON_IsString(one) && is_string(other, one->valuestring))
                return true;
        }
    return false;
}

/* What differs between the user that the token is and what the workload claims; NULL if nothing. */
static const char *find_difference(const cJSON *user, const struct pullkey_workload *workload)
{
    const cJSON *extra = json_member(user, "extra");
    char name[sizeof("system:serviceaccount::") + 2 * API_NAME_MAX];

    (void)snprintf(name, sizeof(name), "system:serviceaccount:%s:%s", workload->namespace_name,
                   workload->service_account);
    if (!is_string(json_member(user, "username"), name))
        return "service account";
    if (!is_string(json_member(user, "uid"), workload->service_account_uid))
        return "uid of its service account";
    if (!is_extra(extra, EXTRA "pod-name", workload->pod))
        return "pod";
    if (!is_extra(extra, EXTRA "pod-uid", workload->pod_uid))
        return "uid of its pod";
    /* Said since Kubernetes 1.30. */
    if (json_member(extra, EXTRA "node-name") &&
        !is_extra(extra, EXTRA "node-name", workload->node))
        return "node";
    return NULL;
}

/* Whether a text has a run of the token in it, wherever it was cut. */
static bool shares_run(const char *text, const struct pullkey_secret *token)
{
    for (size_t i = 0; i + RUN_MAX <= token->length; i++)
        if (memmem(text, strlen(text), token->bytes + i, RUN_MAX))
            return true;
    return false;
}

static int explain_unknown(const cJSON *status, const struct pullkey_workload *workload,
                           struct pullkey_error *error)
{
    const cJSON *reason = json_member(status, "error");
    bool is_shown = cJSON_IsString(reason) && reason->valuestring[0] != '\0' &&
                    !shares_run(reason->valuestring, &workload->token);

    return error_set(error, PULLKEY_DENIED, "the API server does not know this token%s%.*s",
                     is_shown ? ": " : "", REASON_MAX, is_shown ? reason->valuestring : "");
}

int token_review_read(const struct json *answer, const struct pullkey_workload *workload,
                      struct pullkey_error *error)
{
    const cJSON *status = json_member(answer->root, "status");
    const char *difference;

    if (!cJSON_IsObject(status))
        return error_set(error, PULLKEY_INVALID,
                         "the API server answers a TokenReview without a status");
    if (!cJSON_IsTrue(json_member(status, "authenticated")))
        return explain_unknown(status, workload, error);
    if (!has_asked_audience(json_member(status, "audiences"), workload))
        return error_set(error, PULLKEY_DENIED,
                         "the API server does not take this token for the audience that it names");
    difference = find_difference(json_member(status, "user"), workload);
    if (difference)
        return error_set(error, PULLKEY_DENIED,
                         "the API server knows this token, and another %s than it names",
                         difference);
    return 0;
}

int token_review_ask(struct api *api, const struct pullkey_workload *workload,
                     struct pullkey_error *error)
{
    const struct api_object object = { .verb = "create", .resource = "tokenreviews", .path = PATH };
    cleanup_secret struct pullkey_secret body = { 0 };
    cleanup_json struct json answer = { 0 };
    int r = token_review_write(workload, &body, error);

    if (r == 0)
        r = api_call(api, &object, &body, &answer, error);
    if (r == -PULLKEY_DENIED && api->status == 403)
        return error_wrap(error, "the token cannot be verified, as the role system:node allows");
    return r < 0 ? r : token_review_read(&answer, workload, error);
}
