/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hosts.toml with headers: text is put in, nothing is written anew, so that order, comments and
 * unknown keys stay. `ca` and `client` become absolute, because containerd takes them for relative
 * to the file that it reads. The capability "referrers" goes where containerd is older than it, and
 * would read nothing of the file.
 *
 * A header stands on a line of its own:
 *
 *     header.Authorization = "Basic ..." # pullkey: NAME 1700000000
 *
 * with the helper that answered and when its credential expires (seconds since 1970, 0 where that
 * is not known), so that the next run of the program knows how long it is good for.
 */
#ifndef PULLKEY_HOSTS_RENDER_TEXT_H
#define PULLKEY_HOSTS_RENDER_TEXT_H

#include "hosts-file.h"

#define RENDER_SIZE_MAX TOML_TEXT_MAX
#define RENDER_COMMENT " # pullkey: "

struct render_header {
    const struct pullkey_secret *value; /* "Basic ..." */
    int64_t expiry;
};

struct render_place {
    const char *registry;  /* the name of the directory */
    const char *directory; /* where the file stands, absolute */
    bool without_referrers;
};

/* False: the host gets no header now. Asked for managed hosts only. */
typedef bool render_lookup(void *context, const struct hosts_host *host, struct render_header *ret);

/*
 * The result is parsed again: containerd sees the same as in the file, but for the headers,
 * absolute paths and the capability. -PULLKEY_INVALID where that cannot be had; `ret` is not to be
 * used then.
 */
int render_text(const struct hosts_file *file, const struct render_place *place,
                render_lookup *lookup, void *context, struct buffer *ret,
                struct pullkey_error *error);

/* Of a file with nothing but a server that has a header: containerd up to 1.7.31 ignores one
 * without a table of a host. */
bool render_adds_host(const struct hosts_file *file);

/* What an earlier run wrote for a host: false if that is no header of ours. */
bool render_recover(const struct hosts_file *rendered, const struct hosts_host *host,
                    const char **ret_helper, size_t *ret_helper_length,
                    struct render_header *ret_header, struct pullkey_secret *ret_view);

#endif
