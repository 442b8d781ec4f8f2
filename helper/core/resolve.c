/* SPDX-License-Identifier: Apache-2.0 */
#include "resolve.h"

#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "base/secret.h"
#include "core/cache.h"
#include "core/module.h"
#include "resolve-chain.h"

#define OPTIONS_MAX 65536
#define INPUTS_MAX 4096

void resolve_opened_done(struct resolve_opened *opened)
{
    if (opened->backend)
        opened->backend->close(opened->state);
    opened->backend = NULL;
}

static bool find_in_default(const struct config *config, const char *name, size_t *ret)
{
    for (size_t i = 0; name && i < config->default_count; i++) {
        if (strcmp(config->default_chain[i].name, name) == 0) {
            *ret = i;
            return true;
        }
    }
    return false;
}

/* In the default chain the instance that login writes to is asked first, so that get sees what was
 * stored: "store", else the keyring if it runs, else "file". */
static void default_chain(const struct config *config, struct resolve_chain *ret)
{
    const char *keyring = config->session_bus ? "keyring" : NULL;
    size_t first = 0;

    (void)(find_in_default(config, config->store, &first) ||
           find_in_default(config, keyring, &first) || find_in_default(config, "file", &first));
    for (size_t i = 0; i < config->default_count; i++) {
        size_t from = i == 0 ? first : i <= first ? i - 1 : i;

        ret->items[ret->count++] = &config->default_chain[from];
    }
}

void resolve_chain_find(const struct resolve *resolve, const struct registry_reference *reference,
                        struct resolve_chain *ret)
{
    const struct config_rule *rule = config_find_rule(resolve->config, reference, &resolve->asker);

    *ret = (struct resolve_chain){ .rule = rule };
    if (rule) {
        for (size_t i = 0; i < rule->chain_count; i++)
            ret->items[ret->count++] = &rule->chain[i];
    } else if (resolve->asker.caller != CONFIG_KUBELET) {
        /* The kubelet is served by rules that name it, and by nothing else. */
        default_chain(resolve->config, ret);
    }
}

int resolve_open(const struct resolve *resolve, const struct config_instance *instance,
                 struct resolve_opened *ret, struct pullkey_error *error)
{
    cleanup_buffer struct buffer options = BUFFER_INIT(OPTIONS_MAX);
    const struct pullkey_backend *backend;
    struct pullkey_instance description;
    void *state = NULL;
    int r = module_find_backend(instance->type, &backend, error);

    if (r == 0)
        r = config_instance_options(instance, &backend->module, &options, error);
    if (r < 0)
        return r;
    description = (struct pullkey_instance){
        .size = sizeof(description),
        .name = instance->name,
        .options = options.data,
        .system = resolve->config->system,
        .depth = resolve->depth,
    };
    r = backend->open(&module_host, &description, &state, error);
    if (r == 0)
        *ret = (struct resolve_opened){ .backend = backend, .state = state };
    /* A program, a file or a home that is missing must not be taken for a missing credential. */
    if (r == -PULLKEY_NOT_FOUND) {
        error->code = instance->implicit ? PULLKEY_NO_IDENTITY : PULLKEY_INVALID;
        r = -(int)error->code;
    }
    /* What an instance refuses at this point is its options, so say where they stand. */
    if (r == -PULLKEY_INVALID && instance->document && instance->options) {
        struct pullkey_error cause = *error;

        return json_error(instance->document, instance->options, error, "%s", cause.message);
    }
    return r;
}

int resolve_judge(const struct config_instance *instance, int r, struct pullkey_error *error)
{
    bool absent = r == -PULLKEY_UNSUPPORTED || r == -PULLKEY_NO_IDENTITY;

    if (r == 0 || r == -PULLKEY_NOT_FOUND)
        return r;
    log_line(instance->name, "%s: %s", error_class_name(error->code), error->message);
    if ((instance->implicit && absent) || instance->on_error_next)
        return -PULLKEY_NOT_FOUND;
    return error_wrap(error, "%s", instance->name);
}

static int check_credential(const struct pullkey_credential *credential,
                            struct pullkey_error *error)
{
    if (!credential->username || !credential->secret.bytes)
        return error_set(error, PULLKEY_INTERNAL, "the backend gave an incomplete credential");
    if (strnlen(credential->username, PULLKEY_USERNAME_MAX + 1) > PULLKEY_USERNAME_MAX)
        return error_set(error, PULLKEY_INVALID, "the user name is longer than %d bytes",
                         PULLKEY_USERNAME_MAX);
    if (credential->secret.length > PULLKEY_SECRET_MAX)
        return error_set(error, PULLKEY_INVALID, "the secret is longer than %d bytes",
                         PULLKEY_SECRET_MAX);
    if (memchr(credential->secret.bytes, '\0', credential->secret.length))
        return error_set(error, PULLKEY_INVALID, "the secret holds a NUL byte");
    if (credential->username[0] == '\0' || credential->secret.length == 0)
        return error_set(error, PULLKEY_INVALID, "the user name or the secret is empty");
    return 0;
}

/* One instance and what is asked of it. */
struct question {
    const struct resolve *resolve;
    const struct config_instance *instance;
    const struct pullkey_request *request;
    const char *inputs; /* what the cache believes that tokens depend on; NULL: no cache */
};

/* The file beside a module is read without loading it, so it may be of another release. */
static int check_inputs(const struct question *question, const struct pullkey_module *module,
                        struct pullkey_error *error)
{
    const char *inputs = module->inputs ? module->inputs : "";

    if (!question->inputs ||
        ((module->capabilities & PULLKEY_EXPIRES) && strcmp(question->inputs, inputs) == 0))
        return 0;
    return error_set(
        error, PULLKEY_INVALID,
        "the module \"%s\" and its file %s.inputs do not belong together: install both "
        "again",
        module->type, module->type);
}

static int ask_backend(void *context, struct pullkey_credential *ret, struct pullkey_error *error)
{
    const struct question *question = context;
    cleanup_credential struct pullkey_credential credential = { 0 };
    cleanup_opened struct resolve_opened opened = { 0 };
    int r = resolve_open(question->resolve, question->instance, &opened, error);

    if (r == 0)
        r = check_inputs(question, &opened.backend->module, error);
    if (r == 0)
        r = opened.backend->get(opened.state, question->request, &credential, error);
    if (r == 0)
        r = check_credential(&credential, error);
    if (r < 0)
        return r;
    *ret = credential;
    credential = (struct pullkey_credential){ 0 };
    return 0;
}

static void registry_text(const struct registry_reference *reference,
                          char ret[REGISTRY_CANONICAL_MAX])
{
    struct registry_reference plain = *reference;

    plain.path[0] = '\0';
    registry_canonical(&plain, ret);
}

/* Through the cache if the backend says what its tokens depend on, else straight to it. */
static int ask_instance(struct question *question, const struct registry_reference *reference,
                        struct pullkey_credential *ret, struct pullkey_error *error)
{
    const struct config_instance *instance = question->instance;
    cleanup_buffer struct buffer inputs = BUFFER_INIT(INPUTS_MAX);
    cleanup_buffer struct buffer options = BUFFER_INIT(OPTIONS_MAX);
    cleanup_cache struct cache *cache = NULL;
    char registry[REGISTRY_CANONICAL_MAX];
    struct cache_key key;
    int r = module_inputs(instance->type, &inputs, error);

    /* Without a query, which has no meaning here and may hold a token. */
    log_line(instance->name, "asked for %.*s", (int)strcspn(question->request->text, "?"),
             question->request->text);
    if (r == 0 && inputs.length == 0)
        return ask_backend(question, ret, error);
    if (r == 0)
        r = config_instance_options(instance, NULL, &options, error);
    if (r == 0)
        r = cache_open(question->resolve->config->system, &cache, error);
    if (r < 0)
        return r;
    if (!cache)
        return ask_backend(question, ret, error);
    question->inputs = inputs.data;
    registry_text(reference, registry);
    key = (struct cache_key){
        .instance = instance->name,
        .type = instance->type,
        .options = options.data,
        .registry = registry,
        .path = reference->path,
        .inputs = inputs.data,
        .subject = "",
    };
    return cache_get(cache, &key, question->request->deadline_ms, ask_backend, question, ret,
                     error);
}

static void name_source(const struct config_instance *instance, char ret[RESOLVE_SOURCE_MAX])
{
    size_t length = strnlen(instance->name, RESOLVE_SOURCE_MAX - 1);

    if (ret)
        memcpy(mempcpy(ret, instance->name, length), "", 1);
}

int resolve_get(const struct resolve *resolve, const struct registry_reference *reference,
                struct pullkey_credential *ret, char ret_source[RESOLVE_SOURCE_MAX],
                struct pullkey_error *error)
{
    struct registry_request request;
    struct resolve_chain chain;

    registry_request(reference, resolve->deadline_ms, &request);
    resolve_chain_find(resolve, reference, &chain);
    for (size_t i = 0; i < chain.count; i++) {
        struct question question = { resolve, chain.items[i], &request.request, NULL };
        int r = ask_instance(&question, reference, ret, error);

        r = resolve_judge(chain.items[i], r, error);
        if (r == 0) {
            log_line(chain.items[i]->name, "answers");
            name_source(chain.items[i], ret_source);
        }
        if (r != -PULLKEY_NOT_FOUND)
            return r;
    }
    return error_set(error, PULLKEY_NOT_FOUND, "no credential for %s", reference->text);
}

enum { PASS_OVER = 1 };

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
        cleanup_buffer struct buffer inputs = BUFFER_INIT(INPUTS_MAX);
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
    registry_text(reference, registry);
    return cache_drop(cache, registry, error);
}

static int erase_from(const struct resolve *resolve, const struct config_instance *instance,
                      const struct pullkey_request *request, struct pullkey_error *error)
{
    cleanup_opened struct resolve_opened opened = { 0 };
    int r = open_writable(resolve, instance, &opened, error);

    if (r < 0)
        return r;
    if (r == 0)
        r = opened.backend->erase(opened.state, request, error);
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

/* 0 if the instance has the credential now, PASS_OVER with *error if it is not for storing. */
static int store_in(const struct resolve *resolve, const struct config_instance *instance,
                    const struct pullkey_request *request,
                    const struct pullkey_credential *credential, struct pullkey_error *error)
{
    cleanup_opened struct resolve_opened opened = { 0 };
    int r = open_writable(resolve, instance, &opened, error);

    if (r == PASS_OVER)
        return r;
    if (r == 0)
        r = opened.backend->store(opened.state, request, credential, error);
    if (r == -PULLKEY_UNSUPPORTED && opened.backend)
        return PASS_OVER;
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
    if (r == 0 && clear_others(resolve, chain, at, request))
        r = store_in(resolve, chain->items[at], request, credential, error);
    return r;
}

/* What to do after an instance that is not for storing: 0 to go on, or an error. */
static int pass_over(const struct resolve *resolve, const struct resolve_chain *chain, size_t at,
                     const struct pullkey_error *why, struct pullkey_error *last,
                     struct pullkey_error *error)
{
    const char *name = chain->items[at]->name;

    log_line(name, "not stored here: %s", why->message);
    if (!chain->rule && resolve->config->store && at == 0)
        return error_set(error, PULLKEY_UNSUPPORTED,
                         "\"store\" names %s, which cannot store%s%s: name another instance", name,
                         why->message[0] != '\0' ? ": " : "", why->message);
    if (why->message[0] != '\0')
        *last = *why;
    return 0;
}

int resolve_find_store(const struct resolve *resolve, const struct registry_reference *reference,
                       struct resolve_opened *ret, struct pullkey_error *error)
{
    struct pullkey_error last = { 0 };
    struct resolve_chain chain;

    resolve_chain_find(resolve, reference, &chain);
    for (size_t i = 0; i < chain.count; i++) {
        cleanup_opened struct resolve_opened opened = { 0 };
        struct pullkey_error why = { 0 };
        int r = open_writable(resolve, chain.items[i], &opened, &why);

        if (r == 0) {
            *ret = opened;
            opened = (struct resolve_opened){ 0 };
            return 0;
        }
        if (r < 0) {
            *error = why;
            return error_wrap(error, "%s", chain.items[i]->name);
        }
        r = pass_over(resolve, &chain, i, &why, &last, error);
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
    int r = check_credential(credential, error);

    if (r < 0)
        return r;
    registry_request(reference, resolve->deadline_ms, &request);
    resolve_chain_find(resolve, reference, &chain);
    for (size_t i = 0; i < chain.count; i++) {
        struct pullkey_error why = { 0 };

        r = store_at(resolve, &chain, i, &request.request, credential, &why);
        if (r < 0) {
            *error = why;
            return r;
        }
        if (r == 0) {
            name_source(chain.items[i], ret_source);
            r = drop_derived(resolve, &chain, reference, error);
            return r < 0 ? error_wrap(error, "stored in %s, but an older token may still be served",
                                      chain.items[i]->name)
                         : 0;
        }
        r = pass_over(resolve, &chain, i, &why, &last, error);
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
