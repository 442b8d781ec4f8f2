/* SPDX-License-Identifier: Apache-2.0 */
/* Which proxy serves a host. libcurl could decide it, but does not say what it decided, and two
 * rules depend on that. */
#ifndef PULLKEY_HTTP_PROXY_H
#define PULLKEY_HTTP_PROXY_H

#include "url.h"

/*
 * The proxy for a server, as the environment has it (https_proxy, HTTPS_PROXY, all_proxy,
 * ALL_PROXY), or NULL. None for plain http, for the loopback, for link-local addresses, and for
 * what no_proxy (NO_PROXY) lists: "*", or names, each of which covers the names below it, addresses
 * and address/bits, each with an optional :port, between commas or blanks.
 */
const char *proxy_for(const struct url *url);

/* Link-local addresses and metadata services are never asked through one: what answers there is
 * this machine's host. */
bool proxy_is_forbidden(const struct url *url);

/* http, https, socks4, socks4a, socks5 or socks5h, and nothing that is no URL; without a scheme it
 * is http. */
bool proxy_is_supported(const char *proxy);

/* True if a list in the form of no_proxy covers the server. */
bool proxy_is_excluded(const struct url *url, const char *list);

#endif
