/* SPDX-License-Identifier: Apache-2.0 */
/* tokenAttributes: tokens of service accounts, which depend on the version of the kubelet. */
#include "kubelet.h"

#include <string.h>

#define NO_START "the kubelet does not start"

/* The member, or the block where it is not there. */
static const cJSON *place_of(const struct kubelet_provider *provider, const char *key)
{
    const cJSON *item = json_member(provider->tokens, key);

    return item ? item : provider->tokens;
}

static bool is_absent(const struct kubelet_provider *provider, const char *key)
{
    return kubelet_type(provider->file, json_member(provider->tokens, key)) == KUBELET_TYPE_NULL;
}

/* -- Versions --------------------------------------------------------------------------------- */

static void check_gate(struct kubelet_check *check, const struct kubelet_provider *provider)
{
    const struct kubelet_node *node = &check->node;
    bool is_off = node->gate == KUBELET_GATE_OFF;

    if (is_off ||
        (kubelet_is_before(&node->version, KUBELET_TOKENS_BETA) && node->gate != KUBELET_GATE_ON))
        kubelet_find(check, provider->file, provider->tokens,
                     is_off ? OUTPUT_ERROR : OUTPUT_WARNING, "token-gate",
                     "switch the feature gate " KUBELET_GATE
                     " on, for the kubelet and, in 1.33, for "
                     "the API server",
                     is_off ? "%s: the feature gate of tokenAttributes is off: " NO_START
                            : "%s: the feature gate of tokenAttributes is off by default in 1.33, "
                              "and the kubelet does not start without it",
                     provider->name ? provider->name : "the provider");
}

static void check_versions(struct kubelet_check *check, const struct kubelet_provider *provider)
{
    const struct kubelet_file *file = provider->file;
    const char *plugin = kubelet_string(file, provider->item, "apiVersion");
    const char *document = kubelet_string(file, file->json.root, "apiVersion");
    bool is_old = kubelet_is_before(&check->node.version, KUBELET_TOKENS);

    if (document && strcmp(document, KUBELET_GROUP "v1") != 0)
        kubelet_find(check, file, provider->tokens, OUTPUT_ERROR, "token-config-version",
                     "write apiVersion: kubelet.config.k8s.io/v1 at the top",
                     "only version v1 of the file has tokenAttributes: " NO_START);
    if (plugin && strcmp(plugin, KUBELET_PLUGIN_GROUP "v1") != 0)
        kubelet_find(check, file, provider->tokens, OUTPUT_ERROR, "token-version",
                     "write apiVersion: " KUBELET_PLUGIN_GROUP "v1 in the provider",
                     "tokenAttributes needs version v1 of the protocol: " NO_START);
    if (!is_old)
        check_gate(check, provider);
    else if (kubelet_is_before(&check->node.version, KUBELET_STRICT))
        kubelet_find(check, file, provider->tokens, OUTPUT_WARNING, "token-kubelet",
                     "use a kubelet of 1.34 or later",
                     "a kubelet before 1.33 does not know tokenAttributes, and ignores it");
    else
        kubelet_find(check, file, provider->tokens, OUTPUT_ERROR, "token-kubelet",
                     "remove it, or use a kubelet of 1.34 or later",
                     "a kubelet before 1.33 does not know tokenAttributes: " NO_START);
}

/* -- The type of the cache -------------------------------------------------------------------- */

static void check_cache_presence(struct kubelet_check *check,
                                 const struct kubelet_provider *provider)
{
    const struct kubelet_version *version = &check->node.version;
    const cJSON *item = place_of(provider, "cacheType");
    bool is_missing =
        is_absent(provider, "cacheType") || (cJSON_IsString(item) && item->valuestring[0] == '\0');

    if (is_missing && !kubelet_is_before(version, KUBELET_TOKENS_BETA))
        kubelet_find(
            check, provider->file, item, OUTPUT_ERROR, "cache-type-missing",
            "write cacheType: ServiceAccount, or Token if what is given depends on the pod",
            "since 1.34 tokenAttributes needs a cacheType: " NO_START);
    if (json_member(provider->tokens, "cacheType") &&
        kubelet_is_before(version, KUBELET_TOKENS_BETA))
        kubelet_find(check, provider->file, item, OUTPUT_ERROR, "cache-type-unknown",
                     "remove it, and add it with the update to 1.34",
                     "a kubelet before 1.34 does not know cacheType: " NO_START);
}

static void check_cache_type(struct kubelet_check *check, const struct kubelet_provider *provider)
{
    const char *type = kubelet_string(provider->file, provider->tokens, "cacheType");

    check_cache_presence(check, provider);
    if (!type)
        return;
    if (strcmp(type, "Token") != 0 && strcmp(type, "ServiceAccount") != 0)
        kubelet_find(check, provider->file, place_of(provider, "cacheType"), OUTPUT_ERROR,
                     "cache-type-invalid", "write cacheType: ServiceAccount, or Token",
                     "this is no cacheType, which has its own case: " NO_START);
    else if (strcmp(type, "ServiceAccount") == 0 && provider->name &&
             strstr(provider->name, "echo"))
        kubelet_find(check, provider->file, place_of(provider, "cacheType"), OUTPUT_WARNING,
                     "pass-through", "write cacheType: Token",
                     "%s gives the token itself as a password, as its name says, which the kubelet "
                     "refuses with cacheType ServiceAccount",
                     provider->name);
}

/* -- Annotations ------------------------------------------------------------------------------ */

static bool has_key(const cJSON *list, const cJSON *end, const char *key)
{
    for (const cJSON *item = list ? list->child : NULL; item && item != end; item = item->next)
        if (cJSON_IsString(item) && strcmp(item->valuestring, key) == 0)
            return true;
    return false;
}

static void check_keys(struct kubelet_check *check, const struct kubelet_provider *provider,
                       const cJSON *list, const cJSON *others)
{
    for (const cJSON *item = list ? list->child : NULL; item; item = item->next) {
        if (kubelet_type(provider->file, item) != KUBELET_TYPE_STRING)
            continue;
        if (!kubelet_is_annotation(item->valuestring))
            kubelet_find(check, provider->file, item, OUTPUT_ERROR, "annotation-invalid",
                         "write it as example.com/name",
                         "\"%s\" is no key of an annotation: " NO_START, item->valuestring);
        if (has_key(list, item, item->valuestring))
            kubelet_find(check, provider->file, item, OUTPUT_ERROR, "annotation-duplicate",
                         "remove it", "\"%s\" stands here twice: " NO_START, item->valuestring);
        if (has_key(others, NULL, item->valuestring))
            kubelet_find(check, provider->file, item, OUTPUT_ERROR, "annotation-both",
                         "remove it from one of the lists",
                         "\"%s\" is required and optional: " NO_START, item->valuestring);
    }
}

static void check_annotations(struct kubelet_check *check, const struct kubelet_provider *provider)
{
    const cJSON *required =
        kubelet_member(provider->file, provider->tokens, "requiredServiceAccountAnnotationKeys",
                       KUBELET_TYPE_LIST);
    const cJSON *optional =
        kubelet_member(provider->file, provider->tokens, "optionalServiceAccountAnnotationKeys",
                       KUBELET_TYPE_LIST);
    const cJSON *need = kubelet_member(provider->file, provider->tokens, "requireServiceAccount",
                                       KUBELET_TYPE_BOOL);

    check_keys(check, provider, required, NULL);
    check_keys(check, provider, optional, required);
    if (required && required->child && need &&
        !kubelet_is_true(provider->file, provider->tokens, "requireServiceAccount"))
        kubelet_find(check, provider->file, required, OUTPUT_ERROR, "annotation-account",
                     "write requireServiceAccount: true, or make the keys optional",
                     "annotations are required, and a service account is not: " NO_START);
}

/* -- All of it -------------------------------------------------------------------------------- */

void kubelet_check_tokens(struct kubelet_check *check, const struct kubelet_provider *provider)
{
    const struct kubelet_file *file = provider->file;
    const cJSON *audience = json_member(provider->tokens, "serviceAccountTokenAudience");

    check_versions(check, provider);
    if (kubelet_is_before(&check->node.version, KUBELET_TOKENS))
        return;
    if (!kubelet_string(file, provider->tokens, "serviceAccountTokenAudience") &&
        (is_absent(provider, "serviceAccountTokenAudience") ||
         kubelet_type(file, audience) == KUBELET_TYPE_STRING))
        kubelet_find(check, file, place_of(provider, "serviceAccountTokenAudience"), OUTPUT_ERROR,
                     "audience-missing", "name the audience that your registry expects",
                     "tokenAttributes has no serviceAccountTokenAudience: " NO_START);
    if (is_absent(provider, "requireServiceAccount"))
        kubelet_find(check, file, place_of(provider, "requireServiceAccount"), OUTPUT_ERROR,
                     "require-missing",
                     "write requireServiceAccount: true, or false to be asked for static pods too",
                     "tokenAttributes has no requireServiceAccount: " NO_START);
    check_cache_type(check, provider);
    check_annotations(check, provider);
}
