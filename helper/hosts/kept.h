/* SPDX-License-Identifier: Apache-2.0 */
/* What is in the target already: of an earlier run, or of a source that was better than now. */
#ifndef PULLKEY_HOSTS_KEPT_H
#define PULLKEY_HOSTS_KEPT_H

#include "render-text.h"
#include "tree.h"

/* The header that an earlier run rendered for a host, if the same helper gave it. */
void kept_recover(const struct tree *tree, const struct tree_entry *entry,
                  const struct hosts_host *host, struct need *need, const struct moment *now);

/*
 * What an earlier run has rendered of a file that cannot be read now stays, with the needs that
 * keep its headers true. False: there is no such thing.
 */
bool kept_adopt(struct tree *tree, struct tree_entry *entry, const struct moment *now);

/* The file cannot be read: what was published of it stays, but for its headers.
 * -PULLKEY_NOT_FOUND where that is nothing, or a link. */
int kept_renew(struct tree *tree, struct tree_entry *entry, struct pullkey_error *error);

/*
 * Headers that have expired go, whatever the source is doing: a file system that hangs stops the
 * daemon in the middle of a look at it, until systemd's watchdog starts another one. So the first
 * is done at the start, for what earlier runs have left, the second as soon as something expires;
 * neither looks at the source.
 */
void kept_sweep(const struct publish *publish, int64_t wall);
void kept_expire(struct tree *tree);

/* A header of ours is published that its host must not have any more. */
bool kept_is_stale(const struct tree *tree, const struct tree_entry *entry);

#endif
