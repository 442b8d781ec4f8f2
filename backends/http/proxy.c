/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy.h"

#include "base/no-proxy.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

bool proxy_is_excluded(const struct url *url, const char *list)
{
    return no_proxy_covers(list, url->host, url->port);
}

/* The first variable that is there decides, even if it is empty. */
static const char *first_of(const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *value = secure_getenv(names[i]);

        if (value)
            return value;
    }
    return NULL;
}

bool proxy_is_forbidden(const struct url *url)
{
    return url_is_metadata(url) ||
           proxy_is_excluded(url, "metadata 169.254.0.0/16 [::ffff:169.254.0.0]/112 [fe80::]/10 "
                                  "[fd00:ec2::]/32");
}

bool proxy_is_supported(const char *proxy)
{
    static const char *const schemes[] = {
        "http", "https", "socks4", "socks4a", "socks5", "socks5h"
    };
    const char *end = strstr(proxy, "://");

    for (const char *c = proxy; *c != '\0'; c++)
        if (*c <= 0x20 || *c >= 0x7f)
            return false;
    if (!end)
        return true;
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
        if (strlen(schemes[i]) == (size_t)(end - proxy) &&
            strncasecmp(proxy, schemes[i], strlen(schemes[i])) == 0)
            return true;
    return false;
}

const char *proxy_for(const struct url *url)
{
    static const char *const proxies[] = { "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY" };
    static const char *const exclusions[] = { "no_proxy", "NO_PROXY" };
    const char *proxy, *excluded;

    if (!url->https || url_is_loopback(url))
        return NULL;
    if (proxy_is_forbidden(url))
        return NULL;
    proxy = first_of(proxies, 4);
    if (!proxy || proxy[0] == '\0')
        return NULL;
    excluded = first_of(exclusions, 2);
    return excluded && proxy_is_excluded(url, excluded) ? NULL : proxy;
}
