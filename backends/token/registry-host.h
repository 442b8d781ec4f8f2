/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which registries a provider may send something to: those that its own pattern knows, and those
 * that the option "hosts" adds as {"HOST[:PORT]": true}. The registry's name is compared as a
 * whole, in lower case; what merely holds the name of a known one is not known.
 */
#ifndef PULLKEY_TOKEN_REGISTRY_HOST_H
#define PULLKEY_TOKEN_REGISTRY_HOST_H

#include "exchange.h"

/* `pattern` is an extended regular expression of POSIX that begins with '^' and ends with '$'. */
bool registry_host_matches(const char *host, const char *pattern);

/* Whether `host` is `domain` itself or has more labels in front of it. */
bool registry_host_is_below(const char *host, const char *domain);

/* At open: the members of "hosts" are true. */
int registry_host_check(const struct settings *settings, struct pullkey_error *error);

/* 0 and the registry's address with "/" as target; -PULLKEY_NOT_FOUND for one of nobody's. */
int registry_host_find(const struct exchange *exchange, const char *pattern, struct url *ret,
                       struct pullkey_error *error);

#endif
