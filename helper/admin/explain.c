/* SPDX-License-Identifier: Apache-2.0 */
/* What a request would go through, without asking anybody: opening a backend touches nothing but
 * files. */
#include "admin.h"

#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/output.h"
#include "core/cache-file.h"
#include "core/resolve-chain.h"
#include "doctor.h"
#include "instances.h"
#include "table.h"

#define TEXT_MAX (8u * JSON_SIZE_MAX)

static const char *const fits[] = {
    [CONFIG_OTHER_CALLER] = "another caller",
    [CONFIG_OTHER_NAMESPACE] = "another namespace",
    [CONFIG_OTHER_ACCOUNT] = "another service account",
    [CONFIG_OTHER_REGISTRY + REGISTRY_OTHER_HOST] = "another host",
    [CONFIG_OTHER_REGISTRY + REGISTRY_OTHER_SCHEME] = "another scheme",
    [CONFIG_OTHER_REGISTRY + REGISTRY_OTHER_PORT] = "another port",
    [CONFIG_OTHER_REGISTRY + REGISTRY_OTHER_PATH] = "another path",
    [CONFIG_FITS] = "this one",
};

/* What is explained. */
struct question {
    const struct admin_call *call;
    struct resolve resolve;
    struct registry_reference reference;
    struct registry_request request;
    struct resolve_chain chain;
    char canonical[REGISTRY_CANONICAL_MAX];
};

/* What there is to say of one instance. */
struct asked {
    struct buffer detail, cache;
    bool stores;
};

static void asked_done(struct asked *asked)
{
    buffer_done(&asked->detail);
    buffer_done(&asked->cache);
}

static int describe_backend(const struct question *question, const struct config_instance *instance,
                            struct asked *ret, struct pullkey_error *error)
{
    cleanup_opened struct resolve_opened opened = { 0 };
    struct pullkey_error why = { 0 };
    int r = resolve_open(&question->resolve, instance, &opened, &why);

    /* Want of memory says nothing about the instance. */
    if (r == -PULLKEY_INTERNAL)
        *error = why;
    if (r == -PULLKEY_INTERNAL)
        return r;
    if (r < 0) {
        buffer_printf(&ret->detail, "cannot be used%s: %s",
                      instance->implicit ? " and is passed over" : "", why.message);
        return buffer_check(&ret->detail, error);
    }
    ret->stores = (opened.backend->module.capabilities & PULLKEY_CAN_STORE) &&
                  (!opened.backend->writable || opened.backend->writable(opened.state, &why) == 0);
    instances_place(&opened, &ret->detail);
    return buffer_check(&ret->detail, error);
}

static int describe_cache(const struct question *question, size_t at, struct buffer *ret,
                          struct pullkey_error *error)
{
    cleanup_entry struct cache_entry entry = { 0 };
    char time[TABLE_TIME_MAX];
    bool is_cached;
    int r = resolve_cached(&question->resolve, &question->chain, at, &question->reference,
                           &is_cached, &entry, error);
    int64_t left = entry.end - clock_wall_seconds();

    if (r == -PULLKEY_INTERNAL || !is_cached)
        return r;
    /* As that of the system for a user. */
    if (r < 0)
        buffer_append_text(ret, error->message);
    else if (left <= 0 || entry.outcome == CACHE_NOTHING || entry.outcome == CACHE_UNKEPT)
        buffer_append_text(ret, question->resolve.asker.caller == CONFIG_KUBELET
                                    ? "nothing, or for single pods"
                                    : "nothing");
    else if (entry.outcome == CACHE_TOKEN)
        buffer_printf(ret, "a token, used for %s", table_time(left, time));
    else
        buffer_printf(ret, "for %s: %s", table_time(left, time), entry.failure.message);
    return buffer_check(ret, error);
}

static int describe(const struct question *question, size_t at, struct asked *ret,
                    struct pullkey_error *error)
{
    int r = describe_backend(question, question->chain.items[at], ret, error);

    return r < 0 ? r : describe_cache(question, at, &ret->cache, error);
}

static const char *fit_of(const struct question *question, const struct config_rule *rule)
{
    if (question->chain.rule && rule > question->chain.rule)
        return "comes later";
    return fits[config_rule_fit(rule, &question->reference, &question->resolve.asker)];
}

static int find_chain(const struct question *question, struct buffer *where,
                      struct pullkey_error *error)
{
    const struct config_rule *rule = question->chain.rule;

    return rule ? instances_find(rule->document, rule->item, where, error)
                : instances_default(question->resolve.config, where, error);
}

static int print_rules(const struct question *question, struct pullkey_error *error)
{
    const struct config *config = question->resolve.config;
    cleanup_table struct table table = TABLE_INIT;
    cleanup_buffer struct buffer text = BUFFER_INIT(TEXT_MAX);

    if (config->rule_count == 0) {
        output_line("There is no rule.");
        return 0;
    }
    table_begin(&table, "RULE|SERVES|MATCH");
    for (size_t i = 0; i < config->rule_count; i++) {
        const struct config_rule *rule = &config->rules[i];
        const cJSON *when = json_member(rule->item, "when");
        int r = instances_find(rule->document, rule->item, &text, error);

        table_add(&table, "%s", text.data ? text.data : "");
        table_add(&table, "%s", fit_of(question, rule));
        buffer_done(&text);
        if (r == 0)
            r = json_write_tree(&text, rule->match, false, error);
        if (r == 0 && when) {
            buffer_append_text(&text, " when ");
            r = json_write_tree(&text, when, false, error);
        }
        if (r < 0)
            return r;
        table_add(&table, "%s", text.data);
    }
    return table_print(&table, error);
}

static int print_instance(const struct question *question, size_t at, const char **store,
                          struct pullkey_error *error)
{
    const struct config_instance *instance = question->chain.items[at];
    __attribute__((cleanup(asked_done))) struct asked asked = { .detail = BUFFER_INIT(TEXT_MAX),
                                                                .cache = BUFFER_INIT(TEXT_MAX) };
    cleanup_buffer struct buffer where = BUFFER_INIT(TEXT_MAX);
    int r = instances_find(instance->document, instance->options, &where, error);

    if (r == 0)
        r = describe(question, at, &asked, error);
    if (r == 0 && asked.detail.length == 0 && instance->options)
        r = instances_options(instance, &asked.detail, error);
    if (r < 0)
        return r;
    output_line("  %zu. %s (%s, %s)%s%s", at + 1, instance->name, instance->type, where.data,
                instance->optional ? ", optional" : "",
                instance->on_error_next ? ", the next after an error" : "");
    if (asked.detail.length > 0)
        output_line("     %s", asked.detail.data);
    if (asked.cache.length > 0)
        output_line("     in the cache: %s", asked.cache.data);
    if (asked.stores && !*store)
        *store = instance->name;
    return 0;
}

static int print_chain(const struct question *question, struct pullkey_error *error)
{
    const struct resolve_chain *chain = &question->chain;
    cleanup_buffer struct buffer where = BUFFER_INIT(TEXT_MAX);
    char name[CONFIG_RULE_NAME_MAX];
    const char *store = NULL;
    int r = find_chain(question, &where, error);

    if (r < 0)
        return r;
    config_rule_name(chain->rule, name);
    if (chain->count == 0)
        output_line("By %s (%s) nobody is asked.", name, where.data);
    else
        output_line("By %s (%s) these are asked, until one has a credential:", name, where.data);
    for (size_t i = 0; r == 0 && i < chain->count; i++)
        r = print_instance(question, i, &store, error);
    if (r == 0 && chain->rule && (chain->rule->namespaces || chain->rule->service_accounts))
        output_line("Only for pods whose service account token is found to be true.");
    if (r == 0 && question->resolve.asker.caller == CONFIG_DOCKER)
        output_line("A login is %s%s.", store ? "stored in " : "",
                    store                                      ? store
                    : chain->rule && chain->rule->ignore_store ? "ignored"
                                                               : "not stored: it is refused");
    return r;
}

static int print_text(const struct question *question, struct pullkey_error *error)
{
    const struct registry_reference *reference = &question->reference;
    const struct pullkey_request *request = &question->request.request;
    char registry[REGISTRY_CANONICAL_MAX];
    int r;

    resolve_registry(reference, registry);
    if (reference->opaque)
        output_line("%s: a key that matches its exact text only", question->canonical);
    else
        output_line("%s: registry %s%s, %s%s%s", question->canonical, registry,
                    strcmp(reference->host, "docker.io") == 0 ? " (Docker Hub)" : "",
                    reference->http ? "http" : "https", reference->path[0] != '\0' ? ", path " : "",
                    reference->path);
    output_line("Names that a store is searched for, in this order:");
    for (size_t i = 0; i < request->name_count; i++)
        output_line("  %s%s", request->names[i],
                    i < request->alias_count ? "" : " (a shorter path: not for logout)");
    r = print_rules(question, error);
    return r < 0 ? r : print_chain(question, error);
}

static int write_rules(const struct question *question, struct buffer *json,
                       struct pullkey_error *error)
{
    const struct config *config = question->resolve.config;
    cleanup_buffer struct buffer where = BUFFER_INIT(TEXT_MAX);
    int r = 0;

    buffer_append_text(json, ",\"rules\":[");
    for (size_t i = 0; r == 0 && i < config->rule_count; i++) {
        const struct config_rule *rule = &config->rules[i];

        r = instances_find(rule->document, rule->item, &where, error);
        buffer_append_text(json, i > 0 ? ",\n " : "");
        json_write_format(json, "{\"from\":%s,\"serves\":%s,\"match\":", where.data,
                          fit_of(question, rule));
        if (r == 0)
            r = json_write_tree(json, rule->match, false, error);
        buffer_append_text(json, "}");
    }
    buffer_append_text(json, "]");
    return r;
}

static int write_instance(const struct question *question, size_t at, struct buffer *json,
                          const char **store, struct pullkey_error *error)
{
    __attribute__((cleanup(asked_done))) struct asked asked = { .detail = BUFFER_INIT(TEXT_MAX),
                                                                .cache = BUFFER_INIT(TEXT_MAX) };
    int r = describe(question, at, &asked, error);

    buffer_append_text(json, at > 0 ? ",\n " : "");
    if (r == 0)
        r = instances_write(question->chain.items[at], json, error);
    json_write_format(json, ",\"detail\":%s,\"cache\":%s}", asked.detail.data, asked.cache.data);
    if (asked.stores && !*store)
        *store = question->chain.items[at]->name;
    return r;
}

static int write_json(const struct question *question, struct pullkey_error *error)
{
    const struct pullkey_request *request = &question->request.request;
    cleanup_buffer struct buffer json = BUFFER_INIT(TEXT_MAX);
    cleanup_buffer struct buffer where = BUFFER_INIT(TEXT_MAX);
    char name[CONFIG_RULE_NAME_MAX];
    const char *store = NULL;
    int r = find_chain(question, &where, error);

    if (r < 0)
        return r;
    json_write_format(&json, "{\"registry\":%s", question->canonical);
    for (size_t i = 0; i < request->name_count; i++)
        json_write_format(&json, i > 0 ? ",%s" : ",\"names\":[%s", request->names[i]);
    buffer_append_text(&json, "]");
    r = write_rules(question, &json, error);
    config_rule_name(question->chain.rule, name);
    json_write_format(&json, ",\"rule\":%s,\"from\":%s,\"use\":[", name, where.data);
    for (size_t i = 0; r == 0 && i < question->chain.count; i++)
        r = write_instance(question, i, &json, &store, error);
    json_write_format(&json, "],\"store\":%s}\n", store);
    return r < 0 ? r : output_buffer(&json, error);
}

/* As whom; hosts and the kubelet read the system's configuration. */
static int read_asker(struct admin_call *call, struct config_asker *ret,
                      struct pullkey_error *error)
{
    const char *caller = call->values[ADMIN_CALLER];
    bool is_kubelet = caller && caller[0] == 'k';

    if (caller && strchr(caller, ','))
        return admin_usage(error, "explain is for one --caller");
    ret->caller = is_kubelet                   ? CONFIG_KUBELET
                  : caller && caller[0] == 'h' ? CONFIG_HOSTS
                                               : CONFIG_DOCKER;
    ret->namespace_name = call->values[ADMIN_NAMESPACE];
    ret->service_account = call->values[ADMIN_SERVICE_ACCOUNT];
    if (!is_kubelet && (ret->namespace_name || ret->service_account))
        return admin_usage(error, "--namespace and --service-account go with --caller kubelet");
    if (ret->caller != CONFIG_DOCKER)
        call->values[ADMIN_SYSTEM] = "";
    return 0;
}

int admin_explain(const struct admin_call *call, struct pullkey_error *error)
{
    cleanup_config struct config config = { 0 };
    struct admin_call own = *call;
    struct question question = { .call = call };
    struct config_asker asker = { 0 };
    int r = doctor_read_reference(call->arguments[0], &question.reference, error);

    if (r == 0)
        r = read_asker(&own, &asker, error);
    if (r == 0)
        r = admin_load(&own, &config, error);
    if (r < 0)
        return r;
    question.resolve = admin_resolve(&config);
    question.resolve.asker = asker;
    registry_request(&question.reference, question.resolve.deadline_ms, &question.request);
    registry_canonical(&question.reference, question.canonical);
    resolve_chain_find(&question.resolve, &question.reference, &question.chain);
    return call->values[ADMIN_JSON] ? write_json(&question, error) : print_text(&question, error);
}
