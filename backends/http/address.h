/* SPDX-License-Identifier: Apache-2.0 */
/* What kind of place an IP address is: decides whether a name that a server chose may be connected
 * to. */
#ifndef PULLKEY_HTTP_ADDRESS_H
#define PULLKEY_HTTP_ADDRESS_H

#include <stdbool.h>
#include <sys/socket.h>

/*
 * False for every special block of the IANA registries that leads to this machine, this link, a
 * private or carrier network, or nowhere (RFC 6890, RFC 6598), for multicast, and for IPv4-mapped
 * and IPv4-compatible IPv6. An IPv4 address inside 64:ff9b::/96 (RFC 6052) or 2002::/16 (RFC 3056)
 * is judged as that address. False for other families.
 */
bool address_is_public(const struct sockaddr *address);

/* 127.0.0.0/8 and ::1. */
bool address_is_loopback(const struct sockaddr *address);

/* 169.254.0.0/16 and fd00:ec2::/32, where the metadata services of clouds answer. */
bool address_is_metadata(const struct sockaddr *address);

/* Those, mapped into IPv6 or by NAT64 too, fe80::/10, and fd20:ce::/32, another cloud's metadata.
 */
bool address_is_link_local(const struct sockaddr *address);

#endif
