/* SPDX-License-Identifier: Apache-2.0 */
#include "core/config-parts.h"

#include <string.h>

#include "base/text.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define CACHE_SECONDS_MAX (24 * 3600)
#define EMPTY_SECONDS_MAX 600

static int check_bool(const struct json *document, const cJSON *item, struct pullkey_error *error)
{
    return cJSON_IsBool(item) ? 0 : json_error(document, item, error, "expected true or false");
}

static int check_seconds(const struct json *document, const cJSON *item, int most,
                         struct pullkey_error *error)
{
    double value = cJSON_IsNumber(item) ? item->valuedouble : -1;

    if (value < 0 || value > most || value != (double)(int)value)
        return json_error(document, item, error, "expected whole seconds from 0 to %d", most);
    return 0;
}

static int check_cache_seconds(const struct json *document, const cJSON *item,
                               struct pullkey_error *error)
{
    return check_seconds(document, item, CACHE_SECONDS_MAX, error);
}

static int check_empty_seconds(const struct json *document, const cJSON *item,
                               struct pullkey_error *error)
{
    return check_seconds(document, item, EMPTY_SECONDS_MAX, error);
}

static int check_scope(const struct json *document, const cJSON *item, struct pullkey_error *error)
{
    if (cJSON_IsString(item) && strcmp(item->valuestring, "image") == 0)
        return 0;
    return json_error(document, item, error, "expected \"image\"");
}

static int check_cache_type(const struct json *document, const cJSON *item,
                            struct pullkey_error *error)
{
    if (cJSON_IsString(item) && (strcmp(item->valuestring, "ServiceAccount") == 0 ||
                                 strcmp(item->valuestring, "Token") == 0))
        return 0;
    return json_error(document, item, error, "expected \"ServiceAccount\" or \"Token\"");
}

static int check_verify(const struct json *document, const cJSON *item, struct pullkey_error *error)
{
    if (cJSON_IsString(item) && text_is_name(item->valuestring, CONFIG_NAME_MAX))
        return 0;
    return json_error(document, item, error, "expected the name of a backend");
}

static int check_audience(const struct json *document, const cJSON *item,
                          struct pullkey_error *error)
{
    if (cJSON_IsString(item) && item->valuestring[0] != '\0')
        return 0;
    return json_error(document, item, error, "expected the audience of tokens");
}

int config_check_kubelet(const struct json *document, const cJSON *item,
                         struct pullkey_error *error)
{
    static const struct config_key keys[] = {
        { "audience", check_audience },
        { "cache_type", check_cache_type },
        { "empty_seconds", check_empty_seconds },
        { "verify", check_verify },
    };

    return config_check_keys(document, item, keys, COUNT(keys), error);
}

int config_check_kubelet_rule(const struct json *document, const cJSON *item,
                              struct pullkey_error *error)
{
    static const struct config_key keys[] = {
        { "cache_seconds", check_cache_seconds },
        { "scope", check_scope },
        { "anonymous_last", check_bool },
        { "fail_closed", check_bool },
    };
    int r = config_check_keys(document, item, keys, COUNT(keys), error);

    if (r == 0 && cJSON_IsTrue(json_member(item, "anonymous_last")) &&
        cJSON_IsTrue(json_member(item, "fail_closed")))
        return json_error(document, item, error,
                          "\"anonymous_last\" and \"fail_closed\" exclude each other");
    return r;
}

void config_read_kubelet_rule(const cJSON *item, struct config_kubelet_rule *ret)
{
    const cJSON *seconds = json_member(item, "cache_seconds");

    *ret = (struct config_kubelet_rule){
        .cache_seconds = seconds ? (int64_t)seconds->valuedouble : CONFIG_CACHE_SECONDS,
        .image_scope = json_member(item, "scope") != NULL,
        .anonymous_last = cJSON_IsTrue(json_member(item, "anonymous_last")),
        .fail_closed = cJSON_IsTrue(json_member(item, "fail_closed")),
    };
}
