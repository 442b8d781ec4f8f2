/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request through the program: the rule, its instances in order, cache and backend. Both
 * protocols and the command that people type call these four functions and nothing else.
 */
#ifndef PULLKEY_CORE_RESOLVE_H
#define PULLKEY_CORE_RESOLVE_H

#include "core/config.h"
#include "core/credential.h"

#define RESOLVE_DEADLINE_MS 20000

/* What one instance answered, for people who look for what is wrong. */
struct resolve_answer {
    const struct config_instance *instance;
    int result;                                  /* 0, or the negative of an error class */
    bool is_forgiven;                            /* the next one is asked all the same */
    const struct pullkey_error *error;           /* where it is one */
    const struct pullkey_credential *credential; /* where it is 0 */
    int64_t took_ms;
    enum { RESOLVE_UNCACHED, RESOLVE_CACHED, RESOLVE_CACHE_MISS } cache; /* where it came from */
};

struct resolve {
    const struct config *config;
    struct config_asker asker;
    int64_t deadline_ms; /* absolute, monotonic */
    uint32_t depth;      /* exec backends above this process */
    /* NULL unless the kubelet sent a token. Its names are in `asker` too; a rule that looks at them
     * is asked only once they are verified. */
    const struct pullkey_workload *workload;
    /* Set where an instance was refused (PULLKEY_DENIED) and "on_error": "next" forgave it: what
     * follows is about this asker, whoever else it looks like. NULL: nobody wants to know. */
    bool *refused;
    /* The only instance that resolve_store may write to; where it cannot store, the answer is
     * PULLKEY_UNSUPPORTED with its own reason. NULL: the first that can store. */
    const struct config_instance *store;
    /* Told of each instance that resolve_get has asked. NULL: nobody watches. */
    void (*watch)(void *context, const struct resolve_answer *answer);
    void *watch_context;
};

#define RESOLVE_SOURCE_MAX 256

/* True if some instance of the rule answers one pod otherwise than another of the same service
 * account: also its "not found" is that pod's own. */
bool resolve_is_per_pod(const struct config_rule *rule);

/*
 * Asks in order. -PULLKEY_NOT_FOUND where nobody has one. `ret_source`, if not NULL, names the
 * instance that answered. The scope is PULLKEY_SCOPE_REGISTRY only where the same asker gets the
 * same answer for every path of the registry.
 */
int resolve_get(const struct resolve *resolve, const struct registry_reference *reference,
                struct pullkey_credential *ret, char ret_source[RESOLVE_SOURCE_MAX],
                struct pullkey_error *error);

/*
 * Writes to the first instance that can store (in the default chain "store", else the keyring if it
 * runs, else "file" comes first), then clears the others of the chain and what was derived from
 * them. `ret_source`, if not NULL, is set as soon as it is written, also where an error follows.
 */
int resolve_store(const struct resolve *resolve, const struct registry_reference *reference,
                  const struct pullkey_credential *credential, char ret_source[RESOLVE_SOURCE_MAX],
                  struct pullkey_error *error);

/* Clears every writable instance of the chain. -PULLKEY_NOT_FOUND where none had it; any other
 * error means that one may stay. */
int resolve_erase(const struct resolve *resolve, const struct registry_reference *reference,
                  struct pullkey_error *error);

struct resolve_entry {
    char *server; /* a key that get and erase accept */
    char *username;
    const struct config_instance *instance;
    size_t rank; /* order of the instance */
};

struct resolve_list {
    struct resolve_entry *entries; /* sorted by server, each once */
    size_t count;
};

/* Every key that a get would find, of every instance that can list; of equal keys the first
 * instance's. */
int resolve_list(const struct resolve *resolve, struct resolve_list *ret,
                 struct pullkey_error *error);
void resolve_list_done(struct resolve_list *list);

#define cleanup_resolve_list __attribute__((cleanup(resolve_list_done)))

#endif
