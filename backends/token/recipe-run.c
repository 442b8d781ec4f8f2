/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a recipe: its identity, its steps in order, its answer. */
#include "recipe-run.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/jwt.h"
#include "base/secret.h"
#include "base/text.h"
#include "expiry.h"
#include "registry-host.h"

#define LIFE_TEXT_MAX 15 /* digits of a number of seconds */

static void run_done(struct recipe_run *run)
{
    identity_token_done(&run->identity);
    recipe_values_done(&run->values);
}

#define cleanup_run __attribute__((cleanup(run_done)))

static int set_text(struct recipe_run *run, const char *name, enum recipe_origin origin,
                    const char *text, struct pullkey_error *error)
{
    return recipe_set(&run->values, name, origin, text, strlen(text), error);
}

/* Those of the configuration, else their defaults; recipe_check has seen that all are there. */
static int set_variables(struct recipe_run *run, struct pullkey_error *error)
{
    const cJSON *item;
    int r = 0;

    cJSON_ArrayForEach(item, run->recipe->variables) {
        const char *own = settings_text(run->exchange->settings->variables, item->string);
        const char *text = own ? own : settings_text(item, "default");

        if (r == 0)
            r = set_text(run, item->string, RECIPE_VARIABLE, text ? text : "", error);
    }
    return r;
}

static void write_host(const struct pullkey_request *request, char ret[URL_AUTHORITY_SIZE])
{
    if (request->port != 0)
        (void)snprintf(ret, URL_AUTHORITY_SIZE, "%s:%u", request->host, request->port);
    else
        (void)snprintf(ret, URL_AUTHORITY_SIZE, "%s", request->host);
}

static int set_request(struct recipe_run *run, struct pullkey_error *error)
{
    const struct pullkey_request *request = run->exchange->request;
    char host[URL_AUTHORITY_SIZE];
    int r;

    write_host(request, host);
    r = set_text(run, "host", RECIPE_REQUEST, host, error);
    return r < 0 ? r : set_text(run, "path", RECIPE_REQUEST, request->path, error);
}

/* Without a request to anybody: a registry that the recipe is not for gets nothing. */
static int check_registry(const struct recipe_run *run, struct pullkey_error *error)
{
    const struct pullkey_request *request = run->exchange->request;
    char host[URL_AUTHORITY_SIZE];

    write_host(request, host);
    if (request->host[0] != '\0' && !request->http &&
        (recipe_serves(run->recipe, request->host, request->port) ||
         cJSON_IsTrue(json_member(run->exchange->settings->hosts, host))))
        return 0;
    return error_set(error, PULLKEY_NOT_FOUND, "this is no registry of the recipe \"%s\"",
                     run->recipe->name);
}

static const cJSON *identity_of(const struct settings *settings)
{
    return settings->identity ? settings->identity : settings->recipe.identity;
}

/* The token; `claims` is what it says of itself. */
static int set_identity(struct recipe_run *run, struct json *claims, struct pullkey_error *error)
{
    struct pullkey_error ignored;
    int r;

    if (!run->recipe->asks_identity)
        return 0;
    r = identity_get(run->exchange, identity_of(run->exchange->settings), &run->identity, error);
    if (r == 0)
        r = recipe_set(&run->values, "identity", RECIPE_SECRET, run->identity.token.bytes,
                       run->identity.token.length, error);
    if (r == 0 && jwt_claims(&run->identity.token, claims, &ignored) == 0)
        run->values.claims = claims->root;
    return r;
}

static bool is_expected(const cJSON *step, long status)
{
    const cJSON *list = json_member(step, "expect"), *item;

    if (!list)
        return status == 200;
    cJSON_ArrayForEach(item, list) {
        if (item->valuedouble == (double)status)
            return true;
    }
    return false;
}

static enum pullkey_error_class class_of(long status, bool is_for_later)
{
    switch (status) {
    case 412: /* Vault's standby has not seen it yet */ return PULLKEY_UNREACHABLE;
    case 400:
    case 401:
    case 403:
    case 404:
    case 422: return is_for_later ? PULLKEY_UNREACHABLE : PULLKEY_DENIED;
    default: return PULLKEY_INVALID;
    }
}

/* Whether a text has a piece of what the request's header said. */
static bool holds_header(const char *text, const struct recipe_request *asked)
{
    enum { TELLING = 12 }; /* bytes of base64: eight or nine of the name and the password */
    cleanup_buffer struct buffer pair = BUFFER_INIT(PULLKEY_USERNAME_MAX + PULLKEY_SECRET_MAX + 1);
    cleanup_buffer struct buffer header = BUFFER_INIT(2 * (pair.limit + 2));

    if (asked->request.scheme != HTTP_BASIC)
        return false;
    buffer_append_text(&pair, asked->request.username);
    buffer_append(&pair, ":", 1);
    buffer_append(&pair, asked->secret.data, asked->secret.length);
    if (pair.state == BUFFER_FINE)
        text_base64_encode(&header, pair.data, pair.length);
    if (pair.state != BUFFER_FINE || header.state != BUFFER_FINE)
        return true;
    for (size_t i = 0; i + TELLING <= strlen(text); i++)
        if (memmem(header.data, header.length, text + i, TELLING))
            return true;
    return false;
}

static int refuse(const struct recipe_run *run, const struct recipe_request *asked,
                  const struct http_response *response, struct pullkey_error *error)
{
    char server[URL_AUTHORITY_SIZE], reason[RECIPE_REASON_SIZE];
    enum pullkey_error_class class;
    bool is_for_later;

    url_authority(&asked->url, server);
    recipe_reason(&response->body, &run->values, reason, &is_for_later);
    if (holds_header(reason, asked))
        reason[0] = '\0';
    class = class_of(response->status, is_for_later);
    return error_set(error, class, "%s %s %s at %.200s (%ld%s%s): %s", server,
                     class == PULLKEY_UNREACHABLE ? "has no answer now for" : "refuses",
                     run->identity.what[0] != '\0' ? run->identity.what : "the request",
                     asked->url.target, response->status, reason[0] != '\0' ? ": " : "", reason,
                     class == PULLKEY_UNREACHABLE
                         ? "try again later"
                         : "check the recipe's variables, and what that server lets this identity "
                           "do");
}

static void trace_take(const struct recipe_run *run, const char *name, const char *pointer,
                       bool is_found)
{
    cleanup_buffer struct buffer json = BUFFER_INIT(EXCHANGE_TRACE_MAX);

    buffer_append_text(&json, "{\"step\":\"take\",\"name\":");
    json_write_string(&json, name, strlen(name));
    buffer_append_text(&json, ",\"at\":");
    json_write_string(&json, pointer, strlen(pointer));
    buffer_printf(&json, ",\"found\":%s}", is_found ? "true" : "false");
    exchange_trace(run->exchange, &json);
}

/* It may not be needed; if it is, the message says so. */
static void note_missing(struct recipe_run *run, const cJSON *step, const char *server,
                         const char *pointer)
{
    const size_t used = run->missing_step == step ? strlen(run->missing) : 0;

    if (used > 0)
        (void)snprintf(run->missing + used, sizeof(run->missing) - used, ", %s", pointer);
    else
        (void)snprintf(run->missing, sizeof(run->missing), "%.80s answers without %s", server,
                       pointer);
    run->missing_step = step;
}

static int take_one(struct recipe_run *run, const cJSON *step, const cJSON *item, const cJSON *root,
                    const char *server, struct pullkey_error *error)
{
    cleanup_buffer struct buffer pointer = BUFFER_INIT(URL_TARGET_MAX);
    cleanup_buffer struct buffer text = BUFFER_INIT(PULLKEY_SECRET_MAX);
    int r = recipe_expand(&run->values, item->valuestring, RECIPE_POINTER, &pointer, error);
    bool is_found;

    if (r < 0)
        return r;
    is_found = recipe_point(root, pointer.data, &text);
    trace_take(run, item->string, pointer.data, is_found);
    if (text.state != BUFFER_FINE) {
        r = buffer_check(&text, error);
        return error_wrap(error, "%s in the answer of %s", pointer.data, server);
    }
    if (!is_found || text.length == 0) {
        note_missing(run, step, server, pointer.data);
        return 0;
    }
    return recipe_set(&run->values, item->string, RECIPE_SECRET, text.data, text.length, error);
}

static int take(struct recipe_run *run, const cJSON *step, const struct recipe_request *asked,
                const struct http_response *response, struct pullkey_error *error)
{
    cleanup_json struct json json = { 0 };
    char server[URL_AUTHORITY_SIZE];
    const cJSON *item;
    int r;

    url_authority(&asked->url, server);
    r = json_parse(&json, "reply", response->body.data ? response->body.data : "",
                   response->body.length, 0, error);
    if (r < 0)
        return error_wrap(error, "%s answers %.200s with what is no JSON", server,
                          asked->url.target);
    cJSON_ArrayForEach(item, json_member(step, "take")) {
        if (r == 0)
            r = take_one(run, step, item, json.root, server, error);
    }
    return r;
}

static int run_step(struct recipe_run *run, const cJSON *step, struct pullkey_error *error)
{
    cleanup_recipe_request struct recipe_request asked;
    cleanup_response struct http_response response = { 0 };
    int r = recipe_request_make(run, step, &asked, error);

    if (r == 0)
        r = exchange_send(run->exchange, &asked.request, &response, error);
    if (r < 0)
        return r;
    if (!is_expected(step, response.status))
        return refuse(run, &asked, &response, error);
    return take(run, step, &asked, &response, error);
}

/* What the server said, else what the secret says of itself, else what the recipe knows. */
static int find_expiry(const struct recipe_run *run, const struct pullkey_secret *secret,
                       int64_t *ret, struct pullkey_error *error)
{
    const char *text = settings_text(run->recipe->answer, "expires_in");
    const cJSON *lifetime = json_member(run->recipe->answer, "lifetime");
    const int64_t now = run->exchange->host->wall_seconds();
    cleanup_buffer struct buffer seconds = BUFFER_INIT(LIFE_TEXT_MAX);
    int r;

    /* A password that is stored somewhere: nobody keeps it. */
    *ret = 0;
    if (lifetime && lifetime->valueint == 0)
        return 0;
    r = text ? recipe_expand(&run->values, text, RECIPE_TEXT, &seconds, error) : 0;
    if (r == 0 && seconds.length > 0)
        r = expiry_in(&(cJSON){ .type = cJSON_String, .valuestring = seconds.data }, now, ret,
                      error);
    if (r < 0)
        return error_wrap(error, "the life of the token that the recipe \"%s\" got",
                          run->recipe->name);
    if (seconds.length > 0)
        return 0;
    *ret = expiry_jwt(secret, now);
    if (*ret == 0)
        *ret = now + (lifetime ? lifetime->valueint : EXPIRY_UNKNOWN_SECONDS);
    return expiry_check(*ret, now, error);
}

static bool has_control(const char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return true;
    return false;
}

static int answer(const struct recipe_run *run, struct pullkey_credential *ret,
                  struct pullkey_error *error)
{
    cleanup_buffer struct buffer username = BUFFER_INIT(PULLKEY_USERNAME_MAX);
    cleanup_buffer struct buffer secret = BUFFER_INIT(PULLKEY_SECRET_MAX);
    const char *name = settings_text(run->recipe->answer, "username");
    struct pullkey_secret view;
    int64_t expiry;
    int r = recipe_expand(&run->values, name, RECIPE_TEXT, &username, error);

    if (r == 0)
        r = recipe_expand(&run->values, settings_text(run->recipe->answer, "secret"), RECIPE_TEXT,
                          &secret, error);
    if (r < 0)
        return r;
    if (username.length == 0 || secret.length == 0)
        return error_set(error, PULLKEY_INVALID,
                         "the recipe \"%s\" has got no %s%s%s: run \"pullkey recipe test\" to see "
                         "its steps",
                         run->recipe->name, secret.length == 0 ? "secret" : "user name",
                         run->missing[0] != '\0' ? ", as " : "", run->missing);
    if (has_control(username.data))
        return error_set(error, PULLKEY_INVALID,
                         "the user name that the recipe \"%s\" got has control characters",
                         run->recipe->name);
    view = (struct pullkey_secret){ secret.data, secret.length };
    run->exchange->is_username_secret = recipe_is_secret(&run->values, name);
    r = find_expiry(run, &view, &expiry, error);
    if (r == 0 && expiry != 0 && !text_is_ascii(secret.data, secret.length, '!'))
        r = error_set(error, PULLKEY_INVALID,
                      "the token that the recipe \"%s\" got holds bytes that no token may have; if "
                      "it is a password, the recipe must have \"lifetime\": 0",
                      run->recipe->name);
    return r < 0 ? r : exchange_answer(run->exchange, username.data, &view, expiry, ret, error);
}

static int recipe_get(struct exchange *exchange, struct pullkey_credential *ret,
                      struct pullkey_error *error)
{
    cleanup_json struct json claims = { 0 };
    cleanup_run struct recipe_run run = { .exchange = exchange,
                                          .recipe = &exchange->settings->recipe };
    const cJSON *step;
    int r = check_registry(&run, error);

    if (r == 0)
        r = set_variables(&run, error);
    if (r == 0)
        r = set_request(&run, error);
    if (r == 0)
        r = recipe_run_servers(&run, error);
    if (r == 0)
        r = set_identity(&run, &claims, error);
    cJSON_ArrayForEach(step, run.recipe->steps) {
        if (r == 0)
            r = run_step(&run, step, error);
    }
    return r < 0 ? r : answer(&run, ret, error);
}

/* -- At open ---------------------------------------------------------------------------------- */

static int check_variables(const struct settings *settings, struct pullkey_error *error)
{
    const struct recipe *recipe = &settings->recipe;
    const cJSON *item;

    cJSON_ArrayForEach(item, settings->variables) {
        if (!json_member(recipe->variables, item->string))
            return json_error(&settings->json, item, error,
                              "the recipe \"%s\" has no such variable", recipe->name);
        if (!cJSON_IsString(item))
            return json_error(&settings->json, item, error, "must be text");
    }
    cJSON_ArrayForEach(item, recipe->variables) {
        if (!settings_text(settings->variables, item->string) && !settings_text(item, "default"))
            return error_set(error, PULLKEY_INVALID,
                             "the recipe \"%s\" needs the variable \"%s\" (%s): give it under "
                             "\"variables\"",
                             recipe->name, item->string, settings_text(item, "description"));
    }
    return 0;
}

/*
 * What chooses the identity of a recipe's own is not in the instance's options, so a kept
 * credential belongs to one identity only where token.inputs has the source anyway.
 */
static int check_own_identity(const struct json *json, const cJSON *identity,
                              struct pullkey_error *error)
{
    const char *variable = settings_text(identity, "env");

    if (json_member(identity, "github") || json_member(identity, "kubelet") ||
        (variable && strcmp(variable, "CI_JOB_TOKEN") == 0))
        return 0;
    return json_error(json, identity, error,
                      "a recipe itself may have \"github\", \"kubelet\" or \"env\" with "
                      "CI_JOB_TOKEN; give another \"identity\" in the configuration, beside "
                      "\"recipe\"");
}

/* A recipe's own is checked as a part of its file. */
static int check_identity(const struct settings *settings, struct pullkey_error *error)
{
    const struct settings own = { .json = settings->recipe.json };
    const cJSON *identity = settings->recipe.identity;
    int r;

    if (settings->identity)
        return identity_check(settings, settings->identity, error);
    if (identity) {
        r = identity_check(&own, identity, error);
        return r < 0 ? r : check_own_identity(&own.json, identity, error);
    }
    if (!settings->recipe.asks_identity)
        return 0;
    return error_set(error, PULLKEY_INVALID,
                     "the recipe \"%s\" needs an \"identity\": say where its token comes from",
                     settings->recipe.name);
}

static int check_endpoints(const struct settings *settings, struct pullkey_error *error)
{
    const cJSON *item, *server;

    cJSON_ArrayForEach(item, settings->endpoints) {
        bool is_known = false;

        cJSON_ArrayForEach(server, settings->recipe.servers) {
            struct pullkey_error ignored;
            struct url url;

            if (strcmp(server->valuestring, "https://${host}") == 0 ||
                (url_parse(server->valuestring, &url, &ignored) == 0 &&
                 strcmp(url.host, item->string) == 0))
                is_known = true;
        }
        if (!is_known)
            return json_error(&settings->json, item, error,
                              "must be called as the host of a server of the recipe \"%s\"",
                              settings->recipe.name);
    }
    return 0;
}

static int recipe_check(const struct settings *settings, struct pullkey_error *error)
{
    /* Those of a cloud may be about its identity. */
    static const struct {
        const char *option, *source;
    } others[] = { { "oauth", "" }, { "aws", "aws" }, { "azure", "azure" }, { "google", "gcp" } };
    int r;

    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        const cJSON *item = json_member(settings->json.root, others[i].option);

        if (item && !json_member(settings->identity, others[i].source))
            return json_error(&settings->json, item, error, "the recipe \"%s\" has no such option",
                              settings->recipe.name);
    }
    if (settings->hosts && !settings->recipe.registries)
        return json_error(&settings->json, settings->hosts, error,
                          "the recipe \"%s\" serves every registry that a rule has for it",
                          settings->recipe.name);
    r = registry_host_check(settings, error);
    if (r == 0)
        r = check_variables(settings, error);
    if (r == 0)
        r = check_identity(settings, error);
    return r == 0 ? check_endpoints(settings, error) : r;
}

const struct provider recipe_provider = { .check = recipe_check, .get = recipe_get };
