/* SPDX-License-Identifier: Apache-2.0 */
/* The "containerd" object of the configuration; pullkey.conf(5) is the manual. */
#ifndef PULLKEY_HOSTS_SETTINGS_H
#define PULLKEY_HOSTS_SETTINGS_H

#include "core/config.h"

#define SETTINGS_USER_DEFAULT "pullkey"
#define SETTINGS_TIMEOUT_DEFAULT 10 /* seconds */

/* "hosts" maps URLs of hosts.toml to helpers, where a tool regenerates the file. */
struct settings_host {
    struct registry_reference reference;
    const char *helper; /* NAME of docker-credential-NAME */
};

enum settings_readers {
    SETTINGS_READERS_LOG = 0,
    SETTINGS_READERS_DENY,
};

struct settings {
    struct settings_host *hosts; /* of one URL the nearest file's comes first */
    size_t host_count;
    const char *helper_user; /* who runs helpers of others; never NULL */
    int64_t helper_timeout;  /* seconds, of one helper and of an open that waits for it */
    enum settings_readers readers_policy;
    const cJSON *readers; /* list of absolute paths, or NULL */
    bool scrub;
};

/* What it points to lives until config_done. */
int settings_load(const struct config *config, struct settings *ret, struct pullkey_error *error);
void settings_done(struct settings *settings);

/* An entry of "hosts" is about a host: that of the same URL, or, without a path, all of a registry.
 */
bool settings_is_about(const struct settings_host *entry,
                       const struct registry_reference *reference);

/*
 * The helper of a host, or NULL: that of an equal URL; else that of one without a path on the same
 * host and port.
 */
const char *settings_helper(const struct settings *settings,
                            const struct registry_reference *reference);

#define cleanup_settings __attribute__((cleanup(settings_done)))

#endif
