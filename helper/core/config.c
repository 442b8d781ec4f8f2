/* SPDX-License-Identifier: Apache-2.0 */
#include "core/config.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/secret.h"
#include "core/config-parts.h"

int config_load(const struct config_source *source, struct config *ret, struct pullkey_error *error)
{
    struct config config = { .session_bus = source->session_bus, .system = source->system };
    int r;

    config.documents = secret_alloc(CONFIG_DOCUMENTS_MAX * sizeof(*config.documents));
    if (!config.documents)
        return error_memory(error);
    r = config_read(source, &config, error);
    if (r == 0)
        r = config_merge(source, &config, error);
    if (r < 0) {
        config_done(&config);
        /* "Not found" would read as "no credential" to a caller. */
        if (error->code == PULLKEY_NOT_FOUND)
            error->code = PULLKEY_INVALID;
        return -(int)error->code;
    }
    *ret = config;
    return 0;
}

void config_done(struct config *config)
{
    for (size_t i = 0; i < config->document_count; i++)
        json_done(&config->documents[i]);
    secret_release(config->documents);
    secret_release(config->rules);
    *config = (struct config){ 0 };
}

/* `names` NULL: any name, and none, will do. */
static bool contains(const cJSON *names, const char *name)
{
    if (!names)
        return true;
    for (const cJSON *item = config_first(names); name && item; item = config_next(names, item))
        if (strcmp(item->valuestring, name) == 0)
            return true;
    return false;
}

/* Whom a rule serves besides does not matter: another workload may be asked for next. */
bool config_divides_registry(const struct config *config,
                             const struct registry_reference *reference,
                             const struct config_asker *asker)
{
    for (size_t i = 0; i < config->rule_count; i++) {
        const struct config_rule *rule = &config->rules[i];

        if (!(rule->callers & asker->caller))
            continue;
        for (const cJSON *item = config_first(rule->match); item;
             item = config_next(rule->match, item))
            if (registry_pattern_divides(item->valuestring, reference))
                return true;
    }
    return false;
}

int config_rule_fit(const struct config_rule *rule, const struct registry_reference *reference,
                    const struct config_asker *asker)
{
    int best = REGISTRY_OTHER_HOST;

    if (!(rule->callers & asker->caller))
        return CONFIG_OTHER_CALLER;
    if (!contains(rule->namespaces, asker->namespace_name))
        return CONFIG_OTHER_NAMESPACE;
    if (!contains(rule->service_accounts, asker->service_account))
        return CONFIG_OTHER_ACCOUNT;
    for (const cJSON *item = config_first(rule->match); item && best < REGISTRY_FITS;
         item = config_next(rule->match, item)) {
        int fit = (int)registry_pattern_fit(item->valuestring, reference);

        best = fit > best ? fit : best;
    }
    return CONFIG_OTHER_REGISTRY + best;
}

const struct config_rule *config_find_rule(const struct config *config,
                                           const struct registry_reference *reference,
                                           const struct config_asker *asker)
{
    for (size_t i = 0; i < config->rule_count; i++)
        if (config_rule_fit(&config->rules[i], reference, asker) == CONFIG_FITS)
            return &config->rules[i];
    return NULL;
}

void config_rule_name(const struct config_rule *rule, char ret[CONFIG_RULE_NAME_MAX])
{
    if (rule)
        (void)snprintf(ret, CONFIG_RULE_NAME_MAX, "rule %zu of %s", rule->number + 1,
                       rule->document->name);
    else
        (void)snprintf(ret, CONFIG_RULE_NAME_MAX, "the default chain");
}
