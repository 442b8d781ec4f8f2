/* SPDX-License-Identifier: Apache-2.0 */
#include "core/config-parts.h"

#include <string.h>

#include "base/error.h"
#include "base/text.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define HELPER_TIMEOUT_MAX 60   /* seconds */
#define KUBERNETES_NAME_MAX 253 /* RFC 1123 subdomain */

bool config_is_foreign_key(const char *key)
{
    return strncmp(key, "x-", 2) == 0;
}

bool config_is_instance_key(const char *key)
{
    return strcmp(key, "type") == 0 || strcmp(key, "on_error") == 0 ||
           strcmp(key, "optional") == 0 || config_is_foreign_key(key);
}

const cJSON *config_first(const cJSON *value)
{
    return cJSON_IsArray(value) ? value->child : value;
}

const cJSON *config_next(const cJSON *value, const cJSON *item)
{
    return item == value ? NULL : item->next;
}

static int check_object(const struct json *document, const cJSON *item, struct pullkey_error *error)
{
    return cJSON_IsObject(item) ? 0 : json_error(document, item, error, "expected an object");
}

static int check_string(const struct json *document, const cJSON *item, struct pullkey_error *error)
{
    return cJSON_IsString(item) ? 0 : json_error(document, item, error, "expected a string");
}

static int refuse_key(const struct json *document, const cJSON *item, const struct config_key *keys,
                      size_t count, struct pullkey_error *error)
{
    cleanup_buffer struct buffer known = BUFFER_INIT(PULLKEY_ERROR_SIZE);

    for (size_t i = 0; i < count; i++)
        buffer_printf(&known, "%s%s", i > 0 ? ", " : "", keys[i].name);
    if (buffer_check(&known, error) < 0)
        return -(int)error->code;
    return json_error(document, item, error,
                      "unknown key: use one of %s (keys of your own begin with x-)", known.data);
}

int config_check_keys(const struct json *document, const cJSON *object,
                      const struct config_key *keys, size_t count, struct pullkey_error *error)
{
    int r = check_object(document, object, error);

    if (r < 0)
        return r;
    for (const cJSON *item = object->child; item; item = item->next) {
        size_t i = 0;

        if (config_is_foreign_key(item->string))
            continue;
        while (i < count && strcmp(keys[i].name, item->string) != 0)
            i++;
        if (i == count)
            return refuse_key(document, item, keys, count, error);
        r = keys[i].check(document, item, error);
        if (r < 0)
            return r;
    }
    return 0;
}

static int check_required(const struct json *document, const cJSON *object, const char *key,
                          struct pullkey_error *error)
{
    if (json_member(object, key))
        return 0;
    return json_error(document, object, error, "\"%s\" is missing", key);
}

/* A string, or a list of at least one string; each passes `check`. */
static int check_strings(const struct json *document, const cJSON *value, config_check_value *check,
                         struct pullkey_error *error)
{
    if (!cJSON_IsString(value) && !cJSON_IsArray(value))
        return json_error(document, value, error, "expected a string or a list of strings");
    if (cJSON_IsArray(value) && !value->child)
        return json_error(document, value, error,
                          "the list is empty: name at least one, or leave "
                          "the key out");
    for (const cJSON *item = config_first(value); item; item = config_next(value, item)) {
        int r = check_string(document, item, error);

        if (r == 0)
            r = check(document, item, error);
        if (r < 0)
            return r;
    }
    return 0;
}

static int check_version(const struct json *document, const cJSON *item,
                         struct pullkey_error *error)
{
    if (cJSON_IsNumber(item) && item->valuedouble == 1.0)
        return 0;
    return json_error(document, item, error, "this pullkey reads version 1 only");
}

/* Types are file names of modules, so they are narrower than names. */
static int check_type(const struct json *document, const cJSON *item, struct pullkey_error *error)
{
    int r = check_string(document, item, error);

    if (r < 0)
        return r;
    if (text_is_name(item->valuestring, CONFIG_TYPE_MAX) && !strchr(item->valuestring, '_') &&
        item->valuestring[0] >= 'a')
        return 0;
    return json_error(document, item, error,
                      "not a backend type: lower-case letters, digits and '-', at most %d, "
                      "a letter first",
                      CONFIG_TYPE_MAX);
}

static int check_on_error(const struct json *document, const cJSON *item,
                          struct pullkey_error *error)
{
    if (cJSON_IsString(item) &&
        (strcmp(item->valuestring, "next") == 0 || strcmp(item->valuestring, "stop") == 0))
        return 0;
    return json_error(document, item, error, "expected \"stop\" or \"next\"");
}

static int check_bool(const struct json *document, const cJSON *item, struct pullkey_error *error)
{
    return cJSON_IsBool(item) ? 0 : json_error(document, item, error, "expected true or false");
}

/* Options are the backend's own: config_instance_options checks them when the backend is used. */
static int check_instance(const struct json *document, const cJSON *item,
                          struct pullkey_error *error)
{
    const cJSON *on_error = json_member(item, "on_error");
    const cJSON *optional = json_member(item, "optional");
    int r = check_object(document, item, error);

    if (r == 0)
        r = check_required(document, item, "type", error);
    if (r == 0)
        r = check_type(document, json_member(item, "type"), error);
    if (r == 0 && on_error)
        r = check_on_error(document, on_error, error);
    return r == 0 && optional ? check_bool(document, optional, error) : r;
}

static int refuse_name(const struct json *document, const cJSON *item, struct pullkey_error *error)
{
    return json_error(document, item, error,
                      "not a name: lower-case letters, digits, '-' and '_', at most %d, "
                      "a letter or digit first",
                      CONFIG_NAME_MAX);
}

static int check_name(const struct json *document, const cJSON *item, struct pullkey_error *error)
{
    int r = check_string(document, item, error);

    if (r < 0)
        return r;
    return text_is_name(item->valuestring, CONFIG_NAME_MAX) ? 0
                                                            : refuse_name(document, item, error);
}

static int check_backends(const struct json *document, const cJSON *backends,
                          struct pullkey_error *error)
{
    int r = check_object(document, backends, error);

    if (r < 0)
        return r;
    for (const cJSON *item = backends->child; item; item = item->next) {
        if (!text_is_name(item->string, CONFIG_NAME_MAX))
            return refuse_name(document, item, error);
        r = check_instance(document, item, error);
        if (r < 0)
            return r;
    }
    return 0;
}

/* The empty list is allowed: nobody is asked, so pulls are anonymous. */
static int check_chain(const struct json *document, const cJSON *chain, struct pullkey_error *error)
{
    size_t count = 0;

    if (cJSON_IsString(chain))
        return check_name(document, chain, error);
    if (!cJSON_IsArray(chain))
        return json_error(document, chain, error, "expected a list of backends");
    for (const cJSON *item = chain->child; item; item = item->next) {
        int r;

        if (!cJSON_IsString(item) && !cJSON_IsObject(item))
            return json_error(document, item, error,
                              "expected the name of a backend, or an object with a \"type\"");
        if (++count > CONFIG_CHAIN_MAX)
            return json_error(document, item, error, "more than %d backends in one list",
                              CONFIG_CHAIN_MAX);
        r = cJSON_IsString(item) ? check_name(document, item, error)
                                 : check_instance(document, item, error);
        if (r < 0)
            return r;
    }
    return 0;
}

static int check_pattern(const struct json *document, const cJSON *item,
                         struct pullkey_error *error)
{
    struct pullkey_error reason;

    if (registry_pattern_check(item->valuestring, &reason) == 0)
        return 0;
    return json_error(document, item, error, "%s", reason.message);
}

static int check_match(const struct json *document, const cJSON *value, struct pullkey_error *error)
{
    return check_strings(document, value, check_pattern, error);
}

static int check_one_caller(const struct json *document, const cJSON *item,
                            struct pullkey_error *error)
{
    const char *text = item->valuestring;

    if (strcmp(text, "docker") == 0 || strcmp(text, "hosts") == 0 || strcmp(text, "kubelet") == 0)
        return 0;
    return json_error(document, item, error, "expected \"docker\", \"hosts\" or \"kubelet\"");
}

static int check_callers(const struct json *document, const cJSON *value,
                         struct pullkey_error *error)
{
    return check_strings(document, value, check_one_caller, error);
}

static bool is_alphanumeric(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static int check_kubernetes_name(const struct json *document, const cJSON *item,
                                 struct pullkey_error *error)
{
    const char *text = item->valuestring;
    size_t length = strlen(text);
    bool fine = length > 0 && length <= KUBERNETES_NAME_MAX && is_alphanumeric(text[0]) &&
                is_alphanumeric(text[length - 1]);

    for (size_t i = 0; fine && i < length; i++)
        fine = is_alphanumeric(text[i]) || text[i] == '-' || text[i] == '.';
    if (fine)
        return 0;
    return json_error(document, item, error,
                      "not a name in Kubernetes (names here are literal, without '*')");
}

static int check_kubernetes_names(const struct json *document, const cJSON *value,
                                  struct pullkey_error *error)
{
    return check_strings(document, value, check_kubernetes_name, error);
}

static bool names_kubelet(const cJSON *callers)
{
    for (const cJSON *item = config_first(callers); item; item = config_next(callers, item))
        if (strcmp(item->valuestring, "kubelet") == 0)
            return true;
    return false;
}

static int check_when(const struct json *document, const cJSON *when, struct pullkey_error *error)
{
    static const struct config_key keys[] = {
        { "caller", check_callers },
        { "namespace", check_kubernetes_names },
        { "service_account", check_kubernetes_names },
    };
    const cJSON *item;
    int r = config_check_keys(document, when, keys, COUNT(keys), error);

    if (r < 0)
        return r;
    item = json_member(when, "namespace");
    if (!item)
        item = json_member(when, "service_account");
    /* Only the kubelet says who asks: anything else would be a rule that never matches. */
    if (item && !names_kubelet(json_member(when, "caller")))
        return json_error(document, item, error,
                          "only the kubelet tells it: add \"caller\": [\"kubelet\"] beside it");
    /* Whoever has a namespace names the service accounts in it. */
    item = json_member(when, "service_account");
    if (item && !json_member(when, "namespace"))
        return json_error(document, item, error,
                          "every namespace may have one of that name: add \"namespace\" beside it");
    return 0;
}

static int check_on_store(const struct json *document, const cJSON *item,
                          struct pullkey_error *error)
{
    if (cJSON_IsString(item) && strcmp(item->valuestring, "ignore") == 0)
        return 0;
    return json_error(document, item, error, "expected \"ignore\"");
}

static int check_rule(const struct json *document, const cJSON *rule, struct pullkey_error *error)
{
    static const struct config_key keys[] = {
        { "match", check_match },
        { "use", check_chain },
        { "when", check_when },
        { "on_store", check_on_store },
        { "kubelet", config_check_kubelet_rule },
    };
    const cJSON *kubelet;
    int r = config_check_keys(document, rule, keys, COUNT(keys), error);

    if (r == 0)
        r = check_required(document, rule, "match", error);
    if (r == 0)
        r = check_required(document, rule, "use", error);
    kubelet = r == 0 ? json_member(rule, "kubelet") : NULL;
    if (kubelet && !names_kubelet(json_member(json_member(rule, "when"), "caller")))
        return json_error(
            document, kubelet, error,
            "the rule does not serve it: add \"when\": { \"caller\": [\"kubelet\"] }");
    return r;
}

static int check_rules(const struct json *document, const cJSON *rules, struct pullkey_error *error)
{
    if (!cJSON_IsArray(rules))
        return json_error(document, rules, error, "expected a list of rules");
    for (const cJSON *item = rules->child; item; item = item->next) {
        int r = check_rule(document, item, error);

        if (r < 0)
            return r;
    }
    return 0;
}

static bool is_url(const char *text)
{
    size_t scheme = strncmp(text, "https://", 8) == 0  ? 8
                    : strncmp(text, "http://", 7) == 0 ? 7
                                                       : 0;

    if (scheme == 0 || text[scheme] == '\0' || text[scheme] == '/')
        return false;
    for (const char *c = text; *c != '\0'; c++)
        if (*c <= ' ' || *c > '~' || *c == '@' || *c == '%' || *c == '\\')
            return false;
    return true;
}

static int check_hosts(const struct json *document, const cJSON *hosts, struct pullkey_error *error)
{
    int r = check_object(document, hosts, error);

    if (r < 0)
        return r;
    for (const cJSON *item = hosts->child; item; item = item->next) {
        if (!is_url(item->string))
            return json_error(document, item, error,
                              "the key must be a URL as hosts.toml has it, like "
                              "\"https://registry.example.com\"");
        /* Of docker-credential-NAME. */
        r = check_name(document, item, error);
        if (r < 0)
            return r;
    }
    return 0;
}

static int check_timeout(const struct json *document, const cJSON *item,
                         struct pullkey_error *error)
{
    double value = cJSON_IsNumber(item) ? item->valuedouble : 0;

    if (value < 1 || value > HELPER_TIMEOUT_MAX || value != (double)(int)value)
        return json_error(document, item, error, "expected whole seconds from 1 to %d",
                          HELPER_TIMEOUT_MAX);
    return 0;
}

static int check_policy(const struct json *document, const cJSON *item, struct pullkey_error *error)
{
    if (!cJSON_IsString(item) ||
        (strcmp(item->valuestring, "log") != 0 && strcmp(item->valuestring, "deny") != 0))
        return json_error(document, item, error, "expected \"log\" or \"deny\"");
    return 0;
}

static int check_absolute(const struct json *document, const cJSON *item,
                          struct pullkey_error *error)
{
    if (!cJSON_IsString(item) || item->valuestring[0] != '/')
        return json_error(document, item, error, "expected an absolute path");
    return 0;
}

/* A '*' is a whole part of a path, and a program has a name of its own. */
static int check_program(const struct json *document, const cJSON *item,
                         struct pullkey_error *error)
{
    int r = check_absolute(document, item, error);

    for (const char *star = r == 0 ? strchr(item->valuestring, '*') : NULL; star;
         star = strchr(star + 1, '*'))
        if (star[-1] != '/' || star[1] != '/')
            return json_error(document, item, error,
                              "a * stands for one whole part of a path, and not for the last");
    return r;
}

static int check_readers(const struct json *document, const cJSON *value,
                         struct pullkey_error *error)
{
    if (!cJSON_IsArray(value))
        return json_error(document, value, error, "expected a list of absolute paths");
    return check_strings(document, value, check_program, error);
}

static int check_containerd(const struct json *document, const cJSON *containerd,
                            struct pullkey_error *error)
{
    static const struct config_key keys[] = {
        { "hosts", check_hosts },
        { "helper_user", check_name },
        { "helper_timeout", check_timeout },
        { "readers_policy", check_policy },
        { "readers", check_readers },
        { "scrub", check_bool },
    };

    return config_check_keys(document, containerd, keys, COUNT(keys), error);
}

int config_check(const struct json *document, struct pullkey_error *error)
{
    static const struct config_key keys[] = {
        { "version", check_version },
        { "backends", check_backends },
        { "rules", check_rules },
        { "default", check_chain },
        { "store", check_name },
        { "containerd", check_containerd },
        { "kubelet", config_check_kubelet },
        { "$schema", check_string },
    };
    const cJSON *version;
    int r = check_object(document, document->root, error);

    if (r < 0)
        return r;
    /* First: in another version the rest may mean something else. */
    version = json_member(document->root, "version");
    if (!version)
        return json_error(document, document->root, error,
                          "\"version\" is missing: begin with \"version\": 1");
    r = check_version(document, version, error);
    return r < 0 ? r : config_check_keys(document, document->root, keys, COUNT(keys), error);
}
