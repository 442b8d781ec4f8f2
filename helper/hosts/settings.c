/* SPDX-License-Identifier: Apache-2.0 */
#include "settings.h"

#include <string.h>

#include "base/error.h"
#include "base/secret.h"

/* The nearest file that has the member. */
static const cJSON *find_member(const struct config *config, const char *key)
{
    for (size_t i = 0; i < config->document_count; i++) {
        const cJSON *containerd = json_member(config->documents[i].root, "containerd");
        const cJSON *value = containerd ? json_member(containerd, key) : NULL;

        if (value)
            return value;
    }
    return NULL;
}

static size_t count_hosts(const struct config *config)
{
    size_t count = 0;

    for (size_t i = 0; i < config->document_count; i++) {
        const cJSON *containerd = json_member(config->documents[i].root, "containerd");
        const cJSON *hosts = containerd ? json_member(containerd, "hosts") : NULL;

        count += hosts ? (size_t)cJSON_GetArraySize(hosts) : 0;
    }
    return count;
}

static int add_hosts(const struct json *document, struct settings *settings,
                     struct pullkey_error *error)
{
    const cJSON *containerd = json_member(document->root, "containerd");
    const cJSON *hosts = containerd ? json_member(containerd, "hosts") : NULL;

    for (const cJSON *item = hosts ? hosts->child : NULL; item; item = item->next) {
        struct settings_host *host = &settings->hosts[settings->host_count];

        if (registry_parse(item->string, strlen(item->string), &host->reference, error) < 0) {
            struct pullkey_error cause = *error;

            return json_error(document, item, error, "%s", cause.message);
        }
        host->helper = item->valuestring;
        settings->host_count++;
    }
    return 0;
}

int settings_load(const struct config *config, struct settings *ret, struct pullkey_error *error)
{
    struct settings settings = { 0 };
    const cJSON *user = find_member(config, "helper_user");
    const cJSON *timeout = find_member(config, "helper_timeout");
    const cJSON *policy = find_member(config, "readers_policy");
    const cJSON *scrub = find_member(config, "scrub");
    int r = 0;

    settings.hosts = secret_alloc((count_hosts(config) + 1) * sizeof(*settings.hosts));
    if (!settings.hosts)
        return error_memory(error);
    for (size_t i = 0; r == 0 && i < config->document_count; i++)
        r = add_hosts(&config->documents[i], &settings, error);
    if (r < 0) {
        settings_done(&settings);
        return r;
    }
    settings.helper_user = user ? user->valuestring : SETTINGS_USER_DEFAULT;
    settings.helper_timeout = timeout ? (int64_t)timeout->valuedouble : SETTINGS_TIMEOUT_DEFAULT;
    settings.readers_policy = policy && strcmp(policy->valuestring, "deny") == 0
                                  ? SETTINGS_READERS_DENY
                                  : SETTINGS_READERS_LOG;
    settings.readers = find_member(config, "readers");
    settings.scrub = cJSON_IsTrue(scrub);
    *ret = settings;
    return 0;
}

void settings_done(struct settings *settings)
{
    secret_release(settings->hosts);
    *settings = (struct settings){ 0 };
}

static bool is_same_registry(const struct registry_reference *a, const struct registry_reference *b)
{
    return a->http == b->http && a->port == b->port && strcmp(a->host, b->host) == 0;
}

static bool is_same_path(const struct settings_host *entry,
                         const struct registry_reference *reference)
{
    return strcmp(entry->reference.path, reference->path) == 0;
}

bool settings_is_about(const struct settings_host *entry,
                       const struct registry_reference *reference)
{
    return is_same_registry(&entry->reference, reference) &&
           (entry->reference.path[0] == '\0' || is_same_path(entry, reference));
}

const char *settings_helper(const struct settings *settings,
                            const struct registry_reference *reference)
{
    const char *whole_host = NULL;

    for (size_t i = 0; i < settings->host_count; i++) {
        const struct settings_host *host = &settings->hosts[i];

        if (!settings_is_about(host, reference))
            continue;
        if (is_same_path(host, reference))
            return host->helper;
        if (!whole_host)
            whole_host = host->helper;
    }
    return whole_host;
}
