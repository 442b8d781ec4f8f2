/* SPDX-License-Identifier: Apache-2.0 */
#include "core/config-parts.h"

#include <string.h>

#include "base/error.h"
#include "base/secret.h"

/* These two may be used without being declared. */
static bool is_known_type(const char *name)
{
    return strcmp(name, "file") == 0 || strcmp(name, "keyring") == 0;
}

/* The nearest declaration of a name, or NULL. */
static const cJSON *find_backend(const struct config *config, const char *name,
                                 const struct json **ret_document)
{
    for (size_t i = 0; i < config->document_count; i++) {
        const struct json *document = &config->documents[i];
        const cJSON *item = json_member(json_member(document->root, "backends"), name);

        if (item) {
            *ret_document = document;
            return item;
        }
    }
    return NULL;
}

void config_set_instance(const struct json *document, const char *name, const cJSON *options,
                         struct config_instance *ret)
{
    const cJSON *on_error = json_member(options, "on_error");
    const char *type = json_member(options, "type")->valuestring;

    *ret = (struct config_instance){
        .name = name ? name : type,
        .type = type,
        .document = document,
        .options = options,
        .on_error_next = on_error && strcmp(on_error->valuestring, "next") == 0,
        .optional = cJSON_IsTrue(json_member(options, "optional")),
    };
}

/* An instance by name; false if nobody declares it and it needs to be. */
static bool find_instance(const struct config *config, const char *name,
                          struct config_instance *ret)
{
    const struct json *document;
    const cJSON *options = find_backend(config, name, &document);

    if (options)
        config_set_instance(document, name, options, ret);
    else if (is_known_type(name))
        *ret = (struct config_instance){ .name = name, .type = name };
    else
        return false;
    return true;
}

static int refuse_unknown(const struct config *config, const struct json *document,
                          const cJSON *item, struct pullkey_error *error)
{
    cleanup_buffer struct buffer known = BUFFER_INIT(PULLKEY_ERROR_SIZE / 4);

    for (size_t i = 0; i < config->document_count; i++) {
        const cJSON *backends = json_member(config->documents[i].root, "backends");

        for (const cJSON *other = backends ? backends->child : NULL; other; other = other->next)
            if (!is_known_type(other->string))
                buffer_printf(&known, "\"%s\", ", other->string);
    }
    /* Where many are declared, the first ones have to do. */
    if (known.state == BUFFER_NO_MEMORY)
        return error_memory(error);
    return json_error(document, item, error,
                      "unknown backend \"%s\": declare it under \"backends\", or use %s\"file\"",
                      item->valuestring, known.data ? known.data : "");
}

static int make_chain(const struct config *config, const struct json *document, const cJSON *value,
                      struct config_instance *chain, size_t *ret_count, struct pullkey_error *error)
{
    size_t count = 0;

    for (const cJSON *item = config_first(value); item; item = config_next(value, item)) {
        struct config_instance *instance = &chain[count++];

        if (cJSON_IsObject(item))
            config_set_instance(document, NULL, item, instance);
        else if (!find_instance(config, item->valuestring, instance))
            return refuse_unknown(config, document, item, error);
    }
    *ret_count = count;
    return 0;
}

static unsigned int caller_bits(const cJSON *callers)
{
    unsigned int bits = 0;

    if (!callers)
        return CONFIG_DOCKER | CONFIG_HOSTS;
    for (const cJSON *item = config_first(callers); item; item = config_next(callers, item)) {
        if (strcmp(item->valuestring, "docker") == 0)
            bits |= CONFIG_DOCKER;
        else if (strcmp(item->valuestring, "hosts") == 0)
            bits |= CONFIG_HOSTS;
        else
            bits |= CONFIG_KUBELET;
    }
    return bits;
}

static int make_rule(const struct config *config, const struct json *document, const cJSON *item,
                     size_t number, struct config_rule *rule, struct pullkey_error *error)
{
    const cJSON *when = json_member(item, "when");

    rule->document = document;
    rule->item = item;
    rule->number = number;
    rule->match = json_member(item, "match");
    rule->callers = caller_bits(json_member(when, "caller"));
    rule->namespaces = json_member(when, "namespace");
    rule->service_accounts = json_member(when, "service_account");
    rule->ignore_store = json_member(item, "on_store");
    config_read_kubelet_rule(json_member(item, "kubelet"), &rule->kubelet);
    return make_chain(config, document, json_member(item, "use"), rule->chain, &rule->chain_count,
                      error);
}

static int make_rules(struct config *config, struct pullkey_error *error)
{
    size_t count = 0;

    for (size_t i = 0; i < config->document_count; i++)
        count += (size_t)cJSON_GetArraySize(json_member(config->documents[i].root, "rules"));
    if (count == 0)
        return 0;
    config->rules = secret_alloc(count * sizeof(*config->rules));
    if (!config->rules)
        return error_memory(error);
    for (size_t i = 0; i < config->document_count; i++) {
        const struct json *document = &config->documents[i];
        const cJSON *rules = json_member(document->root, "rules");
        size_t number = 0;

        for (const cJSON *item = rules ? rules->child : NULL; item; item = item->next) {
            int r = make_rule(config, document, item, number++,
                              &config->rules[config->rule_count++], error);

            if (r < 0)
                return r;
        }
    }
    return 0;
}

/* The nearest value of a key of the top level; *ret_document is document_count where there is none.
 */
static const cJSON *find_scalar(const struct config *config, const char *key, size_t *ret_document)
{
    for (size_t i = 0; i < config->document_count; i++) {
        const cJSON *item = json_member(config->documents[i].root, key);

        if (item) {
            *ret_document = i;
            return item;
        }
    }
    *ret_document = config->document_count;
    return NULL;
}

static void add_builtin(struct config *config, const char *name, bool named)
{
    struct config_instance *instance = &config->default_chain[config->default_count++];

    (void)find_instance(config, name, instance);
    instance->implicit = !instance->options && !named;
}

/* Where no file has a "default". What "store" names is in it, and named. */
static void make_builtin_chain(const struct config_source *source, const cJSON *store,
                               struct config *config)
{
    bool store_keyring = store && strcmp(store->valuestring, "keyring") == 0;
    bool store_file = store && strcmp(store->valuestring, "file") == 0;

    if (store_keyring || source->session_bus)
        add_builtin(config, "keyring", store_keyring);
    add_builtin(config, "file", store_file);
    config->is_builtin_chain = true;
}

static bool in_default_chain(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->default_count; i++)
        if (strcmp(config->default_chain[i].name, name) == 0)
            return true;
    return false;
}

/* The nearest object, whole. */
static int read_kubelet(struct config *config, struct pullkey_error *error)
{
    struct config_kubelet *kubelet = &config->kubelet;
    const cJSON *item, *cache_type, *seconds, *verify, *audience;
    size_t document;

    item = find_scalar(config, "kubelet", &document);
    cache_type = json_member(item, "cache_type");
    kubelet->token_cache = cache_type && strcmp(cache_type->valuestring, "Token") == 0;
    seconds = json_member(item, "empty_seconds");
    kubelet->empty_seconds = seconds ? (int64_t)seconds->valuedouble : CONFIG_EMPTY_SECONDS;
    audience = json_member(item, "audience");
    kubelet->audience = audience ? audience->valuestring : NULL;
    verify = json_member(item, "verify");
    if (!verify)
        return 0;
    if (!find_instance(config, verify->valuestring, &kubelet->verify))
        return refuse_unknown(config, &config->documents[document], verify, error);
    if (strcmp(kubelet->verify.type, "kubernetes") != 0)
        return json_error(&config->documents[document], verify, error,
                          "only a backend of type \"kubernetes\" can ask for a pod");
    return 0;
}

int config_merge(const struct config_source *source, struct config *config,
                 struct pullkey_error *error)
{
    size_t chain_document, store_document;
    const cJSON *chain = find_scalar(config, "default", &chain_document);
    const cJSON *store = find_scalar(config, "store", &store_document);
    int r = make_rules(config, error);

    if (r == 0)
        r = read_kubelet(config, error);
    if (r < 0)
        return r;
    if (chain)
        r = make_chain(config, &config->documents[chain_document], chain, config->default_chain,
                       &config->default_count, error);
    else
        make_builtin_chain(source, store, config);
    if (r < 0 || !store)
        return r;
    if (in_default_chain(config, store->valuestring))
        config->store = store->valuestring;
    else if (store_document <= chain_document)
        return json_error(&config->documents[store_document], store, error,
                          "\"%s\" is not in the default chain: add it to \"default\"",
                          store->valuestring);
    /* Else a nearer file has replaced the chain that this store was meant for. */
    return 0;
}
