/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The endpoints of a registry as containerd tries them by registry.mirrors of config.toml
 * (registryEndpoints and registryHosts of its CRI plugin), and the hosts.toml that says the same.
 */
#ifndef PULLKEY_HOSTS_MIRRORS_H
#define PULLKEY_HOSTS_MIRRORS_H

#include "core/registry.h"
#include "toml.h"

#define MIRRORS_ENDPOINTS_MAX 64
#define MIRRORS_TEXT_MAX (1024 * 1024)

struct mirrors_endpoint {
    char *url; /* with its scheme, as it was written otherwise */
    char host[REGISTRY_HOST_MAX + 8];
    bool is_http;
    bool has_path; /* other than /v2: containerd takes it for the root of the API */
    bool has_helper;
    const struct toml_item *tls; /* or NULL */
};

struct mirrors {
    struct mirrors_endpoint items[MIRRORS_ENDPOINTS_MAX];
    size_t count;
    bool is_default; /* of "*": every registry that has no directory, which is tried last */
};

/*
 * `registry` is the name in mirrors ("*" too), or that of an image; `endpoint` its list, NULL for
 * none. The registry itself is added as containerd adds it. -PULLKEY_INVALID for what containerd
 * would not take, and for URLs with a user name in them.
 */
int mirrors_find(const char *registry, const struct toml_item *endpoint, struct mirrors *ret,
                 struct pullkey_error *error);
void mirrors_done(struct mirrors *mirrors);

/* -PULLKEY_INVALID where a setting of TLS has the wrong type. */
int mirrors_write(const struct mirrors *mirrors, struct buffer *ret, struct pullkey_error *error);

#define cleanup_mirrors __attribute__((cleanup(mirrors_done)))

#endif
