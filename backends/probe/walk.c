/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way of a client to an image, step by step, for `pullkey doctor`: the same requests as a check
 * makes, a token for the repository, and the manifest's head. Each step is told as it is done; the
 * first that fails is the last.
 */
#include "walk.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "base/secret.h"
#include "grant.h"
#include "token.h"

#define SCOPE_MAX 512

/* -- The registry ----------------------------------------------------------------------------- */

/* The first request, which shows the connection too. */
static bool ask_api(struct walk *walk, const char *target, enum http_method method,
                    unsigned int attempts, struct http_response *ret, struct pullkey_error *error)
{
    static const char *const accept[] = {
        "Accept: application/vnd.oci.image.index.v1+json, "
        "application/vnd.oci.image.manifest.v1+json, "
        "application/vnd.docker.distribution.manifest.list.v2+json, "
        "application/vnd.docker.distribution.manifest.v2+json",
        NULL,
    };
    const struct pullkey_credential *credential = walk->wanted->credential;
    struct url url = walk->check.registry;

    (void)snprintf(url.target, sizeof(url.target), "%s", target);
    return http_send(walk->check.http,
                     &(struct http_request){
                         .url = &url,
                         .method = method,
                         .scheme = walk->scheme,
                         .username = walk->scheme == HTTP_BASIC ? credential->username : NULL,
                         .secret = walk->scheme == HTTP_BASIC ? &credential->secret : &walk->token,
                         .headers = method == HTTP_HEAD ? accept : NULL,
                         .attempts = attempts,
                         .allow_http = true,
                     },
                     ret, error) >= 0;
}

/* A web server that has a page for everything. */
static bool is_html(const struct http_response *response)
{
    const char *value;
    size_t at = 0, length;

    return http_header(response, "content-type", &at, &value, &length) && length >= 9 &&
           memcmp(value, "text/html", 9) == 0;
}

/* Tells what it wants; *ret has nothing where that is nothing. */
static bool tell_challenge(struct walk *walk, const struct http_response *response,
                           struct challenges *ret)
{
    const struct check *check = &walk->check;
    struct pullkey_error error;

    if (response->status == 200 && is_html(response))
        return walk_tell(walk, "challenge", PULLKEY_STEP_FAILED, -1, "not-a-registry",
                         "%s is not a container registry: it answers GET " CHECK_TARGET
                         " with a web page",
                         check->server);
    if (response->status == 200)
        return walk_tell(walk, "challenge", PULLKEY_STEP_FINE, -1, "", "%s asks for no credential",
                         check->server);
    if (response->status == 403)
        return walk_tell(
            walk, "challenge", PULLKEY_STEP_FAILED, -1, "forbidden",
            "%s lets nobody from here in (it answers 403 before it has seen a credential); "
            "ask those who run it",
            check->server);
    if (response->status != 401) {
        (void)check_explain_status(check, response->status, &error);
        return walk_fail(walk, "challenge", "not-a-registry", &error);
    }
    if (check_read_challenges(check, response, ret, &error) < 0)
        return walk_fail(walk, "challenge", "not-a-registry", &error);
    return walk_tell(walk, "challenge", PULLKEY_STEP_FINE, -1, "", "%s wants %s", check->server,
                     challenges_find(ret, "bearer")  ? "a token"
                     : challenges_find(ret, "basic") ? "user name and password"
                                                     : "a credential of an unknown kind");
}

/* -- The token -------------------------------------------------------------------------------- */

static bool is_refused(long status)
{
    return status == 401 || status == 403;
}

static bool tell_grant(struct walk *walk, const char *server)
{
    const char *name = walk->wanted->repository;
    const int grant = grant_read(&walk->token, name);

    if (name[0] == '\0')
        return true;
    if (grant == GRANT_UNKNOWN)
        return walk_tell(walk, "scope", PULLKEY_STEP_FINE, -1, "",
                         "unknown: the token does not say what it is good for");
    if (grant & GRANT_PULL)
        return walk_tell(walk, "scope", PULLKEY_STEP_FINE, -1, "", "pull%s%s of %s",
                         grant & GRANT_PUSH ? ", push" : "", grant & GRANT_DELETE ? ", delete" : "",
                         name);
    if (!walk->wanted->credential)
        return walk_tell(walk, "scope", PULLKEY_STEP_FAILED, -1, "no-credential",
                         "%s gives no right to pull %s without a credential", server, name);
    return walk_tell(
        walk, "scope", PULLKEY_STEP_FAILED, -1, "no-right",
        "%s gives %s no right to pull %s: it does not exist, or its owner has to add the "
        "right",
        server, walk->wanted->credential->username, name);
}

static bool is_identity(const struct walk *walk)
{
    return walk->wanted->credential && walk->wanted->credential->kind == PULLKEY_IDENTITY_TOKEN;
}

/* Some servers refuse who is right but may not pull that; then a token without a scope is given. */
static const char *refusal_cause(struct walk *walk, const struct challenge *challenge,
                                 const struct realm *realm)
{
    cleanup_secret struct pullkey_secret token = { 0 };
    struct pullkey_error ignored;

    if (!walk->wanted->credential)
        return "no-credential";
    if (walk->wanted->repository[0] != '\0' &&
        token_fetch(walk->check.http, challenge, realm, walk->wanted->credential, NULL, &token,
                    &ignored) == 0)
        return "no-right";
    return is_identity(walk) ? "identity-token-refused" : "refused-by-token-server";
}

static bool tell_realm(struct walk *walk, const char *server)
{
    return walk_tell(
        walk, "token", PULLKEY_STEP_FAILED, WALK_SINCE, "token-server",
        "%s names the token server %s, a place that a registry has no business to name; if "
        "it is right, allow it here (--realm)",
        walk->check.server, server);
}

static bool fetch_token(struct walk *walk, const struct challenge *challenge)
{
    const char *text = challenge_parameter(challenge, "realm");
    const char *repository = walk->wanted->repository;
    char server[URL_AUTHORITY_SIZE], scope[SCOPE_MAX];
    struct pullkey_error error;
    struct realm realm;
    int r;

    if (!text)
        return walk_tell(walk, "token", PULLKEY_STEP_FAILED, -1, "not-a-registry",
                         "%s asks for a token and names no token server", walk->check.server);
    r = url_parse(text, &realm.url, &error);
    if (r < 0)
        return walk_fail(walk, "token", "token-server", &error);
    url_authority(&realm.url, server);
    r = realm_check(text, &walk->check.registry, &walk->check.settings.realms, &realm, &error);
    if (r == -PULLKEY_DENIED)
        return tell_realm(walk, server);
    if (r < 0)
        return walk_fail(walk, "token", "token-server", &error);
    (void)snprintf(scope, sizeof(scope), "repository:%s:pull", repository);
    r = token_fetch(walk->check.http, challenge, &realm, walk->wanted->credential,
                    repository[0] != '\0' ? scope : NULL, &walk->token, &error);
    if (strcmp(http_cause(walk->check.http), "forbidden-address") == 0)
        return tell_realm(walk, server);
    if (r == -PULLKEY_DENIED && http_cause(walk->check.http)[0] == '\0') {
        const char *cause = refusal_cause(walk, challenge, &realm);

        if (strcmp(cause, "no-right") != 0)
            return walk_fail(walk, "token", cause, &error);
        return walk_tell(walk, "token", PULLKEY_STEP_FAILED, WALK_SINCE, cause,
                         "the token server %s knows %s and gives no right to pull %s: it does not "
                         "exist, or its owner has to add the right",
                         server, walk->wanted->credential->username, repository);
    }
    if (r < 0)
        return walk_fail(walk, "token", walk_cause(walk, "token-server"), &error);
    walk->scheme = HTTP_BEARER;
    return walk_tell(walk, "token", PULLKEY_STEP_FINE, WALK_SINCE, "", "%s gives one%s%s", server,
                     walk->wanted->credential ? " to " : " to anybody",
                     walk->wanted->credential ? walk->wanted->credential->username : "") &&
           tell_grant(walk, server);
}

static bool authorize(struct walk *walk, const struct challenges *challenges)
{
    const struct challenge *bearer = challenges_find(challenges, "bearer");
    const char *server = walk->check.server;

    if (bearer)
        return fetch_token(walk, bearer);
    if (!challenges_find(challenges, "basic"))
        return walk_tell(walk, "credential", PULLKEY_STEP_FAILED, -1, "not-a-registry",
                         "%s offers neither Basic nor Bearer authentication", server);
    if (!walk->wanted->credential)
        return walk_tell(walk, "credential", PULLKEY_STEP_FAILED, -1, "no-credential",
                         "%s wants a user name and a password, and none is stored for it", server);
    if (is_identity(walk))
        return walk_tell(
            walk, "credential", PULLKEY_STEP_FAILED, -1, "identity-token-refused",
            "%s has no token server, so it cannot take an identity token; use a user name "
            "and a password",
            server);
    walk->scheme = HTTP_BASIC;
    return true;
}

/* What is authorized is taken. */
static bool ask_again(struct walk *walk)
{
    cleanup_response struct http_response response = { 0 };
    const char *server = walk->check.server;
    struct pullkey_error error;

    if (!ask_api(walk, CHECK_TARGET, HTTP_GET, 0, &response, &error))
        return walk_fail(walk, "credential", walk_cause(walk, "unreachable"), &error);
    if (response.status == 401 && walk->scheme == HTTP_BASIC)
        return walk_tell(walk, "credential", PULLKEY_STEP_FAILED, WALK_SINCE, "wrong-password",
                         "%s refuses the user name and password of %s", server,
                         walk->wanted->credential->username);
    if (is_refused(response.status) && walk->wanted->credential)
        return walk_tell(walk, "credential", PULLKEY_STEP_FAILED, WALK_SINCE, "no-right",
                         "%s lets %s do nothing (it answers %ld)", server,
                         walk->wanted->credential->username, response.status);
    if (is_refused(response.status))
        return walk_tell(walk, "credential", PULLKEY_STEP_FAILED, WALK_SINCE, "no-credential",
                         "%s wants a credential, and none is stored for it", server);
    if (response.status != 200) {
        (void)check_explain_status(&walk->check, response.status, &error);
        return walk_fail(walk, "credential", "not-a-registry", &error);
    }
    return walk_tell(walk, "credential", PULLKEY_STEP_FINE, WALK_SINCE, "", "%s takes it", server);
}

/* -- The manifest ----------------------------------------------------------------------------- */

/* Of one of the kinds that were asked for; some servers have an answer of 200 for everything. */
static bool is_manifest(const struct http_response *response)
{
    static const char *const kinds[] = { "application/vnd.oci.image.",
                                         "application/vnd.docker.distribution.manifest." };
    const char *value;
    size_t at = 0, length;

    if (!http_header(response, "content-type", &at, &value, &length))
        return false;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (length > strlen(kinds[i]) && strncasecmp(value, kinds[i], strlen(kinds[i])) == 0)
            return true;
    return false;
}

/* A repository without the tag, or no repository. */
static bool tell_missing(struct walk *walk)
{
    cleanup_response struct http_response response = { 0 };
    const char *name = walk->wanted->repository;
    char target[URL_TARGET_MAX + 1];
    struct pullkey_error ignored;

    (void)snprintf(target, sizeof(target), "/v2/%s/tags/list?n=1", name);
    if (ask_api(walk, target, HTTP_GET, 1, &response, &ignored) && response.status == 200)
        return walk_tell(walk, "manifest", PULLKEY_STEP_FAILED, WALK_SINCE, "no-tag",
                         "%s has %s, but not %s of it", walk->check.server, name,
                         walk->wanted->tag);
    return walk_tell(walk, "manifest", PULLKEY_STEP_FAILED, WALK_SINCE, "no-repository",
                     "%s has no repository %s; is the name right?", walk->check.server, name);
}

static bool tell_forbidden(struct walk *walk, long status)
{
    const char *name = walk->wanted->repository, *server = walk->check.server;

    if (!walk->wanted->credential)
        return walk_tell(walk, "manifest", PULLKEY_STEP_FAILED, WALK_SINCE, "no-credential",
                         "%s shows nobody %s without a credential (it answers %ld)", server, name,
                         status);
    if (status == 401 && walk->scheme == HTTP_BASIC)
        return walk_tell(walk, "manifest", PULLKEY_STEP_FAILED, WALK_SINCE, "wrong-password",
                         "%s refuses the user name and password of %s", server,
                         walk->wanted->credential->username);
    return walk_tell(
        walk, "manifest", PULLKEY_STEP_FAILED, WALK_SINCE, "no-right",
        "%s does not let %s pull %s (it answers %ld): it does not exist, or its owner has "
        "to add the right",
        server, walk->wanted->credential->username, name, status);
}

static bool ask_manifest(struct walk *walk, struct http_response *ret)
{
    char target[URL_TARGET_MAX + 1];
    struct pullkey_error error;

    (void)snprintf(target, sizeof(target), "/v2/%s/manifests/%s", walk->wanted->repository,
                   walk->wanted->tag);
    return ask_api(walk, target, HTTP_HEAD, 0, ret, &error) ||
           walk_fail(walk, "manifest", walk_cause(walk, "unreachable"), &error);
}

static bool tell_manifest(struct walk *walk)
{
    cleanup_response struct http_response response = { 0 };
    const char *digest = "";
    size_t at = 0, length = 0;

    if (!ask_manifest(walk, &response))
        return false;
    /* One that lets everybody in may still want a credential for this. */
    if (response.status == 401 && walk->scheme == HTTP_NO_AUTH) {
        cleanup_challenges struct challenges challenges = { 0 };

        if (!tell_challenge(walk, &response, &challenges) || !authorize(walk, &challenges))
            return false;
        http_response_done(&response);
        if (!ask_manifest(walk, &response))
            return false;
    }
    if (is_refused(response.status))
        return tell_forbidden(walk, response.status);
    if (response.status == 404)
        return tell_missing(walk);
    if (response.status != 200)
        return walk_tell(walk, "manifest", PULLKEY_STEP_FAILED, WALK_SINCE, "broken-answer",
                         "%s answers %ld to HEAD /v2/%s/manifests/%s", walk->check.server,
                         response.status, walk->wanted->repository, walk->wanted->tag);
    if (!is_manifest(&response))
        return walk_tell(walk, "manifest", PULLKEY_STEP_FAILED, WALK_SINCE, "broken-answer",
                         "%s answers HEAD /v2/%s/manifests/%s with what is not a manifest; is it a "
                         "container registry?",
                         walk->check.server, walk->wanted->repository, walk->wanted->tag);
    /* Nothing else that the registry might send back to whom it knows a secret of. */
    if (!http_header(&response, "docker-content-digest", &at, &digest, &length) ||
        length != strlen("sha256:") + 64 || strncmp(digest, "sha256:", 7) != 0 ||
        strspn(digest + 7, "0123456789abcdef") < 64)
        length = 0;
    return walk_tell(walk, "manifest", PULLKEY_STEP_FINE, WALK_SINCE, "", "it is there%s%.*s",
                     length > 0 ? ": " : "", (int)length, digest);
}

static void run(struct walk *walk)
{
    cleanup_response struct http_response response = { 0 };
    cleanup_challenges struct challenges challenges = { 0 };
    struct pullkey_error error;
    const bool answered = ask_api(walk, CHECK_TARGET, HTTP_GET, 1, &response, &error);

    if (!walk_tell_connection(walk, &response, answered ? NULL : &error) ||
        !tell_challenge(walk, &response, &challenges))
        return;
    if (challenges.count > 0 && !authorize(walk, &challenges))
        return;
    if (walk->wanted->tag[0] != '\0')
        (void)tell_manifest(walk);
    else if (challenges.count > 0)
        (void)ask_again(walk);
}

int probe_walk(const struct pullkey_host *host, const struct pullkey_walk *wanted,
               struct pullkey_error *error)
{
    struct walk walk = {
        .check = { .host = host, .credential = wanted->credential },
        .wanted = wanted,
        .options = { .source = CHECK_SOURCE,
                     .certificates = true,
                     .deadline_ms = wanted->request->deadline_ms },
        .began = host->monotonic_ms(),
    };
    int r = probe_settings_parse(wanted->options, &walk.check.settings, error);

    if (r < 0)
        return r;
    /* Beside the system's, as docker has it. */
    walk.options.ca_file = walk.check.settings.ca_file;
    if (walk.options.ca_file)
        walk.options.ca_dir = http_system_authorities();
    if (check_find_registry(&walk.check, wanted->request, error) < 0) {
        (void)walk_fail(&walk, "registry", "plain-http", error);
    } else {
        (void)snprintf(walk.advice, sizeof(walk.advice),
                       "for docker, put the authority's certificate into "
                       "/etc/docker/certs.d/%s/ca.crt",
                       walk.check.server);
        walk.options.ca_advice = walk.advice;
        r = http_open(host, &walk.options, &walk.check.http, error);
        if (r == 0)
            run(&walk);
    }
    http_close(walk.check.http);
    secret_done(&walk.token);
    probe_settings_done(&walk.check.settings);
    return r;
}
