/* SPDX-License-Identifier: Apache-2.0 */
/* From a file with credentials to an access token, by the grant that its kind is for. */
#include "google.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/secret.h"
#include "sign.h"

#define TOKEN_URL "https://oauth2.%s/token"
#define ASSERTION_SECONDS 3600 /* the most that is taken */
#define ADDRESS_SIZE 512
#define REAUTHENTICATE "gcloud auth application-default login"

static void add_text(struct buffer *form, const char *name, const char *value)
{
    http_query_add(form, name, value, strlen(value));
}

static int copy(const char *text, struct pullkey_secret *ret, struct pullkey_error *error)
{
    return secret_set(ret, text, strlen(text), error);
}

/* "invalid_rapt": an organisation wants its users to sign in again now and then. */
static bool wants_person(const struct buffer *body)
{
    cleanup_json struct json json = { 0 };
    struct pullkey_error ignored;
    const char *subtype;

    if (body->length == 0 || json_parse(&json, "reply", body->data, body->length, 0, &ignored) < 0)
        return false;
    subtype = settings_text(json.root, "error_subtype");
    return subtype && strcmp(subtype, "invalid_rapt") == 0;
}

static int post(struct google *google, const struct url *url, struct buffer *form,
                const struct oauth_client *client, struct oauth_reply *ret,
                struct pullkey_error *error)
{
    cleanup_response struct http_response response = { 0 };
    char server[URL_AUTHORITY_SIZE];
    int r = oauth_ask(google->exchange, url, form, client, &response, error);

    if (r < 0)
        return error_wrap(error, "%s", google->what);
    url_authority(url, server);
    if (response.status != 200 && wants_person(&response.body))
        return error_set(error, PULLKEY_DENIED,
                         "the token server %s refuses %s: invalid_grant, invalid_rapt (its "
                         "organisation wants a new sign-in: run " REAUTHENTICATE ")",
                         server, google->what);
    return oauth_answer(google->exchange, &response, server, google->what, form, ret, error);
}

/* RFC 7523 section 2.1, with Google's claim `scope`. */
static int make_assertion(const struct google *google, const struct google_credentials *account,
                          const char *audience, const char *scopes, struct pullkey_secret *ret,
                          struct pullkey_error *error)
{
    const long long now = google->exchange->host->wall_seconds();
    cleanup_buffer struct buffer header = BUFFER_INIT(4096);
    cleanup_buffer struct buffer claims = BUFFER_INIT(HTTP_QUERY_MAX);
    cleanup_secret struct pullkey_secret key = { 0 };
    int r = copy(account->private_key, &key, error);

    buffer_append_text(&header, "{\"alg\":\"RS256\",\"typ\":\"JWT\"");
    if (account->key_id) {
        buffer_append_text(&header, ",\"kid\":");
        json_write_string(&header, account->key_id, strlen(account->key_id));
    }
    buffer_append_text(&header, "}");
    buffer_append_text(&claims, "{\"iss\":");
    json_write_string(&claims, account->email, strlen(account->email));
    buffer_append_text(&claims, ",\"aud\":");
    json_write_string(&claims, audience, strlen(audience));
    buffer_append_text(&claims, ",\"scope\":");
    json_write_string(&claims, scopes, strlen(scopes));
    buffer_printf(&claims, ",\"iat\":%lld,\"exp\":%lld}", now, now + ASSERTION_SECONDS);
    if (r == 0)
        r = sign_jwt(&key, &header, &claims, ret, error);
    return r < 0 ? error_wrap(error, "%s", google->what) : 0;
}

static int of_service_account(struct google *google, const struct google_credentials *account,
                              const char *scopes, struct oauth_reply *ret,
                              struct pullkey_error *error)
{
    cleanup_buffer struct buffer form = BUFFER_INIT(OAUTH_FORM_MAX);
    cleanup_secret struct pullkey_secret assertion = { 0 };
    char usual[ADDRESS_SIZE];
    struct url url;
    int r;

    (void)snprintf(usual, sizeof(usual), TOKEN_URL, google->universe);
    r = google_find_url(google, "token", "token_uri",
                        account->token_url ? account->token_url : usual, &url, error);
    if (r == 0)
        r = make_assertion(google, account, account->token_url ? account->token_url : usual, scopes,
                           &assertion, error);
    if (r < 0)
        return r;
    add_text(&form, "grant_type", OAUTH_JWT_BEARER);
    http_query_add(&form, "assertion", assertion.bytes, assertion.length);
    return post(google, &url, &form, &(struct oauth_client){ .auth = OAUTH_NONE }, ret, error);
}

/* What a user has agreed to chooses the scopes. */
static int of_user(struct google *google, const struct google_credentials *user,
                   struct oauth_reply *ret, struct pullkey_error *error)
{
    cleanup_buffer struct buffer form = BUFFER_INIT(OAUTH_FORM_MAX);
    struct oauth_client client = { .auth = OAUTH_POST, .id = user->client_id };
    cleanup_secret struct pullkey_secret secret = { 0 };
    char usual[ADDRESS_SIZE];
    struct url url;
    int r = copy(user->client_secret, &secret, error);

    (void)snprintf(usual, sizeof(usual), TOKEN_URL, google->universe);
    if (r == 0)
        r = google_find_url(google, "token", "token server", usual, &url, error);
    if (r < 0)
        return r;
    client.secret = secret;
    add_text(&form, "grant_type", "refresh_token");
    add_text(&form, "refresh_token", user->refresh_token);
    return post(google, &url, &form, &client, ret, error);
}

/* The value is encoded as part of a URL, and then as that of a form. */
static void add_user_project(struct buffer *form, const char *project)
{
    cleanup_buffer struct buffer options = BUFFER_INIT(HTTP_QUERY_MAX);
    cleanup_buffer struct buffer encoded = BUFFER_INIT(HTTP_QUERY_MAX);

    buffer_append_text(&options, "{\"userProject\": ");
    json_write_string(&options, project, strlen(project));
    buffer_append_text(&options, "}");
    if (options.data)
        http_query_value(&encoded, options.data, options.length);
    if (encoded.data)
        http_query_add(form, "options", encoded.data, encoded.length);
}

int google_exchange(struct google *google, const struct google_credentials *credentials,
                    const struct pullkey_secret *subject, const char *scopes,
                    struct oauth_reply *ret, struct pullkey_error *error)
{
    cleanup_buffer struct buffer form = BUFFER_INIT(OAUTH_FORM_MAX);
    struct oauth_client client = {
        .auth = credentials->client_id ? OAUTH_BASIC_RAW : OAUTH_NONE,
        .id = credentials->client_id,
    };
    cleanup_secret struct pullkey_secret secret = { 0 };
    struct url url;
    int r = google_find_url(google, "sts", "token_url", credentials->token_url, &url, error);

    if (r == 0)
        r = copy(credentials->client_secret ? credentials->client_secret : "", &secret, error);
    if (r < 0)
        return r;
    client.secret = secret;
    add_text(&form, "grant_type", OAUTH_TOKEN_EXCHANGE);
    add_text(&form, "audience", credentials->audience);
    add_text(&form, "scope", scopes);
    add_text(&form, "requested_token_type", OAUTH_TYPE "access_token");
    http_query_add(&form, "subject_token", subject->bytes, subject->length);
    add_text(&form, "subject_token_type", credentials->subject_token_type);
    if (credentials->user_project && !credentials->client_id)
        add_user_project(&form, credentials->user_project);
    return post(google, &url, &form, &client, ret, error);
}

static int of_external(struct google *google, const struct google_credentials *external,
                       const char *scopes, struct oauth_reply *ret, struct pullkey_error *error)
{
    cleanup_secret struct pullkey_secret subject = { 0 };
    const char *url = external->impersonation_url;
    int r = google_get_subject(google, external, &subject, error);

    if (r == 0)
        r = google_exchange(google, external, &subject, url ? GOOGLE_SCOPE : scopes, ret, error);
    if (r == 0 && url)
        r = google_impersonate(google, url, NULL, NULL, external->lifetime, scopes, ret, error);
    return r;
}

int google_file_token(struct google *google, const struct google_credentials *credentials,
                      const char *scopes, struct oauth_reply *ret, struct pullkey_error *error)
{
    switch (credentials->kind) {
    case GOOGLE_SERVICE_ACCOUNT: return of_service_account(google, credentials, scopes, ret, error);
    case GOOGLE_AUTHORIZED_USER: return of_user(google, credentials, ret, error);
    case GOOGLE_EXTERNAL_ACCOUNT: return of_external(google, credentials, scopes, ret, error);
    case GOOGLE_IMPERSONATED: break;
    }
    return error_set(error, PULLKEY_INVALID,
                     "%s: credentials that impersonate are not the source of others", google->what);
}
