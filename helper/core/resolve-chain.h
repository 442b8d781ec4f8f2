/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of resolve share: which instances serve a reference, and how one is opened. */
#ifndef PULLKEY_CORE_RESOLVE_CHAIN_H
#define PULLKEY_CORE_RESOLVE_CHAIN_H

#include "resolve.h"

/* The instances to ask, in order. */
struct resolve_chain {
    const struct config_instance *items[CONFIG_CHAIN_MAX];
    size_t count;
    const struct config_rule *rule; /* NULL: the default chain */
};

void resolve_chain_find(const struct resolve *resolve, const struct registry_reference *reference,
                        struct resolve_chain *ret);

struct resolve_opened {
    const struct pullkey_backend *backend;
    void *state;
    const struct config_instance *instance; /* NULL: nobody configured it */
};

int resolve_open(const struct resolve *resolve, const struct config_instance *instance,
                 struct resolve_opened *ret, struct pullkey_error *error);
/* The same of a backend whose options nobody configured. */
int resolve_open_with(const struct resolve *resolve, const char *type, const char *options,
                      struct resolve_opened *ret, struct pullkey_error *error);
void resolve_opened_done(struct resolve_opened *opened);

#define cleanup_opened __attribute__((cleanup(resolve_opened_done)))

/* "host[:port]" of a reference: what the cache knows its tokens by. */
void resolve_registry(const struct registry_reference *reference, char ret[REGISTRY_CANONICAL_MAX]);

/* The deadline, later by what people took to answer prompts. */
int64_t resolve_deadline(const struct resolve *resolve);

/* Nothing if `ret` is NULL. */
void resolve_name_source(const struct config_instance *instance, char ret[RESOLVE_SOURCE_MAX]);

/*
 * What the cache has for an instance of the chain, as resolve_get would look for it: nothing is
 * asked, made or changed. *ret_cached says whether answers of that instance are cached at all.
 * Release with cache_entry_done.
 */
struct cache_entry;
int resolve_cached(const struct resolve *resolve, const struct resolve_chain *chain, size_t at,
                   const struct registry_reference *reference, bool *ret_cached,
                   struct cache_entry *ret, struct pullkey_error *error);

/*
 * Whether what the workload claims is true: with the node's identity its token is reviewed,
 * and its pod read.
 * -PULLKEY_DENIED if it is not; any other error says that nobody could tell.
 */
int resolve_verify(const struct resolve *resolve, const struct pullkey_request *request,
                   struct pullkey_error *error);

/* Room for what a module declares as inputs. */
#define RESOLVE_INPUTS_MAX 4096

/*
 * The instance that resolve_store would write to, open; or what resolve_store would answer. 0 with
 * *ret as it was: nothing would be stored, and that is no error ("on_store": "ignore"). `after`, if
 * not NULL, is an instance that could not store, as those before it, for the reason in *error.
 */
int resolve_find_store(const struct resolve *resolve, const struct registry_reference *reference,
                       const struct config_instance *after, struct resolve_opened *ret,
                       struct pullkey_error *error);

/*
 * What an instance's result means for the request: -PULLKEY_NOT_FOUND goes on to the next. An
 * implicit instance that cannot work on this machine is no instance, nor is an "optional" one for
 * which there is no identity, and "on_error": "next" forgives; the cause goes to the log. Other
 * errors get the instance's name.
 */
int resolve_judge(const struct config_instance *instance, int r, struct pullkey_error *error);

#endif
