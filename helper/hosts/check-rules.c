/* SPDX-License-Identifier: Apache-2.0 */
/* Hosts with credHelper = "pullkey" that pullkey's configuration leaves without an answer. */
#include "check.h"

#include <string.h>

#define OUR_HELPER "pullkey"

static bool is_exec_alone(const struct config_instance *chain, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(chain[i].type, "exec") != 0)
            return false;
    return true;
}

/* The rule that would answer docker, where none answers here. */
static void check_nobody(struct check *check, const struct node_host_directory *directory,
                         const struct hosts_host *host, const struct config_rule *rule, size_t line)
{
    const struct config_asker docker = { .caller = CONFIG_DOCKER };
    const struct config_rule *other =
        rule ? NULL : config_find_rule(check->config, host->reference, &docker);
    char name[CONFIG_RULE_NAME_MAX];

    config_rule_name(other ? other : rule, name);
    if (other)
        findings_add(
            &check->findings, OUTPUT_ERROR, "helper-not-served", directory->path, line,
            "add \"hosts\" to \"caller\" in \"when\" of that rule, or name a helper of its "
            "own in hosts.toml",
            "pullkey has no answer for %s here: %s is not for the caller \"hosts\", and "
            "there is no default",
            check_host_name(host->name), name);
    else
        findings_add(&check->findings, OUTPUT_ERROR, "helper-not-served", directory->path, line,
                     "name a backend in \"use\" or \"default\", or remove credHelper",
                     "pullkey has no answer for %s: %s asks nobody", check_host_name(host->name),
                     name);
}

static void check_host(struct check *check, const struct node_host_directory *directory,
                       const struct hosts_host *host)
{
    const struct config_asker asker = { .caller = CONFIG_HOSTS };
    size_t line = host->helper_item ? host->helper_item->line : host->table->line, count;
    const struct config_instance *chain;
    const struct config_rule *rule;
    char name[CONFIG_RULE_NAME_MAX];

    if (!hosts_host_is_managed(host) || strcmp(host->helper, OUR_HELPER) != 0)
        return;
    rule = config_find_rule(check->config, host->reference, &asker);
    chain = rule ? rule->chain : check->config->default_chain;
    count = rule ? rule->chain_count : check->config->default_count;
    if (count == 0) {
        check_nobody(check, directory, host, rule, line);
    } else if (is_exec_alone(chain, count)) {
        config_rule_name(rule, name);
        findings_add(&check->findings, OUTPUT_ERROR, "helper-only-exec", directory->path, line,
                     "name the helper itself as credHelper in hosts.toml",
                     "pullkey cannot answer for %s: %s leads to exec backends alone, and the "
                     "process that asks here may run no program",
                     check_host_name(host->name), name);
    }
}

void check_rules(struct check *check)
{
    for (size_t i = 0; check->config && i < check->root_count; i++)
        for (size_t j = 0; !check->roots[i].is_target && j < check->roots[i].hosts.count; j++) {
            const struct node_host_directory *directory = &check->roots[i].hosts.directories[j];

            for (size_t k = 0; k < directory->file.host_count; k++)
                check_host(check, directory, &directory->file.hosts[k]);
        }
}
