/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files behind cache.h: where they are, what they are called, what stands in them.
 *
 *   <hash of the registry>-<hash of the full key>        one outcome, strict JSON, 0600
 *   <the same>.lock                                      taken by whoever fetches
 *   <the same>.tmp                                       being written, under the lock
 *   <hash of the registry>.drops                         one byte for each cache_drop
 *
 * An outcome is replaced by rename and not flushed to the disk: it is a cache, and what a crash
 * leaves half written does not parse, which is a miss. The time of modification is the time when
 * the outcome ceases to be of use, so that sweeping need not read it. No name holds anything but
 * hashes.
 */
#ifndef PULLKEY_CORE_CACHE_FILE_H
#define PULLKEY_CORE_CACHE_FILE_H

#include "base/file.h"
#include "core/cache.h"
#include "core/hash.h"

#define CACHE_NAME_SIZE (2 * HASH_TEXT_SIZE) /* two hashes, a dash and a NUL */
#define CACHE_KEY_PARTS 7
#define CACHE_INPUTS_MAX 128          /* declared inputs of one module */
#define CACHE_ENTRY_MAX (1024 * 1024) /* bytes of one file */

struct cache {
    int fd;
    uid_t owner;     /* of the directory and of all in it: the caller */
    int64_t changed; /* when something in it was made or removed, or it was swept; wall seconds */
    char path[FILE_PATH_MAX];
};

/* The place of one token. The parts point into the key it was made from. */
struct cache_slot {
    const char *parts[CACHE_KEY_PARTS];
    char inputs[HASH_TEXT_SIZE];
    char name[CACHE_NAME_SIZE];
    char drops[HASH_TEXT_SIZE + 6];
    char lock_path[FILE_PATH_MAX];
};

enum cache_outcome {
    CACHE_NOTHING = 0, /* there is no usable file */
    CACHE_TOKEN,
    CACHE_FAILURE,
    CACHE_UNKEPT, /* a credential came, but of a kind that is not kept */
};

struct cache_entry {
    enum cache_outcome outcome;
    struct pullkey_credential credential; /* of CACHE_TOKEN */
    struct pullkey_error failure;         /* of CACHE_FAILURE */
    int64_t fetched;                      /* these three in seconds since 1970 */
    int64_t end;                          /* not used from here on */
    int64_t refresh;                      /* a token is renewed from here on */
};

/* -PULLKEY_UNSUPPORTED if the declared inputs cannot be understood, so that nothing may be cached.
 */
int cache_slot_make(const struct cache *cache, const struct cache_key *key, struct cache_slot *ret,
                    struct pullkey_error *error);

/* Reads the text of a file: false unless it is well-formed and has this key. */
bool cache_entry_parse(const char *text, size_t length, const struct cache_slot *slot,
                       struct cache_entry *ret);

/* Anything but a well-formed file of ours with this key is CACHE_NOTHING. Release with
 * cache_entry_done. */
void cache_entry_read(const struct cache *cache, const struct cache_slot *slot,
                      struct cache_entry *ret);

/* The same of a file whose key is not known: it comes from the file, and points into *ret_key,
 * which is to be released too. False where it is CACHE_NOTHING. */
bool cache_entry_read_any(const struct cache *cache, const char *name, struct json *ret_key,
                          struct cache_slot *ret_slot, struct cache_entry *ret, size_t *ret_size);

/* Calls back for each outcome that is there, until that fails; of a NULL cache there is none. The
 * parts are those of a slot: name of the instance, type, options, registry, path, ... */
typedef int cache_visit(void *context, const char *const parts[CACHE_KEY_PARTS],
                        const struct cache_entry *entry, size_t size, struct pullkey_error *error);
int cache_each(const struct cache *cache, cache_visit *visit, void *context,
               struct pullkey_error *error);

/* The lock of the slot must be held. */
int cache_entry_write(const struct cache *cache, const struct cache_slot *slot,
                      const struct cache_entry *entry, struct pullkey_error *error);
void cache_entry_remove(const struct cache *cache, const struct cache_slot *slot);
void cache_entry_done(struct cache_entry *entry);

/* How often cache_drop was called for the slot's registry. */
int64_t cache_drops(const struct cache *cache, const struct cache_slot *slot);

/* That an outcome could not be written, for those who wait for it: a mark that needs no room on the
 * disk. The lock of the slot must be held. */
void cache_mark_unwritten(const struct cache_slot *slot);
/* Whether that was so at `since` (wall seconds) or later. */
bool cache_is_unwritten(const struct cache_slot *slot, int64_t since);

/* Removes outcomes that are of no use any more, of whatever key, and halves that a killed process
 * has left. False if there was too much to remove for one time. No lock may be held. */
bool cache_sweep(const struct cache *cache);

/* The same after a hit, once in CACHE_COALESCE_MAX seconds: a password that was merely coalesced
 * must not lie there until somebody fetches something. */
void cache_sweep_sometimes(struct cache *cache);

#define cleanup_entry __attribute__((cleanup(cache_entry_done)))

#endif
