/* SPDX-License-Identifier: Apache-2.0 */
#include "oauth.h"

#include <string.h>

#include "base/error.h"
#include "base/secret.h"
#include "base/text.h"

#define ASSERTION_TYPE "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

/* RFC 6749 section 2.3.1: each is form-encoded first. */
static int encode_client(const struct oauth_client *client, struct buffer *id,
                         struct buffer *secret, struct pullkey_error *error)
{
    if (client->auth == OAUTH_BASIC_RAW) {
        buffer_append_text(id, client->id);
        buffer_append(secret, client->secret.bytes, client->secret.length);
    } else {
        http_query_value(id, client->id, strlen(client->id));
        http_query_value(secret, client->secret.bytes, client->secret.length);
    }
    return buffer_check(id, error) < 0 ? -(int)error->code : buffer_check(secret, error);
}

static void add_text(struct buffer *form, const char *name, const char *value)
{
    http_query_add(form, name, value, strlen(value));
}

static void add_client(const struct oauth_client *client, struct buffer *form)
{
    if (client->auth == OAUTH_BASIC || client->auth == OAUTH_BASIC_RAW)
        return;
    if (client->id)
        add_text(form, "client_id", client->id);
    if (client->auth == OAUTH_POST)
        http_query_add(form, "client_secret", client->secret.bytes, client->secret.length);
    if (client->auth == OAUTH_ASSERTION) {
        add_text(form, "client_assertion_type", ASSERTION_TYPE);
        http_query_add(form, "client_assertion", client->secret.bytes, client->secret.length);
    }
}

int oauth_answer(const struct exchange *exchange, const struct http_response *response,
                 const char *server, const char *who, const struct buffer *form,
                 struct oauth_reply *ret, struct pullkey_error *error)
{
    int r;

    if (response->status != 200)
        return oauth_read_error(&response->body, response->status, server, who, form, error);
    r = oauth_read_reply(&response->body, exchange->host->wall_seconds(), ret, error);
    return r < 0 ? error_wrap(error, "the answer of the token server %s", server) : 0;
}

int oauth_ask(struct exchange *exchange, const struct url *url, struct buffer *form,
              const struct oauth_client *client, struct http_response *ret,
              struct pullkey_error *error)
{
    cleanup_buffer struct buffer id = BUFFER_INIT(PULLKEY_USERNAME_MAX);
    cleanup_buffer struct buffer secret = BUFFER_INIT(PULLKEY_SECRET_MAX);
    const bool is_basic = client->auth == OAUTH_BASIC || client->auth == OAUTH_BASIC_RAW;
    struct pullkey_secret body, password;
    struct http_request request = {
        .url = url,
        .method = HTTP_POST,
        .content_type = HTTP_FORM,
        .is_once = client->is_once,
    };
    int r = is_basic ? encode_client(client, &id, &secret, error) : 0;

    add_client(client, form);
    if (r == 0)
        r = buffer_check(form, error);
    if (r < 0) {
        char server[URL_AUTHORITY_SIZE];

        url_authority(url, server);
        return error_wrap(error, "the question to the token server %s", server);
    }
    body = (struct pullkey_secret){ form->data, form->length };
    password = (struct pullkey_secret){ secret.data ? secret.data : (char[]){ "" }, secret.length };
    request.body = &body;
    if (is_basic) {
        request.scheme = HTTP_BASIC;
        request.username = id.data ? id.data : "";
        request.secret = &password;
    }
    r = exchange_send(exchange, &request, ret, error);
    /* For who looks whether the answer repeats what was sent. */
    if (is_basic) {
        cleanup_buffer struct buffer pair = BUFFER_INIT(id.limit + secret.limit + 1);
        cleanup_buffer struct buffer header = BUFFER_INIT(2 * (pair.limit + 2));

        buffer_append(&pair, id.data, id.length);
        buffer_append(&pair, ":", 1);
        buffer_append(&pair, secret.data, secret.length);
        text_base64_encode(&header, pair.data, pair.length);
        http_query_add(form, "authorization", header.data, header.length);
        http_query_add(form, "client_secret", client->secret.bytes, client->secret.length);
    }
    return r;
}
