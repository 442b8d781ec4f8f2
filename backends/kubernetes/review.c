/* SPDX-License-Identifier: Apache-2.0 */
#include "review.h"

#include <string.h>

#include "base/error.h"
#include "base/secret.h"

#define GROUP "authorization.k8s.io/v1"
#define PATH "/apis/" GROUP "/selfsubjectaccessreviews"
#define REVIEW_MAX 8192
#define REASON_MAX 200

int review_write(const char *verb, const char *resource, struct pullkey_secret *ret,
                 struct pullkey_error *error)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(REVIEW_MAX);

    buffer_append_text(&text, "{\"apiVersion\":\"" GROUP "\",\"kind\":\"SelfSubjectAccessReview\","
                              "\"spec\":{\"resourceAttributes\":{\"group\":\"\",\"verb\":");
    json_write_string(&text, verb, strlen(verb));
    buffer_append_text(&text, ",\"resource\":");
    json_write_string(&text, resource, strlen(resource));
    buffer_append_text(&text, "}}}");
    return buffer_steal(&text, ret, error);
}

int review_read(const struct json *answer, const char *verb, const char *resource,
                struct pullkey_error *error)
{
    const cJSON *status = json_member(answer->root, "status");
    const cJSON *allowed = status ? json_member(status, "allowed") : NULL;
    const cJSON *reason = status ? json_member(status, "reason") : NULL;
    bool has_reason = cJSON_IsString(reason) && reason->valuestring[0] != '\0';

    if (!cJSON_IsBool(allowed))
        return error_set(error, PULLKEY_INVALID,
                         "the API server answers a SelfSubjectAccessReview without a status");
    if (cJSON_IsTrue(allowed))
        return 0;
    return error_set(error, PULLKEY_DENIED, "the verb %s on %s is not allowed%s%.*s", verb,
                     resource, has_reason ? ": " : "", REASON_MAX,
                     has_reason ? reason->valuestring : "");
}

int review_ask(struct api *api, const char *verb, const char *resource, struct json *ret,
               struct pullkey_error *error)
{
    const struct api_object object = { .verb = "create",
                                       .resource = "selfsubjectaccessreviews",
                                       .path = PATH };
    cleanup_secret struct pullkey_secret body = { 0 };
    int r = review_write(verb, resource, &body, error);

    return r < 0 ? r : api_call(api, &object, &body, ret, error);
}
