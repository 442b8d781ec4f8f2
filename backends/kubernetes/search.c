/* SPDX-License-Identifier: Apache-2.0 */
#include "search.h"

#include <string.h>

#include "auths/auths.h"
#include "base/error.h"
#include "base/secret.h"
#include "pod.h"
#include "secret.h"

#define QUERY_MAX 4096
#define PULL_SECRETS_MAX 32

static void forget(struct search *search)
{
    search->host->release(search->found.username);
    search->host->release(search->found.secret.bytes);
    search->found = (struct pullkey_credential){ 0 };
    search->rank = 0;
}

/* Takes what it has if that is better than what was found before. */
static int take_better(struct search *search, struct secret *secret, struct pullkey_error *error)
{
    struct pullkey_credential found = { 0 };
    const cJSON *entry;
    int rank = secret_rank(search->host, secret, search->request, &entry), r;

    if (secret_scope(search->host, secret, search->request) != PULLKEY_SCOPE_REGISTRY)
        search->is_for_path = true;
    if (rank <= search->rank)
        return 0;
    r = secret_get(search->host, secret, entry, &found, error);
    if (r < 0)
        return r;
    forget(search);
    search->found = found;
    search->rank = rank;
    return 0;
}

static bool is_text(const cJSON *object, const char *key, const char *expected)
{
    const cJSON *item = json_member(object, key);

    return cJSON_IsString(item) && strcmp(item->valuestring, expected) == 0;
}

/*
 * One that is found, and not named, must say itself which registry it is for. What was asked for is
 * what must come back: a cache in between may mix things up.
 */
static int look_into(struct search *search, const struct api_object *asked, const cJSON *object,
                     bool is_named, struct pullkey_error *error)
{
    const cJSON *metadata = json_member(object, "metadata");
    struct secret secret;
    int r;

    if (!is_text(metadata, "namespace", asked->namespace_name) ||
        (asked->name && !is_text(metadata, "name", asked->name)))
        return error_set(error, PULLKEY_INVALID,
                         "the API server answers with something else than the secret %s/%s",
                         asked->namespace_name, asked->name ? asked->name : "...");

    if (!is_named && secret_is_for_any(object)) {
        search->host->log(API_SOURCE, "a secret of the type kubernetes.io/basic-auth is passed "
                                      "over: it names no registry");
        return 0;
    }
    r = secret_read(search->host, object, &secret, error);
    if (r < 0)
        return r;
    secret.any_scheme = !is_named;
    if (secret.type != SECRET_OTHER)
        r = take_better(search, &secret, error);
    else if (is_named)
        r = error_set(error, PULLKEY_INVALID,
                      "the %s has another type than kubernetes.io/dockerconfigjson, "
                      "kubernetes.io/dockercfg or kubernetes.io/basic-auth",
                      secret.name);
    secret_close(search->host, &secret);
    return r;
}

int search_secret(struct search *search, struct api *api, const char *namespace_name,
                  const char *name, struct pullkey_error *error)
{
    const struct api_object object = { "get", "secrets", namespace_name, name, NULL };
    cleanup_json struct json json = { 0 };
    int r = api_call(api, &object, NULL, &json, error);

    return r < 0 ? r : look_into(search, &object, json.root, true, error);
}

static bool is_named_before(const cJSON *list, const cJSON *item, const char *name)
{
    for (const cJSON *other = list->child; other != item; other = other->next) {
        const cJSON *its = json_member(other, "name");

        if (cJSON_IsString(its) && strcmp(its->valuestring, name) == 0)
            return true;
    }
    return false;
}

/*
 * Of a service account, or of a pod's spec; `call` asks for each. Whoever makes a pod may name as
 * many as he likes, and each is a request.
 */
static int search_pull_secrets(struct search *search, struct api *api, const char *namespace_name,
                               const cJSON *owner,
                               int (*call)(struct api *api, const struct api_object *object,
                                           struct json *ret, struct pullkey_error *error),
                               struct pullkey_error *error)
{
    const cJSON *const list = json_member(owner, "imagePullSecrets"), *item;
    unsigned int count = 0;

    cJSON_ArrayForEach(item, list) {
        const cJSON *name = json_member(item, "name");
        struct api_object object = { "get", "secrets", namespace_name, NULL, NULL };
        cleanup_json struct json json = { 0 };
        int r;

        if (!cJSON_IsString(name) || !api_is_name(name->valuestring) ||
            is_named_before(list, item, name->valuestring))
            continue;
        if (++count > PULL_SECRETS_MAX) {
            search->host->log(API_SOURCE, "of more than %d pull secrets the rest is not read",
                              PULL_SECRETS_MAX);
            break;
        }
        object.name = name->valuestring;
        r = call(api, &object, &json, error);
        if (r == 0)
            r = look_into(search, &object, json.root, false, error);
        if (r == -PULLKEY_NOT_FOUND)
            search->host->log(API_SOURCE, "%s", error->message);
        else if (r < 0)
            return r;
    }
    return 0;
}

static int call_once(struct api *api, const struct api_object *object, struct json *ret,
                     struct pullkey_error *error)
{
    return api_call(api, object, NULL, ret, error);
}

int search_account(struct search *search, struct api *api, const char *namespace_name,
                   const char *name, struct pullkey_error *error)
{
    const struct api_object object = { "get", "serviceaccounts", namespace_name, name, NULL };
    cleanup_json struct json json = { 0 };
    int r = api_call(api, &object, NULL, &json, error);

    return r < 0 ? r
                 : search_pull_secrets(search, api, namespace_name, json.root, call_once, error);
}

int search_label(struct search *search, struct api *api, const char *namespace_name,
                 const char *selector, struct pullkey_error *error)
{
    cleanup_buffer struct buffer query = BUFFER_INIT(QUERY_MAX);
    cleanup_json struct json json = { 0 };
    struct api_object object = { "list", "secrets", namespace_name, NULL, NULL };
    const cJSON *item;
    int r;

    http_query_add(&query, "labelSelector", selector, strlen(selector));
    r = buffer_check(&query, error);
    if (r < 0)
        return r;
    object.query = query.data;
    r = api_call(api, &object, NULL, &json, error);
    if (r < 0)
        return r;
    cJSON_ArrayForEach(item, json_member(json.root, "items")) {
        r = look_into(search, &object, item, false, error);
        if (r < 0)
            return r;
    }
    return 0;
}

int search_pod(struct search *search, struct api *api, struct pullkey_error *error)
{
    cleanup_json struct json pod = { 0 };
    int r = pod_read(api, search->request->workload, &pod, error);

    if (r == 0)
        r = search_pull_secrets(search, api, search->request->workload->namespace_name,
                                json_member(pod.root, "spec"), pod_call, error);
    search->found.per_pod = search->rank > 0;
    return r;
}

int search_take(struct search *search, struct pullkey_credential *ret, struct pullkey_error *error)
{
    if (search->rank == 0)
        return error_set(error, PULLKEY_NOT_FOUND, "no secret has an entry for %s",
                         search->request->text);
    *ret = search->found;
    ret->scope = search->is_for_path ? PULLKEY_SCOPE_IMAGE : PULLKEY_SCOPE_REGISTRY;
    search->found = (struct pullkey_credential){ 0 };
    return 0;
}

void search_done(struct search *search)
{
    forget(search);
}
