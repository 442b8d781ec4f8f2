/* SPDX-License-Identifier: Apache-2.0 */
/* May the node request tokens for the audiences of the configuration? The API server says. */
#include "kubelet.h"

#include <stddef.h>
#include <string.h>

#include "base/error.h"
#include "core/resolve-chain.h"

#define VERB "request-serviceaccounts-token-audience"

/* Since minor 3. */
static bool can_review(const struct pullkey_backend *backend)
{
    return backend->module.size >= offsetof(struct pullkey_backend, review) + sizeof(void *) &&
           backend->review;
}

static int open_module(const struct kubelet_check *check, const struct resolve *resolve,
                       struct resolve_opened *ret, struct pullkey_error *error)
{
    cleanup_buffer struct buffer options = BUFFER_INIT(2 * FILE_PATH_MAX);
    int r;

    /* Some source must be named; it is not asked. */
    buffer_append_text(&options, "{\"selector\":\"review\",\"kubeconfig\":");
    json_write_name(&options, check->kubeconfig);
    buffer_append_text(&options, "}");
    r = buffer_check(&options, error);
    if (r == 0)
        r = resolve_open_with(resolve, "kubernetes", options.data, ret, error);
    if (r == 0 && !can_review(ret->backend))
        r = error_set(error, PULLKEY_UNSUPPORTED,
                      "the module \"kubernetes\" is of an older release: install it again");
    return r;
}

static int review(struct kubelet_check *check, const struct kubelet_provider *provider,
                  const struct resolve_opened *opened, int64_t deadline_ms,
                  struct pullkey_error *error)
{
    const char *audience =
        kubelet_string(provider->file, provider->tokens, "serviceAccountTokenAudience");
    int r;

    if (!audience)
        return 0;
    r = opened->backend->review(opened->state, VERB, audience, deadline_ms, error);
    if (r != -PULLKEY_DENIED)
        return r;
    kubelet_find(check, provider->file,
                 json_member(provider->tokens, "serviceAccountTokenAudience"), OUTPUT_WARNING,
                 "audience-denied",
                 "bind the group system:nodes to a ClusterRole with verbs [\"" VERB
                 "\"] and this audience as its resource; only pods that have a token for it "
                 "already need none",
                 "the node may not request tokens of every service account for this audience, and "
                 "the kubelet never asks %s for the others (a role that names service accounts or "
                 "is of one namespace is not seen here): %s",
                 provider->name ? provider->name : "the provider", error->message);
    return 0;
}

static bool has_tokens(const struct kubelet_check *check)
{
    for (size_t i = 0; i < check->provider_count; i++)
        if (check->providers[i].tokens)
            return true;
    return false;
}

void kubelet_check_audiences(struct kubelet_check *check)
{
    static const struct config no_config;
    cleanup_opened struct resolve_opened opened = { 0 };
    struct pullkey_error error = { 0 };
    struct resolve resolve;
    int r;

    if (!check->kubeconfig || !has_tokens(check))
        return;
    resolve = admin_resolve(check->config ? check->config : &no_config);
    r = open_module(check, &resolve, &opened, &error);
    for (size_t i = 0; r == 0 && i < check->provider_count; i++)
        if (check->providers[i].tokens)
            r = review(check, &check->providers[i], &opened, resolve.deadline_ms, &error);
    if (r < 0)
        findings_add(&check->findings, OUTPUT_WARNING, "audience-not-checked", NULL, 0,
                     r == -PULLKEY_UNSUPPORTED ? "install the module \"kubernetes\" of pullkey"
                                               : "see that --kubeconfig leads to the API server",
                     "whether the node may request tokens is not known: %s", error.message);
}
