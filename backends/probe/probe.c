/* SPDX-License-Identifier: Apache-2.0 */
/* Asks a registry whether a credential is good, as docker's registry API and token specification
 * say. */
#include "base/error.h"
#include "base/random.h"
#include "base/secret.h"
#include "check.h"
#include "token.h"

#include <stdio.h>
#include <string.h>

#define SOURCE CHECK_SOURCE
#define HUB_HOST "docker.io"
#define HUB_API "registry-1.docker.io" /* where the API of Docker Hub lives */
#define CONTROL_NAME "pullkey-control-"
#define CONTROL_BYTES 8

/* A credential that nobody has. */
struct nobody {
    char name[sizeof(CONTROL_NAME) + 2 * CONTROL_BYTES];
    struct pullkey_credential credential; /* points to the name */
};

int check_find_registry(struct check *check, const struct pullkey_request *request,
                        struct pullkey_error *error)
{
    char text[URL_AUTHORITY_SIZE + 16];
    int r;

    if (request->host[0] == '\0')
        return error_set(error, PULLKEY_UNSUPPORTED,
                         "this key does not name a registry, so nothing can be asked");
    if (check->settings.has_endpoint) {
        check->registry = check->settings.endpoint;
    } else {
        const char *name = strcmp(request->host, HUB_HOST) == 0 ? HUB_API : request->host;
        char port[8] = "";

        if (request->port != 0)
            (void)snprintf(port, sizeof(port), ":%u", (unsigned int)request->port);
        (void)snprintf(text, sizeof(text), "%s%s%s", request->http ? "http://" : "https://", name,
                       port);
        r = url_parse(text, &check->registry, error);
        if (r < 0)
            return r;
    }
    url_authority(&check->registry, check->server);
    if (!check->registry.https && !url_is_loopback(&check->registry))
        return error_set(error, PULLKEY_DENIED,
                         "http://%s would get the credential in clear text; plain http is for "
                         "registries on this machine only",
                         check->server);
    (void)snprintf(check->registry.target, sizeof(check->registry.target), CHECK_TARGET);
    return 0;
}

static int ask_registry(const struct check *check, enum http_scheme scheme,
                        const struct pullkey_credential *credential,
                        const struct pullkey_secret *secret, struct http_response *ret,
                        struct pullkey_error *error)
{
    return http_send(check->http,
                     &(struct http_request){
                         .url = &check->registry,
                         .scheme = scheme,
                         .username = credential ? credential->username : NULL,
                         .secret = secret,
                         .allow_http = true,
                     },
                     ret, error);
}

int check_explain_status(const struct check *check, long status, struct pullkey_error *error)
{
    if (status == 404)
        return error_set(error, PULLKEY_INVALID,
                         "%s is not a container registry (it answers 404 to GET " CHECK_TARGET ")",
                         check->server);
    return error_set(error, PULLKEY_INVALID,
                     "%s answers %ld to GET " CHECK_TARGET
                     ", which says nothing about the credential",
                     check->server, status);
}

/* The last step of both schemes: the API with a credential. */
static int expect_accepted(struct check *check, const struct http_response *response,
                           const char *what, struct pullkey_error *error)
{
    if (response->status == 200) {
        check->result.verdict = PULLKEY_ACCEPTED;
        return 0;
    }
    if (response->status == 401 || response->status == 403)
        return error_set(error, PULLKEY_DENIED, "the registry refuses %s (%s answers %ld)", what,
                         check->server, response->status);
    return check_explain_status(check, response->status, error);
}

/*
 * Some servers take any credential, and then a good answer proves nothing: so they are asked once
 * more, with one that nobody can have.
 */
static int make_nobody(const struct check *check, struct nobody *ret)
{
    unsigned char bytes[CONTROL_BYTES];
    struct pullkey_error ignored;
    char *digits = mempcpy(ret->name, CONTROL_NAME, sizeof(CONTROL_NAME) - 1);
    int r = random_fill(bytes, sizeof(bytes), &ignored);

    if (r < 0)
        return r;
    for (size_t i = 0; i < sizeof(bytes); i++)
        (void)snprintf(digits + 2 * i, 3, "%02x", bytes[i]);
    ret->credential = (struct pullkey_credential){
        .username = ret->name,
        .secret = { digits, strlen(digits) },
        .kind = check->credential->kind,
    };
    return 0;
}

static bool basic_takes_anybody(struct check *check)
{
    cleanup_response struct http_response response = { 0 };
    struct pullkey_error ignored;
    struct nobody nobody;

    return make_nobody(check, &nobody) == 0 &&
           ask_registry(check, HTTP_BASIC, &nobody.credential, &nobody.credential.secret, &response,
                        &ignored) >= 0 &&
           response.status == 200;
}

static bool bearer_takes_anybody(const struct check *check, const struct challenge *challenge,
                                 const struct realm *realm)
{
    cleanup_secret struct pullkey_secret token = { 0 };
    struct pullkey_error ignored;
    struct nobody nobody;

    return make_nobody(check, &nobody) == 0 &&
           token_fetch(check->http, challenge, realm, &nobody.credential, NULL, &token, &ignored) ==
               0;
}

/* The answer was good; what it is worth. */
static void weigh(struct check *check, bool takes_anybody, const char *server)
{
    if (!takes_anybody)
        return;
    check->host->log(SOURCE, "%s takes any credential", server);
    check->result.verdict = PULLKEY_OPEN;
}

static int check_basic(struct check *check, struct pullkey_error *error)
{
    cleanup_response struct http_response response = { 0 };
    int r;

    if (check->credential->kind == PULLKEY_IDENTITY_TOKEN)
        return error_set(error, PULLKEY_UNSUPPORTED,
                         "%s has no token server, so it cannot take an identity token; use a user "
                         "name and a password",
                         check->server);
    r = ask_registry(check, HTTP_BASIC, check->credential, &check->credential->secret, &response,
                     error);
    if (r < 0)
        return r;
    (void)snprintf(check->result.scheme, sizeof(check->result.scheme), "Basic");
    r = expect_accepted(check, &response, "this user name and password", error);
    if (r == 0)
        weigh(check, basic_takes_anybody(check), check->server);
    return r;
}

static int check_bearer(struct check *check, const struct challenge *challenge,
                        const struct realm *realm, struct pullkey_error *error)
{
    cleanup_secret struct pullkey_secret token = { 0 };
    cleanup_response struct http_response response = { 0 };
    char server[URL_AUTHORITY_SIZE];
    int r;

    url_authority(&realm->url, server);
    if (!realm->same_server)
        (void)snprintf(check->result.realm_host, sizeof(check->result.realm_host), "%.*s",
                       (int)sizeof(check->result.realm_host) - 1, server);
    check->host->log(SOURCE, "token server %s%s", server,
                     realm->public_only ? ", at a public address only" : "");
    r = token_fetch(check->http, challenge, realm, check->credential, NULL, &token, error);
    if (r < 0)
        return r;
    r = ask_registry(check, HTTP_BEARER, check->credential, &token, &response, error);
    if (r < 0)
        return r;
    (void)snprintf(check->result.scheme, sizeof(check->result.scheme), "Bearer");
    r = expect_accepted(check, &response,
                        "the token that its own token server gave for this credential", error);
    if (r == 0)
        weigh(check, bearer_takes_anybody(check, challenge, realm), server);
    return r;
}

int check_read_challenges(const struct check *check, const struct http_response *response,
                          struct challenges *ret, struct pullkey_error *error)
{
    const char *value;
    size_t at = 0, length;
    int r = 0;

    while (http_header(response, "www-authenticate", &at, &value, &length)) {
        struct pullkey_error why;

        /* One bad header does not spoil the others. */
        r = challenges_add(ret, value, length, &why);
        if (r == -PULLKEY_INTERNAL)
            return error_memory(error);
        if (r < 0)
            check->host->log(SOURCE, "%s: %s", check->server, why.message);
    }
    if (ret->count > 0)
        return 0;
    return error_set(error, PULLKEY_INVALID, "%s answers 401 %s", check->server,
                     r < 0 ? "with a malformed WWW-Authenticate header"
                           : "without a WWW-Authenticate header");
}

/* Bearer first, as all clients do; Basic where that is offered too and the token server is none to
 * send a secret to. */
static int answer_challenges(struct check *check, const struct challenges *challenges,
                             struct pullkey_error *error)
{
    const struct challenge *bearer = challenges_find(challenges, "bearer");
    const char *text = bearer ? challenge_parameter(bearer, "realm") : NULL;
    bool basic = challenges_find(challenges, "basic") != NULL;
    struct realm realm;
    int r;

    if (!bearer && !basic)
        return error_set(error, PULLKEY_UNSUPPORTED,
                         "%s offers neither Basic nor Bearer authentication", check->server);
    if (!bearer)
        return check_basic(check, error);
    if (text)
        r = realm_check(text, &check->registry, &check->settings.realms, &realm, error);
    else
        r = error_set(error, PULLKEY_INVALID,
                      "%s asks for a Bearer token and names no token server", check->server);
    if (r >= 0)
        return check_bearer(check, bearer, &realm, error);
    if (!basic || check->credential->kind == PULLKEY_IDENTITY_TOKEN)
        return r;
    check->host->log(SOURCE, "%s; Basic instead", error->message);
    return check_basic(check, error);
}

/* What the registry wants. Nothing goes to the token server, so it may be any. */
static void describe(struct check *check, const struct challenges *challenges)
{
    const struct challenge *bearer = challenges_find(challenges, "bearer");
    const char *text = bearer ? challenge_parameter(bearer, "realm") : NULL;
    char server[URL_AUTHORITY_SIZE];
    struct pullkey_error ignored;
    struct url realm;

    check->result.verdict = PULLKEY_ASKS;
    if (bearer)
        (void)snprintf(check->result.scheme, sizeof(check->result.scheme), "Bearer");
    else if (challenges_find(challenges, "basic"))
        (void)snprintf(check->result.scheme, sizeof(check->result.scheme), "Basic");
    if (!text || url_parse(text, &realm, &ignored) < 0)
        return;
    url_authority(&realm, server);
    if (strcmp(server, check->server) != 0)
        (void)snprintf(check->result.realm_host, sizeof(check->result.realm_host), "%.*s",
                       (int)sizeof(check->result.realm_host) - 1, server);
}

static int run_check(struct check *check, struct pullkey_error *error)
{
    cleanup_response struct http_response response = { 0 };
    cleanup_challenges struct challenges challenges = { 0 };
    int r = ask_registry(check, HTTP_NO_AUTH, check->credential, NULL, &response, error);

    if (r < 0)
        return r;
    if (response.status == 200) {
        check->result.verdict = PULLKEY_OPEN;
        return 0;
    }
    if (response.status != 401)
        return check_explain_status(check, response.status, error);
    r = check_read_challenges(check, &response, &challenges, error);
    if (r < 0)
        return r;
    if (check->credential)
        return answer_challenges(check, &challenges, error);
    describe(check, &challenges);
    return 0;
}

static int probe_check(const struct pullkey_host *host, const struct pullkey_request *request,
                       const struct pullkey_credential *credential, const char *options,
                       struct pullkey_probe_result *ret, struct pullkey_error *error)
{
    struct check check = { .host = host, .credential = credential };
    struct http_options http_options = { .source = SOURCE, .deadline_ms = request->deadline_ms };
    int r = probe_settings_parse(options, &check.settings, error);

    if (r < 0)
        return r;
    http_options.ca_file = check.settings.ca_file;
    http_options.ca_advice = "pass the authority's certificate with --ca-file";
    r = check_find_registry(&check, request, error);
    if (r >= 0)
        r = http_open(host, &http_options, &check.http, error);
    if (r >= 0)
        r = run_check(&check, error);
    if (r >= 0)
        *ret = check.result;
    http_close(check.http);
    probe_settings_done(&check.settings);
    return r;
}

extern const struct pullkey_probe probe_module;
const struct pullkey_probe probe_module = {
    .module = {
        .abi_major = PULLKEY_ABI_MAJOR,
        .abi_minor = PULLKEY_ABI_MINOR,
        .size = sizeof(probe_module),
        .kind = PULLKEY_KIND_PROBE,
        .type = "probe",
    },
    .check = probe_check,
    .walk = probe_walk,
};

PULLKEY_EXPORT_MODULE(probe_module);
