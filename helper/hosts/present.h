/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a managed entry's hosts.toml is, and for whom. Where it is known who opens it (open.h), the
 * file is padded to one page, if it is not longer, so that those who are opening the old one can
 * get the new one. With `scrub` it never has headers, and only they do get them: each open finds a
 * file that is replaced at once, and the headers are written to what was opened, which nobody else
 * can find any more.
 */
#ifndef PULLKEY_HOSTS_PRESENT_H
#define PULLKEY_HOSTS_PRESENT_H

#include "tree.h"

struct present {
    struct buffer text; /* with headers */
    struct buffer bare; /* what others find, where that differs */
    bool is_page, is_bare;
    bool is_alone; /* what stands beside the file stays as it is (publish.h) */
};

int present_render(struct tree *tree, struct tree_entry *entry, const struct hosts_file *file,
                   struct present *ret, struct pullkey_error *error);
/* For a text that is there already. */
int present_pad(const struct tree *tree, struct present *ret, struct pullkey_error *error);
int present_publish(struct tree *tree, struct tree_entry *entry, const struct present *present,
                    struct pullkey_error *error);
void present_done(struct present *present);

/* The entry has no file any more. */
void present_forget(struct tree *tree, struct tree_entry *entry);

#define cleanup_present __attribute__((cleanup(present_done)))

#endif
