/* SPDX-License-Identifier: Apache-2.0 */
/*
 * token/recipe: the input is a recipe, and behind a NUL the answer of a server. A recipe that is
 * taken has addresses that begin with its servers and no secret in them, whatever its variables
 * are; what is found in an answer is within its limits, and a reason has nothing of a secret.
 */
#include <stdlib.h>
#include <string.h>

#include "base/secret.h"
#include "http/url.h"
#include "token/recipe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

#define SECRET "the-secret-of-a-job"
#define OTHER "../..//@evil.test:1?q#f\\"

static void set(struct recipe_values *values, const char *name, enum recipe_origin origin,
                const char *text)
{
    struct pullkey_error error;

    (void)recipe_set(values, name, origin, text, strlen(text), &error);
}

/* As a run does it: server and path, encoded. */
static void check_address(const struct recipe *recipe, const struct recipe_values *values,
                          const char *text)
{
    cleanup_buffer struct buffer address = BUFFER_INIT(2 * URL_TARGET_MAX);
    const cJSON *server = recipe_server_of(recipe, text);
    struct pullkey_error error;
    struct url url;

    require(server != NULL);
    buffer_append_text(&address, "https://server.test");
    if (recipe_expand(values, text + strlen(server->valuestring), RECIPE_PATH, &address, &error) <
        0)
        return;
    require(!strstr(address.data, SECRET) || strstr(text, SECRET));
    if (url_parse(address.data, &url, &error) < 0)
        return;
    require(url.https && url.port == 443 && strcmp(url.host, "server.test") == 0);
    require(!strchr(url.target, '?'));
}

static void check_recipe(const struct recipe *recipe)
{
    struct recipe_values values = { .count = 0 };
    const cJSON *item;

    cJSON_ArrayForEach(item, recipe->variables) {
        set(&values, item->string, RECIPE_VARIABLE, OTHER);
    }
    set(&values, "host", RECIPE_REQUEST, OTHER);
    set(&values, "path", RECIPE_REQUEST, OTHER);
    set(&values, "identity", RECIPE_SECRET, SECRET);
    require(cJSON_GetArraySize(recipe->steps) <= RECIPE_STEPS_MAX);
    cJSON_ArrayForEach(item, recipe->steps) {
        check_address(recipe, &values, json_member(item, "url")->valuestring);
    }
    (void)recipe_serves(recipe, "registry.test", 0);
    recipe_values_done(&values);
}

static void check_answer(const struct recipe *recipe, const char *bytes, size_t length)
{
    cleanup_buffer struct buffer body = BUFFER_INIT(JSON_SIZE_MAX);
    struct recipe_values values = { .count = 0 };
    char reason[RECIPE_REASON_SIZE];
    cleanup_json struct json json = { 0 };
    struct pullkey_error error;
    const cJSON *step, *item;
    bool again;

    buffer_append(&body, bytes, length);
    if (buffer_check(&body, &error) < 0)
        return;
    set(&values, "identity", RECIPE_SECRET, SECRET);
    recipe_reason(&body, &values, reason, &again);
    require(strlen(reason) < RECIPE_REASON_SIZE && !strstr(reason, SECRET) &&
            !strchr(reason, '\n'));
    recipe_values_done(&values);
    if (length == 0 || json_parse(&json, "reply", body.data, body.length, 0, &error) < 0)
        return;
    cJSON_ArrayForEach(step, recipe->steps) {
        cJSON_ArrayForEach(item, json_member(step, "take")) {
            cleanup_buffer struct buffer text = BUFFER_INIT(PULLKEY_SECRET_MAX);

            if (recipe_point(json.root, item->valuestring, &text))
                require(text.length <= PULLKEY_SECRET_MAX);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    const char *end = size > 0 ? memchr(text, '\0', size) : NULL;
    const size_t length = end ? (size_t)(end - text) : size;
    struct pullkey_error error = { 0 };
    struct recipe recipe;

    json_start();
    if (recipe_parse("recipe", text ? text : "", length, &recipe, &error) < 0) {
        require(error.code != PULLKEY_OK && error.message[0] != '\0' &&
                !strchr(error.message, '\n'));
        return 0;
    }
    check_recipe(&recipe);
    if (end)
        check_answer(&recipe, end + 1, size - length - 1);
    recipe_done(&recipe);
    return 0;
}
