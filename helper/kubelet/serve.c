/* SPDX-License-Identifier: Apache-2.0 */
#include "serve.h"

#include <string.h>

#include "base/clock.h"
#include "base/depth.h"
#include "base/error.h"
#include "base/secret.h"
#include "claims.h"
#include "core/resolve.h"
#include "request.h"
#include "response.h"

/* What decides how a request is answered. */
struct manner {
    const struct config_kubelet *kubelet;
    struct config_kubelet_rule rule; /* the defaults where none serves the request */
    /* The kubelet's cache knows the service account and not the pod, unless its cacheType is Token:
     * what is one pod's own, be it that it has none, must not stay in it. */
    bool is_uncached;
};

static struct manner find_manner(const struct resolve *resolve, const struct request *request)
{
    const struct config_rule *rule =
        config_find_rule(resolve->config, &request->reference, &resolve->asker);
    struct manner manner = { .kubelet = &resolve->config->kubelet };

    if (rule) {
        manner.rule = rule->kubelet;
        manner.is_uncached = resolve_is_per_pod(rule) && !manner.kubelet->token_cache;
    }
    return manner;
}

static bool is_token(const struct pullkey_credential *credential, const char *token)
{
    return token && strlen(token) == credential->secret.length &&
           memcmp(token, credential->secret.bytes, credential->secret.length) == 0;
}

/* What passes the token on is as good as the token, and not kept either. */
static int64_t cache_seconds(const struct manner *manner,
                             const struct pullkey_credential *credential, const char *token)
{
    int64_t seconds = manner->rule.cache_seconds, left;

    if (credential->stale && seconds > manner->kubelet->empty_seconds)
        seconds = manner->kubelet->empty_seconds;

    if (manner->is_uncached || is_token(credential, token) ||
        (credential->per_pod && !manner->kubelet->token_cache))
        return 0;
    if (credential->expiry > 0) {
        left = credential->expiry - clock_wall_seconds() - SERVE_MARGIN_SECONDS;
        if (left < seconds)
            seconds = left > 0 ? left : 0;
    }
    return seconds;
}

static int answer(const struct manner *manner, const struct request *request,
                  const struct pullkey_credential *credential, struct buffer *ret,
                  struct pullkey_error *error)
{
    const struct response response = {
        .credential = credential,
        .is_registry_wide =
            credential->scope == PULLKEY_SCOPE_REGISTRY && !manner->rule.image_scope,
        .anonymous_last = manner->rule.anonymous_last,
        .cache_seconds = cache_seconds(manner, credential, request->token),
    };

    if (is_token(credential, request->token) && !manner->kubelet->token_cache)
        return error_set(error, PULLKEY_INVALID,
                         "the credential is the service account token itself, which the kubelet "
                         "takes from a plugin with cacheType Token only: set it in "
                         "tokenAttributes, and \"cache_type\": \"Token\" in pullkey's \"kubelet\"");
    return response_write(request, &response, ret, error);
}

/* Who is refused is not to be taken for the others of his service account. */
static int answer_nothing(const struct manner *manner, const struct request *request,
                          bool is_refused, struct buffer *ret, struct pullkey_error *error)
{
    const struct response response = {
        .cache_seconds = manner->is_uncached || is_refused ? 0 : manner->kubelet->empty_seconds,
    };

    return response_write(request, &response, ret, error);
}

static int ask(struct resolve *resolve, const struct request *request, struct buffer *ret,
               struct pullkey_error *error)
{
    cleanup_credential struct pullkey_credential credential = { 0 };
    const struct manner manner = find_manner(resolve, request);
    bool is_refused = false;
    int r;

    resolve->refused = &is_refused;
    r = resolve_get(resolve, &request->reference, &credential, NULL, error);

    if (r == 0)
        return answer(&manner, request, &credential, ret, error);
    if (r == -PULLKEY_NOT_FOUND && manner.rule.fail_closed)
        return error_set(error, PULLKEY_NOT_FOUND,
                         "no credential for %.*s, and its rule says \"fail_closed\"",
                         (int)request->image_length, request->image);
    return r == -PULLKEY_NOT_FOUND ? answer_nothing(&manner, request, is_refused, ret, error) : r;
}

static int serve_request(const struct request *request, int64_t deadline_ms, struct buffer *ret,
                         struct pullkey_error *error)
{
    cleanup_config struct config config = { 0 };
    cleanup_claims struct claims claims = { .annotations = BUFFER_INIT(0),
                                            .audiences = BUFFER_INIT(0) };
    struct config_source source;
    struct resolve resolve = {
        .config = &config,
        .asker = { .caller = CONFIG_KUBELET },
        .deadline_ms = deadline_ms,
    };
    int r = depth_read(&resolve.depth, error);

    if (r == 0)
        r = config_source_default(true, &source, error);
    if (r == 0)
        r = config_load(&source, &config, error);
    if (r == 0 && request->token) {
        r = claims_read(request->token, request->annotations, config.kubelet.audience, &claims,
                        error);
        resolve.workload = &claims.workload;
        resolve.asker.namespace_name = claims.workload.namespace_name;
        resolve.asker.service_account = claims.workload.service_account;
    }
    return r < 0 ? r : ask(&resolve, request, ret, error);
}

int serve(const struct buffer *input, int64_t deadline_ms, struct buffer *ret,
          struct pullkey_error *error)
{
    cleanup_request struct request request = { .json = { 0 } };
    int r;

    if (input->length == 0)
        return error_set(
            error, PULLKEY_INVALID,
            "there is no request on standard input: the kubelet writes one; try " SERVE_NAME
            " --help");
    r = request_parse(input->data ? input->data : "", input->length, &request, error);

    return r < 0 ? r : serve_request(&request, deadline_ms, ret, error);
}
