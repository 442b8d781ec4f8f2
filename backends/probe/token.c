/* SPDX-License-Identifier: Apache-2.0 */
#include "token.h"

#include "base/error.h"
#include "token-reply.h"

#include <string.h>

#define CLIENT_ID "pullkey"
#define FORM_MAX (3 * (PULLKEY_SECRET_MAX + PULLKEY_USERNAME_MAX) + HTTP_QUERY_MAX)

struct exchange {
    struct http *http;
    const struct challenge *challenge;
    const struct realm *realm;
    const struct pullkey_credential *credential; /* NULL: nobody's */
    const char *scope;                           /* NULL: none */
    char server[URL_AUTHORITY_SIZE];
};

static int send_question(const struct exchange *exchange, struct http_request *request,
                         struct http_response *ret, struct pullkey_error *error)
{
    int r;

    request->url = &exchange->realm->url;
    request->public_only = exchange->realm->public_only;
    request->allow_http = !exchange->realm->url.https; /* realm_check has allowed it */
    r = http_send(exchange->http, request, ret, error);
    return r < 0 ? error_wrap(error, "the registry's token server") : r;
}

static void add_service(const struct exchange *exchange, struct buffer *query)
{
    const char *service = challenge_parameter(exchange->challenge, "service");

    if (service && service[0] != '\0')
        http_query_add(query, "service", service, strlen(service));
    if (exchange->scope)
        http_query_add(query, "scope", exchange->scope, strlen(exchange->scope));
}

static int ask_with_get(const struct exchange *exchange, struct http_response *ret,
                        struct pullkey_error *error)
{
    cleanup_buffer struct buffer query = BUFFER_INIT(HTTP_QUERY_MAX);
    const struct pullkey_credential *credential = exchange->credential;
    int r;

    add_service(exchange, &query);
    if (credential)
        http_query_add(&query, "account", credential->username, strlen(credential->username));
    r = buffer_check(&query, error);
    if (r < 0)
        return error_wrap(error, "the question to the token server");
    return send_question(exchange,
                         &(struct http_request){
                             .query = query.data,
                             .scheme = credential ? HTTP_BASIC : HTTP_NO_AUTH,
                             .username = credential ? credential->username : NULL,
                             .secret = credential ? &credential->secret : NULL,
                         },
                         ret, error);
}

static int ask_with_post(const struct exchange *exchange, struct http_response *ret,
                         struct pullkey_error *error)
{
    cleanup_buffer struct buffer form = BUFFER_INIT(FORM_MAX);
    const struct pullkey_credential *credential = exchange->credential;
    int r;

    if (credential->kind == PULLKEY_IDENTITY_TOKEN) {
        http_query_add(&form, "grant_type", "refresh_token", strlen("refresh_token"));
        http_query_add(&form, "refresh_token", credential->secret.bytes, credential->secret.length);
    } else {
        http_query_add(&form, "grant_type", "password", strlen("password"));
        http_query_add(&form, "username", credential->username, strlen(credential->username));
        http_query_add(&form, "password", credential->secret.bytes, credential->secret.length);
    }
    add_service(exchange, &form);
    http_query_add(&form, "client_id", CLIENT_ID, strlen(CLIENT_ID));
    r = buffer_check(&form, error);
    if (r < 0)
        return error_wrap(error, "the question to the token server");
    return send_question(
        exchange,
        &(struct http_request){
            .method = HTTP_POST,
            .content_type = HTTP_FORM,
            .body = &(struct pullkey_secret){ .bytes = form.data, .length = form.length },
        },
        ret, error);
}

/* A server that has only the other method, as some have. */
static bool lacks_method(const struct http_response *response)
{
    return response->status == 404 || response->status == 405;
}

static int ask(const struct exchange *exchange, struct http_response *ret,
               struct pullkey_error *error)
{
    const struct pullkey_credential *credential = exchange->credential;
    bool post_only = credential && (credential->kind == PULLKEY_IDENTITY_TOKEN ||
                                    strchr(credential->username, ':'));
    int r = post_only ? ask_with_post(exchange, ret, error) : ask_with_get(exchange, ret, error);

    if (r < 0 || post_only || !credential || !lacks_method(ret))
        return r;
    http_response_done(ret);
    return ask_with_post(exchange, ret, error);
}

static int explain_status(const struct exchange *exchange, const struct http_response *response,
                          struct pullkey_error *error)
{
    const struct pullkey_credential *credential = exchange->credential;
    bool identity = credential && credential->kind == PULLKEY_IDENTITY_TOKEN;

    if (identity && lacks_method(response))
        return error_set(
            error, PULLKEY_UNSUPPORTED,
            "the token server %s takes no identity tokens; use a user name and a password",
            exchange->server);
    if (credential && strchr(credential->username, ':') && lacks_method(response))
        return error_set(
            error, PULLKEY_INVALID,
            "the user name holds a colon, which HTTP Basic authentication cannot carry");
    /* 400 is how OAuth 2 refuses a credential (RFC 6749 section 5.2). */
    if ((response->status == 401 || response->status == 403) && !credential)
        return error_set(error, PULLKEY_DENIED,
                         "the registry wants a credential, and none is stored for it (its token "
                         "server %s answers %ld without one)",
                         exchange->server, response->status);
    if (credential &&
        (response->status == 401 || response->status == 403 || response->status == 400))
        return error_set(error, PULLKEY_DENIED,
                         "the registry refuses this %s (its token server %s answers %ld)",
                         identity ? "identity token" : "user name and password", exchange->server,
                         response->status);
    return error_set(error, PULLKEY_INVALID,
                     "the token server %s answers %ld, which says nothing about the credential",
                     exchange->server, response->status);
}

int token_fetch(struct http *http, const struct challenge *challenge, const struct realm *realm,
                const struct pullkey_credential *credential, const char *scope,
                struct pullkey_secret *ret, struct pullkey_error *error)
{
    cleanup_response struct http_response response = { 0 };
    struct exchange exchange = {
        .http = http,
        .challenge = challenge,
        .realm = realm,
        .credential = credential,
        .scope = scope,
    };
    int r;

    url_authority(&realm->url, exchange.server);
    r = ask(&exchange, &response, error);
    if (r < 0)
        return r;
    if (response.status != 200)
        return explain_status(&exchange, &response, error);
    return token_parse(&response.body, exchange.server, ret, error);
}
