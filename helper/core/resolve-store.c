/* SPDX-License-Identifier: Apache-2.0 */
/* Writing: where a credential goes, and what has to go with it. */
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "core/cache.h"
#include "core/module.h"
#include "resolve-chain.h"

enum {
    PASS_OVER = 1,
    PASS_OVER_NOW = 2, /* it is for storing, and cannot at the moment: *error says why */
};

/*
 * 0 with an open instance that can store, PASS_OVER for one that is not for storing (*error says
 * why, or nothing), or an error.
 */
static int open_writable(const struct resolve *resolve, const struct config_instance *instance,
                         struct resolve_opened *ret, struct pullkey_error *error)
{
    int r = resolve_open(resolve, instance, ret, error);

    /* A named instance that cannot be opened is an error here too: what it holds would stay, or be
     * found before the new. */
    if (r < 0 && instance->implicit && (r == -PULLKEY_UNSUPPORTED || r == -PULLKEY_NO_IDENTITY))
        return PASS_OVER;
    if (r < 0)
        return r;
    if (!(ret->backend->module.capabilities & PULLKEY_CAN_STORE))
        return PASS_OVER;
    r = ret->backend->writable ? ret->backend->writable(ret->state, error) : 0;
    return r == -PULLKEY_UNSUPPORTED ? PASS_OVER : r;
}

/* `why` says what was wrong with an instance that was passed over, "" if nothing was. */
static int refuse_store(const struct resolve_chain *chain,
                        const struct registry_reference *reference, const char *why,
                        struct pullkey_error *error)
{
    char place[PULLKEY_ERROR_SIZE / 2];

    if (!chain->rule)
        return error_set(error, PULLKEY_UNSUPPORTED,
                         "nothing in the default chain can store the credential for %s%s%s",
                         reference->text, why[0] != '\0' ? ": " : "", why);
    if (chain->rule->ignore_store)
        return 0;
    config_rule_name(chain->rule, place);
    if (chain->count == 0)
        return error_set(error, PULLKEY_UNSUPPORTED,
                         "%s goes without a credential (%s): nothing is stored for it",
                         reference->text, place);
    return error_set(error, PULLKEY_UNSUPPORTED,
                     "the credential for %s comes from %s (%s), no login is needed",
                     reference->text, chain->items[0]->name, place);
}

/* True if an instance of the chain can have tokens in the cache. */
static int may_be_cached(const struct resolve_chain *chain, bool *ret, struct pullkey_error *error)
{
    *ret = false;
    for (size_t i = 0; i < chain->count && !*ret; i++) {
        cleanup_buffer struct buffer inputs = BUFFER_INIT(RESOLVE_INPUTS_MAX);
        int r = module_inputs(chain->items[i]->type, &inputs, error);

        if (r < 0)
            return r;
        *ret = inputs.length > 0;
    }
    return 0;
}

static int drop_derived(const struct resolve *resolve, const struct resolve_chain *chain,
                        const struct registry_reference *reference, struct pullkey_error *error)
{
    cleanup_cache struct cache *cache = NULL;
    char registry[REGISTRY_CANONICAL_MAX];
    bool cached;
    int r = may_be_cached(chain, &cached, error);

    if (r == 0 && cached)
        r = cache_open(resolve->config->system, &cache, error);
    if (r < 0 || !cache)
        return r;
    resolve_registry(reference, registry);
    return cache_drop(cache, registry, error);
}

/* The one before may have waited for a person. */
static struct pullkey_request in_time(const struct resolve *resolve,
                                      const struct pullkey_request *request)
{
    struct pullkey_request timely = *request;

    timely.deadline_ms = resolve_deadline(resolve);
    return timely;
}

static int erase_from(const struct resolve *resolve, const struct config_instance *instance,
                      const struct pullkey_request *request, struct pullkey_error *error)
{
    cleanup_opened struct resolve_opened opened = { 0 };
    const struct pullkey_request timely = in_time(resolve, request);
    int r = open_writable(resolve, instance, &opened, error);

    if (r < 0)
        return r;
    if (r == 0)
        r = opened.backend->erase(opened.state, &timely, error);
    return r == PASS_OVER || r == -PULLKEY_UNSUPPORTED ? -PULLKEY_NOT_FOUND : r;
}

/*
 * What other instances of the chain still hold is never asked for before the new entry, so a
 * failure here is only logged. True if something was removed.
 */
static bool clear_others(const struct resolve *resolve, const struct resolve_chain *chain,
                         size_t target, const struct pullkey_request *request)
{
    struct pullkey_error error;
    bool removed = false;

    for (size_t i = target + 1; i < chain->count; i++) {
        int r = erase_from(resolve, chain->items[i], request, &error);

        if (r < 0 && r != -PULLKEY_NOT_FOUND)
            log_line(chain->items[i]->name, "an older credential may stay: %s", error.message);
        removed = removed || r == 0;
    }
    return removed;
}

/* 0 if the instance has the credential now, PASS_OVER or PASS_OVER_NOW with *error if it has not.
 */
static int store_in(const struct resolve *resolve, const struct config_instance *instance,
                    const struct pullkey_request *request,
                    const struct pullkey_credential *credential, struct pullkey_error *error)
{
    cleanup_opened struct resolve_opened opened = { 0 };
    const struct pullkey_request timely = in_time(resolve, request);
    int r = open_writable(resolve, instance, &opened, error);

    if (r == PASS_OVER)
        return r;
    if (r == 0)
        r = opened.backend->store(opened.state, &timely, credential, error);
    if (r == -PULLKEY_UNSUPPORTED && opened.backend)
        return PASS_OVER_NOW;
    /* What storing did not find is never a credential, which callers would read here. */
    if (r == -PULLKEY_NOT_FOUND)
        error->code = PULLKEY_INTERNAL;
    return r < 0 ? error_wrap(error, "%s", instance->name) : 0;
}

/* Stores in one instance of the chain and clears those after it. */
static int store_at(const struct resolve *resolve, const struct resolve_chain *chain, size_t at,
                    const struct pullkey_request *request,
                    const struct pullkey_credential *credential, struct pullkey_error *error)
{
    int r = store_in(resolve, chain->items[at], request, credential, error);

    /* Two instances may stand for one store (two ways to a file, a helper of it): then the new
     * entry was removed as well. */
    if (r == 0 && clear_others(resolve, chain, at, request)) {
        r = store_in(resolve, chain->items[at], request, credential, error);
        if (r > 0)
            r = error_set(error, PULLKEY_INTERNAL, "%s stored it once and not again",
                          chain->items[at]->name);
    }
    return r;
}

/* What to do after an instance that is passed over (`how`): 0 to go on, or an error. */
static int pass_over(const struct resolve *resolve, const struct resolve_chain *chain, size_t at,
                     int how, const struct pullkey_error *why, struct pullkey_error *last,
                     struct pullkey_error *error)
{
    const char *name = chain->items[at]->name;

    log_line(name, "not stored here: %s", why->message);
    if (resolve->store) {
        *error = *why;
        error->code = PULLKEY_UNSUPPORTED;
        return -PULLKEY_UNSUPPORTED;
    }
    if (!chain->rule && resolve->config->store && at == 0)
        return how == PASS_OVER_NOW
                   ? error_set(error, PULLKEY_UNSUPPORTED, "\"store\" names %s: %s", name,
                               why->message)
                   : error_set(error, PULLKEY_UNSUPPORTED,
                               "\"store\" names %s, which cannot store%s%s: name another instance",
                               name, why->message[0] != '\0' ? ": " : "", why->message);
    if (why->message[0] != '\0')
        *last = *why;
    return 0;
}

int resolve_find_store(const struct resolve *resolve, const struct registry_reference *reference,
                       const struct config_instance *after, struct resolve_opened *ret,
                       struct pullkey_error *error)
{
    struct pullkey_error last = { 0 };
    struct resolve_chain chain;

    resolve_chain_find(resolve, reference, &chain);
    for (size_t i = 0; i < chain.count; i++) {
        cleanup_opened struct resolve_opened opened = { 0 };
        struct pullkey_error why = { 0 };
        int r;

        if (after && chain.items[i] != after)
            continue;
        if (after) {
            after = NULL;
            why = *error;
            r = PASS_OVER_NOW;
        } else {
            r = open_writable(resolve, chain.items[i], &opened, &why);
        }
        if (r == 0) {
            *ret = opened;
            opened = (struct resolve_opened){ 0 };
            return 0;
        }
        if (r < 0) {
            *error = why;
            return error_wrap(error, "%s", chain.items[i]->name);
        }
        r = pass_over(resolve, &chain, i, r, &why, &last, error);
        if (r < 0)
            return r;
    }
    return refuse_store(&chain, reference, last.message, error);
}

int resolve_store(const struct resolve *resolve, const struct registry_reference *reference,
                  const struct pullkey_credential *credential, char ret_source[RESOLVE_SOURCE_MAX],
                  struct pullkey_error *error)
{
    struct pullkey_error last = { 0 };
    struct registry_request request;
    struct resolve_chain chain;
    int r = credential_check(credential, error);

    if (r < 0)
        return r;
    registry_request(reference, resolve->deadline_ms, &request);
    resolve_chain_find(resolve, reference, &chain);
    for (size_t i = 0; i < chain.count; i++) {
        struct pullkey_error why = { 0 };

        if (resolve->store && chain.items[i] != resolve->store)
            continue;
        r = store_at(resolve, &chain, i, &request.request, credential, &why);
        if (r < 0) {
            *error = why;
            return r;
        }
        if (r == 0) {
            resolve_name_source(chain.items[i], ret_source);
            r = drop_derived(resolve, &chain, reference, error);
            return r < 0 ? error_wrap(error, "stored in %s, but an older token may still be served",
                                      chain.items[i]->name)
                         : 0;
        }
        r = pass_over(resolve, &chain, i, r, &why, &last, error);
        if (r < 0)
            return r;
    }
    return refuse_store(&chain, reference, last.message, error);
}

int resolve_erase(const struct resolve *resolve, const struct registry_reference *reference,
                  struct pullkey_error *error)
{
    struct registry_request request;
    struct pullkey_error problem;
    struct resolve_chain chain;
    bool found = false;
    int result = 0, r;

    registry_request(reference, resolve->deadline_ms, &request);
    resolve_chain_find(resolve, reference, &chain);
    for (size_t i = 0; i < chain.count; i++) {
        r = erase_from(resolve, chain.items[i], &request.request, &problem);
        if (r == 0)
            found = true;
        if (r == 0 || r == -PULLKEY_NOT_FOUND || result < 0)
            continue;
        *error = problem;
        result = error_wrap(error, "%s: the credential may still be there", chain.items[i]->name);
    }
    r = drop_derived(resolve, &chain, reference, &problem);
    if (r < 0 && result == 0) {
        *error = problem;
        result = error_wrap(error, "a token for %s may still be served", reference->text);
    }
    if (result == 0 && !found)
        return error_set(error, PULLKEY_NOT_FOUND, "no credential for %s", reference->text);
    return result;
}
