/* SPDX-License-Identifier: Apache-2.0 */
#include "api.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/secret.h"

#define SOURCE "kubernetes"
#define USER_MAX 200

bool api_is_name(const char *text)
{
    size_t length = strlen(text);

    if (length == 0 || length > API_NAME_MAX || strchr("-.", text[0]) ||
        strchr("-.", text[length - 1]))
        return false;
    return strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-.") == length;
}

int api_open(const struct pullkey_host *host, const struct access_settings *settings,
             int64_t deadline_ms, struct api *ret, struct pullkey_error *error)
{
    int r;

    *ret = (struct api){ .host = host };
    r = access_open(host, settings, deadline_ms, &ret->access, error);
    if (r < 0)
        return r;
    ret->options = (struct http_options){
        .source = SOURCE,
        .body_max = API_BODY_MAX,
        .deadline_ms = deadline_ms,
    };
    access_fill_options(&ret->access, &ret->options);
    r = http_open(host, &ret->options, &ret->http, error);
    if (r < 0)
        access_done(&ret->access);
    return r;
}

void api_close(struct api *api)
{
    http_close(api->http);
    access_done(&api->access);
    *api = (struct api){ 0 };
}

static int set_url(const struct api *api, const struct api_object *object, bool is_new,
                   struct url *ret, struct pullkey_error *error)
{
    const char *name = is_new ? NULL : object->name;
    int length;

    *ret = api->access.url;
    length = snprintf(ret->target, sizeof(ret->target), "%s/api/v1/namespaces/%s/%s%s%s",
                      api->access.url.target, object->namespace_name, object->resource,
                      name ? "/" : "", name ? name : "");
    if (length < 0 || (size_t)length >= sizeof(ret->target))
        return error_set(error, PULLKEY_INVALID, "%s: the path of its server is too long",
                         api->access.origin);
    return 0;
}

/* User "NAME" of a Status' message, as the API server writes it. */
static void find_user(const struct json *status, char ret[USER_MAX])
{
    static const char begin[] = "User \"";
    const cJSON *message = json_member(status->root, "message");
    const char *at = cJSON_IsString(message) ? strstr(message->valuestring, begin) : NULL;
    size_t length;

    ret[0] = '\0';
    if (!at)
        return;
    at += strlen(begin);
    length = strcspn(at, "\"");
    if (at[length] == '"' && length < USER_MAX)
        (void)snprintf(ret, USER_MAX, "%.*s", (int)length, at);
}

static int explain_forbidden(const struct api *api, const struct api_object *object,
                             const struct json *status, struct pullkey_error *error)
{
    char user[USER_MAX];

    find_user(status, user);
    return error_set(
        error, PULLKEY_DENIED,
        "%s%s%s may not %s %s%s%s in the namespace %s: it needs a Role there with apiGroups "
        "[\"\"], resources [\"%s\"]%s%s%s, verbs [\"%s\"], and a RoleBinding",
        user[0] != '\0' ? "the user \"" : "this identity (",
        user[0] != '\0' ? user : api->access.origin, user[0] != '\0' ? "\"" : ")", object->verb,
        object->resource, object->name ? " " : "", object->name ? object->name : "",
        object->namespace_name, object->resource, object->name ? ", resourceNames [\"" : "",
        object->name ? object->name : "", object->name ? "\"]" : "", object->verb);
}

static int explain(const struct api *api, const struct api_object *object,
                   const struct http_response *response, struct pullkey_error *error)
{
    char server[URL_AUTHORITY_SIZE];
    cleanup_json struct json status = { 0 };
    struct pullkey_error ignored;

    url_authority(&api->access.url, server);
    if (json_parse(&status, "status", response->body.data ? response->body.data : "",
                   response->body.length, 0, &ignored) < 0)
        status = (struct json){ 0 };
    switch (response->status) {
    case 401:
        return error_set(error, PULLKEY_DENIED,
                         "the API server %s does not know who asks: the token or certificate of %s "
                         "has expired, or is another cluster's",
                         server, api->access.origin);
    case 403: return explain_forbidden(api, object, &status, error);
    case 404:
        return error_set(error, PULLKEY_NOT_FOUND, "there is no %s%s%s in the namespace %s",
                         object->resource, object->name ? "/" : "",
                         object->name ? object->name : "", object->namespace_name);
    case 422:
        return error_set(error, PULLKEY_INVALID, "the API server %s does not take this %s", server,
                         object->resource);
    default:
        return error_set(error, PULLKEY_INVALID,
                         "%s answers %ld%s; is it an API server, and the path right?", server,
                         response->status, status.root ? "" : ", and not as an API server would");
    }
}

int api_call(struct api *api, const struct api_object *object, const struct pullkey_secret *body,
             struct json *ret, struct pullkey_error *error)
{
    cleanup_response struct http_response response = { 0 };
    bool is_new = strcmp(object->verb, "create") == 0;
    struct url url;
    struct http_request request = {
        .url = &url,
        .query = object->query,
        .method = !body    ? HTTP_GET
                  : is_new ? HTTP_POST
                           : HTTP_PUT,
        .body = body,
        .content_type = "application/json",
    };
    int r = set_url(api, object, is_new, &url, error);

    if (r < 0)
        return r;
    access_fill_request(&api->access, &request);
    r = http_send(api->http, &request, &response, error);
    if (r < 0)
        return r;
    if (response.status == 409)
        return API_CONFLICT;
    if (response.status != 200 && response.status != 201)
        return explain(api, object, &response, error);
    return json_parse(ret, object->resource, response.body.data ? response.body.data : "",
                      response.body.length, JSON_LARGE, error);
}
