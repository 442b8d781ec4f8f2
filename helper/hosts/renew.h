/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A rendered hosts.toml whose source cannot be read any more: its headers are kept true, and
 * everything else stays as it is. A header that is gone does not come back before the source does.
 */
#ifndef PULLKEY_HOSTS_RENEW_H
#define PULLKEY_HOSTS_RENEW_H

#include "render-text.h"

#define RENEW_HELPER_SIZE 64

/* The helper that gave a host the header that it has in a rendered file, as in hosts_host. False:
 * it has none of ours. */
bool renew_helper(const struct hosts_file *rendered, const struct hosts_host *host,
                  char ret[RENEW_HELPER_SIZE]);

/* Asks for each header of ours, with `helper` set in the host. -PULLKEY_INVALID where the result
 * would not be what containerd reads now, but for the headers; `ret` is not to be used then. */
int renew_text(const struct hosts_file *rendered, const char *registry, render_lookup *lookup,
               void *context, struct buffer *ret, struct pullkey_error *error);

#endif
