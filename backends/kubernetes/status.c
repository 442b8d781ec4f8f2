/* SPDX-License-Identifier: Apache-2.0 */
#include "status.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"

#define USER_MAX 200
#define REASON_MAX 40

static const char *string_of(const cJSON *object, const char *key)
{
    const cJSON *item = json_member(object, key);

    return cJSON_IsString(item) ? item->valuestring : NULL;
}

/* The reason of a Status, "" if it has none; NULL for whatever else somebody answers. */
static const char *find_reason(const struct json *json)
{
    const char *kind = string_of(json->root, "kind"), *reason = string_of(json->root, "reason");

    if (!kind || strcmp(kind, "Status") != 0)
        return NULL;
    return reason ? reason : "";
}

/* User "NAME" of a message, as the authorizers of the API server write it. */
static void find_user(const char *message, char ret[USER_MAX])
{
    static const char begin[] = "User \"";
    const char *at = strstr(message, begin);
    size_t length;

    ret[0] = '\0';
    if (!at)
        return;
    at += strlen(begin);
    length = strcspn(at, "\"");
    if (at[length] == '"' && length < USER_MAX)
        (void)snprintf(ret, USER_MAX, "%.*s", (int)length, at);
}

static int explain_right(const struct status_parties *parties, const char *message,
                         struct pullkey_error *error)
{
    const struct api_object *object = parties->object;
    bool is_named = object->name && (object->part || strcmp(object->verb, "create") != 0);
    const char *slash = object->part ? "/" : "", *part = object->part ? object->part : "";
    bool is_node = strstr(message, "User \"system:node:");
    char user[USER_MAX];

    find_user(message, user);
    return error_set(
        error, PULLKEY_DENIED,
        "%s%s%s may not %s %s%s%s%s%s in the namespace %s%s: it needs a Role there with apiGroups "
        "[\"\"], resources [\"%s%s%s\"]%s%s%s, verbs [\"%s\"], and a RoleBinding%s",
        user[0] != '\0' ? "the user \"" : "this identity (",
        user[0] != '\0' ? user : parties->origin, user[0] != '\0' ? "\"" : ")", object->verb,
        object->resource, slash, part, object->name ? " " : "", object->name ? object->name : "",
        object->namespace_name,
        strstr(message, "no relationship found between node")
            ? " (a node may for its own pods, and none here uses it)"
            : "",
        object->resource, slash, part, is_named ? ", resourceNames [\"" : "",
        is_named ? object->name : "", is_named ? "\"]" : "", object->verb,
        is_node ? " for the group system:nodes" : "");
}

/* The path is /apis/GROUP/VERSION/RESOURCE. */
static int explain_cluster_right(const struct status_parties *parties, const struct json *json,
                                 struct pullkey_error *error)
{
    const struct api_object *object = parties->object;
    const char *message = string_of(json->root, "message");
    const char *group = object->path + strlen("/apis/");
    char user[USER_MAX];

    find_user(message ? message : "", user);
    return error_set(
        error, PULLKEY_DENIED,
        "%s may not %s %s: it needs a ClusterRole with apiGroups [\"%.*s\"], resources "
        "[\"%s\"], verbs [\"%s\"], and a ClusterRoleBinding",
        user[0] != '\0' ? user : parties->origin, object->verb, object->resource,
        (int)strcspn(group, "/"), group, object->resource, object->verb);
}

static int explain_forbidden(const struct status_parties *parties, const struct json *json,
                             struct pullkey_error *error)
{
    const struct api_object *object = parties->object;
    const char *message = string_of(json->root, "message");

    /* "User ... cannot get resource ..." is what authorizers say. */
    if (!message || strstr(message, " cannot "))
        return explain_right(parties, message ? message : "", error);
    return error_set(
        error, PULLKEY_DENIED,
        "the API server %s forbids to %s %s in the namespace %s, and not for a missing "
        "right: an admission rule, a quota, or a namespace that is being deleted",
        parties->server, object->verb, object->resource, object->namespace_name);
}

static int explain_missing(const struct status_parties *parties, const struct json *json,
                           struct pullkey_error *error)
{
    const struct api_object *object = parties->object;
    const char *kind = string_of(json_member(json->root, "details"), "kind");

    if (kind && strcmp(kind, "namespaces") == 0)
        return error_set(error, PULLKEY_NOT_FOUND, "there is no namespace %s",
                         object->namespace_name);
    return error_set(error, PULLKEY_NOT_FOUND, "there is no %s%s%s in the namespace %s",
                     object->resource, object->name ? "/" : "", object->name ? object->name : "",
                     object->namespace_name);
}

/* A reason is one word, and nothing else is shown as one. */
static int explain_other(const struct status_parties *parties, long status, const char *reason,
                         struct pullkey_error *error)
{
    size_t length = strspn(reason, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");
    bool is_word = length > 0 && length < REASON_MAX && reason[length] == '\0';

    return error_set(error, PULLKEY_INVALID, "the API server %s answers %ld%s%s%s to %s %s",
                     parties->server, status, is_word ? " (" : "", is_word ? reason : "",
                     is_word ? ")" : "", parties->object->verb, parties->object->resource);
}

int status_explain(const struct status_parties *parties, long status, const struct buffer *body,
                   struct pullkey_error *error)
{
    cleanup_json struct json json = { 0 };
    struct pullkey_error ignored;
    const char *reason = NULL;

    if (json_parse(&json, "status", body->data ? body->data : "", body->length, 0, &ignored) == 0)
        reason = find_reason(&json);
    /* A proxy's 404 must not turn into an anonymous pull. */
    if (!reason)
        return error_set(error, PULLKEY_INVALID,
                         "%s answers %ld, and not as an API server would: is it one, its path "
                         "right, and no proxy in between?",
                         parties->server, status);
    if (parties->object->path && status == 403)
        return explain_cluster_right(parties, &json, error);
    /* It is about no object in a namespace. */
    if (parties->object->path && status != 401)
        return explain_other(parties, status, reason, error);
    switch (status) {
    case 401:
        return error_set(error, PULLKEY_DENIED,
                         "the API server %s does not know who asks: the token or certificate of %s "
                         "has expired, is for another audience, or is another cluster's",
                         parties->server, parties->origin);
    case 403: return explain_forbidden(parties, &json, error);
    case 404:
        return strcmp(reason, "NotFound") == 0 ? explain_missing(parties, &json, error)
                                               : explain_other(parties, status, reason, error);
    case 409:
        return strcmp(reason, "Conflict") == 0 || strcmp(reason, "AlreadyExists") == 0
                   ? API_CONFLICT
                   : explain_other(parties, status, reason, error);
    case 413:
    case 422:
        return error_set(error, PULLKEY_INVALID,
                         "the API server %s does not take what is to be written to %s: it is too "
                         "large, or not as its type wants it",
                         parties->server, parties->object->resource);
    default: return explain_other(parties, status, reason, error);
    }
}
