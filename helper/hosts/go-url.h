/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which URLs containerd reads. One that it does not read makes it ignore the whole hosts.toml; what
 * it reads need not be one that anybody can be reached by.
 */
#ifndef PULLKEY_HOSTS_GO_URL_H
#define PULLKEY_HOSTS_GO_URL_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Does url.Parse (Go, net/url) accept the name of a host or of the server? "https://" is put in
 * front of one that does not begin with "http". Where versions of Go differ (two colons in a host,
 * zones of IPv6 addresses) it is not accepted.
 */
bool go_url_is_read(const char *name, size_t length);

#endif
