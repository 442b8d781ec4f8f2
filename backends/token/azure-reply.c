/* SPDX-License-Identifier: Apache-2.0 */
/* What Entra, registries and metadata services answer. */
#include <string.h>

#include "azure-place.h"
#include "azure.h"
#include "base/error.h"
#include "base/secret.h"
#include "expiry.h"

#define CODE_MAX 40

/* The value of a member that is text; NULL without it. */
static const char *text_of(const cJSON *object, const char *name)
{
    const cJSON *item = json_member(object, name);

    return cJSON_IsString(item) ? item->valuestring : NULL;
}

void azure_take_correlation(const char *text, size_t length, char ret[AZURE_CORRELATION_SIZE])
{
    ret[0] = '\0';
    if (length == 0 || length >= AZURE_CORRELATION_SIZE)
        return;
    memcpy(mempcpy(ret, text, length), "", 1);
    if (strspn(ret, "0123456789abcdefABCDEF-") != length)
        ret[0] = '\0';
}

/* https://learn.microsoft.com/entra/identity-platform/reference-error-codes */
static const struct {
    long code;
    const char *advice;
} codes[] = {
    { 700024, "its token is outside its validity: is it renewed, and this machine's clock right?" },
    { 70025, "the application has no federated credential: add one for this issuer and subject" },
    { 70021, "no federated credential of the application fits: check issuer, subject and audience "
             "(api://AzureADTokenExchange) there" },
    { 700211, "no federated credential of the application has this issuer" },
    { 700212, "no federated credential of the application has this audience, which is usually "
              "api://AzureADTokenExchange" },
    { 700213, "no federated credential of the application has this subject" },
    { 700016, "there is no such application in this tenant: check client_id and tenant" },
    { 7000215, "the client secret is wrong; its value is wanted, and not its id" },
    { 7000222, "the client secret has expired: make a new one" },
    { 90002, "there is no such tenant: check it, and the authority of its cloud" },
    { 500011, "this audience is not known in the tenant: check \"audience\"" },
};

static const char *advice_of(long code)
{
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
        if (codes[i].code == code)
            return codes[i].advice;
    return "the sign-in logs of Entra say more";
}

/* Lower-case words, as OAuth's codes are. */
static bool is_entra_code(const char *text)
{
    const size_t length = strlen(text);

    return length > 0 && length <= CODE_MAX &&
           strspn(text, "abcdefghijklmnopqrstuvwxyz_") == length;
}

int azure_read_entra_error(const struct buffer *body, long status, const char *server,
                           const char *who, struct pullkey_error *error)
{
    cleanup_json struct json json = { 0 };
    struct pullkey_error ignored;
    const char *code = NULL, *correlation = NULL;
    char id[AZURE_CORRELATION_SIZE] = "";
    const cJSON *numbers = NULL;
    long number = 0;

    if (body->length > 0 &&
        json_parse(&json, "reply", body->data, body->length, 0, &ignored) == 0) {
        code = text_of(json.root, "error");
        numbers = json_member(json.root, "error_codes");
        correlation = text_of(json.root, "correlation_id");
    }
    if (!code || !is_entra_code(code))
        return error_set(error, status == 401 || status == 403 ? PULLKEY_DENIED : PULLKEY_INVALID,
                         "%s answers %ld to %s, and not as Entra would: is the authority right?",
                         server, status, who);
    if (cJSON_IsArray(numbers) && cJSON_IsNumber(numbers->child) &&
        numbers->child->valuedouble > 0 && numbers->child->valuedouble < 1e9)
        number = (long)numbers->child->valuedouble;
    if (correlation)
        azure_take_correlation(correlation, strlen(correlation), id);
    if (number == 0)
        return error_set(error, PULLKEY_DENIED, "%s refuses %s: %s%s%s (%s)", server, who, code,
                         id[0] != '\0' ? ", correlation id " : "", id, advice_of(0));
    return error_set(error, PULLKEY_DENIED, "%s refuses %s: %s, AADSTS%ld%s%s (%s)", server, who,
                     code, number, id[0] != '\0' ? ", correlation id " : "", id, advice_of(number));
}

int azure_read_managed_error(const struct buffer *body, const char *server, const char *client_id,
                             struct pullkey_error *error)
{
    cleanup_json struct json json = { 0 };
    struct pullkey_error ignored;
    const char *code = NULL, *description = NULL;
    bool is_unknown;

    if (body->length > 0 &&
        json_parse(&json, "reply", body->data, body->length, 0, &ignored) == 0) {
        code = text_of(json.root, "error");
        description = text_of(json.root, "error_description");
    }
    is_unknown = description && strcmp(description, "Identity not found") == 0;
    if (is_unknown && !client_id)
        return error_set(error, PULLKEY_NO_IDENTITY,
                         "this machine has no managed identity: give it one");
    if (is_unknown)
        return error_set(error, PULLKEY_DENIED,
                         "%s does not know the managed identity %.64s: assign it to this machine, "
                         "or check client_id",
                         server, client_id);
    return error_set(error, PULLKEY_DENIED,
                     "%s refuses the managed identity of this machine (400: %s): %s", server,
                     code && is_entra_code(code) ? code : "no code",
                     client_id ? "is it assigned to this machine, and the resource right?"
                               : "is the resource right? Where there are several identities, say "
                                 "which with AZURE_CLIENT_ID");
}

static int read_token(const struct buffer *body, const char *name, struct json *ret_json,
                      struct pullkey_secret *ret, struct pullkey_error *error)
{
    struct pullkey_error ignored;
    const char *token;

    if (json_parse(ret_json, "reply", body->data ? body->data : "", body->length, 0, &ignored) < 0)
        return error_set(error, PULLKEY_INVALID, "it is no proper JSON");
    token = text_of(ret_json->root, name);
    if (!token || token[0] == '\0' || strlen(token) > PULLKEY_SECRET_MAX)
        return error_set(error, PULLKEY_INVALID, "it has no %s, or a huge one", name);
    return secret_set(ret, token, strlen(token), error);
}

/* Where the reply does not say when it ends (0), the token itself is asked. */
static int complete_expiry(const struct pullkey_secret *token, int64_t now, int64_t *expiry,
                           struct pullkey_error *error)
{
    if (*expiry == 0)
        *expiry = expiry_jwt(token, now);
    if (*expiry == 0)
        *expiry = now + EXPIRY_UNKNOWN_SECONDS;
    return expiry_check(*expiry, now, error);
}

int azure_read_managed(const struct buffer *body, int64_t now, struct oauth_reply *ret,
                       struct pullkey_error *error)
{
    cleanup_json struct json json = { 0 };
    cleanup_secret struct pullkey_secret secret = { 0 };
    struct pullkey_error ignored;
    int64_t expiry = 0;
    int r = read_token(body, "access_token", &json, &secret, error);

    if (r == 0)
        r = expiry_in(json_member(json.root, "expires_in"), now, &expiry, error);
    if (r < 0)
        return r;
    /* Some say so as a date of some language. */
    if (expiry == 0 && json_member(json.root, "expires_on") &&
        expiry_epoch(json_member(json.root, "expires_on"), now, &expiry, &ignored) < 0)
        expiry = 0;
    r = complete_expiry(&secret, now, &expiry, error);
    if (r < 0)
        return r;
    *ret = (struct oauth_reply){ .access_token = secret, .expiry = expiry };
    secret = (struct pullkey_secret){ 0 };
    return 0;
}

int azure_read_refresh(const struct buffer *body, int64_t now, struct pullkey_secret *ret,
                       int64_t *ret_expiry, struct pullkey_error *error)
{
    cleanup_json struct json json = { 0 };
    cleanup_secret struct pullkey_secret secret = { 0 };
    int64_t expiry = 0;
    int r = read_token(body, "refresh_token", &json, &secret, error);

    if (r == 0)
        r = complete_expiry(&secret, now, &expiry, error);
    if (r < 0)
        return r;
    *ret_expiry = expiry;
    *ret = secret;
    secret = (struct pullkey_secret){ 0 };
    return 0;
}

/* Upper-case words, as registries' codes are. */
static bool is_registry_code(const char *text)
{
    const size_t length = strlen(text);

    return length > 0 && length <= CODE_MAX &&
           strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_") == length;
}

int azure_read_refusal(const struct buffer *body, long status, const char *registry,
                       const char *who, const char *correlation, struct pullkey_error *error)
{
    cleanup_json struct json json = { 0 };
    struct pullkey_error ignored;
    const cJSON *errors = NULL;
    const char *code = NULL, *advice = "is it a registry of Azure's?";

    if (body->length > 0 && json_parse(&json, "reply", body->data, body->length, 0, &ignored) == 0)
        errors = json_member(json.root, "errors");
    if (cJSON_IsArray(errors))
        code = text_of(errors->child, "code");
    if (!code || !is_registry_code(code))
        code = "no code";
    if (status == 401)
        advice = "is it of the registry's tenant, and its \"audience\" allowed there?";
    if (status == 403)
        advice = "give it the role AcrPull there, and let this machine's address in";
    return error_set(error, status == 401 || status == 403 ? PULLKEY_DENIED : PULLKEY_INVALID,
                     "the registry %s refuses %s: %ld, %s%s%s (%s)", registry, who, status, code,
                     correlation[0] != '\0' ? ", correlation id " : "", correlation, advice);
}

int azure_arc_path(const char *challenge, size_t length, char ret[AZURE_ARC_PATH_SIZE],
                   struct pullkey_error *error)
{
    static const char scheme[] = "Basic realm=", suffix[] = ".key";
    const size_t start = sizeof(scheme) - 1, directory = sizeof(AZURE_ARC_DIRECTORY) - 1;
    char path[AZURE_ARC_PATH_SIZE];
    size_t end;

    if (length <= start || length - start >= sizeof(path) ||
        strncasecmp(challenge, scheme, start) != 0)
        return error_set(error, PULLKEY_INVALID, "it asks for no file");
    memcpy(mempcpy(path, challenge + start, length - start), "", 1);
    end = strlen(path);
    if (path[0] == '"' && end > 1 && path[end - 1] == '"') {
        path[end - 1] = '\0';
        memmove(path, path + 1, end - 1);
        end -= 2;
    }
    if (strncmp(path, AZURE_ARC_DIRECTORY "/", directory + 1) != 0 ||
        strchr(path + directory + 1, '/') || end < directory + 1 + sizeof(suffix) ||
        strcmp(path + end - (sizeof(suffix) - 1), suffix) != 0)
        return error_set(error, PULLKEY_DENIED,
                         "it asks for a file that is no key in " AZURE_ARC_DIRECTORY);
    memcpy(ret, path, end + 1);
    return 0;
}
