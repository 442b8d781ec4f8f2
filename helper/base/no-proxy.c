/* SPDX-License-Identifier: Apache-2.0 */
#include "no-proxy.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

#define ENTRY_MAX 263 /* a host of 255 bytes and a port */

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
static bool address_is_covered(const uint8_t wanted[16], size_t size, char *entry)
{
    uint8_t given[16];
    char *slash = strchr(entry, '/');
    unsigned int bits = (unsigned int)size * 8;

    if (slash) {
        *slash++ = '\0';
        if (slash[0] == '\0' || strlen(slash) > 3 || strspn(slash, "0123456789") != strlen(slash))
            return false;
        bits = (unsigned int)strtoul(slash, NULL, 10);
    }
    return address_bytes(entry, given) == size && bits <= size * 8 &&
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

static bool entry_covers(const char *host, uint16_t host_port, char *entry)
{
    uint8_t address[16];
    size_t size = address_bytes(host, address);
    char *colon = strrchr(entry, ':');
    char port[8];

    if (strcmp(entry, "*") == 0)
        return true;
    (void)snprintf(port, sizeof(port), "%u", (unsigned int)host_port);
    /* A port, and not the inside of a bare IPv6 address. */
    if (colon && (strchr(entry, ':') == colon || (colon > entry && colon[-1] == ']'))) {
        if (strcmp(colon + 1, port) != 0)
            return false;
        *colon = '\0';
    }
    return size == 0 ? name_is_covered(host, entry) : address_is_covered(address, size, entry);
}

bool no_proxy_covers(const char *list, const char *host, uint16_t port)
{
    while (*list != '\0') {
        size_t length = strcspn(list, ", \t");
        char entry[ENTRY_MAX];

        if (length > 0 && length < sizeof(entry)) {
            memcpy(entry, list, length);
            entry[length] = '\0';
            if (entry_covers(host, port, entry))
                return true;
        }
        list += length;
        list += strspn(list, ", \t");
    }
    return false;
}

size_t no_proxy_shown(const char *host)
{
    size_t length = strcspn(host, "/?#");
    size_t colon = host[0] == '[' ? strcspn(host, "]/?#") : 0;

    colon += strcspn(host + colon, ":/?#");
    return colon < length && colon + 1 + strspn(host + colon + 1, "0123456789") != length ? colon
                                                                                          : length;
}
