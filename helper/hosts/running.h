/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the processes of this machine have: proc(5), namespaces(7). A containerd in another mount
 * namespace is that of a container, and not looked at.
 */
#ifndef PULLKEY_HOSTS_RUNNING_H
#define PULLKEY_HOSTS_RUNNING_H

#include <dirent.h>
#include <limits.h>

#include "node.h"

#define RUNNING_TEXT_MAX 65536

/* The content of /proc/PROCESS/NAME, whose parts end in NULs; NULL where it is empty, or cannot be
 * read: the environment of others is for root. It lives in `text`. */
const char *running_read(const char *process, const char *name, struct buffer *text);

/* The next containerd that reads this config.toml. `processes` is /proc, or NULL. */
bool running_next(DIR *processes, const char *file, char ret[NAME_MAX + 1]);

/* The containerd that runs was started before its configuration became what it is. */
bool running_is_restart_due(const struct node *node, const struct node_config *config);

#endif
