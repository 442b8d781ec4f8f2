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
        r = credential_check(&credential, error);
    if (r < 0)
        return r;
    *ret = credential;
    credential = (struct pullkey_credential){ 0 };
    return 0;
}

void resolve_registry(const struct registry_reference *reference, char ret[REGISTRY_CANONICAL_MAX])
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
    cleanup_buffer struct buffer inputs = BUFFER_INIT(RESOLVE_INPUTS_MAX);
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
    resolve_registry(reference, registry);
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

void resolve_name_source(const struct config_instance *instance, char ret[RESOLVE_SOURCE_MAX])
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
            resolve_name_source(chain.items[i], ret_source);
        }
        if (r != -PULLKEY_NOT_FOUND)
            return r;
    }
    return error_set(error, PULLKEY_NOT_FOUND, "no credential for %s", reference->text);
}
