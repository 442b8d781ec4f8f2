/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asking one helper for one host, in a process of its own ("pullkey-hosts ask"), so that what talks
 * to networks and to other programs has neither the rights nor the memory of what renders.
 *
 * For `pullkey` the process resolves through core, as the caller with `hosts` in rules, with no
 * capabilities, and may write to nothing but the cache and run nothing (Landlock, where the kernel
 * has it). Other helpers run as `helper_user` (pullkey.conf(5)) where this is root, as the user
 * itself elsewhere.
 */
#ifndef PULLKEY_HOSTS_ASK_H
#define PULLKEY_HOSTS_ASK_H

#include "core/config.h"
#include "record.h"

#define ASK_PULLKEY "pullkey"
#define ASK_SIZE_MAX 8192

struct ask {
    const char *helper;      /* NAME of docker-credential-NAME */
    const char *url;         /* of hosts.toml */
    int64_t assume_lifetime; /* seconds that a secret is good for if it does not say itself */
    int64_t timeout_ms;
};

/* What is asked, for standard input of the asking process. */
void ask_write(const struct ask *ask, struct buffer *ret);

/* The asking process: reads what is asked from one descriptor and writes a record to another. */
int ask_serve(int in, int out, struct pullkey_error *error);

/*
 * The names by which helpers other than pullkey are asked, in this order: Docker Hub by the key
 * that all of them know; the host, with its port; its URL without path. At most ASK_NAMES_MAX, each
 * less than PULLKEY_KEY_MAX bytes.
 */
#define ASK_NAMES_MAX 3
size_t ask_names(const struct registry_reference *reference,
                 char ret[ASK_NAMES_MAX][PULLKEY_KEY_MAX + 1]);

/* The backends of `pullkey` that serve a host. */
struct ask_chain {
    const struct config_instance *items;
    size_t count;
};
struct ask_chain ask_chain(const struct config *config, const struct registry_reference *reference);

#endif
