/* SPDX-License-Identifier: Apache-2.0 */
/* The recipe "acr": a token of Entra, exchanged at the registry itself. */
#include "azure.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/secret.h"
#include "providers.h"
#include "registry-host.h"

#define USERNAME                                                                                   \
    "00000000-0000-0000-0000-000000000000" /* what registries take with such a token               \
                                            */
#define IDENTITY_TOKEN "<token>"
#define EXCHANGE_PATH "/oauth2/exchange"
#define DEFAULT_SCOPE "/.default"

static int check_options(const struct settings *settings, const cJSON *options,
                         struct pullkey_error *error)
{
    static const char *const names[] = { "tenant", "client_id", "authority", "audience" };
    const cJSON *item;

    cJSON_ArrayForEach(item, options) {
        bool is_known = false;

        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
            is_known = is_known || strcmp(item->string, names[i]) == 0;
        if (strcmp(item->string, "identity_token") == 0) {
            if (!cJSON_IsBool(item))
                return json_error(&settings->json, item, error, "must be true or false");
        } else if (!is_known) {
            return json_error(&settings->json, item, error, "there is no such option");
        } else if (!cJSON_IsString(item) || item->valuestring[0] == '\0') {
            return json_error(&settings->json, item, error, "must be text");
        }
    }
    return 0;
}

static int acr_check(const struct settings *settings, struct pullkey_error *error)
{
    static const char *const endpoints[] = { "azure_metadata", "google_metadata", NULL };
    const cJSON *options = json_member(settings->json.root, "azure");
    const cJSON *authority = json_member(options, "authority");
    struct pullkey_error cause;
    struct url url;
    int r = settings_check_texts(settings, settings->endpoints, endpoints, error);

    if (r == 0)
        r = registry_host_check(settings, error);
    if (r == 0)
        r = check_options(settings, options, error);
    if (r == 0 && settings->identity)
        r = identity_check(settings, settings->identity, error);
    if (r == 0 && authority &&
        (url_parse(authority->valuestring, &url, &cause) < 0 ||
         (!url.https && !url_is_loopback(&url))))
        r = json_error(&settings->json, authority, error, "must be an https:// address");
    return r;
}

static void find_correlation(const struct http_response *response, char ret[AZURE_CORRELATION_SIZE])
{
    const char *value;
    size_t at = 0, length;

    ret[0] = '\0';
    if (http_header(response, "x-ms-correlation-request-id", &at, &value, &length))
        azure_take_correlation(value, length, ret);
}

static void add_text(struct buffer *form, const char *name, const char *value)
{
    http_query_add(form, name, value, strlen(value));
}

static int exchange_token(const struct azure *azure, struct url *registry,
                          const struct pullkey_secret *token, struct pullkey_secret *ret,
                          int64_t *ret_expiry, struct pullkey_error *error)
{
    cleanup_buffer struct buffer form = BUFFER_INIT(OAUTH_FORM_MAX);
    cleanup_response struct http_response response = { 0 };
    char server[URL_AUTHORITY_SIZE], correlation[AZURE_CORRELATION_SIZE];
    const struct oauth_client nobody = { .auth = OAUTH_NONE };
    int r;

    url_authority(registry, server);
    memcpy(registry->target, EXCHANGE_PATH, sizeof(EXCHANGE_PATH));
    add_text(&form, "grant_type", "access_token");
    add_text(&form, "service", server);
    if (azure->tenant)
        add_text(&form, "tenant", azure->tenant);
    http_query_add(&form, "access_token", token->bytes, token->length);
    r = oauth_ask(azure->exchange, registry, &form, &nobody, &response, error);
    if (r < 0)
        return error_wrap(error, "%s", azure->what);
    if (response.status != 200) {
        find_correlation(&response, correlation);
        return azure_read_refusal(&response.body, response.status, server, azure->what, correlation,
                                  error);
    }
    r = azure_read_refresh(&response.body, azure->exchange->host->wall_seconds(), ret, ret_expiry,
                           error);
    return r < 0 ? error_wrap(error, "the answer of the registry %s", server) : 0;
}

/* "https://HOST/.default" is a scope; here it is an audience with that behind it. */
static void find_audience(struct azure *azure, char audience[URL_TARGET_MAX])
{
    const char *own = settings_text(azure->options, "audience");
    size_t length;

    (void)snprintf(audience, URL_TARGET_MAX, "%s", own ? own : AZURE_AUDIENCE);
    length = strlen(audience);
    if (length > strlen(DEFAULT_SCOPE) &&
        strcmp(audience + length - strlen(DEFAULT_SCOPE), DEFAULT_SCOPE) == 0)
        audience[length - strlen(DEFAULT_SCOPE)] = '\0';
    azure->audience = audience;
}

static const char *choose(const cJSON *options, const char *name, const char *variable)
{
    const char *own = settings_text(options, name);

    return own ? own : exchange_environment(variable);
}

static int acr_get(struct exchange *exchange, struct pullkey_credential *ret,
                   struct pullkey_error *error)
{
    const cJSON *options = json_member(exchange->settings->json.root, "azure");
    const bool is_identity = cJSON_IsTrue(json_member(options, "identity_token"));
    cleanup_oauth_reply struct oauth_reply token = { 0 };
    cleanup_secret struct pullkey_secret refresh = { 0 };
    struct azure azure = {
        .exchange = exchange,
        .options = options,
        .registry = exchange->request->host,
        .tenant = choose(options, "tenant", "AZURE_TENANT_ID"),
        .client_id = choose(options, "client_id", "AZURE_CLIENT_ID"),
    };
    char audience[URL_TARGET_MAX];
    struct url registry;
    int64_t expiry;
    int r = registry_host_find(exchange, AZURE_REGISTRIES, &registry, error);

    find_audience(&azure, audience);
    if (r == 0)
        r = azure_entra_token(&azure, &token, error);
    if (r == 0)
        r = exchange_token(&azure, &registry, &token.access_token, &refresh, &expiry, error);
    if (r == 0)
        r = exchange_answer(exchange, is_identity ? IDENTITY_TOKEN : USERNAME, &refresh, expiry,
                            ret, error);
    if (r == 0 && is_identity)
        ret->kind = PULLKEY_IDENTITY_TOKEN;
    return r;
}

const struct provider azure_provider = {
    .recipe = "acr",
    .check = acr_check,
    .get = acr_get,
};
