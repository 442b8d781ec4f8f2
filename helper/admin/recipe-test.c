/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `pullkey recipe test`: one exchange of the module token, past the cache, with each step as the
 * module tells it (pullkey_host.trace), which holds no secret.
 */
#include "admin.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/output.h"
#include "base/secret.h"
#include "core/module.h"
#include "core/resolve-chain.h"
#include "instances.h"

#define TEXT_MAX (4u * JSON_SIZE_MAX)
#define OPTIONS_MAX 65536

/* One at a time: the module's callback has no context. */
static struct buffer steps = BUFFER_INIT(JSON_SIZE_MAX);

static void take_step(const char *json)
{
    buffer_append_text(&steps, steps.length > 0 ? ",\n" : "");
    buffer_append_text(&steps, json);
}

struct test {
    const struct admin_call *call;
    struct resolve resolve;
    const char *recipe;                     /* as it was given */
    char path[FILE_PATH_MAX];               /* of a file; "" for a name */
    const struct config_instance *instance; /* NULL: nothing is configured for the recipe */
    struct registry_reference reference;
};

/* -- Which recipe, for which registry --------------------------------------------------------- */

static int read_name(struct test *test, struct pullkey_error *error)
{
    const char *name = test->recipe;
    const size_t length = strlen(name);
    char directory[FILE_PATH_MAX];

    if (name[0] == '\0')
        return admin_usage(error, "the name of the recipe is empty");
    if (!strchr(name, '/') && (length < 5 || strcmp(name + length - 5, ".json") != 0))
        return 0;
    if (name[0] == '/') {
        if (length >= sizeof(test->path))
            return admin_usage(error, "the path of the recipe is too long");
        memcpy(test->path, name, length + 1);
        return 0;
    }
    if (!getcwd(directory, sizeof(directory)))
        return error_errno(error, errno, "the working directory");
    return file_join(test->path, directory, name, error);
}

/* A file that is to become a recipe has the options of the one that it is going to be. */
static bool is_of_recipe(const struct test *test, const struct config_instance *instance)
{
    const cJSON *item = json_member(instance->options, "recipe");
    const char *name = test->path[0] != '\0' ? strrchr(test->path, '/') + 1 : test->recipe;
    size_t length = strlen(name);

    if (strcmp(instance->type, "token") != 0 || !cJSON_IsString(item))
        return false;
    if (test->path[0] != '\0' && strcmp(item->valuestring, test->path) == 0)
        return true;
    if (test->path[0] != '\0' && length > 5 && strcmp(name + length - 5, ".json") == 0)
        length -= 5;
    return strlen(item->valuestring) == length && memcmp(item->valuestring, name, length) == 0;
}

static void find_for_host(struct test *test)
{
    struct resolve_chain chain;

    resolve_chain_find(&test->resolve, &test->reference, &chain);
    for (size_t i = 0; !test->instance && i < chain.count; i++)
        if (is_of_recipe(test, chain.items[i]))
            test->instance = chain.items[i];
}

/* The first rule that uses the recipe, and the first registry that it names in full. */
static const char *find_rule(struct test *test)
{
    const struct config *config = test->resolve.config;

    for (size_t i = 0; i < config->rule_count; i++) {
        const struct config_rule *rule = &config->rules[i];

        for (size_t j = 0; j < rule->chain_count; j++) {
            if (!is_of_recipe(test, &rule->chain[j]))
                continue;
            if (!test->instance)
                test->instance = &rule->chain[j];
            for (const cJSON *item = config_first(rule->match); item;
                 item = config_next(rule->match, item))
                if (!strchr(item->valuestring, '*'))
                    return item->valuestring;
        }
    }
    return NULL;
}

/* What is configured, with the file in place of the name. */
static int write_options(const struct test *test, const struct pullkey_backend *backend,
                         struct buffer *ret, struct pullkey_error *error)
{
    cleanup_buffer struct buffer configured = BUFFER_INIT(OPTIONS_MAX);
    cleanup_json struct json json = { 0 };
    const char *recipe = test->path[0] != '\0' ? test->path : test->recipe;
    cJSON *item;
    int r;

    if (test->instance)
        r = config_instance_options(test->instance, &backend->module, &configured, error);
    else
        r = (buffer_append_text(&configured, "{}"), buffer_check(&configured, error));
    if (r == 0)
        r = json_parse(&json, test->recipe, configured.data, configured.length, 0, error);
    if (r < 0)
        return r;
    item = cJSON_CreateString(recipe);
    cJSON_DeleteItemFromObjectCaseSensitive(json.root, "recipe");
    if (!item || !cJSON_AddItemToObject(json.root, "recipe", item)) {
        cJSON_Delete(item);
        return error_memory(error);
    }
    return json_write_tree(ret, json.root, false, error);
}

/* To be asked, or to see whether there is such a recipe. */
static int open_recipe(const struct test *test, struct resolve_opened *ret,
                       struct pullkey_error *error)
{
    static struct pullkey_host host;
    cleanup_buffer struct buffer options = BUFFER_INIT(OPTIONS_MAX);
    const struct pullkey_backend *backend;
    void *state = NULL;
    int r = module_find_backend("token", &backend, error);

    if (r == 0)
        r = write_options(test, backend, &options, error);
    if (r < 0)
        return r;
    host = module_host;
    host.trace = take_step;
    r = backend->open(&host,
                      &(struct pullkey_instance){
                          .size = sizeof(struct pullkey_instance),
                          .name = test->instance ? test->instance->name : test->recipe,
                          .options = options.data,
                          .system = test->resolve.config->system,
                          .depth = test->resolve.depth,
                      },
                      &state, error);
    if (r == 0)
        *ret = (struct resolve_opened){ .backend = backend, .state = state };
    return r;
}

/* Without a registry for it; it may be that there is no such recipe. */
static int refuse_recipe(const struct test *test, struct pullkey_error *error)
{
    cleanup_opened struct resolve_opened opened = { 0 };
    int r = open_recipe(test, &opened, error);

    /* What an existing one misses is for its rule to say. */
    if (r < 0 && (r != -PULLKEY_INVALID || strstr(error->message, "there is no such recipe")))
        return r;
    return admin_usage(error,
                       "no rule has the recipe \"%s\" for a registry without \"*\": "
                       "name one with --host",
                       test->recipe);
}

static int find_host(struct test *test, struct pullkey_error *error)
{
    const char *host = test->call->values[ADMIN_HOST];
    int r;

    if (!host)
        host = find_rule(test);
    if (!host)
        return refuse_recipe(test, error);
    r = admin_reference(host, &test->reference, error);
    if (r == 0 && test->call->values[ADMIN_HOST])
        find_for_host(test);
    return r;
}

/* One that is declared and that no rule uses for this registry. */
static int find_declared(struct test *test, struct instances *instances,
                         struct pullkey_error *error)
{
    int r = instances_collect(test->resolve.config, instances, error);

    for (size_t i = 0; r == 0 && !test->instance && i < instances->count; i++)
        if (is_of_recipe(test, &instances->items[i]))
            test->instance = &instances->items[i];
    return r;
}

/* -- The exchange ------------------------------------------------------------------------------ */

static int exchange(const struct test *test, struct pullkey_error *error)
{
    cleanup_credential struct pullkey_credential credential = { 0 };
    cleanup_opened struct resolve_opened opened = { 0 };
    struct registry_request request;
    int r = open_recipe(test, &opened, error);

    if (r < 0)
        return r;
    registry_request(&test->reference, test->resolve.deadline_ms, &request);
    r = opened.backend->get(opened.state, &request.request, &credential, error);
    return r == 0 ? credential_check(&credential, error) : r;
}

/* -- Report ------------------------------------------------------------------------------------ */

static const char *text_of(const cJSON *step, const char *name)
{
    const cJSON *item = json_member(step, name);

    return cJSON_IsString(item) ? item->valuestring : "";
}

static void write_lifetime(const cJSON *step, struct buffer *line)
{
    const cJSON *item = json_member(step, "lifetime");

    if (cJSON_IsNumber(item))
        buffer_printf(line, ", good for %.0f s", item->valuedouble);
}

static void write_step(const cJSON *step, struct buffer *line)
{
    const char *kind = text_of(step, "step");
    const cJSON *status = json_member(step, "status");

    if (strcmp(kind, "identity") == 0) {
        buffer_printf(line, "identity: %s", text_of(step, "is"));
        write_lifetime(step, line);
    } else if (strcmp(kind, "request") == 0) {
        buffer_printf(line, "%s %s%s: ", text_of(step, "method"), text_of(step, "server"),
                      text_of(step, "path"));
        if (cJSON_IsNumber(status))
            buffer_printf(line, "%.0f", status->valuedouble);
        else
            buffer_append_text(line, "no answer");
    } else if (strcmp(kind, "take") == 0) {
        buffer_printf(line, "  %s from %s: %s", text_of(step, "name"), text_of(step, "at"),
                      cJSON_IsTrue(json_member(step, "found")) ? "***" : "not there");
    } else if (strcmp(kind, "answer") == 0) {
        buffer_printf(line, "answer: user %s, secret %s", text_of(step, "username"),
                      text_of(step, "secret"));
        write_lifetime(step, line);
    } else {
        buffer_append_text(line, kind);
    }
}

static int print_steps(const struct test *test, struct pullkey_error *error)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(TEXT_MAX);
    cleanup_json struct json json = { 0 };
    const cJSON *step;
    int r;

    output_line("Recipe %s for %s%s%s", test->recipe, test->reference.text,
                test->instance ? ", as configured for " : ", which is not configured",
                test->instance ? test->instance->name : "");
    buffer_printf(&text, "[%s]", steps.data ? steps.data : "");
    r = buffer_check(&text, error);
    if (r == 0)
        r = json_parse(&json, "steps", text.data, text.length, 0, error);
    if (r < 0)
        return r;
    cJSON_ArrayForEach(step, json.root) {
        cleanup_buffer struct buffer line = BUFFER_INIT(JSON_SIZE_MAX);

        write_step(step, &line);
        output_line("%s", line.data ? line.data : "");
    }
    return 0;
}

static int print_json(const struct test *test, const struct pullkey_error *why,
                      struct pullkey_error *error)
{
    cleanup_buffer struct buffer json = BUFFER_INIT(TEXT_MAX);

    buffer_append_text(&json, "{\"recipe\":");
    json_write_name(&json, test->recipe);
    buffer_append_text(&json, ",\"registry\":");
    json_write_name(&json, test->reference.text);
    buffer_append_text(&json, ",\"instance\":");
    if (test->instance)
        json_write_name(&json, test->instance->name);
    else
        buffer_append_text(&json, "null");
    buffer_printf(&json, ",\n\"steps\":[%s],\n\"error\":", steps.data ? steps.data : "");
    if (why)
        json_write_name(&json, why->message);
    else
        buffer_append_text(&json, "null");
    buffer_append_text(&json, "}\n");
    return output_buffer(&json, error);
}

int admin_recipe_test(const struct admin_call *call, struct pullkey_error *error)
{
    cleanup_instances struct instances instances = { 0 };
    cleanup_config struct config config = { 0 };
    struct test test = { .call = call, .recipe = call->arguments[0] };
    struct pullkey_error why, ignored;
    int r = read_name(&test, error);

    if (r == 0)
        r = admin_load(call, &config, error);
    if (r < 0)
        return r;
    test.resolve = admin_resolve(&config);
    r = find_host(&test, error);
    if (r == 0)
        r = find_declared(&test, &instances, error);
    if (r < 0)
        return r;
    r = exchange(&test, &why);
    output_wait_end();
    if (call->values[ADMIN_JSON]) {
        int printed = print_json(&test, r < 0 ? &why : NULL, error);

        buffer_done(&steps);
        return printed < 0 ? printed : r < 0 ? ADMIN_PROBLEM : 0;
    }
    if (r < 0)
        *error = why;
    if (print_steps(&test, r < 0 ? &ignored : error) < 0 && r == 0)
        r = -(int)error->code;
    buffer_done(&steps);
    return r;
}
