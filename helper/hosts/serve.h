/* SPDX-License-Identifier: Apache-2.0 */
/* What the daemon's main thread does for those who open files (open.h): one round of its loop. */
#ifndef PULLKEY_HOSTS_SERVE_H
#define PULLKEY_HOSTS_SERVE_H

#include "tree.h"

/*
 * Readers that are not listed, and what went wrong, are said. The news are for serve_release. True:
 * somebody waits, so everything that has happened is to be looked at now. False, with tree->open
 * NULL: it has failed, and everything is to be published without it.
 */
bool serve_take(struct tree *tree, struct open_news *ret, uint64_t *open_timeouts);

/* What is waited for is due now. Where nothing is missing, bare files are published with headers
 * for those who wait. */
void serve_want(struct tree *tree, const struct moment *now);

/* After publishing: who waits in vain or no longer has to is let in. How many waited in vain. */
uint64_t serve_release(struct tree *tree, const struct open_news *news, const struct moment *now);

/* Until when each file is fresh. `settled`: nothing has happened that was not looked at. */
void serve_refresh(struct tree *tree, bool settled, const struct moment *now);

/* Ends on open; what was published stays until it is published again. */
void serve_end(struct tree *tree);

/* Says what readers_policy and scrub ask for and cannot have. */
void serve_warn(const struct tree *tree);

#endif
