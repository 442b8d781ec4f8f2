/* SPDX-License-Identifier: Apache-2.0 */
#include "registry-host.h"

#include <regex.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"

bool registry_host_matches(const char *host, const char *pattern)
{
    regex_t expression;
    bool is_match;

    /* Out of memory: nobody is trusted then. */
    if (regcomp(&expression, pattern, REG_EXTENDED | REG_NOSUB) != 0)
        return false;
    is_match = regexec(&expression, host, 0, NULL, 0) == 0;
    regfree(&expression);
    return is_match;
}

bool registry_host_is_below(const char *host, const char *domain)
{
    const size_t length = strlen(host), end = strlen(domain);

    return length >= end && strcmp(host + length - end, domain) == 0 &&
           (length == end || host[length - end - 1] == '.');
}

int registry_host_check(const struct settings *settings, struct pullkey_error *error)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, settings->hosts) {
        if (!cJSON_IsTrue(item))
            return json_error(&settings->json, item, error, "must be true");
    }
    return 0;
}

int registry_host_find(const struct exchange *exchange, const char *pattern, struct url *ret,
                       struct pullkey_error *error)
{
    const struct pullkey_request *request = exchange->request;
    const cJSON *hosts = exchange->settings->hosts;
    char name[URL_AUTHORITY_SIZE];
    int length = request->port == 0
                     ? snprintf(name, sizeof(name), "%s", request->host)
                     : snprintf(name, sizeof(name), "%s:%u", request->host, request->port);

    if (!request->http && length > 0 && length < (int)sizeof(name) &&
        (cJSON_IsTrue(json_member(hosts, name)) ||
         (request->port == 0 && registry_host_matches(request->host, pattern))))
        return url_parse_authority(name, ret, error);
    return error_set(error, PULLKEY_NOT_FOUND, "this is no registry of \"%s\"",
                     exchange->settings->provider->recipe);
}
