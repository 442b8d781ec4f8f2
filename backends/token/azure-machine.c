/* SPDX-License-Identifier: Apache-2.0 */
/* Managed identities: of machines and nodes, App Services, Machine Learning, Cloud Shell and Arc.
 */
#include "azure.h"

#include <stdio.h>
#include <string.h>

#include "azure-place.h"
#include "base/error.h"
#include "base/file.h"
#include "base/secret.h"
#include "machine.h"
#include "providers.h"

#define ATTEMPTS 3
#define WAIT_MS 1000

/* 404 and 410 pass too: the identity or the service is being set up (http knows the others). */
static int ask(struct exchange *exchange, const struct azure_place *place,
               const struct buffer *question, const char *proof, struct http_response *ret,
               struct pullkey_error *error)
{
    const char *const headers[] = { place->header.data, proof, NULL };
    const struct pullkey_secret form = { question->data, question->length };
    struct http_request request = {
        .url = &place->url,
        .headers = headers,
        .attempt_ms = place->is_named ? 0 : MACHINE_TOKEN_MS,
        .allow_private = place->is_platform,
    };
    int r;

    if (place->version) {
        request.query = question->data;
    } else {
        request.method = HTTP_POST;
        request.body = &form;
        request.content_type = HTTP_FORM;
    }
    for (unsigned int attempt = 1;; attempt++) {
        r = exchange_send(exchange, &request, ret, error);
        if (r < 0 || (ret->status != 404 && ret->status != 410) || attempt == ATTEMPTS ||
            exchange->host->monotonic_ms() + WAIT_MS >= exchange->request->deadline_ms)
            return r;
        http_response_done(ret);
        http_wait(exchange->http, WAIT_MS);
    }
}

/* The header that shows Arc that its file can be read, which members of the group himds can. */
static int read_proof(const struct http_response *response, struct buffer *ret,
                      struct pullkey_error *error)
{
    cleanup_buffer struct buffer key = BUFFER_INIT(AZURE_ARC_KEY_MAX);
    char path[AZURE_ARC_PATH_SIZE];
    const char *value;
    size_t at = 0, length;
    int r = -PULLKEY_INVALID;

    if (!http_header(response, "www-authenticate", &at, &value, &length))
        return error_set(error, PULLKEY_INVALID, "it asks for no file");
    r = azure_arc_path(value, length, path, error);
    if (r == 0)
        r = file_read(path, FILE_INPUT, 0, &key, NULL, error);
    if (r == -PULLKEY_NOT_FOUND)
        return error_set(error, PULLKEY_INVALID, "it asks for %s, which is missing", path);
    if (r < 0)
        return r;
    while (key.length > 0 && strchr("\r\n", key.data[key.length - 1]))
        key.length--;
    buffer_append_text(ret, "Authorization: Basic ");
    if (key.data)
        buffer_append(ret, key.data, key.length);
    return buffer_check(ret, error);
}

/* Arc answers twice: first with what it wants to be shown. */
static int ask_with_proof(struct exchange *exchange, const struct azure_place *place,
                          const struct buffer *question, struct http_response *ret,
                          struct pullkey_error *error)
{
    cleanup_buffer struct buffer proof = BUFFER_INIT(AZURE_ARC_KEY_MAX + 64);
    int r = ask(exchange, place, question, NULL, ret, error);

    if (r < 0 || !place->is_arc || ret->status != 401)
        return r;
    r = read_proof(ret, &proof, error);
    http_response_done(ret);
    return r < 0 ? r : ask(exchange, place, question, proof.data, ret, error);
}

static int refuse(const struct http_response *response, const struct azure_place *place,
                  const char *client_id, struct pullkey_error *error)
{
    char server[URL_AUTHORITY_SIZE];

    url_authority(&place->url, server);
    switch (response->status) {
    case 400: return azure_read_managed_error(&response->body, server, client_id, error);
    case 404:
    case 410:
        return error_set(error, PULLKEY_UNREACHABLE,
                         "%s %s has no identities yet (%ld): it is being set up, which takes a "
                         "minute or two",
                         place->name, server, response->status);
    default:
        return error_set(error, PULLKEY_DENIED,
                         "%s %s refuses the managed identity of this machine (%ld): may processes "
                         "here use it?",
                         place->name, server, response->status);
    }
}

static int make_question(const struct azure_place *place, const char *resource,
                         const char *client_id, struct buffer *ret, struct pullkey_error *error)
{
    if (client_id && !place->client_key)
        return error_set(error, PULLKEY_INVALID,
                         "%s has one identity and no others: leave out client_id, and unset "
                         "AZURE_CLIENT_ID",
                         place->name);
    if (place->version)
        http_query_add(ret, "api-version", place->version, strlen(place->version));
    http_query_add(ret, "resource", resource, strlen(resource));
    if (client_id)
        http_query_add(ret, place->client_key, client_id, strlen(client_id));
    return buffer_check(ret, error);
}

int azure_managed_token(struct exchange *exchange, const char *resource, const char *client_id,
                        struct oauth_reply *ret, struct pullkey_error *error)
{
    cleanup_buffer struct buffer question = BUFFER_INIT(HTTP_QUERY_MAX);
    cleanup_response struct http_response response = { 0 };
    cleanup_azure_place struct azure_place place;
    int r = azure_place_find(exchange, &place, error);

    if (r == 0 && !client_id)
        client_id = place.client_id;
    if (r == 0)
        r = make_question(&place, resource, client_id, &question, error);
    if (r < 0)
        return r;
    /* Without the header that a question must have it refuses at once. */
    if (!place.is_named)
        r = machine_probe(exchange, &place.url, NULL, error);
    if (r < 0)
        return error_wrap(error, "there is no other identity of Azure's");
    r = ask_with_proof(exchange, &place, &question, &response, error);
    if (r < 0)
        return error_wrap(error, "the managed identity of this machine");
    if (response.status != 200)
        return refuse(&response, &place, client_id, error);
    r = azure_read_managed(&response.body, exchange->host->wall_seconds(), ret, error);
    return r < 0 ? error_wrap(error, "the answer of %s %s", place.name, place.url.host) : 0;
}

/* Which of several identities. That of the options of "acr" is the application which takes the
 * token as its assertion. */
static int find_client(const struct settings *settings, const char **ret,
                       struct pullkey_error *error)
{
    static const char *const names[] = { "client_id", NULL };
    const cJSON *options = json_member(settings->json.root, "azure");

    *ret = exchange_environment("AZURE_CLIENT_ID");
    if (!options || settings->provider == &azure_provider)
        return 0;
    if (settings_text(options, "client_id"))
        *ret = settings_text(options, "client_id");
    return settings_check_texts(settings, options, names, error);
}

int azure_get_identity(struct exchange *exchange, const cJSON *value, struct identity_token *ret,
                       struct pullkey_error *error)
{
    cleanup_oauth_reply struct oauth_reply reply = { 0 };
    const char *client_id;
    int r = find_client(exchange->settings, &client_id, error);

    if (r < 0)
        return r;
    (void)snprintf(ret->what, sizeof(ret->what), "the managed identity of this machine");
    r = azure_managed_token(exchange, value->valuestring, client_id, &reply, error);
    return r < 0 ? r
                 : secret_set(&ret->token, reply.access_token.bytes, reply.access_token.length,
                              error);
}
