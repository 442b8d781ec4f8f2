/* SPDX-License-Identifier: Apache-2.0 */
#include "api.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/secret.h"
#include "keep.h"
#include "status.h"

#define SERVER_SIZE (URL_AUTHORITY_SIZE + URL_TARGET_MAX + 8) /* its URL */

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
        .source = API_SOURCE,
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
    if (object->path)
        length = snprintf(ret->target, sizeof(ret->target), "%s%s", api->access.url.target,
                          object->path);
    else
        length = snprintf(ret->target, sizeof(ret->target), "%s/api/v1/namespaces/%s/%s%s%s",
                          api->access.url.target, object->namespace_name, object->resource,
                          name ? "/" : "", name ? name : "");
    if (length < 0 || (size_t)length >= sizeof(ret->target))
        return error_set(error, PULLKEY_INVALID, "%s: the path of its server is too long",
                         api->access.origin);
    return 0;
}

static int call(struct api *api, const struct api_object *object, const struct pullkey_secret *body,
                struct json *ret, struct pullkey_error *error)
{
    cleanup_response struct http_response response = { 0 };
    bool is_new = strcmp(object->verb, "create") == 0;
    char server[URL_AUTHORITY_SIZE];
    const struct status_parties parties = { server, api->access.origin, object };
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
    api->status = response.status;
    if (r < 0)
        return r;
    url_authority(&api->access.url, server);
    if (response.status != 200 && response.status != 201)
        r = status_explain(&parties, response.status, &response.body, error);
    if (r == API_CONFLICT && !body)
        r = error_set(error, PULLKEY_INVALID, "the API server %s answers 409 to a %s", server,
                      object->verb);
    if (response.status != 200 && response.status != 201)
        return r;
    r = json_parse(ret, object->resource, response.body.data ? response.body.data : "",
                   response.body.length, JSON_LARGE, error);
    return r < 0 ? error_wrap(error, "the answer of the API server %s", server) : 0;
}

static void write_server(const struct api *api, char ret[SERVER_SIZE])
{
    char authority[URL_AUTHORITY_SIZE];

    url_authority(&api->access.url, authority);
    (void)snprintf(ret, SERVER_SIZE, "%s://%s%s", api->access.url.https ? "https" : "http",
                   authority, api->access.url.target);
}

void api_forget(const struct api *api, const struct keep *keep, const struct api_object *object)
{
    char server[SERVER_SIZE];

    write_server(api, server);
    keep_drop(keep, server, object);
}

/* The server, or what stands before it, has not got as far as an answer. That it is asked too often
 * is one: it will say more to whoever comes later. */
static bool is_away(const struct api *api, int r)
{
    return r == -(int)PULLKEY_UNREACHABLE && api->status != 429;
}

int api_call(struct api *api, const struct api_object *object, const struct pullkey_secret *body,
             struct json *ret, struct pullkey_error *error)
{
    char server[SERVER_SIZE];
    struct pullkey_error ignored;
    int r = call(api, object, body, ret, error);

    if (!api->keep || body || !object->name)
        return r;
    write_server(api, server);
    if (r == 0)
        keep_save(api->keep, server, object, ret);
    else if (r == -(int)PULLKEY_NOT_FOUND)
        keep_drop(api->keep, server, object);
    else if (is_away(api, r)) {
        api->host->log(API_SOURCE, "%s", error->message);
        r = keep_load(api->keep, server, object, ret, &ignored) == 0 ? 0 : r;
    }
    return r;
}
