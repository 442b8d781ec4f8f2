/* SPDX-License-Identifier: Apache-2.0 */
/* The recipe "gcp": gcr.io and Artifact Registry. */
#include "google.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "aws-keys.h"
#include "base/error.h"
#include "base/file.h"
#include "base/secret.h"
#include "providers.h"
#include "registry-host.h"

#define USERNAME "oauth2accesstoken"
#define DEFAULT_FILE "application_default_credentials.json"
#define LIFETIME 3600 /* of who is impersonated by option, in seconds */
#define DOMAIN "^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+$"
#define ACCOUNT "^[a-zA-Z0-9._-]+@[a-z0-9.-]+$"

static int check_scopes(const struct settings *settings, const cJSON *scopes,
                        struct pullkey_error *error)
{
    const cJSON *item;

    if (!cJSON_IsArray(scopes) || !scopes->child)
        return json_error(&settings->json, scopes, error, "must be a list of texts");
    cJSON_ArrayForEach(item, scopes) {
        if (!cJSON_IsString(item) || item->valuestring[0] == '\0' ||
            strpbrk(item->valuestring, " ,"))
            return json_error(&settings->json, item, error, "must be one scope");
    }
    return 0;
}

static int check_text(const struct settings *settings, const cJSON *item,
                      struct pullkey_error *error)
{
    const char *text = item->valuestring;

    if (!cJSON_IsString(item) || text[0] == '\0')
        return json_error(&settings->json, item, error, "must be text");
    if (strcmp(item->string, "credentials") == 0 && text[0] != '/')
        return json_error(&settings->json, item, error, "must be an absolute path");
    if (strcmp(item->string, "universe_domain") == 0 && !registry_host_matches(text, DOMAIN))
        return json_error(&settings->json, item, error, "must be a domain, as googleapis.com");
    if (strcmp(item->string, "impersonate") == 0 && !registry_host_matches(text, ACCOUNT))
        return json_error(&settings->json, item, error,
                          "must be the e-mail address of a service account");
    return 0;
}

static int check_options(const struct settings *settings, const cJSON *options,
                         struct pullkey_error *error)
{
    static const char *const names[] = { "credentials", "impersonate", "universe_domain",
                                         "audience", "subject_token_type" };
    const cJSON *item;
    int r;

    cJSON_ArrayForEach(item, options) {
        bool is_known = false;

        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
            is_known = is_known || strcmp(item->string, names[i]) == 0;
        if (strcmp(item->string, "scopes") == 0)
            r = check_scopes(settings, item, error);
        else if (is_known)
            r = check_text(settings, item, error);
        else
            r = json_error(&settings->json, item, error, "there is no such option");
        if (r < 0)
            return r;
    }
    return 0;
}

static int google_check(const struct settings *settings, struct pullkey_error *error)
{
    static const char *const endpoints[] = {
        "token", "sts",       "iam", "google_metadata", "azure_metadata", "credential_source",
        "imds",  "container", NULL
    };
    const cJSON *options = json_member(settings->json.root, "google");
    int r = settings_check_texts(settings, settings->endpoints, endpoints, error);

    if (r == 0)
        r = registry_host_check(settings, error);
    if (r == 0)
        r = check_options(settings, options, error);
    if (r == 0)
        r = aws_options_check(settings, error);
    if (r == 0 && settings->identity)
        r = identity_check(settings, settings->identity, error);
    if (r < 0)
        return r;
    if (settings->identity && !json_member(options, "audience"))
        return json_error(&settings->json, settings->identity, error,
                          "needs the \"audience\" of \"google\" beside it: the workload identity "
                          "provider that knows it");
    if (json_member(options, "audience") && !settings->identity)
        return json_error(&settings->json, json_member(options, "audience"), error,
                          "needs an \"identity\"");
    if (settings->identity && json_member(options, "credentials"))
        return json_error(&settings->json, json_member(options, "credentials"), error,
                          "cannot be there together with \"identity\"");
    return 0;
}

/* "scopes" with blanks between; false where there is no such option. */
static bool join_scopes(const cJSON *options, struct buffer *ret)
{
    const cJSON *scopes = json_member(options, "scopes"), *item;

    cJSON_ArrayForEach(item, scopes) {
        if (ret->length > 0)
            buffer_append_text(ret, " ");
        buffer_append_text(ret, item->valuestring);
    }
    if (!scopes)
        buffer_append_text(ret, GOOGLE_SCOPE);
    return scopes != NULL;
}

/*
 * Google's "application default credentials": *ret is "" where there is none. A file that the
 * environment names must be there.
 */
static int find_file(const struct google *google, char ret[FILE_PATH_MAX],
                     struct pullkey_error *error)
{
    const char *given = settings_text(google->options, "credentials");
    const char *directory = exchange_environment("CLOUDSDK_CONFIG");
    char home[FILE_PATH_MAX], place[FILE_PATH_MAX];
    int r;

    ret[0] = '\0';
    if (!given)
        given = exchange_environment("GOOGLE_APPLICATION_CREDENTIALS");
    if (given)
        return snprintf(ret, FILE_PATH_MAX, "%s", given) < FILE_PATH_MAX
                   ? 0
                   : error_set(error, PULLKEY_INVALID, "the path of the credentials is too long");
    /* A person's file is not the machine's. */
    if (google->exchange->settings->system)
        return 0;
    if (directory)
        return file_join(ret, directory, DEFAULT_FILE, error);
    r = file_home(home, error);
    if (r < 0)
        return r == -PULLKEY_NOT_FOUND ? 0 : r;
    r = file_join(place, home, ".config/gcloud", error);
    return r < 0 ? r : file_join(ret, place, DEFAULT_FILE, error);
}

static bool is_usual(const struct google *google)
{
    return !json_member(google->options, "credentials") &&
           !exchange_environment("GOOGLE_APPLICATION_CREDENTIALS");
}

/* -PULLKEY_NOT_FOUND where there is no file at the usual place. */
static int read_file(const struct google *google, struct json *json, char path[FILE_PATH_MAX],
                     mode_t *ret_mode, struct pullkey_error *error)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(GOOGLE_FILE_MAX);
    int r = find_file(google, path, error);

    if (r < 0)
        return r;
    if (path[0] == '\0')
        return error_set(error, PULLKEY_NOT_FOUND, "there is no home");
    r = file_read(path, FILE_INPUT, 0, &text, ret_mode, error);
    if (r == -PULLKEY_NOT_FOUND && !is_usual(google))
        return error_set(error, PULLKEY_INVALID, "the Google credentials %s do not exist", path);
    if (r < 0)
        return r;
    return json_parse(json, path, text.data ? text.data : "", text.length, 0, error);
}

/* The universe is the options' to choose: a file that could would allow itself any address. */
static int check_universe(const struct google *google, const struct json *json,
                          const struct google_credentials *credentials, struct pullkey_error *error)
{
    if (!credentials->universe || strcmp(credentials->universe, google->universe) == 0)
        return 0;
    return json_error(json, json_member(json->root, "universe_domain"), error,
                      "is not %s; if that is meant, say so as \"universe_domain\" in \"google\" of "
                      "the configuration",
                      google->universe);
}

/* A file without a secret only leads to a token of somebody else, and may be read by all. */
static int check_mode(const struct google_credentials *credentials, const char *path, mode_t mode,
                      struct pullkey_error *error)
{
    if ((mode & 077) == 0 ||
        (!credentials->private_key && !credentials->refresh_token && !credentials->client_secret))
        return 0;
    return error_set(error, PULLKEY_DENIED,
                     "others than its owner may use the secret in %s: run chmod 600 on it", path);
}

static void name_file(struct google *google, const struct google_credentials *credentials,
                      const char *path)
{
    if (credentials->kind == GOOGLE_SERVICE_ACCOUNT)
        (void)snprintf(google->what, sizeof(google->what), "the service account %.100s (%.150s)",
                       credentials->email, path);
    else
        (void)snprintf(google->what, sizeof(google->what), "the %s in %.200s",
                       credentials->kind == GOOGLE_EXTERNAL_ACCOUNT ? "external account" : "user",
                       path);
}

static int from_file(struct google *google, const char *scopes, struct oauth_reply *ret,
                     struct pullkey_error *error)
{
    cleanup_json struct json json = { 0 };
    struct google_credentials credentials, source;
    char path[FILE_PATH_MAX];
    mode_t mode;
    int r = read_file(google, &json, path, &mode, error);

    if (r == 0)
        r = google_credentials_read(&json, json.root, &credentials, error);
    if (r == 0)
        r = check_mode(&credentials, path, mode, error);
    if (r == 0)
        r = check_universe(google, &json, &credentials, error);
    if (r < 0)
        return r;
    if (credentials.kind != GOOGLE_IMPERSONATED) {
        name_file(google, &credentials, path);
        return google_file_token(google, &credentials, scopes, ret, error);
    }
    r = google_credentials_read(&json, credentials.source_credentials, &source, error);
    if (r == 0)
        r = check_mode(&source, path, mode, error);
    if (r < 0)
        return r;
    name_file(google, &source, path);
    r = google_file_token(google, &source, GOOGLE_SCOPE, ret, error);
    return r < 0 ? r
                 : google_impersonate(google, credentials.impersonation_url, NULL,
                                      credentials.delegates, credentials.lifetime, scopes, ret,
                                      error);
}

static int from_identity(struct google *google, const char *scopes, struct oauth_reply *ret,
                         struct pullkey_error *error)
{
    cleanup_identity_token struct identity_token identity = { 0 };
    const char *type = settings_text(google->options, "subject_token_type");
    char address[512];
    const struct google_credentials credentials = {
        .kind = GOOGLE_EXTERNAL_ACCOUNT,
        .audience = settings_text(google->options, "audience"),
        .subject_token_type = type ? type : OAUTH_TYPE "jwt",
        .token_url = address,
    };
    int r = identity_get(google->exchange, google->exchange->settings->identity, &identity, error);

    if (r < 0)
        return r;
    (void)snprintf(address, sizeof(address), "https://sts.%s/v1/token", google->universe);
    (void)snprintf(google->what, sizeof(google->what), "%s", identity.what);
    return google_exchange(google, &credentials, &identity.token, scopes, ret, error);
}

static int find_token(struct google *google, struct oauth_reply *ret, struct pullkey_error *error)
{
    const char *account = settings_text(google->options, "impersonate");
    cleanup_buffer struct buffer scopes = BUFFER_INIT(HTTP_QUERY_MAX);
    const bool is_chosen = join_scopes(google->options, &scopes);
    const char *first;
    int r = buffer_check(&scopes, error);

    if (r < 0)
        return r;
    /* Who acts as somebody else needs no more than the right to. */
    first = account ? GOOGLE_SCOPE : scopes.data;
    if (google->exchange->settings->identity) {
        r = from_identity(google, first, ret, error);
    } else {
        r = from_file(google, first, ret, error);
        if (r == -PULLKEY_NOT_FOUND)
            r = google_metadata_token(google, is_chosen && !account ? first : NULL, ret, error);
    }
    if (r == 0 && account)
        r = google_impersonate(google, NULL, account, NULL, LIFETIME, scopes.data, ret, error);
    return r;
}

static int google_get(struct exchange *exchange, struct pullkey_credential *ret,
                      struct pullkey_error *error)
{
    const cJSON *options = json_member(exchange->settings->json.root, "google");
    const char *universe = settings_text(options, "universe_domain");
    cleanup_oauth_reply struct oauth_reply token = { 0 };
    struct google google = {
        .exchange = exchange,
        .options = options,
        .universe = universe ? universe : GOOGLE_UNIVERSE,
    };
    struct url registry;
    int r = registry_host_find(exchange, GOOGLE_REGISTRIES, &registry, error);

    if (r == 0)
        r = find_token(&google, &token, error);
    return r < 0
               ? r
               : exchange_answer(exchange, USERNAME, &token.access_token, token.expiry, ret, error);
}

const struct provider google_provider = {
    .recipe = "gcp",
    .check = google_check,
    .get = google_get,
};
