/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which URLs programs written in Go read: containerd, which ignores a whole hosts.toml for one that
 * it does not read, and the kubelet. What they read need not be one that anybody can be reached by.
 */
#ifndef PULLKEY_BASE_GO_URL_H
#define PULLKEY_BASE_GO_URL_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Does url.Parse (Go, net/url) accept the name of a host or of the server? "https://" is put in
 * front of one that does not begin with "http". Where versions of Go differ (two colons in a host,
 * zones of IPv6 addresses) it is not accepted.
 */
bool go_url_is_read(const char *name, size_t length);

#endif
