/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Short-lived tokens between processes: one 0600 file per token in a 0700 directory of the
 * caller's. It is $PULLKEY_CACHE_DIR, else $XDG_RUNTIME_DIR/pullkey/cache, for system programs
 * /run/pullkey/cache (a directory of its own, so that a sandbox can be given write access to
 * nothing else). It must not be a link; it and the directory above it are made where they are
 * missing. No usable place, no cache.
 *
 * A password without an expiry comes here only from a backend that merges the requests of those who
 * start at once (PULLKEY_COALESCES): it serves for CACHE_COALESCE_MAX seconds at most, and its file
 * goes with the next fetch, or the first hit a minute after the last change in the directory.
 * Nothing runs in between, so where nobody starts it stays.
 *
 * The full key stands inside each file and is compared, so the file's name (a 128-bit hash without
 * cryptographic claims) only has to spread. A hit needs no module and no crypto library. A file
 * that is somebody else's, has another mode, another key or does not parse is a miss and is
 * replaced.
 *
 * Time is the wall clock's. A token that was fetched in the future is a miss: the clock was set
 * back, and an expiry that was computed from the wrong time means nothing.
 */
#ifndef PULLKEY_CORE_CACHE_H
#define PULLKEY_CORE_CACHE_H

#include "base/buffer.h"
#include "base/json.h"

#define CACHE_LEEWAY_SECONDS 60       /* a token is served while now + this < expiry */
#define CACHE_MISS_SECONDS 5          /* how long "this backend has none" is remembered */
#define CACHE_NO_IDENTITY_SECONDS 300 /* how long "there is no identity here" is remembered */
#define CACHE_COALESCE_MAX 60         /* seconds that one without an expiry may be kept */
#define CACHE_LONGEST_SECONDS (7 * 24 * 3600) /* an expiry further away is brought down to this */

struct cache; /* one directory */

/* Never fails for want of a place: *ret is NULL then and every request goes to the backend. */
int cache_open(bool system, struct cache **ret, struct pullkey_error *error);
/* The same for who only looks: nothing is made, *ret is NULL where nothing is, and what cannot be
 * used is an error. */
int cache_look(bool system, struct cache **ret, struct pullkey_error *error);
void cache_close(struct cache **cache);

/* The path of that place, in a buffer of FILE_PATH_MAX bytes, whether it is there or not: for
 * sandboxes. -PULLKEY_NOT_FOUND where there is none. */
int cache_directory(bool system, char *ret, struct pullkey_error *error);

struct cache_key {
    const char *instance; /* name */
    const char *type;
    const char *options;  /* as config_instance_options writes them */
    const char *registry; /* "host[:port]": what erase drops by */
    const char *path;     /* the rest of the reference; "" where answers are for a whole registry */
    const char *inputs;   /* declared inputs of the module, in the form of pullkey_module.inputs */
    const char *subject;  /* an identity that came with the request (kubelet), or "" */
};

/* Whether that line of a module's declared inputs counts for an instance with these options. */
bool cache_declares(const char *inputs, const cJSON *options, const char *line);

/* `ret_seconds` is 0 at first: for how long a credential without an expiry may be kept. */
typedef int cache_fetch(void *context, struct pullkey_credential *ret, int64_t *ret_seconds,
                        struct pullkey_error *error);

/*
 * The cached token, or what `fetch` yields. Without a cache, or where the key declares no inputs,
 * it is always the latter.
 *
 * Of concurrent callers one fetches. The others wait for it until the deadline and take its
 * outcome, a failure of the other side included, so that an unreachable server is not asked by each
 * of them in turn; only PULLKEY_INTERNAL is everybody's own. Later callers ask again, but
 * PULLKEY_NOT_FOUND and PULLKEY_NO_IDENTITY are remembered for the times above.
 *
 * A token is renewed when less than a fifth of its life (at most 10 minutes) is left, by one
 * caller, while the others are served the old one. If renewing fails with anything but
 * PULLKEY_DENIED the old one is served while it is valid, and renewing is tried again after half a
 * minute. Credentials without an expiry are kept for the seconds that `fetch` allows, at most
 * CACHE_COALESCE_MAX; other ones, and those with too near an expiry, are handed on and not kept:
 * then those who waited fetch side by side.
 *
 * Trouble with the cache itself is logged and never fails a request.
 */
int cache_get(struct cache *cache, const struct cache_key *key, int64_t deadline_ms,
              cache_fetch *fetch, void *context, struct pullkey_credential *ret,
              struct pullkey_error *error);

/*
 * Removes every token of a registry ("host[:port]"), whatever its instance and path, also one that
 * another process is fetching at this moment. NULL: of all registries. An error means that one may
 * still be there.
 */
int cache_drop(struct cache *cache, const char *registry, struct pullkey_error *error);

#define cleanup_cache __attribute__((cleanup(cache_close)))

#endif
