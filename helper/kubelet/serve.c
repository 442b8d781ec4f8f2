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

/* How the rule that serves the request answers; the defaults where there is none. */
static struct config_kubelet_rule find_rule(const struct resolve *resolve,
                                            const struct request *request)
{
    const struct config_rule *rule =
        config_find_rule(resolve->config, &request->reference, &resolve->asker);

    return rule ? rule->kubelet : (struct config_kubelet_rule){ 0 };
}

static bool is_token(const struct pullkey_credential *credential, const char *token)
{
    return token && strlen(token) == credential->secret.length &&
           memcmp(token, credential->secret.bytes, credential->secret.length) == 0;
}

/*
 * The kubelet's cache does not know the pod, unless its cacheType is Token: what is good for one
 * pod alone must not stay in it. And what passes the token on is as good as the token.
 */
static int64_t cache_seconds(const struct config_kubelet *kubelet,
                             const struct config_kubelet_rule *rule,
                             const struct pullkey_credential *credential, const char *token)
{
    int64_t seconds = rule->cache_seconds, left;

    if (is_token(credential, token) || (credential->per_pod && !kubelet->token_cache))
        return 0;
    if (credential->expiry > 0) {
        left = credential->expiry - clock_wall_seconds() - SERVE_MARGIN_SECONDS;
        if (left < seconds)
            seconds = left > 0 ? left : 0;
    }
    return seconds;
}

static int answer(const struct config_kubelet *kubelet, const struct config_kubelet_rule *rule,
                  const struct request *request, const struct pullkey_credential *credential,
                  struct buffer *ret, struct pullkey_error *error)
{
    const struct response response = {
        .credential = credential,
        .is_registry_wide = credential->scope == PULLKEY_SCOPE_REGISTRY && !rule->image_scope,
        .anonymous_last = rule->anonymous_last,
        .cache_seconds = cache_seconds(kubelet, rule, credential, request->token),
    };

    if (is_token(credential, request->token) && !kubelet->token_cache)
        return error_set(error, PULLKEY_INVALID,
                         "the credential is the service account token itself, which the kubelet "
                         "takes from a plugin with cacheType Token only: set it in "
                         "tokenAttributes, and \"cache_type\": \"Token\" in pullkey's \"kubelet\"");
    return response_write(request, &response, ret, error);
}

static int answer_nothing(const struct config_kubelet *kubelet, const struct request *request,
                          struct buffer *ret, struct pullkey_error *error)
{
    const struct response response = { .cache_seconds = kubelet->empty_seconds };

    return response_write(request, &response, ret, error);
}

static int ask(const struct resolve *resolve, const struct request *request, struct buffer *ret,
               struct pullkey_error *error)
{
    cleanup_credential struct pullkey_credential credential = { 0 };
    const struct config_kubelet *kubelet = &resolve->config->kubelet;
    const struct config_kubelet_rule rule = find_rule(resolve, request);
    int r = resolve_get(resolve, &request->reference, &credential, NULL, error);

    if (r == 0)
        return answer(kubelet, &rule, request, &credential, ret, error);
    if (r == -PULLKEY_NOT_FOUND && rule.fail_closed)
        return error_set(error, PULLKEY_NOT_FOUND,
                         "no credential for %s, and its rule says \"fail_closed\"", request->image);
    return r == -PULLKEY_NOT_FOUND ? answer_nothing(kubelet, request, ret, error) : r;
}

static int serve_request(const struct request *request, int64_t deadline_ms, struct buffer *ret,
                         struct pullkey_error *error)
{
    cleanup_config struct config config = { 0 };
    cleanup_claims struct claims claims = { .annotations = BUFFER_INIT(0) };
    struct config_source source;
    struct resolve resolve = {
        .config = &config,
        .asker = { .caller = CONFIG_KUBELET },
        .deadline_ms = deadline_ms,
    };
    int r = 0;

    if (request->token) {
        r = claims_read(request->token, request->annotations, &claims, error);
        resolve.workload = &claims.workload;
        resolve.asker.namespace_name = claims.workload.namespace_name;
        resolve.asker.service_account = claims.workload.service_account;
    }
    if (r == 0)
        r = depth_read(&resolve.depth, error);
    if (r == 0)
        r = config_source_default(true, &source, error);
    if (r == 0)
        r = config_load(&source, &config, error);
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
