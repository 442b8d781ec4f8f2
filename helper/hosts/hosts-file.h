/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One hosts.toml: what containerd makes of it, and what the keys that are ours say.
 *
 * containerd (core/remotes/docker/config/hosts.go) tries the hosts that have a table of their own,
 * `[host."URL"]` or one below it, in the order of the file, and then `server`, or the image's own
 * registry where there is none. Names of keys are matched in any case, except "host". Ours are
 * ignored by it:
 *
 *     [host."URL".auth]            ([auth] for `server`)
 *       credHelper = "NAME"        docker-credential-NAME answers for this host
 *       assumeLifetime = "15m"     of a secret that does not say it; s, m, h
 *       allowInsecure = true       also over http:// or with skip_verify
 *
 * credHelper directly in `[host."URL"]` means the same. A host whose keys cannot be obeyed has a
 * `problem`; the others of the file are served.
 */
#ifndef PULLKEY_HOSTS_FILE_H
#define PULLKEY_HOSTS_FILE_H

#include "core/registry.h"
#include "settings.h"
#include "toml.h"

#define HOSTS_LIFETIME_DEFAULT (15 * 60) /* seconds */
#define HOSTS_PER_FILE_MAX 256

struct hosts_host {
    const char *name;              /* as the file has it; of a server that is not named the registry
                                      of the directory; NULL where it is whatever a pod names */
    const struct toml_item *table; /* `[host."URL"]`, or the root for the server */
    bool is_server;
    struct registry_reference *reference; /* NULL where it is not one, or `name` is NULL */
    bool is_http;                         /* containerd may speak http:// with it */
    bool skip_verify;                     /* containerd does not verify its certificate */

    const struct toml_item *authorization; /* the header of that name in any case, or NULL */

    const char *helper;                  /* NULL: it has none */
    const struct toml_item *helper_item; /* NULL where the configuration names the helper */
    int64_t assume_lifetime;             /* seconds */
    bool allow_insecure;
    const char *problem; /* why its helper is not asked, or NULL */
    char *own_name;      /* memory of `name` where the file does not have it */
};

struct hosts_file {
    struct toml_document toml;
    struct hosts_host *hosts; /* as containerd tries them: the server last */
    size_t host_count;
};

/*
 * `path` is for messages; `registry` is the name of the directory, "_default" included. `settings`
 * may be NULL. An empty text is a file without hosts. -PULLKEY_INVALID for a file that containerd
 * would not read, with the line.
 */
int hosts_file_parse(const char *path, const char *registry, const char *text, size_t length,
                     const struct settings *settings, struct hosts_file *ret,
                     struct pullkey_error *error);
void hosts_file_done(struct hosts_file *file);

/* A host has a helper that can be asked. */
bool hosts_host_is_managed(const struct hosts_host *host);

/* It stands in its list; without a list a host has all of them. */
bool hosts_has_capability(const struct hosts_host *host, const char *name);

/* Does containerd take a key for the one of this name, which is in lower case? In any case it does.
 */
bool hosts_key_is(const char *key, const char *name);

/* A member of a table as containerd finds it. */
const struct toml_item *hosts_member(const struct toml_item *table, const char *key);

/*
 * Where the first header stands that names a table or one in it, which is how containerd orders
 * hosts: those of arrays of tables do not count. SIZE_MAX where there is none.
 */
size_t hosts_first_header(const struct toml_document *toml, const struct toml_item *table);

/* The registry that a directory below certs.d is for: "host_5000_" is "host:5000". At most
 * REGISTRY_HOST_MAX + 8 bytes. */
void hosts_directory_registry(const char *directory, char ret[REGISTRY_HOST_MAX + 8]);

/* The directories that containerd looks for, in this order: "host_5000_" and "host:5000", or
 * "host", and "_default". How many there are. */
#define HOSTS_NAMES_MAX 3
#define HOSTS_NAME_SIZE (REGISTRY_HOST_MAX + 16)
size_t hosts_registry_names(const char *registry, char ret[HOSTS_NAMES_MAX][HOSTS_NAME_SIZE]);

#define cleanup_hosts_file __attribute__((cleanup(hosts_file_done)))

#endif
