/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Says what pullkey makes of configurations, for config-schema.py. Each line of input is a JSON
 * string that holds the text of one; the answer is a line "ok" or "refused MESSAGE". What is
 * refused is what no machine could use: an error of another class than "invalid" (a helper or a
 * directory that is not there) is "ok".
 *
 * With --options it prints the option tables of the descriptors instead: "TYPE OPTION KIND", one a
 * line.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "core/config.h"
#include "core/module.h"

extern const struct pullkey_module *const module_builtin_table[];

/* Modules of this build with options of their own, wherever they are installed. */
#ifdef WITH_KEYRING
extern const struct pullkey_backend keyring_backend;
#endif
#ifdef WITH_KUBERNETES
extern const struct pullkey_backend kubernetes_backend;
#endif
#ifdef WITH_TOKEN
extern const struct pullkey_backend token_backend;
#endif
static const struct pullkey_module *const linked[] = {
#ifdef WITH_KEYRING
    &keyring_backend.module,
#endif
#ifdef WITH_KUBERNETES
    &kubernetes_backend.module,
#endif
#ifdef WITH_TOKEN
    &token_backend.module,
#endif
    NULL,
};

static int find_backend(const char *type, const struct pullkey_backend **ret,
                        struct pullkey_error *error)
{
    for (size_t i = 0; linked[i]; i++) {
        if (strcmp(linked[i]->type, type) == 0) {
            *ret = (const struct pullkey_backend *)(const void *)linked[i];
            return 0;
        }
    }
    return module_find_backend(type, ret, error);
}

static int open_instance(const struct config_instance *instance, struct pullkey_error *error)
{
    cleanup_buffer struct buffer options = BUFFER_INIT(CONFIG_FILE_MAX);
    struct pullkey_instance description = { .size = sizeof(description), .name = instance->name };
    const struct pullkey_backend *backend;
    struct pullkey_error missing;
    void *opened = NULL;
    int r;

    /* The options of a backend that is not part of this build cannot be checked. */
    if (find_backend(instance->type, &backend, &missing) < 0)
        return 0;
    r = config_instance_options(instance, &backend->module, &options, error);
    if (r < 0)
        return r;
    description.options = options.data;
    r = backend->open(&module_host, &description, &opened, error);
    if (r == 0)
        backend->close(opened);
    return r == -(int)PULLKEY_INVALID ? r : 0;
}

/* Declared instances too, whether or not a rule uses them. */
static int open_all(const struct config *config, struct pullkey_error *error)
{
    const cJSON *backends = json_member(config->documents[0].root, "backends");
    int r = 0;

    for (const cJSON *item = backends ? backends->child : NULL; r == 0 && item; item = item->next)
        r = open_instance(&(struct config_instance){ .name = item->string,
                                                     .type = json_member(item, "type")->valuestring,
                                                     .document = &config->documents[0],
                                                     .options = item },
                          error);
    for (size_t i = 0; r == 0 && i < config->default_count; i++)
        r = open_instance(&config->default_chain[i], error);
    for (size_t i = 0; i < config->rule_count; i++)
        for (size_t j = 0; r == 0 && j < config->rules[i].chain_count; j++)
            r = open_instance(&config->rules[i].chain[j], error);
    return r;
}

static int check(const char *text, struct pullkey_error *error)
{
    cleanup_config struct config config = { 0 };
    int r = config_load(&(struct config_source){ .text = text }, &config, error);

    return r < 0 ? r : open_all(&config, error);
}

static int answer_lines(void)
{
    char *line = NULL;
    size_t size = 0;
    ssize_t length;
    int status = 0;

    while (status == 0 && (length = getline(&line, &size, stdin)) > 0) {
        cleanup_json struct json json = { 0 };
        struct pullkey_error error = { 0 };

        if (json_parse(&json, "input", line, (size_t)length, 0, &error) < 0 ||
            !cJSON_IsString(json.root)) {
            (void)fprintf(stderr, "a line is not a JSON string: %s\n", error.message);
            status = 1;
        } else if (check(json.root->valuestring, &error) < 0) {
            (void)printf("refused %s\n", error.message);
        } else {
            (void)printf("ok\n");
        }
    }
    free(line);
    return status;
}

static void print_options_of(const struct pullkey_module *const *modules)
{
    static const char *const kinds[] = {
        [PULLKEY_OPTION_STRING] = "string",  [PULLKEY_OPTION_BOOL] = "boolean",
        [PULLKEY_OPTION_NUMBER] = "integer", [PULLKEY_OPTION_STRINGS] = "array",
        [PULLKEY_OPTION_OBJECT] = "object",
    };

    for (size_t i = 0; modules[i]; i++) {
        const struct pullkey_module *module = modules[i];

        if (module->kind != PULLKEY_KIND_BACKEND)
            continue;
        for (const struct pullkey_option *option = module->options; option && option->name;
             option++)
            (void)printf("%s %s %s\n", module->type, option->name, kinds[option->type]);
    }
}

int main(int argc, char **argv)
{
    json_start();
    if (argc == 2 && strcmp(argv[1], "--options") == 0) {
        print_options_of(module_builtin_table);
        print_options_of(linked);
        return 0;
    }
    return answer_lines();
}
