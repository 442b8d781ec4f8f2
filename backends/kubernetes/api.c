/* SPDX-License-Identifier: Apache-2.0 */
#include "api.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/secret.h"
#include "keep.h"
#include "status.h"

#define READER_MAX 65536

bool api_is_name(const char *text)
{
    size_t length = strlen(text);

    if (length == 0 || length > API_NAME_MAX || strchr("-.", text[0]) ||
        strchr("-.", text[length - 1]))
        return false;
    return strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-.") == length;
}

void api_close(struct api *api)
{
    http_close(api->http);
    access_done(&api->access);
    buffer_done(&api->reader);
    *api = (struct api){ 0 };
}

static int set_url(const struct api *api, const struct api_object *object, bool is_new,
                   struct url *ret, struct pullkey_error *error)
{
    const char *name = is_new && !object->part ? NULL : object->name;
    int length;

    *ret = api->access.url;
    if (object->path)
        length = snprintf(ret->target, sizeof(ret->target), "%s%s", api->access.url.target,
                          object->path);
    else
        length = snprintf(ret->target, sizeof(ret->target), "%s/api/v1/namespaces/%s/%s%s%s%s%s",
                          api->access.url.target, object->namespace_name, object->resource,
                          name ? "/" : "", name ? name : "", object->part ? "/" : "",
                          object->part ? object->part : "");
    if (length < 0 || (size_t)length >= sizeof(ret->target))
        return error_set(error, PULLKEY_INVALID, "%s: the path of its server is too long",
                         api->access.origin);
    return 0;
}

/* What everybody may ask for. */
static const struct api_object readiness = { .verb = "get",
                                             .resource = "readyz",
                                             .path = "/readyz" };

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
    if (api->access.plugin_failure.code != PULLKEY_OK && object != &readiness) {
        *error = api->access.plugin_failure;
        return -(int)error->code;
    }
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

/* The server, or what stands before it, has not got as far as an answer. That it is asked too often
 * is one: it will say more to whoever comes later. */
static bool is_away(const struct api *api, int r)
{
    return r == -(int)PULLKEY_UNREACHABLE && api->status != 429;
}

/* Its answer is that there is none for this reader. */
static bool is_refused(const struct api *api, int r)
{
    return r == -(int)PULLKEY_NOT_FOUND || (r == -(int)PULLKEY_DENIED && api->status != 0);
}

/* Whether it is, where an exec plugin has failed; else that is the error. */
static int check_away(struct api *api, struct pullkey_error *error)
{
    cleanup_json struct json ignored = { 0 };

    if (is_away(api, call(api, &readiness, NULL, &ignored, error)))
        return 0;
    *error = api->access.plugin_failure;
    return -(int)error->code;
}

int api_open(const struct pullkey_host *host, const struct access_settings *settings,
             int64_t deadline_ms, struct api *ret, struct pullkey_error *error)
{
    int r;

    *ret = (struct api){ .host = host, .reader = BUFFER_INIT(READER_MAX) };
    r = access_open(host, settings, deadline_ms, &ret->access, error);
    if (r < 0)
        return r;
    ret->options = (struct http_options){
        .source = API_SOURCE,
        .body_max = API_BODY_MAX,
        .deadline_ms = deadline_ms,
    };
    access_fill_options(&ret->access, &ret->options);
    access_describe(&ret->access, &ret->reader);
    r = buffer_check(&ret->reader, error);
    if (r == 0)
        r = http_open(host, &ret->options, &ret->http, error);
    if (r == 0 && ret->access.plugin_failure.code != PULLKEY_OK)
        r = check_away(ret, error);
    if (r < 0)
        api_close(ret);
    return r;
}

int api_call(struct api *api, const struct api_object *object, const struct pullkey_secret *body,
             struct json *ret, struct pullkey_error *error)
{
    const int64_t forgotten = api->keep ? keep_forgotten(api->keep) : 0;
    struct pullkey_error ignored;
    int r = call(api, object, body, ret, error);

    if (!api->keep || body || !object->name)
        return r;
    if (r == 0)
        keep_save(api->keep, api->reader.data, object, ret, forgotten);
    else if (is_refused(api, r))
        keep_drop(api->keep, api->reader.data, object);
    else if (is_away(api, r)) {
        api->host->log(API_SOURCE, "%s", error->message);
        if (keep_load(api->keep, api->reader.data, object, ret, &ignored) == 0) {
            api->is_stale = true;
            r = 0;
        }
    }
    return r;
}
