/* SPDX-License-Identifier: Apache-2.0 */
#include "exchange.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/secret.h"

int exchange_open(const struct pullkey_host *host, const struct settings *settings,
                  const struct pullkey_request *request, struct exchange *ret,
                  struct pullkey_error *error)
{
    *ret = (struct exchange){
        .host = host,
        .settings = settings,
        .request = request,
        .http_options = {
            .source = EXCHANGE_SOURCE,
            .ca_file = settings->ca_file,
            .ca_advice = "name its file as \"ca_file\" in the configuration",
            .deadline_ms = request->deadline_ms,
        },
    };
    return http_open(host, &ret->http_options, &ret->http, error);
}

void exchange_close(struct exchange *exchange)
{
    http_close(exchange->http);
    exchange->http = NULL;
    secret_done(&exchange->client_certificate);
    secret_done(&exchange->client_key);
}

const char *exchange_environment(const char *name)
{
    const char *value = secure_getenv(name);

    return value && value[0] != '\0' ? value : NULL;
}

int exchange_endpoint(const struct exchange *exchange, const char *name, const char *usual,
                      struct url *ret, struct pullkey_error *error)
{
    const char *own = settings_text(exchange->settings->endpoints, name);

    return url_parse(own ? own : usual, ret, error);
}

void exchange_trace(const struct exchange *exchange, const struct buffer *json)
{
    const struct pullkey_host *host = exchange->host;

    if (host->size >= offsetof(struct pullkey_host, trace) + sizeof(host->trace) && host->trace &&
        json->state == BUFFER_FINE)
        host->trace(json->data);
}

/* Method, server and path are what the log has as well. */
static void trace_request(const struct exchange *exchange, const struct http_request *request,
                          long status)
{
    static const char *const methods[] = { [HTTP_GET] = "GET", "POST", "PUT" };
    cleanup_buffer struct buffer json = BUFFER_INIT(EXCHANGE_TRACE_MAX);
    const char *path = request->secret_path ? "/***" : request->url->target;
    char server[URL_AUTHORITY_SIZE];

    url_authority(request->url, server);
    buffer_printf(&json,
                  "{\"step\":\"request\",\"method\":\"%s\",\"server\":", methods[request->method]);
    json_write_string(&json, server, strlen(server));
    buffer_append_text(&json, ",\"path\":");
    json_write_string(&json, path, strcspn(path, "?"));
    if (status != 0)
        buffer_printf(&json, ",\"status\":%ld}", status);
    else
        buffer_append_text(&json, ",\"status\":null}");
    exchange_trace(exchange, &json);
}

static void trace_answer(const struct exchange *exchange, const char *username, int64_t expiry)
{
    cleanup_buffer struct buffer json = BUFFER_INIT(EXCHANGE_TRACE_MAX);

    buffer_append_text(&json, "{\"step\":\"answer\",\"username\":");
    if (exchange->is_username_secret)
        buffer_append_text(&json, "\"***\"");
    else
        json_write_name(&json, username);
    if (expiry > 0)
        buffer_printf(&json, ",\"secret\":\"***\",\"lifetime\":%jd}",
                      (intmax_t)(expiry - exchange->host->wall_seconds()));
    else
        buffer_append_text(&json, ",\"secret\":\"***\",\"lifetime\":null}");
    exchange_trace(exchange, &json);
}

int exchange_send(struct exchange *exchange, struct http_request *request,
                  struct http_response *ret, struct pullkey_error *error)
{
    int r;

    request->allow_http = url_is_loopback(request->url);
    request->allow_metadata = url_is_metadata(request->url);
    r = http_send(exchange->http, request, ret, error);
    trace_request(exchange, request, ret->status);
    return r;
}

int exchange_answer(const struct exchange *exchange, const char *username,
                    const struct pullkey_secret *secret, int64_t expiry,
                    struct pullkey_credential *ret, struct pullkey_error *error)
{
    const size_t length = strlen(username);
    struct pullkey_credential credential = {
        .username = exchange->host->alloc(length + 1),
        .secret = { .bytes = exchange->host->alloc(secret->length + 1), .length = secret->length },
        .expiry = expiry,
    };

    if (!credential.username || !credential.secret.bytes) {
        exchange->host->release(credential.username);
        exchange->host->release(credential.secret.bytes);
        return error_memory(error);
    }
    memcpy(credential.username, username, length);
    memcpy(credential.secret.bytes, secret->bytes, secret->length);
    *ret = credential;
    trace_answer(exchange, username, expiry);
    return 0;
}
