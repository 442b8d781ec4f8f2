/* SPDX-License-Identifier: Apache-2.0 */
#include "address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct block {
    uint8_t bytes[16];
    unsigned int bits;
};

static const struct block special_ipv4[] = {
    { { 0 }, 8 },          /* this network */
    { { 10 }, 8 },         /* private */
    { { 100, 64 }, 10 },   /* carrier networks; one cloud's metadata service */
    { { 127 }, 8 },        /* loopback */
    { { 169, 254 }, 16 },  /* link-local; most clouds' metadata services */
    { { 172, 16 }, 12 },   /* private */
    { { 192, 0, 0 }, 24 }, /* protocol assignments */
    { { 192, 168 }, 16 },  /* private */
    { { 198, 18 }, 15 },   /* benchmarks */
    { { 224 }, 4 },        /* multicast */
    { { 240 }, 4 },        /* reserved, broadcast */
};

static const struct block special_ipv6[] = {
    { { 0 }, 96 },                                        /* ::, ::1, IPv4-compatible */
    { { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff }, 96 }, /* IPv4-mapped */
    { { 0, 0x64, 0xff, 0x9b, 0, 1 }, 48 },                /* local NAT64, RFC 8215 */
    { { 1 }, 64 },                                        /* discard, RFC 6666 */
    { { 0xfc }, 7 },                                      /* unique local */
    { { 0xfe, 0x80 }, 10 },                               /* link-local */
    { { 0xfe, 0xc0 }, 10 },                               /* site-local */
    { { 0xff }, 8 },                                      /* multicast */
};

static const struct block nat64 = { { 0, 0x64, 0xff, 0x9b }, 96 };
static const struct block six_to_four = { { 0x20, 0x02 }, 16 };

static bool is_in(const uint8_t *bytes, const struct block *block)
{
    unsigned int whole = block->bits / 8, rest = block->bits % 8;
    uint8_t mask = (uint8_t)(0xff00U >> rest);

    if (memcmp(bytes, block->bytes, whole) != 0)
        return false;
    return rest == 0 || (bytes[whole] & mask) == (block->bytes[whole] & mask);
}

static bool is_in_any(const uint8_t *bytes, const struct block *blocks, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (is_in(bytes, &blocks[i]))
            return true;
    return false;
}

static bool ipv4_is_public(const uint8_t *bytes)
{
    return !is_in_any(bytes, special_ipv4, sizeof(special_ipv4) / sizeof(special_ipv4[0]));
}

bool address_is_public(const struct sockaddr *address)
{
    const uint8_t *bytes;

    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *ipv4 = (const void *)address;

        return ipv4_is_public((const uint8_t *)&ipv4->sin_addr);
    }
    if (address->sa_family != AF_INET6)
        return false;
    bytes = ((const struct sockaddr_in6 *)(const void *)address)->sin6_addr.s6_addr;
    if (is_in(bytes, &nat64))
        return ipv4_is_public(bytes + 12);
    if (is_in(bytes, &six_to_four))
        return ipv4_is_public(bytes + 2);
    return !is_in_any(bytes, special_ipv6, sizeof(special_ipv6) / sizeof(special_ipv6[0]));
}

bool address_is_metadata(const struct sockaddr *address)
{
    static const struct block link_local = { { 169, 254 }, 16 };
    static const struct block unique_local = { { 0xfd, 0, 0x0e, 0xc2 }, 32 };

    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *ipv4 = (const void *)address;

        return is_in((const uint8_t *)&ipv4->sin_addr, &link_local);
    }
    if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *ipv6 = (const void *)address;

        return is_in(ipv6->sin6_addr.s6_addr, &unique_local);
    }
    return false;
}

bool address_is_link_local(const struct sockaddr *address)
{
    static const struct block blocks[] = {
        { { 0xfe, 0x80 }, 10 },
        { { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 169, 254 }, 112 },
        { { 0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, 169, 254 }, 112 },
        { { 0xfd, 0x20, 0, 0xce }, 32 },
    };

    if (address->sa_family == AF_INET6 &&
        is_in_any(((const struct sockaddr_in6 *)(const void *)address)->sin6_addr.s6_addr, blocks,
                  sizeof(blocks) / sizeof(blocks[0])))
        return true;
    return address_is_metadata(address);
}

bool address_is_loopback(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *ipv4 = (const void *)address;

        return ntohl(ipv4->sin_addr.s_addr) >> 24 == 127;
    }
    if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *ipv6 = (const void *)address;

        return IN6_IS_ADDR_LOOPBACK(&ipv6->sin6_addr);
    }
    return false;
}
