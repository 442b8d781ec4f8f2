/* SPDX-License-Identifier: Apache-2.0 */
#include "google-credentials.h"

#include <string.h>

#include "base/error.h"
#include "base/secret.h"
#include "base/text.h"

#define LIFETIME 3600 /* seconds */
#define LIFETIME_MIN 600
#define LIFETIME_MAX 43200
#define TIMEOUT_MS 30000
#define TIMEOUT_MIN_MS 5000
#define TIMEOUT_MAX_MS 120000
#define CODE_MAX 40

/* The value of a member that is text; NULL without it. */
static const char *text_of(const cJSON *object, const char *name)
{
    const cJSON *item = json_member(object, name);

    return cJSON_IsString(item) ? item->valuestring : NULL;
}

/* Not empty. */
static int need(const struct json *json, const cJSON *object, const char *name, const char **ret,
                struct pullkey_error *error)
{
    *ret = text_of(object, name);
    return *ret && (*ret)[0] != '\0'
               ? 0
               : json_error(json, object, error, "has no \"%s\", or an empty one", name);
}

static int read_number(const struct json *json, const cJSON *object, const char *name, int least,
                       int most, int *ret, struct pullkey_error *error)
{
    const cJSON *item = json_member(object, name);

    if (!item)
        return 0;
    if (!cJSON_IsNumber(item) || !(item->valuedouble >= least && item->valuedouble <= most))
        return json_error(json, item, error, "must be a number of %d to %d", least, most);
    *ret = (int)item->valuedouble;
    return 0;
}

static int read_service_account(const struct json *json, const cJSON *object,
                                struct google_credentials *ret, struct pullkey_error *error)
{
    int r = need(json, object, "client_email", &ret->email, error);

    ret->key_id = text_of(object, "private_key_id");
    ret->token_url = text_of(object, "token_uri");
    return r < 0 ? r : need(json, object, "private_key", &ret->private_key, error);
}

static int read_user(const struct json *json, const cJSON *object, struct google_credentials *ret,
                     struct pullkey_error *error)
{
    int r = need(json, object, "client_id", &ret->client_id, error);

    if (r == 0)
        r = need(json, object, "client_secret", &ret->client_secret, error);
    return r < 0 ? r : need(json, object, "refresh_token", &ret->refresh_token, error);
}

static int read_format(const struct json *json, const cJSON *source, struct google_source *ret,
                       struct pullkey_error *error)
{
    const cJSON *format = json_member(source, "format");
    const char *type = text_of(format, "type");

    if (!format || (type && strcmp(type, "text") == 0))
        return 0;
    if (!type || strcmp(type, "json") != 0)
        return json_error(json, format, error, "must have the \"type\" text or json");
    return need(json, format, "subject_token_field_name", &ret->field, error);
}

static int read_executable(const struct json *json, const cJSON *executable,
                           struct google_source *ret, struct pullkey_error *error)
{
    int timeout = TIMEOUT_MS;
    int r = need(json, executable, "command", &ret->command, error);

    if (r == 0)
        r = read_number(json, executable, "timeout_millis", TIMEOUT_MIN_MS, TIMEOUT_MAX_MS,
                        &timeout, error);
    if (r == 0 && ret->command[0] != '/')
        r = json_error(json, json_member(executable, "command"), error,
                       "must begin with the absolute path of a program");
    ret->timeout_ms = timeout;
    return r;
}

static int read_headers(const struct json *json, const cJSON *source, struct google_source *ret,
                        struct pullkey_error *error)
{
    const cJSON *item;

    ret->headers = json_member(source, "headers");
    cJSON_ArrayForEach(item, ret->headers) {
        if (!cJSON_IsString(item))
            return json_error(json, item, error, "must be text");
    }
    return 0;
}

/* "aws1": the version of what Google asks AWS. */
static int read_aws(const struct json *json, const cJSON *source, struct google_source *ret,
                    struct pullkey_error *error)
{
    const char *id = text_of(source, "environment_id");

    if (!id || strcmp(id, "aws1") != 0)
        return json_error(json, json_member(source, "environment_id"), error, "must be aws1");
    /* Its addresses are the metadata service's, which need not be asked where they are. */
    ret->has_machine = text_of(source, "url") != NULL;
    return need(json, source, "regional_cred_verification_url", &ret->verification_url, error);
}

static int read_certificate(const struct json *json, const cJSON *certificate,
                            struct pullkey_error *error)
{
    const char *const names[] = { "certificate_config_location", "trust_chain_path" };
    const bool usual = cJSON_IsTrue(json_member(certificate, "use_default_certificate_config"));

    if (!cJSON_IsObject(certificate))
        return json_error(json, certificate, error, "must be an object");
    if (usual == (json_member(certificate, names[0]) != NULL))
        return json_error(json, certificate, error,
                          "must have either \"use_default_certificate_config\" or "
                          "\"certificate_config_location\"");
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const cJSON *path = json_member(certificate, names[i]);

        if (path && (!cJSON_IsString(path) || path->valuestring[0] != '/'))
            return json_error(json, path, error, "must be an absolute path");
    }
    return 0;
}

static int read_source(const struct json *json, const cJSON *object, struct google_source *ret,
                       struct pullkey_error *error)
{
    const cJSON *source = json_member(object, "credential_source");
    const cJSON *executable = json_member(source, "executable");
    int r;

    if (!cJSON_IsObject(source))
        return json_error(json, object, error, "has no \"credential_source\"");
    if (json_member(source, "environment_id"))
        return read_aws(json, source, ret, error);
    ret->file = text_of(source, "file");
    ret->url = text_of(source, "url");
    ret->certificate = json_member(source, "certificate");
    if ((ret->file != NULL) + (ret->url != NULL) + (ret->certificate != NULL) +
            (executable != NULL) !=
        1)
        return json_error(json, source, error,
                          "must have exactly one of \"file\", \"url\", \"certificate\", "
                          "\"executable\" and \"environment_id\"");
    if (ret->certificate)
        return read_certificate(json, ret->certificate, error);
    if (ret->file && ret->file[0] != '/')
        return json_error(json, json_member(source, "file"), error, "must be an absolute path");
    r = read_format(json, source, ret, error);
    if (r == 0)
        r = read_headers(json, source, ret, error);
    return r < 0 || !executable ? r : read_executable(json, executable, ret, error);
}

static int read_external(const struct json *json, const cJSON *object,
                         struct google_credentials *ret, struct pullkey_error *error)
{
    const cJSON *impersonation = json_member(object, "service_account_impersonation");
    int r = need(json, object, "audience", &ret->audience, error);

    if (r == 0)
        r = need(json, object, "subject_token_type", &ret->subject_token_type, error);
    if (r == 0)
        r = need(json, object, "token_url", &ret->token_url, error);
    if (r == 0)
        r = read_number(json, impersonation, "token_lifetime_seconds", LIFETIME_MIN, LIFETIME_MAX,
                        &ret->lifetime, error);
    ret->client_id = text_of(object, "client_id");
    ret->client_secret = text_of(object, "client_secret");
    ret->user_project = text_of(object, "workforce_pool_user_project");
    ret->impersonation_url = text_of(object, "service_account_impersonation_url");
    return r < 0 ? r : read_source(json, object, &ret->source, error);
}

static int read_impersonated(const struct json *json, const cJSON *object,
                             struct google_credentials *ret, struct pullkey_error *error)
{
    const cJSON *item;
    int r = need(json, object, "service_account_impersonation_url", &ret->impersonation_url, error);

    ret->source_credentials = json_member(object, "source_credentials");
    if (r == 0 && !cJSON_IsObject(ret->source_credentials))
        r = json_error(json, object, error, "has no \"source_credentials\"");
    ret->delegates = json_member(object, "delegates");
    cJSON_ArrayForEach(item, ret->delegates) {
        if (r == 0 && !cJSON_IsString(item))
            r = json_error(json, item, error, "must be text");
    }
    return r;
}

static const struct {
    const char *type;
    enum google_kind kind;
    int (*read)(const struct json *json, const cJSON *object, struct google_credentials *ret,
                struct pullkey_error *error);
} kinds[] = {
    { "service_account", GOOGLE_SERVICE_ACCOUNT, read_service_account },
    { "authorized_user", GOOGLE_AUTHORIZED_USER, read_user },
    { "external_account", GOOGLE_EXTERNAL_ACCOUNT, read_external },
    { "impersonated_service_account", GOOGLE_IMPERSONATED, read_impersonated },
};

int google_credentials_read(const struct json *json, const cJSON *object,
                            struct google_credentials *ret, struct pullkey_error *error)
{
    struct google_credentials credentials = { .lifetime = LIFETIME };
    const char *type;
    int r = need(json, object, "type", &type, error);

    if (r < 0)
        return r;
    credentials.universe = text_of(object, "universe_domain");
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (strcmp(kinds[i].type, type) != 0)
            continue;
        credentials.kind = kinds[i].kind;
        r = kinds[i].read(json, object, &credentials, error);
        if (r == 0)
            *ret = credentials;
        return r;
    }
    return error_set(error, PULLKEY_INVALID,
                     "%s: credentials of this type are not known here; those of the types "
                     "service_account, authorized_user, external_account and "
                     "impersonated_service_account are",
                     json->name);
}

/* As sent in a form: of visible characters. */
static int set_token(const char *text, size_t length, struct pullkey_secret *ret,
                     struct pullkey_error *error)
{
    while (length > 0 && strchr("\r\n", text[length - 1]))
        length--;
    if (length == 0)
        return error_set(error, PULLKEY_INVALID, "it is empty");
    if (length > PULLKEY_SECRET_MAX)
        return error_set(error, PULLKEY_INVALID, "it is larger than %d bytes", PULLKEY_SECRET_MAX);
    for (size_t i = 0; i < length; i++)
        if (text[i] <= 0x20 || text[i] >= 0x7f)
            return error_set(error, PULLKEY_INVALID, "it holds bytes that no token may have");
    return secret_set(ret, text, length, error);
}

int google_subject_read(const struct google_source *source, const struct buffer *text,
                        struct pullkey_secret *ret, struct pullkey_error *error)
{
    const char *bytes = text->data ? text->data : "", *token;
    cleanup_json struct json json = { 0 };
    struct pullkey_error ignored;

    if (!source->field)
        return set_token(bytes, text->length, ret, error);
    /* Its reason would quote keys of what may be anything. */
    if (json_parse(&json, "token", bytes, text->length, 0, &ignored) < 0)
        return error_set(error, PULLKEY_INVALID, "it is not the JSON that its format says");
    token = text_of(json.root, source->field);
    if (!token)
        return error_set(error, PULLKEY_INVALID, "it has no member \"%s\"", source->field);
    return set_token(token, strlen(token), ret, error);
}

/* What it says of its failure, if that is a short word. */
static int refuse_executable(const cJSON *root, struct pullkey_error *error)
{
    const char *code = text_of(root, "code");
    char shown[CODE_MAX + 1] = "no code";

    if (code && code[0] != '\0' && strlen(code) <= CODE_MAX) {
        memcpy(shown, code, strlen(code) + 1);
        text_make_printable(shown);
    }
    return error_set(error, PULLKEY_DENIED,
                     "it says that it has no token (%s); run it by hand to see why", shown);
}

int google_executable_read(const struct buffer *text, int64_t now, struct pullkey_secret *ret,
                           struct pullkey_error *error)
{
    cleanup_json struct json json = { 0 };
    struct pullkey_error ignored;
    const cJSON *version, *expiration;
    const char *token;

    if (json_parse(&json, "answer", text->data ? text->data : "", text->length, 0, &ignored) < 0)
        return error_set(error, PULLKEY_INVALID, "it does not answer in JSON");
    version = json_member(json.root, "version");
    if (!cJSON_IsNumber(version) || version->valuedouble != 1)
        return error_set(error, PULLKEY_INVALID, "its answer is not of version 1");
    if (!cJSON_IsTrue(json_member(json.root, "success")))
        return refuse_executable(json.root, error);
    expiration = json_member(json.root, "expiration_time");
    if (cJSON_IsNumber(expiration) && expiration->valuedouble <= (double)now)
        return error_set(error, PULLKEY_INVALID, "its token has expired");
    token = text_of(json.root, "id_token");
    if (!token)
        token = text_of(json.root, "saml_response");
    if (!token)
        return error_set(error, PULLKEY_INVALID, "its answer has no id_token or saml_response");
    return set_token(token, strlen(token), ret, error);
}
