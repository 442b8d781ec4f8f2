/* SPDX-License-Identifier: Apache-2.0 */
#include "resolve.h"

#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/secret.h"
#include "core/cache-file.h"
#include "core/cloud.h"
#include "core/hash.h"
#include "core/module.h"
#include "core/person.h"
#include "resolve-chain.h"

#define OPTIONS_MAX 65536
#define SUBJECT_MAX 8192
#define COALESCE_SECONDS 5

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
        const struct config_instance *cloud = cloud_instance(reference);

        default_chain(resolve->config, ret);
        if (cloud && resolve->config->is_builtin_chain)
            ret->items[ret->count++] = cloud;
    }
}

static int open_backend(const struct resolve *resolve, const struct pullkey_backend *backend,
                        const char *name, const char *options, struct resolve_opened *ret,
                        struct pullkey_error *error)
{
    const struct pullkey_instance description = {
        .size = sizeof(description),
        .name = name,
        .options = options,
        .system = resolve->config->system,
        .depth = resolve->depth,
    };
    void *state = NULL;
    int r = backend->open(&module_host, &description, &state, error);

    if (r == 0)
        *ret = (struct resolve_opened){ .backend = backend, .state = state };
    return r;
}

int resolve_open_with(const struct resolve *resolve, const char *type, const char *options,
                      struct resolve_opened *ret, struct pullkey_error *error)
{
    const struct pullkey_backend *backend;
    int r = module_find_backend(type, &backend, error);

    return r < 0 ? r : open_backend(resolve, backend, type, options, ret, error);
}

int resolve_open(const struct resolve *resolve, const struct config_instance *instance,
                 struct resolve_opened *ret, struct pullkey_error *error)
{
    cleanup_buffer struct buffer options = BUFFER_INIT(OPTIONS_MAX);
    const struct pullkey_backend *backend;
    int r = module_find_backend(instance->type, &backend, error);

    if (r == 0)
        r = config_instance_options(instance, &backend->module, &options, error);
    if (r < 0)
        return r;
    r = open_backend(resolve, backend, instance->name, options.data, ret, error);
    if (r == 0)
        ret->instance = instance;
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
    const bool is_forgiven =
        instance->on_error_next || (r == -PULLKEY_NO_IDENTITY && instance->optional) ||
        (instance->implicit && (r == -PULLKEY_UNSUPPORTED || r == -PULLKEY_NO_IDENTITY));

    if (r == 0 || r == -PULLKEY_NOT_FOUND)
        return r;
    log_line(instance->name, "%s: %s", error_class_name(error->code), error->message);
    return is_forgiven ? -PULLKEY_NOT_FOUND : error_wrap(error, "%s", instance->name);
}

/* One instance and what is asked of it. */
struct question {
    const struct resolve *resolve;
    const struct config_instance *instance;
    const struct pullkey_request *request;
    bool verify;        /* the rule was chosen by what the workload claims */
    const char *inputs; /* what the cache believes that tokens depend on; NULL: no cache */
    bool is_asked;      /* the backend, and not the cache alone */
};

/* The file beside a module is read without loading it, so it may be of another release. */
static int check_inputs(const struct question *question, const struct pullkey_module *module,
                        struct pullkey_error *error)
{
    const char *inputs = module->inputs ? module->inputs : "";

    if (!question->inputs || ((module->capabilities & (PULLKEY_EXPIRES | PULLKEY_COALESCES)) &&
                              strcmp(question->inputs, inputs) == 0))
        return 0;
    return error_set(
        error, PULLKEY_INVALID,
        "the module \"%s\" and its file %s.inputs do not belong together: install both "
        "again",
        module->type, module->type);
}

/* For how long what it yields may be kept if it has no expiry. */
static int64_t coalesce_seconds(const struct question *question,
                                const struct pullkey_module *module)
{
    const cJSON *option = json_member(question->instance->options, "coalesce");

    if (!(module->capabilities & PULLKEY_COALESCES))
        return 0;
    return cJSON_IsNumber(option) ? (int64_t)option->valuedouble : COALESCE_SECONDS;
}

static int ask_backend(void *context, struct pullkey_credential *ret, int64_t *ret_seconds,
                       struct pullkey_error *error)
{
    struct question *question = context;
    cleanup_credential struct pullkey_credential credential = { 0 };
    cleanup_opened struct resolve_opened opened = { 0 };
    int r;

    question->is_asked = true;
    r = question->verify ? resolve_verify(question->resolve, question->request, error) : 0;

    if (r == 0)
        r = resolve_open(question->resolve, question->instance, &opened, error);
    if (r == 0)
        r = check_inputs(question, &opened.backend->module, error);
    if (r == 0)
        r = opened.backend->get(opened.state, question->request, &credential, error);
    if (r == 0)
        r = credential_check(&credential, error);
    if (r < 0)
        return r;
    *ret_seconds = credential.stale ? 0 : coalesce_seconds(question, &opened.backend->module);
    *ret = credential;
    credential = (struct pullkey_credential){ 0 };
    return 0;
}

static int ask_uncached(struct question *question, struct pullkey_credential *ret,
                        struct pullkey_error *error)
{
    int64_t ignored = 0;

    return ask_backend(question, ret, &ignored, error);
}

/*
 * Whose answer it is: the whole token, as a hash, and who it says it is for. Somebody who does not
 * have the token cannot make another one with that hash.
 */
static void write_subject(const struct pullkey_workload *workload, struct buffer *buffer)
{
    const char *const parts[] = { workload->namespace_name, workload->service_account,
                                  workload->service_account_uid, workload->pod, workload->pod_uid };
    char hash[HASH_TEXT_SIZE];

    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        buffer_printf(buffer, "%s/", parts[i]);
    hash_text(workload->token.bytes, workload->token.length, hash);
    buffer_append_text(buffer, hash);
    hash_text(workload->annotations, strlen(workload->annotations), hash);
    buffer_printf(buffer, "/%s", hash);
}

void resolve_registry(const struct registry_reference *reference, char ret[REGISTRY_CANONICAL_MAX])
{
    struct registry_reference plain = *reference;

    plain.path[0] = '\0';
    registry_canonical(&plain, ret);
}

/* The key of an answer, and what it points into. */
struct keyed {
    struct cache_key key;
    struct buffer inputs, options, subject;
    char registry[REGISTRY_CANONICAL_MAX];
};

#define KEYED_INIT                                                                                 \
    {                                                                                              \
        .inputs = BUFFER_INIT(RESOLVE_INPUTS_MAX), .options = BUFFER_INIT(OPTIONS_MAX),            \
        .subject = BUFFER_INIT(SUBJECT_MAX)                                                        \
    }

static void keyed_done(struct keyed *keyed)
{
    buffer_done(&keyed->inputs);
    buffer_done(&keyed->options);
    buffer_done(&keyed->subject);
}

#define cleanup_keyed __attribute__((cleanup(keyed_done)))

/* No inputs: the backend does not say what its tokens depend on, so nothing is cached. */
static int make_key(const struct question *question, const struct registry_reference *reference,
                    struct keyed *ret, struct pullkey_error *error)
{
    const struct config_instance *instance = question->instance;
    const struct pullkey_workload *workload = question->resolve->workload;
    int r = module_inputs(instance->type, &ret->inputs, error);

    if (r < 0 || ret->inputs.length == 0)
        return r;
    r = config_instance_options(instance, NULL, &ret->options, error);
    /* Without a workload too: the system's places are not the user's. */
    if (question->resolve->config->system)
        buffer_append_text(&ret->subject, "system/");
    if (workload &&
        (question->verify || cache_declares(ret->inputs.data, instance->options, "workload")))
        write_subject(workload, &ret->subject);
    if (r == 0)
        r = buffer_check(&ret->subject, error);
    resolve_registry(reference, ret->registry);
    ret->key = (struct cache_key){
        .instance = instance->name,
        .type = instance->type,
        .options = ret->options.data,
        .registry = ret->registry,
        .path =
            cache_declares(ret->inputs.data, instance->options, "registry") ? "" : reference->path,
        .inputs = ret->inputs.data,
        .subject = ret->subject.data ? ret->subject.data : "",
    };
    return r;
}

/* Through the cache if the backend says what its tokens depend on, else straight to it. */
static int ask_instance(struct question *question, const struct registry_reference *reference,
                        struct pullkey_credential *ret, struct pullkey_error *error)
{
    cleanup_keyed struct keyed keyed = KEYED_INIT;
    cleanup_cache struct cache *cache = NULL;
    int r;

    /* Without a query, which has no meaning here and may hold a token. */
    log_line(question->instance->name, "asked for %.*s", (int)strcspn(question->request->text, "?"),
             question->request->text);
    r = make_key(question, reference, &keyed, error);
    if (r == 0 && keyed.inputs.length > 0)
        r = cache_open(question->resolve->config->system, &cache, error);
    if (r < 0)
        return r;
    if (!cache)
        return ask_uncached(question, ret, error);
    question->inputs = keyed.inputs.data;
    return cache_get(cache, &keyed.key, question->request->deadline_ms, ask_backend, question, ret,
                     error);
}

static bool must_verify(const struct resolve_chain *chain)
{
    return chain->rule && (chain->rule->namespaces || chain->rule->service_accounts);
}

int resolve_cached(const struct resolve *resolve, const struct resolve_chain *chain, size_t at,
                   const struct registry_reference *reference, bool *ret_cached,
                   struct cache_entry *ret, struct pullkey_error *error)
{
    const struct question question = { .resolve = resolve,
                                       .instance = chain->items[at],
                                       .verify = must_verify(chain) };
    cleanup_keyed struct keyed keyed = KEYED_INIT;
    cleanup_cache struct cache *cache = NULL;
    struct cache_slot slot;
    int r = make_key(&question, reference, &keyed, error);

    *ret = (struct cache_entry){ 0 };
    *ret_cached = keyed.inputs.length > 0;
    if (r == 0 && *ret_cached)
        r = cache_look(resolve->config->system, &cache, error);
    if (r == 0 && cache && cache_slot_make(cache, &keyed.key, &slot, error) == 0)
        cache_entry_read(cache, &slot, ret);
    return r;
}

void resolve_name_source(const struct config_instance *instance, char ret[RESOLVE_SOURCE_MAX])
{
    size_t length = strnlen(instance->name, RESOLVE_SOURCE_MAX - 1);

    if (ret)
        memcpy(mempcpy(ret, instance->name, length), "", 1);
}

int64_t resolve_deadline(const struct resolve *resolve)
{
    return resolve->deadline_ms + person_waited_ms();
}

/* One that is forgiven leaves time for those after it. */
static int64_t deadline_of(const struct resolve *resolve, const struct resolve_chain *chain,
                           size_t position)
{
    const struct config_instance *instance = chain->items[position];
    const int64_t now = clock_monotonic_ms();
    const int64_t deadline = resolve_deadline(resolve);
    const int64_t count = (int64_t)(chain->count - position);

    if (count == 1 || deadline <= now || !(instance->on_error_next || instance->optional))
        return deadline;
    return now + (deadline - now) / count;
}

static void judge_scope(const struct resolve *resolve, const struct registry_reference *reference,
                        size_t position, struct pullkey_credential *credential)
{
    /* Those before it may have something for another path. */
    if (position > 0 || config_divides_registry(resolve->config, reference, &resolve->asker))
        credential->scope = PULLKEY_SCOPE_IMAGE;
}

/* Static pods have no token, and an instance that asks as them has nothing for them. */
static bool has_no_asker(const struct resolve *resolve, const struct config_instance *instance)
{
    static const char as_pod[] =
        "for @identity=workload @identity.kubelet @oauth.actor.kubelet "
        "@oauth.client_assertion.kubelet @oauth.client_secret.kubelet\nworkload";

    return resolve->asker.caller == CONFIG_KUBELET && !resolve->workload &&
           cache_declares(as_pod, instance->options, "workload");
}

static void tell_watcher(const struct question *question, int64_t began, int result, int judged,
                         const struct pullkey_credential *credential,
                         const struct pullkey_error *error)
{
    const struct resolve *resolve = question->resolve;

    if (!resolve->watch)
        return;
    resolve->watch(resolve->watch_context, &(struct resolve_answer){
                                               .instance = question->instance,
                                               .result = result,
                                               .is_forgiven = judged == -PULLKEY_NOT_FOUND,
                                               .error = result < 0 ? error : NULL,
                                               .credential = result < 0 ? NULL : credential,
                                               .took_ms = clock_monotonic_ms() - began,
                                               .cache = !question->inputs    ? RESOLVE_UNCACHED
                                                        : question->is_asked ? RESOLVE_CACHE_MISS
                                                                             : RESOLVE_CACHED,
                                           });
}

int resolve_get(const struct resolve *resolve, const struct registry_reference *reference,
                struct pullkey_credential *ret, char ret_source[RESOLVE_SOURCE_MAX],
                struct pullkey_error *error)
{
    struct registry_request request;
    struct resolve_chain chain;

    registry_request(reference, resolve->deadline_ms, &request);
    request.request.workload = resolve->workload;
    resolve_chain_find(resolve, reference, &chain);
    for (size_t i = 0; i < chain.count; i++) {
        struct question question = {
            .resolve = resolve,
            .instance = chain.items[i],
            .request = &request.request,
            .verify = must_verify(&chain),
        };
        int64_t began = 0;
        int r, answer;

        /* The last one is asked all the same, and says what is missing. */
        if (i + 1 < chain.count && has_no_asker(resolve, chain.items[i])) {
            log_line(chain.items[i]->name, "not asked: the kubelet sent no service account token");
            continue;
        }
        request.request.deadline_ms = deadline_of(resolve, &chain, i);
        if (resolve->watch)
            began = clock_monotonic_ms();
        r = answer = ask_instance(&question, reference, ret, error);
        if (r == -PULLKEY_DENIED && resolve->refused)
            *resolve->refused = true;
        r = resolve_judge(chain.items[i], r, error);
        tell_watcher(&question, began, answer, r, ret, error);
        if (r == 0) {
            log_line(chain.items[i]->name, "answers");
            resolve_name_source(chain.items[i], ret_source);
            judge_scope(resolve, reference, i, ret);
        }
        if (r != -PULLKEY_NOT_FOUND)
            return r;
    }
    return error_set(error, PULLKEY_NOT_FOUND, "no credential for %s", reference->text);
}
