/* SPDX-License-Identifier: Apache-2.0 */
/* What a process that talks to the network gives up. Sources: capabilities(7), landlock(7). */
#ifndef PULLKEY_HOSTS_SANDBOX_H
#define PULLKEY_HOSTS_SANDBOX_H

#include <pullkey/backend.h>
#include <stdbool.h>

/*
 * Drops every capability for good, and forbids to run programs and to change files but those below
 * `writable` (directories; the list ends with NULL), /dev/null and the log (log.h). A kernel
 * without Landlock (before 5.13, or where it is not switched on) forbids nothing; that is logged.
 */
int sandbox_enter(const char *const *writable, struct pullkey_error *error);

bool sandbox_has_landlock(void);

#define SANDBOX_NO_LANDLOCK                                                                        \
    "the kernel has no Landlock: the process that asks for credentials is confined by its user "   \
    "and its capabilities alone"

#endif
