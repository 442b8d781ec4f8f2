/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens of Entra: an application with an assertion or a secret, or a managed identity. */
#include "azure.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/secret.h"

#define TOKEN_PATH "%s/oauth2/v2.0/token"

/* A tenant is part of a path: a UUID or a domain. */
static bool is_tenant(const char *text)
{
    const size_t length = strlen(text);

    return length > 0 && length <= 255 && text[0] != '.' &&
           strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-") ==
               length;
}

static int find_authority(const struct azure *azure, struct url *ret, struct pullkey_error *error)
{
    const char *own = settings_text(azure->options, "authority");
    const char *environment = exchange_environment("AZURE_AUTHORITY_HOST");
    size_t length;
    int r;

    if (!azure->tenant || !azure->client_id)
        return error_set(error, PULLKEY_INVALID,
                         "%s is there, but not its %s: set %s, or give it in \"azure\"",
                         azure->what, azure->tenant ? "application" : "tenant",
                         azure->tenant ? "AZURE_CLIENT_ID" : "AZURE_TENANT_ID");
    if (!is_tenant(azure->tenant))
        return error_set(error, PULLKEY_INVALID,
                         "the tenant must be a UUID or a domain (AZURE_TENANT_ID, or that of "
                         "\"azure\")");
    if (!own)
        own = environment ? environment : azure_authority(azure->registry);
    r = url_parse(own, ret, error);
    if (r == 0 && !ret->https && !url_is_loopback(ret))
        r = error_set(error, PULLKEY_INVALID, "it must be an https:// address");
    if (r < 0)
        return error_wrap(error, "the authority (AZURE_AUTHORITY_HOST, or that of \"azure\")");
    length = strlen(ret->target);
    while (length > 0 && ret->target[length - 1] == '/')
        length--;
    if (snprintf(ret->target + length, sizeof(ret->target) - length, "/" TOKEN_PATH,
                 azure->tenant) >= (int)(sizeof(ret->target) - length))
        return error_set(error, PULLKEY_INVALID, "the authority is too long");
    return 0;
}

static void add_scope(struct buffer *form, const char *audience)
{
    cleanup_buffer struct buffer scope = BUFFER_INIT(HTTP_QUERY_MAX);
    size_t length = strlen(audience);

    while (length > 0 && audience[length - 1] == '/')
        length--;
    buffer_append(&scope, audience, length);
    buffer_append_text(&scope, "/.default");
    if (scope.data)
        http_query_add(form, "scope", scope.data, scope.length);
}

static int post(struct azure *azure, enum oauth_client_auth auth,
                const struct pullkey_secret *secret, struct oauth_reply *ret,
                struct pullkey_error *error)
{
    cleanup_buffer struct buffer form = BUFFER_INIT(OAUTH_FORM_MAX);
    cleanup_response struct http_response response = { 0 };
    const struct oauth_client client = { .auth = auth, .id = azure->client_id, .secret = *secret };
    char server[URL_AUTHORITY_SIZE];
    struct url url;
    int r = find_authority(azure, &url, error);

    if (r < 0)
        return r;
    url_authority(&url, server);
    http_query_add(&form, "grant_type", "client_credentials", strlen("client_credentials"));
    add_scope(&form, azure->audience);
    r = oauth_ask(azure->exchange, &url, &form, &client, &response, error);
    if (r < 0)
        return error_wrap(error, "%s", azure->what);
    if (response.status != 200)
        return azure_read_entra_error(&response.body, response.status, server, azure->what, error);
    return oauth_answer(azure->exchange, &response, server, azure->what, &form, ret, error);
}

/* "the token in /run/token as application ID" */
static void name_application(struct azure *azure, const char *what)
{
    (void)snprintf(azure->what, sizeof(azure->what), "%s%s%.64s", what,
                   azure->client_id ? " as application " : "",
                   azure->client_id ? azure->client_id : "");
}

/* The places that the environment names are those of the option "identity". */
static int get_named(struct exchange *exchange, const char *file, struct identity_token *ret,
                     struct pullkey_error *error)
{
    char key[] = "file", variable[] = "env", name[] = "AZURE_FEDERATED_TOKEN";
    char path[FILE_PATH_MAX];
    cJSON item = { .type = cJSON_String, .string = variable, .valuestring = name };
    const cJSON object = { .type = cJSON_Object, .child = &item };
    int r;

    if (file) {
        if (snprintf(path, sizeof(path), "%s", file) >= (int)sizeof(path))
            return error_set(error, PULLKEY_INVALID, "AZURE_FEDERATED_TOKEN_FILE is too long");
        item.string = key;
        item.valuestring = path;
    }
    r = identity_get(exchange, &object, ret, error);
    /* Who is named and not there is no reason to be somebody else, or nobody. */
    if (r == -PULLKEY_NO_IDENTITY)
        error->code = PULLKEY_INVALID;
    return r < 0 ? -(int)error->code : 0;
}

static int of_workload(struct azure *azure, const char *file, struct oauth_reply *ret,
                       struct pullkey_error *error)
{
    cleanup_identity_token struct identity_token token = { 0 };
    const cJSON *identity = azure->exchange->settings->identity;
    int r = identity ? identity_get(azure->exchange, identity, &token, error)
                     : get_named(azure->exchange, file, &token, error);

    if (r < 0)
        return r;
    name_application(azure, token.what);
    return post(azure, OAUTH_ASSERTION, &token.token, ret, error);
}

static int of_secret(struct azure *azure, const char *text, struct oauth_reply *ret,
                     struct pullkey_error *error)
{
    cleanup_secret struct pullkey_secret secret = { 0 };
    int r = secret_set(&secret, text, strlen(text), error);

    name_application(azure, "the secret in AZURE_CLIENT_SECRET");
    return r < 0 ? r : post(azure, OAUTH_POST, &secret, ret, error);
}

int azure_entra_token(struct azure *azure, struct oauth_reply *ret, struct pullkey_error *error)
{
    const char *file = exchange_environment("AZURE_FEDERATED_TOKEN_FILE");
    const char *secret = exchange_environment("AZURE_CLIENT_SECRET");

    if (azure->exchange->settings->identity || file ||
        exchange_environment("AZURE_FEDERATED_TOKEN"))
        return of_workload(azure, file, ret, error);
    if (secret)
        return of_secret(azure, secret, ret, error);
    (void)snprintf(azure->what, sizeof(azure->what), "the managed identity%s%.64s of this machine",
                   azure->client_id ? " " : "", azure->client_id ? azure->client_id : "");
    return azure_managed_token(azure->exchange, azure->audience, azure->client_id, ret, error);
}
