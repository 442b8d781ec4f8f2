/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy.h"

#include "base/text.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define ENTRY_MAX (URL_HOST_MAX + 8)

/* The bytes of an address in text, in brackets or not; 0 if it is none, else 4 or 16. */
static size_t address_bytes(const char *text, uint8_t ret[16])
{
    char bare[INET6_ADDRSTRLEN];
    size_t length = strlen(text);

    if (text[0] == '[' && text[length - 1] == ']') {
        text++;
        length -= 2;
    }
    if (length >= sizeof(bare))
        return 0;
    memcpy(bare, text, length);
    bare[length] = '\0';
    if (inet_pton(AF_INET, bare, ret) == 1)
        return 4;
    return inet_pton(AF_INET6, bare, ret) == 1 ? 16 : 0;
}

static bool same_bits(const uint8_t *a, const uint8_t *b, unsigned int bits)
{
    unsigned int whole = bits / 8, rest = bits % 8;

    if (memcmp(a, b, whole) != 0)
        return false;
    return rest == 0 || ((a[whole] ^ b[whole]) & (0xff00 >> rest) & 0xff) == 0;
}

/* entry: "address" or "address/bits" */
static bool address_is_covered(const struct url *url, char *entry)
{
    uint8_t wanted[16], given[16];
    char *slash = strchr(entry, '/');
    size_t size = address_bytes(url->host, wanted);
    unsigned int bits = (unsigned int)size * 8;

    if (slash) {
        *slash++ = '\0';
        if (slash[0] == '\0' || strlen(slash) > 3 || strspn(slash, "0123456789") != strlen(slash))
            return false;
        bits = (unsigned int)strtoul(slash, NULL, 10);
    }
    return size > 0 && address_bytes(entry, given) == size && bits <= size * 8 &&
           same_bits(wanted, given, bits);
}

static bool name_is_covered(const char *host, const char *entry)
{
    size_t host_length = strlen(host), entry_length;

    while (*entry == '.')
        entry++;
    entry_length = strlen(entry);
    if (entry_length == 0 || entry_length > host_length ||
        !text_equal_any_case(host + host_length - entry_length, entry))
        return false;
    return entry_length == host_length || host[host_length - entry_length - 1] == '.';
}

static bool entry_covers(const struct url *url, char *entry)
{
    char *colon = strrchr(entry, ':');
    char port[8];

    if (strcmp(entry, "*") == 0)
        return true;
    (void)snprintf(port, sizeof(port), "%u", (unsigned int)url->port);
    /* A port, and not the inside of a bare IPv6 address. */
    if (colon && (strchr(entry, ':') == colon || (colon > entry && colon[-1] == ']'))) {
        if (strcmp(colon + 1, port) != 0)
            return false;
        *colon = '\0';
    }
    return url->kind == URL_NAME ? name_is_covered(url->host, entry)
                                 : address_is_covered(url, entry);
}

bool proxy_is_excluded(const struct url *url, const char *list)
{
    while (*list != '\0') {
        size_t length = strcspn(list, ", \t");
        char entry[ENTRY_MAX];

        if (length > 0 && length < sizeof(entry)) {
            memcpy(entry, list, length);
            entry[length] = '\0';
            if (entry_covers(url, entry))
                return true;
        }
        list += length;
        list += strspn(list, ", \t");
    }
    return false;
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
