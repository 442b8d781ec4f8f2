/* SPDX-License-Identifier: Apache-2.0 */
#include "settings.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "exchange.h"
#include "providers.h"
#include "pullkey-build.h"

const struct pullkey_option settings_table[] = {
    { "recipe", PULLKEY_OPTION_STRING, true },
    { "identity", PULLKEY_OPTION_OBJECT, false },
    { "endpoints", PULLKEY_OPTION_OBJECT, false },
    { "hosts", PULLKEY_OPTION_OBJECT, false },
    { "variables", PULLKEY_OPTION_OBJECT, false },
    { "oauth", PULLKEY_OPTION_OBJECT, false },
    { "ca_file", PULLKEY_OPTION_STRING, false },
    { "aws", PULLKEY_OPTION_OBJECT, false },
    { "azure", PULLKEY_OPTION_OBJECT, false },
    { "google", PULLKEY_OPTION_OBJECT, false },
    { NULL, 0, false },
};

const char *settings_text(const cJSON *object, const char *name)
{
    const cJSON *item = json_member(object, name);

    return cJSON_IsString(item) ? item->valuestring : NULL;
}

static bool is_one_of(const char *name, const char *const names[])
{
    for (; *names; names++)
        if (strcmp(name, *names) == 0)
            return true;
    return false;
}

int settings_check_texts(const struct settings *settings, const cJSON *object,
                         const char *const names[], struct pullkey_error *error)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, object) {
        if (!is_one_of(item->string, names))
            return json_error(&settings->json, item, error, "there is no such option");
        if (!cJSON_IsString(item) || item->valuestring[0] == '\0')
            return json_error(&settings->json, item, error, "must be text");
    }
    return 0;
}

/* Each is an address, whatever it is for. */
static int check_endpoints(const struct settings *settings, struct pullkey_error *error)
{
    struct pullkey_error cause;
    const cJSON *item;
    struct url url;

    cJSON_ArrayForEach(item, settings->endpoints) {
        if (!cJSON_IsString(item) || url_parse(item->valuestring, &url, &cause) < 0)
            return json_error(&settings->json, item, error, "must be an https:// address");
        if (!url.https && !url_is_loopback(&url) && !url_is_metadata(&url))
            return json_error(&settings->json, item, error,
                              "must be https://, but for this machine and metadata services");
    }
    return 0;
}

/* The name outlives the recipe: it is the option's. */
static int read_recipe_file(struct settings *settings, const char *name, const char *path,
                            struct pullkey_error *error)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(RECIPE_FILE_MAX);
    int r = file_read(path, FILE_OURS, FILE_LINKED, &text, NULL, error);

    if (r < 0)
        return r;
    r = recipe_parse(name, text.data ? text.data : "", text.length, &settings->recipe, error);
    return r < 0 && name[0] != '/' ? error_wrap(error, "in %s", path) : r;
}

/* The user's first, so that a recipe can be mended without a new release. */
static int read_recipe(struct settings *settings, const cJSON *recipe, struct pullkey_error *error)
{
    static const char *const places[] = { PULLKEY_SYSCONFDIR "/recipes",
                                          PULLKEY_DATADIR "/recipes" };
    const char *name = recipe->valuestring;

    for (size_t i = 0; text_is_name(name, 31) && i < sizeof(places) / sizeof(places[0]); i++) {
        char path[FILE_PATH_MAX];
        int r;

        if (snprintf(path, sizeof(path), "%s/%s.json", places[i], name) >= FILE_PATH_MAX)
            continue;
        r = read_recipe_file(settings, name, path, error);
        if (r != -PULLKEY_NOT_FOUND)
            return r;
    }
    if (name[0] == '/')
        return read_recipe_file(settings, name, name, error);
    return json_error(&settings->json, recipe, error,
                      "there is no such recipe, and no file of that name in %s", places[0]);
}

static int find_provider(struct settings *settings, struct pullkey_error *error)
{
    const cJSON *recipe = json_member(settings->json.root, "recipe");

    for (const struct provider *const *provider = providers; *provider; provider++) {
        if (strcmp((*provider)->recipe, recipe->valuestring) == 0) {
            settings->provider = *provider;
            return settings->variables
                       ? json_error(&settings->json, settings->variables, error,
                                    "the recipe \"%s\" has no variables", recipe->valuestring)
                       : 0;
        }
    }
    settings->provider = &recipe_provider;
    return read_recipe(settings, recipe, error);
}

int settings_read(const struct pullkey_instance *instance, struct settings *ret,
                  struct pullkey_error *error)
{
    const cJSON *root;
    int r;

    *ret = (struct settings){
        .name = instance->name,
        .system = instance->system,
        .depth = instance->depth,
    };
    r = json_parse(&ret->json, instance->name, instance->options, strlen(instance->options), 0,
                   error);
    if (r < 0)
        return r;
    root = ret->json.root;
    ret->ca_file = settings_text(root, "ca_file");
    ret->identity = json_member(root, "identity");
    ret->endpoints = json_member(root, "endpoints");
    ret->hosts = json_member(root, "hosts");
    ret->variables = json_member(root, "variables");
    ret->oauth = json_member(root, "oauth");
    if (ret->ca_file && ret->ca_file[0] != '/')
        r = json_error(&ret->json, json_member(root, "ca_file"), error, "must be an absolute path");
    if (r == 0)
        r = check_endpoints(ret, error);
    if (r == 0)
        r = find_provider(ret, error);
    if (r == 0 && ret->provider->check)
        r = ret->provider->check(ret, error);
    if (r < 0)
        settings_release(ret);
    return r;
}

void settings_release(struct settings *settings)
{
    recipe_done(&settings->recipe);
    json_done(&settings->json);
}
