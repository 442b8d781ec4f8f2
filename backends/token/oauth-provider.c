/* SPDX-License-Identifier: Apache-2.0 */
/* Any token server of RFC 6749, as oauth-options.h has it. */
#include <stdio.h>
#include <string.h>

#include "assertion.h"
#include "base/error.h"
#include "base/secret.h"
#include "identity.h"
#include "oauth-options.h"
#include "providers.h"
#include "rotate.h"

#define USERNAME "token" /* registries that take tokens take any user name with them */
#define TYPE_DEFAULT "jwt"

/* One get. */
struct flow {
    struct exchange *exchange;
    const cJSON *oauth;
    struct url url;
    struct oauth_client client;
    struct pullkey_secret client_secret; /* what client.secret is */
    char what[IDENTITY_WHAT_SIZE];       /* who asks, for messages */
    bool is_refused;                     /* the server does not know this token, or no more */
    bool is_held;                        /* signals wait */
    sigset_t old;                        /* those that did before */
};

static void add_text(struct buffer *form, const char *name, const char *value)
{
    if (value)
        http_query_add(form, name, value, strlen(value));
}

static void add_secret(struct buffer *form, const char *name, const struct pullkey_secret *secret)
{
    http_query_add(form, name, secret->bytes, secret->length);
}

/* One parameter for each, or one with blanks between. */
static void add_list(struct buffer *form, const char *name, const cJSON *value, bool is_joined)
{
    cleanup_buffer struct buffer joined = BUFFER_INIT(HTTP_QUERY_MAX);
    const cJSON *item;

    if (cJSON_IsString(value))
        add_text(form, name, value->valuestring);
    if (!cJSON_IsArray(value))
        return;
    cJSON_ArrayForEach(item, value) {
        if (!is_joined) {
            add_text(form, name, item->valuestring);
            continue;
        }
        if (joined.length > 0)
            buffer_append_text(&joined, " ");
        buffer_append_text(&joined, item->valuestring);
    }
    if (joined.state != BUFFER_FINE)
        form->state = joined.state;
    else if (joined.length > 0)
        http_query_add(form, name, joined.data, joined.length);
}

/* A short name is one of RFC 8693 section 3. */
static void full_type(const char *type, char ret[OAUTH_TYPE_SIZE])
{
    (void)snprintf(ret, OAUTH_TYPE_SIZE, "%s%s", strchr(type, ':') ? "" : OAUTH_TYPE, type);
}

static void add_type(struct buffer *form, const char *name, const char *type)
{
    char text[OAUTH_TYPE_SIZE];

    if (!type)
        return;
    full_type(type, text);
    add_text(form, name, text);
}

/* Anew for each question: a server may take an assertion once only. */
static int get_client(struct flow *flow, struct pullkey_error *error)
{
    const cJSON *source = json_member(flow->oauth, "client_secret");
    const char *key = settings_text(flow->oauth, "client_key");
    const char *audience = settings_text(flow->oauth, "client_audience");
    cleanup_identity_token struct identity_token token = { 0 };
    struct assertion assertion;
    int r;

    flow->client = (struct oauth_client){
        .auth = oauth_auth_of(flow->oauth),
        .id = settings_text(flow->oauth, "client_id"),
        .is_once = key || json_member(flow->oauth, "assertion"),
    };
    secret_done(&flow->client_secret);
    if (flow->client.auth == OAUTH_NONE)
        return 0;
    if (key) {
        assertion = (struct assertion){
            .key_file = key,
            .key_id = settings_text(flow->oauth, "client_key_id"),
            .key_x5t = settings_text(flow->oauth, "client_key_x5t"),
            .issuer = flow->client.id,
            .subject = flow->client.id,
            .audience = audience ? audience : settings_text(flow->oauth, "token_url"),
        };
        r = assertion_make(&assertion, flow->exchange->host->wall_seconds(), &flow->client_secret,
                           error);
    } else {
        r = source ? identity_get_secret(flow->exchange, source, &token, error)
                   : identity_get(flow->exchange, json_member(flow->oauth, "client_assertion"),
                                  &token, error);
        if (r < 0)
            return error_wrap(error, "the client's secret");
        flow->client_secret = token.token;
        token.token = (struct pullkey_secret){ 0 };
    }
    flow->client.secret = flow->client_secret;
    return r;
}

/* What is missing beside an identity that is there is no lack of one, which may be forgiven. */
static int beside(int r, struct pullkey_error *error)
{
    if (r == -PULLKEY_NO_IDENTITY)
        error->code = PULLKEY_INVALID;
    return r < 0 ? -(int)error->code : r;
}

static int add_exchange(struct flow *flow, struct buffer *form, struct pullkey_error *error)
{
    const char *type = settings_text(flow->oauth, "subject_token_type");
    const char *actor_type = settings_text(flow->oauth, "actor_token_type");
    const cJSON *actor = json_member(flow->oauth, "actor");
    cleanup_identity_token struct identity_token subject = { 0 }, token = { 0 };
    int r = identity_get(flow->exchange, flow->exchange->settings->identity, &subject, error);

    if (r < 0)
        return r;
    (void)snprintf(flow->what, sizeof(flow->what), "%s", subject.what);
    add_text(form, "grant_type", OAUTH_TOKEN_EXCHANGE);
    add_secret(form, "subject_token", &subject.token);
    add_type(form, "subject_token_type", type ? type : TYPE_DEFAULT);
    add_type(form, "requested_token_type", settings_text(flow->oauth, "requested_token_type"));
    if (!actor)
        return 0;
    r = beside(identity_get(flow->exchange, actor, &token, error), error);
    if (r < 0)
        return error_wrap(error, "the actor");
    add_secret(form, "actor_token", &token.token);
    add_type(form, "actor_token_type", actor_type ? actor_type : TYPE_DEFAULT);
    return 0;
}

static int add_jwt(struct flow *flow, struct buffer *form, struct pullkey_error *error)
{
    const cJSON *own = json_member(flow->oauth, "assertion");
    const char *subject = settings_text(own, "subject"), *issuer = settings_text(own, "issuer");
    const char *audience = settings_text(own, "audience");
    const struct assertion assertion = {
        .key_file = settings_text(own, "key"),
        .key_id = settings_text(own, "key_id"),
        .key_x5t = settings_text(own, "key_x5t"),
        .issuer = issuer,
        .subject = subject ? subject : issuer,
        .audience = audience ? audience : settings_text(flow->oauth, "token_url"),
    };
    cleanup_identity_token struct identity_token token = { 0 };
    int r =
        own ? assertion_make(&assertion, flow->exchange->host->wall_seconds(), &token.token, error)
            : identity_get(flow->exchange, flow->exchange->settings->identity, &token, error);

    if (r < 0)
        return r;
    if (own)
        (void)snprintf(token.what, sizeof(token.what), "a JWT of %s", issuer);
    (void)snprintf(flow->what, sizeof(flow->what), "%s", token.what);
    add_text(form, "grant_type", OAUTH_JWT_BEARER);
    add_secret(form, "assertion", &token.token);
    return 0;
}

static void add_rest(const struct flow *flow, struct buffer *form)
{
    const cJSON *item;

    add_list(form, "audience", json_member(flow->oauth, "audience"), false);
    add_list(form, "resource", json_member(flow->oauth, "resource"), false);
    add_list(form, "scope", json_member(flow->oauth, "scope"), true);
    cJSON_ArrayForEach(item, json_member(flow->oauth, "parameters")) {
        add_text(form, item->string, item->valuestring);
    }
}

static bool is_invalid_grant(const struct http_response *response)
{
    cleanup_json struct json json = { 0 };
    struct pullkey_error ignored;
    const char *code;

    if (response->status != 400 || response->body.length == 0 ||
        json_parse(&json, "reply", response->body.data, response->body.length, 0, &ignored) < 0)
        return false;
    code = settings_text(json.root, "error");
    return code && strcmp(code, "invalid_grant") == 0;
}

/* From the first question on, that is; not while somebody else's lock or program is waited for. */
static void hold(struct flow *flow)
{
    if (!flow->is_held)
        rotate_hold(&flow->old);
    flow->is_held = true;
}

static void release(struct flow *flow)
{
    if (flow->is_held)
        rotate_release(&flow->old);
    flow->is_held = false;
}

static int post(struct flow *flow, struct buffer *form, struct http_response *response,
                struct oauth_reply *ret, struct pullkey_error *error)
{
    char server[URL_AUTHORITY_SIZE];
    int r;

    if (oauth_grant_of(flow->oauth) == OAUTH_GRANT_REFRESH)
        hold(flow);
    r = oauth_ask(flow->exchange, &flow->url, form, &flow->client, response, error);
    flow->is_refused = is_invalid_grant(response);
    if (r < 0)
        return r;
    url_authority(&flow->url, server);
    return oauth_answer(flow->exchange, response, server, flow->what, form, ret, error);
}

static int ask_once(struct flow *flow, const struct pullkey_secret *refresh_token,
                    struct http_response *response, struct oauth_reply *ret,
                    struct pullkey_error *error)
{
    cleanup_buffer struct buffer form = BUFFER_INIT(OAUTH_FORM_MAX);
    const char *client_id = settings_text(flow->oauth, "client_id");
    const enum oauth_grant grant = oauth_grant_of(flow->oauth);
    int r = 0;

    flow->is_refused = false;
    switch (grant) {
    case OAUTH_GRANT_EXCHANGE: r = add_exchange(flow, &form, error); break;
    case OAUTH_GRANT_JWT: r = add_jwt(flow, &form, error); break;
    case OAUTH_GRANT_REFRESH:
        add_text(&form, "grant_type", "refresh_token");
        add_secret(&form, "refresh_token", refresh_token);
        break;
    case OAUTH_GRANT_CLIENT:
    default:
        (void)snprintf(flow->what, sizeof(flow->what), "the client %.100s",
                       client_id ? client_id : "without a name");
        add_text(&form, "grant_type", "client_credentials");
    }
    if (r == 0) {
        r = get_client(flow, error);
        r = grant == OAUTH_GRANT_CLIENT ? r : beside(r, error);
    }
    add_rest(flow, &form);
    return r < 0 ? r : post(flow, &form, response, ret, error);
}

/* What is signed here has an id that a server may take once, so it is signed anew each time. */
static int ask(struct flow *flow, const struct pullkey_secret *refresh_token,
               struct oauth_reply *ret, struct pullkey_error *error)
{
    for (unsigned int attempt = 0;; attempt++) {
        cleanup_response struct http_response response = { 0 };
        int r = ask_once(flow, refresh_token, &response, ret, error);

        if (r != -PULLKEY_UNREACHABLE || !flow->client.is_once || response.status < 400 ||
            !http_wait_next(flow->exchange->http, &response, attempt))
            return r;
    }
}

/* Under the lock of the file from its reading to the writing of the new token, if there is one. */
static int refresh(struct flow *flow, struct oauth_reply *ret, struct pullkey_error *error)
{
    const char *path = settings_text(flow->oauth, "refresh_token_file");
    const int64_t deadline_ms = flow->exchange->request->deadline_ms;
    cleanup_oauth_reply struct oauth_reply reply = { 0 };
    cleanup_rotate struct rotate rotate = ROTATE_INIT;
    struct pullkey_error ignored;
    bool is_changed = false;
    int r = rotate_open(path, deadline_ms, &rotate, error);

    if (r < 0)
        return r;
    (void)snprintf(flow->what, sizeof(flow->what), "the refresh token in %s", path);
    r = ask(flow, &rotate.token, &reply, error);
    if (r < 0 && flow->is_refused && rotate_again(&rotate, &is_changed, &ignored) == 0 &&
        is_changed) {
        release(flow);
        r = ask(flow, &rotate.token, &reply, error);
    }
    /* Also where the answer is refused otherwise. */
    if (reply.refresh_token.length > 0) {
        int kept = rotate_replace(&rotate, &reply.refresh_token, r < 0 ? &ignored : error);

        r = r < 0 ? r : kept;
    }
    if (r < 0)
        return r;
    *ret = reply;
    reply = (struct oauth_reply){ 0 };
    return 0;
}

static int refresh_whole(struct flow *flow, struct oauth_reply *ret, struct pullkey_error *error)
{
    int r = refresh(flow, ret, error);

    release(flow);
    return r;
}

static int check_issued(const struct flow *flow, const struct oauth_reply *reply,
                        struct pullkey_error *error)
{
    const char *type = settings_text(flow->oauth, "requested_token_type");
    char text[OAUTH_TYPE_SIZE];

    if (!type || reply->issued_type[0] == '\0')
        return 0;
    full_type(type, text);
    return strcmp(reply->issued_type, text) == 0
               ? 0
               : error_set(error, PULLKEY_INVALID,
                           "the token server %s issues a token of another type than %s: leave out "
                           "\"requested_token_type\" if that is fine",
                           flow->url.host, text);
}

static int oauth_get(struct exchange *exchange, struct pullkey_credential *ret,
                     struct pullkey_error *error)
{
    struct flow flow = { .exchange = exchange, .oauth = exchange->settings->oauth };
    const char *username = settings_text(flow.oauth, "username");
    cleanup_oauth_reply struct oauth_reply reply = { 0 };
    int r;

    /* Without a request to anybody, and before a one-time token is used. */
    if (exchange->request->http)
        return error_set(error, PULLKEY_NOT_FOUND,
                         "a registry without TLS is no registry of \"oauth\"");
    r = url_parse(settings_text(flow.oauth, "token_url"), &flow.url, error);
    if (r == 0)
        r = oauth_grant_of(flow.oauth) == OAUTH_GRANT_REFRESH ? refresh_whole(&flow, &reply, error)
                                                              : ask(&flow, NULL, &reply, error);
    if (r == 0)
        r = check_issued(&flow, &reply, error);
    secret_done(&flow.client_secret);
    return r < 0 ? r
                 : exchange_answer(exchange, username ? username : USERNAME, &reply.access_token,
                                   reply.expiry, ret, error);
}

const struct provider oauth_provider = {
    .recipe = "oauth",
    .check = oauth_check,
    .get = oauth_get,
};
