/* SPDX-License-Identifier: Apache-2.0 */
#include "cache.h"
#include "cache-file.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/lock.h"
#include "base/log.h"
#include "core/credential.h"

#define EARLY_MAX_SECONDS 600
#define EARLY_PART 5     /* of a token's life, the last of so many parts */
#define RETRY_SECONDS 30 /* between attempts to renew a token that still serves */

struct flight {
    struct cache *cache;
    const struct cache_slot *slot;
    int64_t started; /* wall seconds */
    cache_fetch *fetch;
    void *context;
};

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static bool serves(const struct cache_entry *entry)
{
    return (entry->outcome == CACHE_TOKEN || entry->outcome == CACHE_FAILURE) &&
           clock_wall_seconds() < entry->end;
}

static bool is_fresh(const struct cache_entry *entry)
{
    return serves(entry) &&
           (entry->outcome == CACHE_FAILURE || clock_wall_seconds() < entry->refresh);
}

/* Failures of the other side are one answer for all who were waiting for it; those of the process
 * itself are its own. */
static bool is_shared(const struct cache_entry *entry)
{
    return entry->outcome == CACHE_FAILURE && entry->failure.code != PULLKEY_INTERNAL;
}

/* Moves what the entry holds to the caller. */
static int hand_out(struct cache_entry *entry, struct pullkey_credential *ret,
                    struct pullkey_error *error)
{
    if (entry->outcome == CACHE_FAILURE) {
        *error = entry->failure;
        return -(int)error->code;
    }
    *ret = entry->credential;
    entry->credential = (struct pullkey_credential){ 0 };
    return 0;
}

static void keep(const struct flight *flight, const struct cache_entry *entry, int64_t drops)
{
    struct pullkey_error error;

    if (cache_entry_write(flight->cache, flight->slot, entry, &error) < 0) {
        log_line("cache", "not kept: %s", error.message);
        cache_mark_unwritten(flight->slot);
    }
    /* The registry was logged out from meanwhile: what was fetched before must not come back. */
    if (cache_drops(flight->cache, flight->slot) != drops)
        cache_entry_remove(flight->cache, flight->slot);
}

static void keep_credential(const struct flight *flight, struct pullkey_credential *credential,
                            int64_t seconds, int64_t drops)
{
    const int64_t now = clock_wall_seconds();
    struct cache_entry entry = { .outcome = CACHE_UNKEPT, .fetched = now, .end = now };

    if (credential->expiry > now + CACHE_LONGEST_SECONDS)
        credential->expiry = now + CACHE_LONGEST_SECONDS;
    if (credential->expiry > now + CACHE_LEEWAY_SECONDS) {
        entry.outcome = CACHE_TOKEN;
        entry.credential = *credential;
        entry.end = credential->expiry - CACHE_LEEWAY_SECONDS;
        entry.refresh = credential->expiry -
                        smaller((credential->expiry - now) / EARLY_PART, EARLY_MAX_SECONDS);
    } else if (credential->expiry == 0 && seconds > 0) {
        entry.outcome = CACHE_TOKEN;
        entry.credential = *credential;
        entry.end = entry.refresh = now + smaller(seconds, CACHE_COALESCE_MAX);
    }
    keep(flight, &entry, drops);
}

static void keep_failure(const struct flight *flight, const struct pullkey_error *failure,
                         int64_t drops)
{
    const int64_t now = clock_wall_seconds();
    struct cache_entry entry = {
        .outcome = CACHE_FAILURE, .failure = *failure, .fetched = now, .end = now
    };

    if (failure->code == PULLKEY_NOT_FOUND)
        entry.end = now + CACHE_MISS_SECONDS;
    else if (failure->code == PULLKEY_NO_IDENTITY)
        entry.end = now + CACHE_NO_IDENTITY_SECONDS;
    keep(flight, &entry, drops);
}

/* With the lock held. `old` is what was there, perhaps a token that can still serve. */
static int fetch_and_keep(const struct flight *flight, struct cache_entry *old,
                          struct pullkey_credential *ret, struct pullkey_error *error)
{
    const int64_t drops = cache_drops(flight->cache, flight->slot);
    struct pullkey_credential credential = { 0 };
    int64_t seconds = 0;
    int r = flight->fetch(flight->context, &credential, &seconds, error);

    if (r == 0) {
        keep_credential(flight, &credential, seconds, drops);
        *ret = credential;
        return 0;
    }
    if (old->outcome == CACHE_TOKEN && serves(old) && r != -PULLKEY_DENIED &&
        cache_drops(flight->cache, flight->slot) == drops) {
        log_line("cache", "the token is not renewed, the old one serves: %s", error->message);
        old->refresh = clock_wall_seconds() + RETRY_SECONDS;
        keep(flight, old, drops);
        return hand_out(old, ret, error);
    }
    error->code = (enum pullkey_error_class) - r;
    keep_failure(flight, error, drops);
    return r;
}

/* Nobody to wait for, and nothing kept: what is left is to ask. */
static int ask(const struct flight *flight, struct pullkey_credential *ret,
               struct pullkey_error *error)
{
    int64_t ignored = 0;

    return flight->fetch(flight->context, ret, &ignored, error);
}

static int take_turn(const struct flight *flight, struct cache_entry *entry, int64_t deadline_ms,
                     struct pullkey_credential *ret, struct pullkey_error *error)
{
    cleanup_lock struct lock lock = LOCK_INIT;
    bool waited = false;
    int r = lock_take(flight->slot->lock_path, INT64_MIN, &lock, error);

    if (r == -PULLKEY_UNREACHABLE) {
        /* Somebody is renewing it. */
        if (serves(entry))
            return hand_out(entry, ret, error);
        waited = true;
        r = lock_take(flight->slot->lock_path, deadline_ms, &lock, error);
        if (r == -PULLKEY_UNREACHABLE)
            return error_set(
                error, PULLKEY_UNREACHABLE,
                "another process is asking for the same token and has no answer yet: try again");
    }
    if (r < 0) {
        log_line("cache", "%s", error->message);
        return ask(flight, ret, error);
    }
    cache_entry_done(entry);
    cache_entry_read(flight->cache, flight->slot, entry);
    if (is_fresh(entry))
        return hand_out(entry, ret, error);
    if (waited && entry->fetched >= flight->started && is_shared(entry))
        return hand_out(entry, ret, error);
    /* In turn, each would wait for all before it. */
    if (waited && ((entry->fetched >= flight->started && entry->outcome == CACHE_UNKEPT) ||
                   cache_is_unwritten(flight->slot, flight->started))) {
        lock_drop(&lock);
        return ask(flight, ret, error);
    }
    r = fetch_and_keep(flight, entry, ret, error);
    lock_drop(&lock);
    (void)cache_sweep(flight->cache);
    return r;
}

int cache_get(struct cache *cache, const struct cache_key *key, int64_t deadline_ms,
              cache_fetch *fetch, void *context, struct pullkey_credential *ret,
              struct pullkey_error *error)
{
    cleanup_entry struct cache_entry entry = { 0 };
    struct cache_slot slot;
    const struct flight flight = {
        .cache = cache,
        .slot = &slot,
        .started = clock_wall_seconds(),
        .fetch = fetch,
        .context = context,
    };

    if (!cache || !key->inputs || key->inputs[0] == '\0')
        return ask(&flight, ret, error);
    if (cache_slot_make(cache, key, &slot, error) < 0) {
        log_line("cache", "%s is not cached: %s", key->instance, error->message);
        return ask(&flight, ret, error);
    }
    cache_entry_read(cache, &slot, &entry);
    if (!is_fresh(&entry))
        return take_turn(&flight, &entry, deadline_ms, ret, error);
    cache_sweep_sometimes(cache);
    return hand_out(&entry, ret, error);
}
