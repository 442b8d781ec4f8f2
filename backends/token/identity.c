/* SPDX-License-Identifier: Apache-2.0 */
#include "identity.h"

#include <stdio.h>
#include <string.h>

#include "aws-identity.h"
#include "azure.h"
#include "base/error.h"
#include "base/file.h"
#include "base/jwt.h"
#include "base/secret.h"
#include "base/text.h"
#include "google.h"
#include "identity-sources.h"

/* In a CI job or a pod, as seen by whoever reads the message. */
struct source {
    const char *name;
    int (*check)(const struct settings *settings, const cJSON *value, struct pullkey_error *error);
    int (*get)(struct exchange *exchange, const cJSON *value, struct identity_token *ret,
               struct pullkey_error *error);
};

static int check_text(const struct settings *settings, const cJSON *value,
                      struct pullkey_error *error)
{
    return cJSON_IsString(value) && value->valuestring[0] != '\0'
               ? 0
               : json_error(&settings->json, value, error, "must be text");
}

static int check_path(const struct settings *settings, const cJSON *value,
                      struct pullkey_error *error)
{
    return cJSON_IsString(value) && value->valuestring[0] == '/'
               ? 0
               : json_error(&settings->json, value, error, "must be an absolute path");
}

static int check_true(const struct settings *settings, const cJSON *value,
                      struct pullkey_error *error)
{
    return cJSON_IsTrue(value) ? 0 : json_error(&settings->json, value, error, "must be true");
}

/* Such files rotate, by a link (projected volumes) or in place. */
static int get_file(struct exchange *exchange, const cJSON *value, struct identity_token *ret,
                    struct pullkey_error *error)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(PULLKEY_SECRET_MAX);
    int r = file_read(value->valuestring, FILE_INPUT, 0, &text, NULL, error);

    (void)exchange;
    (void)snprintf(ret->what, sizeof(ret->what), "the token in %s", value->valuestring);
    if (r == -PULLKEY_NOT_FOUND)
        return error_set(error, PULLKEY_NO_IDENTITY, "there is no identity token: %s is missing",
                         value->valuestring);
    if (r < 0)
        return r;
    while (text.length > 0 && strchr("\r\n", text.data[text.length - 1]))
        text.length--;
    return secret_set(&ret->token, text.data ? text.data : "", text.length, error);
}

static int get_environment(struct exchange *exchange, const cJSON *value,
                           struct identity_token *ret, struct pullkey_error *error)
{
    const char *text = exchange_environment(value->valuestring);

    (void)exchange;
    (void)snprintf(ret->what, sizeof(ret->what), "the token in the variable %s",
                   value->valuestring);
    if (!text)
        return error_set(error, PULLKEY_NO_IDENTITY,
                         "there is no identity token: the environment variable %s is not set%s",
                         value->valuestring,
                         exchange_environment("GITLAB_CI") ? "; give the job \"id_tokens:\" with it"
                                                           : "");
    return secret_set(&ret->token, text, strlen(text), error);
}

static int get_kubelet(struct exchange *exchange, const cJSON *value, struct identity_token *ret,
                       struct pullkey_error *error)
{
    const struct pullkey_workload *workload = exchange->request->workload;

    (void)value;
    if (!workload)
        return error_set(error, PULLKEY_NO_IDENTITY,
                         "there is no service account token: only the kubelet sends one, with "
                         "tokenAttributes in its configuration");
    (void)snprintf(ret->what, sizeof(ret->what), "the service account %s/%s",
                   workload->namespace_name, workload->service_account);
    return secret_set(&ret->token, workload->token.bytes, workload->token.length, error);
}

static const struct source sources[] = {
    { "file", check_path, get_file },
    { "env", check_text, get_environment },
    { "command", identity_check_command, identity_get_command },
    { "aws", aws_check_identity, aws_get_identity },
    { "azure", check_text, azure_get_identity },
    { "gcp", check_text, google_get_identity },
    { "github", check_text, identity_get_github },
    { "kubelet", check_true, get_kubelet },
    { "kubernetes", identity_check_kubernetes, identity_get_kubernetes },
};

static const struct source *find_source(const char *name)
{
    for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++)
        if (strcmp(sources[i].name, name) == 0)
            return &sources[i];
    return NULL;
}

int identity_check(const struct settings *settings, const cJSON *identity,
                   struct pullkey_error *error)
{
    const cJSON *item = identity->child;
    const struct source *source;

    if (!cJSON_IsObject(identity) || !item || item->next)
        return json_error(&settings->json, identity, error,
                          "must have one member: where the token comes from");
    source = find_source(item->string);
    if (!source)
        return json_error(&settings->json, item, error,
                          "there is no such source of identity tokens");
    return source->check(settings, item, error);
}

/* What cannot be in a header or a form must not get that far: `least` is the first of the bytes
 * that may. */
static int check_token(const struct exchange *exchange, char least, struct identity_token *token,
                       struct pullkey_error *error)
{
    const struct pullkey_secret *secret = &token->token;

    if (secret->length == 0)
        /* Somebody may be writing it. */
        return error_set(error, PULLKEY_INVALID, "%s is empty", token->what);
    if (!text_is_ascii(secret->bytes, secret->length, least))
        return error_set(error, PULLKEY_INVALID, "%s holds bytes that no token may have",
                         token->what);
    token->expiry = jwt_expiry(secret);
    if (token->expiry > 0 && token->expiry <= exchange->host->wall_seconds() - EXPIRED_LEEWAY)
        return error_set(error, PULLKEY_INVALID,
                         "%s has expired: is it renewed, and this machine's clock right?",
                         token->what);
    return 0;
}

static void trace(const struct exchange *exchange, const struct identity_token *token)
{
    cleanup_buffer struct buffer json = BUFFER_INIT(EXCHANGE_TRACE_MAX);

    buffer_append_text(&json, "{\"step\":\"identity\",\"is\":");
    json_write_name(&json, token->what);
    if (token->expiry > 0)
        buffer_printf(&json, ",\"lifetime\":%jd}",
                      (intmax_t)(token->expiry - exchange->host->wall_seconds()));
    else
        buffer_append_text(&json, ",\"lifetime\":null}");
    exchange_trace(exchange, &json);
}

static int get(struct exchange *exchange, const cJSON *identity, char least,
               struct identity_token *ret, struct pullkey_error *error)
{
    struct identity_token token = { 0 };
    const cJSON *item = identity->child;
    const struct source *source = item ? find_source(item->string) : NULL;
    int r = source ? source->get(exchange, item, &token, error)
                   : error_set(error, PULLKEY_INVALID, "there is no source of identity tokens");

    if (r == 0)
        r = check_token(exchange, least, &token, error);
    if (r < 0) {
        identity_token_done(&token);
        return r;
    }
    trace(exchange, &token);
    *ret = token;
    return 0;
}

int identity_get(struct exchange *exchange, const cJSON *identity, struct identity_token *ret,
                 struct pullkey_error *error)
{
    return get(exchange, identity, '!', ret, error);
}

int identity_get_secret(struct exchange *exchange, const cJSON *source, struct identity_token *ret,
                        struct pullkey_error *error)
{
    return get(exchange, source, ' ', ret, error);
}

void identity_token_done(struct identity_token *token)
{
    secret_done(&token->token);
}
