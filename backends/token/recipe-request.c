/* SPDX-License-Identifier: Apache-2.0 */
/* A step of a recipe as a request, to one of its servers. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "http/proxy.h"
#include "recipe-run.h"

#define NUMBER_TEXT_MAX 15 /* digits; JSON has no more than 53 bits of it for most readers */

static int expand(const struct recipe_run *run, const char *text, struct buffer *ret,
                  struct pullkey_error *error)
{
    return recipe_expand(&run->values, text, RECIPE_TEXT, ret, error);
}

/* The option "endpoints" has another address for a server by the name of its host. */
static const char *find_override(const struct recipe_run *run, const struct url *url)
{
    return settings_text(run->exchange->settings->endpoints, url->host);
}

static int set_server(const struct recipe_run *run, const char *text, struct recipe_server *ret,
                      struct pullkey_error *error)
{
    const char *own;
    size_t length;
    int r = url_parse(text, &ret->url, error);

    own = r == 0 ? find_override(run, &ret->url) : NULL;
    if (own) {
        text = own;
        r = url_parse(text, &ret->url, error);
    }
    if (r < 0)
        return r;
    if ((!ret->url.https && !url_is_loopback(&ret->url)) || proxy_is_forbidden(&ret->url))
        return error_set(error, PULLKEY_DENIED,
                         "a recipe sends an identity to https:// servers alone, and to this "
                         "machine, and not to metadata services");
    length = strlen(text);
    while (length > 0 && text[length - 1] == '/')
        length--;
    if (length >= sizeof(ret->text) || strchr(text, '?') || recipe_path_climbs(ret->url.target))
        return error_set(error, PULLKEY_INVALID,
                         "the address of a server is https://HOST[:PORT], perhaps with a path");
    memcpy(mempcpy(ret->text, text, length), "", 1);
    return 0;
}

int recipe_run_servers(struct recipe_run *run, struct pullkey_error *error)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, run->recipe->servers) {
        cleanup_buffer struct buffer text = BUFFER_INIT(URL_TARGET_MAX);
        struct recipe_server *server = &run->servers[run->server_count];
        int r = expand(run, item->valuestring, &text, error);

        if (r == 0)
            r = set_server(run, text.data ? text.data : "", server, error);
        if (r < 0)
            return error_wrap(error, "the server %s of the recipe \"%s\"", item->valuestring,
                              run->recipe->name);
        server->item = item;
        run->server_count++;
    }
    return 0;
}

static const struct recipe_server *find_server(const struct recipe_run *run, const char *url)
{
    const cJSON *item = recipe_server_of(run->recipe, url);

    for (size_t i = 0; i < run->server_count; i++)
        if (run->servers[i].item == item)
            return &run->servers[i];
    return NULL;
}

/*
 * The server, and the path behind it with its values encoded. What comes out is taken apart once
 * more and compared with the server: nobody else is ever sent an identity.
 */
static int make_url(const struct recipe_run *run, const char *text, struct url *ret,
                    struct pullkey_error *error)
{
    const struct recipe_server *server = find_server(run, text);
    cleanup_buffer struct buffer whole = BUFFER_INIT(2 * URL_TARGET_MAX);
    int r;

    if (!server)
        return error_set(error, PULLKEY_INTERNAL, "a step of the recipe \"%s\" has no server",
                         run->recipe->name);
    buffer_append_text(&whole, server->text);
    r = recipe_expand(&run->values, text + strlen(server->item->valuestring), RECIPE_PATH, &whole,
                      error);
    if (r == 0)
        r = url_parse(whole.data, ret, error);
    if (r < 0)
        return error_wrap(error, "an address of the recipe \"%s\"", run->recipe->name);
    if (ret->https == server->url.https && url_same_server(ret, &server->url) &&
        !recipe_path_climbs(ret->target))
        return 0;
    return error_set(error, PULLKEY_DENIED,
                     "a variable of the recipe \"%s\" leads out of the path of %s",
                     run->recipe->name, server->item->valuestring);
}

/* "a=b&c=d" of those members that are not empty. */
static int make_form(const struct recipe_run *run, const cJSON *members, struct buffer *ret,
                     struct pullkey_error *error)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, members) {
        cleanup_buffer struct buffer text = BUFFER_INIT(RECIPE_TEXT_MAX);
        int r = expand(run, item->valuestring, &text, error);

        if (r < 0)
            return r;
        if (text.length > 0)
            http_query_add(ret, item->string, text.data, text.length);
    }
    return buffer_check(ret, error);
}

static int add_member(const struct recipe_run *run, const cJSON *item, struct buffer *ret,
                      struct pullkey_error *error)
{
    const char *number = settings_text(item, "number");
    cleanup_buffer struct buffer text = BUFFER_INIT(RECIPE_TEXT_MAX);
    int r = expand(run, number ? number : item->valuestring, &text, error);

    if (r < 0 || text.length == 0)
        return r;
    if (number && (strspn(text.data, "0123456789") != text.length ||
                   text.length > NUMBER_TEXT_MAX || (text.data[0] == '0' && text.length > 1)))
        return error_set(error, PULLKEY_INVALID,
                         "\"%s\" of the recipe \"%s\" is to be a whole number", item->string,
                         run->recipe->name);
    if (ret->length > 1)
        buffer_append_text(ret, ",");
    json_write_string(ret, item->string, strlen(item->string));
    buffer_append_text(ret, ":");
    if (number)
        buffer_append(ret, text.data, text.length);
    else
        json_write_string(ret, text.data, text.length);
    return 0;
}

static int make_json(const struct recipe_run *run, const cJSON *members, struct buffer *ret,
                     struct pullkey_error *error)
{
    const cJSON *item;
    int r = 0;

    buffer_append_text(ret, "{");
    cJSON_ArrayForEach(item, members) {
        if (r == 0)
            r = add_member(run, item, ret, error);
    }
    buffer_append_text(ret, "}");
    return r == 0 ? buffer_check(ret, error) : r;
}

static int make_headers(const struct recipe_run *run, const cJSON *members,
                        struct recipe_request *ret, struct pullkey_error *error)
{
    const cJSON *item;
    size_t count = 0;

    cJSON_ArrayForEach(item, members) {
        struct buffer *line = &ret->lines[count];
        size_t empty;
        int r;

        *line = (struct buffer)BUFFER_INIT(RECIPE_TEXT_MAX);
        buffer_printf(line, "%s: ", item->string);
        empty = line->length;
        r = expand(run, item->valuestring, line, error);
        if (r < 0)
            return r;
        if (line->length > empty)
            ret->headers[count++] = line->data;
        else
            buffer_done(line);
    }
    return 0;
}

static int make_authorization(const struct recipe_run *run, const cJSON *step,
                              struct recipe_request *ret, struct pullkey_error *error)
{
    const cJSON *basic = json_member(step, "basic");
    const char *bearer = settings_text(step, "bearer");
    int r = 0;

    if (!basic && !bearer)
        return 0;
    if (basic)
        r = expand(run, settings_text(basic, "username"), &ret->username, error);
    if (r == 0)
        r = expand(run, basic ? settings_text(basic, "password") : bearer, &ret->secret, error);
    ret->secret_view = (struct pullkey_secret){ ret->secret.data, ret->secret.length };
    ret->request.scheme = basic ? HTTP_BASIC : HTTP_BEARER;
    ret->request.username = ret->username.data ? ret->username.data : "";
    ret->request.secret = &ret->secret_view;
    return r;
}

int recipe_request_make(const struct recipe_run *run, const cJSON *step, struct recipe_request *ret,
                        struct pullkey_error *error)
{
    const cJSON *form = json_member(step, "form"), *json = json_member(step, "json");
    int r;

    *ret = (struct recipe_request){
        .query = BUFFER_INIT(HTTP_QUERY_MAX),
        .body = BUFFER_INIT(RECIPE_TEXT_MAX),
        .username = BUFFER_INIT(PULLKEY_USERNAME_MAX),
        .secret = BUFFER_INIT(PULLKEY_SECRET_MAX),
    };
    r = make_url(run, settings_text(step, "url"), &ret->url, error);
    if (r == 0)
        r = make_form(run, json_member(step, "query"), &ret->query, error);
    if (r == 0 && (form || json))
        r = form ? make_form(run, form, &ret->body, error)
                 : make_json(run, json, &ret->body, error);
    if (r == 0)
        r = make_headers(run, json_member(step, "headers"), ret, error);
    if (r == 0)
        r = make_authorization(run, step, ret, error);
    ret->request.url = &ret->url;
    ret->request.query = ret->query.data;
    ret->request.headers = ret->headers;
    ret->request.beyond_link = true;
    if (form || json) {
        ret->body_view = (struct pullkey_secret){ ret->body.data, ret->body.length };
        ret->request.method = HTTP_POST;
        ret->request.body = ret->body.data ? &ret->body_view : NULL; /* all are empty */
        ret->request.content_type = form ? HTTP_FORM : "application/json";
    }
    return r;
}

void recipe_request_done(struct recipe_request *request)
{
    buffer_done(&request->query);
    buffer_done(&request->body);
    buffer_done(&request->username);
    buffer_done(&request->secret);
    for (size_t i = 0; i < RECIPE_HEADERS_MAX; i++)
        buffer_done(&request->lines[i]);
}
