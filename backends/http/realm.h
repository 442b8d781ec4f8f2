/* SPDX-License-Identifier: Apache-2.0 */
/*
 * May a credential go to the token server that a registry names? The registry's answer chooses the
 * address, so it must not be able to choose a place on this machine or in the private network, nor
 * a connection that others can read.
 *
 * - The realm is https. Only a registry that is itself plain http on the loopback may name plain
 *   http there, for its own host and port or for one on the list.
 * - The registry's own host and port, and those on the list, may be anywhere.
 * - Every other realm is a name, never an address and not "localhost". If it is the registry's own
 *   name with another port, it may be anywhere too: a certificate for that name is proof enough,
 *   and registries in private networks do so. Any other name must lead to a public address: the
 *   caller passes public_only on to http_send, which looks at what it really connects to.
 */
#ifndef PULLKEY_HTTP_REALM_H
#define PULLKEY_HTTP_REALM_H

#include "url.h"

#define REALM_LIST_MAX 32

struct realm_list {
    struct url items[REALM_LIST_MAX]; /* host and port count */
    size_t count;
};

/* How an error about a realm ends. */
#define REALM_ADVICE "if it is right, allow it (--realm) or store without this check (--no-verify)"

struct realm {
    struct url url;
    bool same_server; /* as the registry */
    bool public_only;
};

/* Adds "host[:port]". -PULLKEY_INVALID if it is not one, or the list is full. */
int realm_list_add(struct realm_list *list, const char *text, struct pullkey_error *error);

/*
 * -PULLKEY_INVALID if the text is no address, -PULLKEY_DENIED if it is one and not safe; the
 * message names the host.
 */
int realm_check(const char *text, const struct url *registry, const struct realm_list *allowed,
                struct realm *ret, struct pullkey_error *error);

#endif
