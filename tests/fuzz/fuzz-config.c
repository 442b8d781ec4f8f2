/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/config: the input is the text of a configuration. Rules are looked up and the options of all instances are written; these
 * must be JSON without core's keys.
 */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/secret.h"
#include "core/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct pullkey_option sample_options[] = {
    { "path", PULLKEY_OPTION_STRING, false },   { "flag", PULLKEY_OPTION_BOOL, false },
    { "number", PULLKEY_OPTION_NUMBER, false }, { "env", PULLKEY_OPTION_STRINGS, false },
    { "object", PULLKEY_OPTION_OBJECT, false }, { 0 },
};
static const struct pullkey_module sample = { .type = "sample", .options = sample_options };

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void write_options(const struct config_instance *instance,
                          const struct pullkey_module *module)
{
    cleanup_buffer struct buffer options = BUFFER_INIT(CONFIG_FILE_MAX);
    cleanup_json struct json json = { 0 };
    struct pullkey_error error;

    if (config_instance_options(instance, module, &options, &error) < 0) {
        require(module && error.message[0] != '\0' && !strchr(error.message, '\n'));
        return;
    }
    require(json_parse(&json, "options", options.data, options.length, 0, &error) == 0);
    require(cJSON_IsObject(json.root) && !json_member(json.root, "type") &&
            !json_member(json.root, "on_error") && !json_member(json.root, "optional"));
}

static void write_chain(const struct config_instance *chain, size_t count)
{
    require(count <= CONFIG_CHAIN_MAX);
    for (size_t i = 0; i < count; i++) {
        require(chain[i].name && chain[i].type);
        write_options(&chain[i], &sample);
        write_options(&chain[i], NULL);
    }
}

static void look_up(const struct config *config)
{
    static const char *const servers[] = { "registry.example.com/team/app", "docker.io",
                                           "[::1]:5000" };
    static const struct config_asker askers[] = {
        { CONFIG_DOCKER, NULL, NULL },
        { CONFIG_KUBELET, "prod", "builder" },
    };

    for (size_t i = 0; i < sizeof(servers) / sizeof(servers[0]); i++) {
        struct registry_reference reference;
        struct pullkey_error error;

        require(registry_parse(servers[i], strlen(servers[i]), &reference, &error) == 0);
        for (size_t j = 0; j < sizeof(askers) / sizeof(askers[0]); j++) {
            const struct config_rule *rule = config_find_rule(config, &reference, &askers[j]);

            require(!rule || (rule->callers & askers[j].caller));
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cleanup_release char *text = secret_copy((const char *)data, size);
    cleanup_config struct config config = { 0 };
    struct pullkey_error error = { 0 };

    json_start();
    if (!text)
        return 0;
    if (config_load(&(struct config_source){ .text = text }, &config, &error) < 0) {
        require(error.code != PULLKEY_OK && error.code != PULLKEY_NOT_FOUND &&
                error.message[0] != '\0' && !strchr(error.message, '\n'));
        return 0;
    }
    write_chain(config.default_chain, config.default_count);
    for (size_t i = 0; i < config.rule_count; i++)
        write_chain(config.rules[i].chain, config.rules[i].chain_count);
    look_up(&config);
    return 0;
}
