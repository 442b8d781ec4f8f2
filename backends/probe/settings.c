/* SPDX-License-Identifier: Apache-2.0 */
#include "settings.h"

#include "base/error.h"

#include <string.h>

static int take_realms(struct settings *settings, const cJSON *list, struct pullkey_error *error)
{
    const cJSON *item;

    if (!cJSON_IsArray(list))
        return json_error(&settings->json, list, error, "must be a list of HOST or HOST:PORT");
    cJSON_ArrayForEach(item, list) {
        struct pullkey_error why;

        if (!cJSON_IsString(item))
            return json_error(&settings->json, item, error, "must be HOST or HOST:PORT");
        if (realm_list_add(&settings->realms, item->valuestring, &why) < 0)
            return json_error(&settings->json, item, error, "%s", why.message);
    }
    return 0;
}

static int take_option(struct settings *settings, const cJSON *item, struct pullkey_error *error)
{
    struct pullkey_error why;

    if (strcmp(item->string, "realms") == 0)
        return take_realms(settings, item, error);
    if (strcmp(item->string, "ca_file") != 0 && strcmp(item->string, "endpoint") != 0)
        return json_error(&settings->json, item, error, "there is no such option");
    if (!cJSON_IsString(item) || item->valuestring[0] == '\0')
        return json_error(&settings->json, item, error, "must be a text");
    if (strcmp(item->string, "ca_file") == 0) {
        if (item->valuestring[0] != '/')
            return json_error(&settings->json, item, error, "must be an absolute path");
        settings->ca_file = item->valuestring;
        return 0;
    }
    if (url_parse(item->valuestring, &settings->endpoint, &why) < 0)
        return json_error(&settings->json, item, error, "%s", why.message);
    if (strcmp(settings->endpoint.target, "/") != 0)
        return json_error(&settings->json, item, error,
                          "must be https://HOST[:PORT], without a path");
    settings->has_endpoint = true;
    return 0;
}

static int take_options(struct settings *settings, struct pullkey_error *error)
{
    const cJSON *item;

    if (!cJSON_IsObject(settings->json.root))
        return error_set(error, PULLKEY_INVALID,
                         "the options of the registry check must be a JSON object");
    cJSON_ArrayForEach(item, settings->json.root) {
        int r = take_option(settings, item, error);

        if (r < 0)
            return r;
    }
    return 0;
}

int probe_settings_parse(const char *text, struct settings *ret, struct pullkey_error *error)
{
    struct settings settings = { 0 };
    int r;

    if (!text || text[0] == '\0') {
        *ret = settings;
        return 0;
    }
    r = json_parse(&settings.json, "options", text, strlen(text), 0, error);
    if (r >= 0)
        r = take_options(&settings, error);
    if (r < 0) {
        probe_settings_done(&settings);
        return r;
    }
    *ret = settings;
    return 0;
}

void probe_settings_done(struct settings *settings)
{
    json_done(&settings->json);
    *settings = (struct settings){ 0 };
}
