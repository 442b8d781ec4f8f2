/* SPDX-License-Identifier: Apache-2.0 */
/* What the files migrate-config*.c share; everybody else includes migrate.h. */
#ifndef PULLKEY_HOSTS_MIGRATE_CONFIG_H
#define PULLKEY_HOSTS_MIGRATE_CONFIG_H

#include "migrate.h"
#include "mirrors.h"

#define CONFIG_NAMES_MAX 1024 /* registries */

/* The credential and the TLS settings of a host. */
struct config_entry {
    const char *host; /* as URLs of it have it, with the port */
    char own_host[REGISTRY_HOST_MAX + 8];
    const struct node_auth *auth;
    const struct node_auth *more; /* the table of `tls`, where that is another one, or NULL */
    const struct toml_item *tls;
    bool stays;      /* what is in it cannot go anywhere */
    bool has_secret; /* `credential` is one */
    bool offered[2]; /* for https and http */
    bool is_noted;
    struct pullkey_credential credential;
};

struct config_work {
    struct migrate *migrate;
    const struct node_config *config;
    const struct node_hosts *hosts;
    const struct node_file *file; /* the one that changes */
    struct config_entry *entries;
    size_t entry_count;
    const char **names; /* of registries */
    size_t name_count;
    const struct toml_item **gone;
    size_t gone_count;
    bool failed; /* a row says why; nothing of it is done */
};

/* A row says what is wrong, and nothing of config.toml is moved. */
int config_fail(struct config_work *work, const char *file, size_t line, const char *hint,
                struct pullkey_error *error, const char *what);

/* A string that is not empty, or NULL. */
const char *config_text_of(const struct toml_item *item);
bool config_is_hub(const char *host);

/* -- Settings of hosts (migrate-config-entries.c) -- */

int config_read_entries(struct config_work *work, struct pullkey_error *error);

/* Notes about keys that containerd never had, and that guides contain. */
int config_note_unknown(struct config_work *work, struct pullkey_error *error);

/* The registries that have mirrors, and those that have settings of their own. */
int config_collect_names(struct config_work *work, struct pullkey_error *error);

const struct node_mirror *config_find_mirror(const struct config_work *work, const char *registry);

/* What containerd has for the host of a URL, or NULL. */
struct config_entry *config_entry_of(struct config_work *work, const char *host);

/* A credential is for the host, whatever the paths of URLs; http:// is a key of its own. */
int config_offer(struct config_work *work, struct config_entry *entry, bool is_http,
                 struct pullkey_error *error);

/* -- Hosts directories (migrate-config-directories.c) -- */

/* Makes the directory of a registry, or gives the one that is there its helpers. */
int config_move_registry(struct config_work *work, const char *registry,
                         struct pullkey_error *error);

/* Where hosts directories are in use already: they get the helpers, and missing ones are made. */
int config_extend_directories(struct config_work *work, struct pullkey_error *error);

#endif
