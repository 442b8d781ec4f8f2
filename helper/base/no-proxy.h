/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists in the form of no_proxy, as Go's golang.org/x/net/http/httpproxy reads them: "*", or names,
 * each of which covers the names below it, addresses and networks, each with a port or without.
 */
#ifndef PULLKEY_BASE_NO_PROXY_H
#define PULLKEY_BASE_NO_PROXY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The host in lower case, an IPv6 address in brackets; the port that is connected to, never 0. */
bool no_proxy_covers(const char *list, const char *host, uint16_t port);

/* How much of "HOST:PORT/..." of a proxy may be shown: what is no number behind the colon may be
 * the password of a user. */
size_t no_proxy_shown(const char *host);

#endif
