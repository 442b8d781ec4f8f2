/* SPDX-License-Identifier: Apache-2.0 */
#include "needs.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/random.h"
#include "base/secret.h"
#include "core/cache.h"

#define BACKOFF_FIRST_MS 5000
#define BACKOFF_LONGEST_MS 300000
#define ABSENT_MS 60000 /* until a helper that has none is asked again */
#define EXPIRY_MARGIN 2 /* seconds: a header is taken away before anybody can see it expired */
#define MARGIN_LEAST 60 /* seconds */
#define WANT_PAUSE_MS 1000

uint32_t (*needs_random)(void);

static int64_t random_below(int64_t limit)
{
    struct pullkey_error ignored;
    uint32_t value = 0;

    if (limit <= 0)
        return 0;
    if (needs_random)
        value = needs_random();
    else
        (void)random_fill(&value, sizeof(value), &ignored);
    return (int64_t)value % limit;
}

static void set_error(struct need *need, const struct pullkey_error *error)
{
    secret_release(need->error.message);
    need->error = (struct need_error){ error->code, NULL };
    if (error->code != PULLKEY_OK)
        need->error.message = secret_copy(error->message, strlen(error->message));
}

/* Without memory for it, it is not counted. */
static void count_failure(struct need *need, enum pullkey_error_class code)
{
    if (!need->failed)
        need->failed = secret_alloc(PULLKEY_ERROR_CLASS_MAX * sizeof(*need->failed));
    if (need->failed)
        need->failed[code]++;
}

const char *needs_message(const struct need *need)
{
    return need->error.message ? need->error.message : "out of memory";
}

static void free_need(struct need *need)
{
    secret_release(need->error.message);
    secret_release(need->failed);
    secret_done(&need->header);
    free(need);
}

void needs_done(struct needs *needs)
{
    while (needs->first) {
        struct need *next = needs->first->next;

        free_need(needs->first);
        needs->first = next;
    }
    *needs = (struct needs){ 0 };
}

/* FNV-1a. */
static uint32_t hash_of(const char *helper, const char *url)
{
    uint32_t hash = 2166136261u;

    for (; *helper != '\0'; helper++)
        hash = (hash ^ (unsigned char)*helper) * 16777619u;
    for (; *url != '\0'; url++)
        hash = (hash ^ (unsigned char)*url) * 16777619u;
    return hash;
}

static struct need **bucket_of(struct needs *needs, uint32_t hash)
{
    return &needs->buckets[hash % NEEDS_BUCKETS];
}

static void take_from_bucket(struct needs *needs, const struct need *need)
{
    struct need **at = bucket_of(needs, need->hash);

    while (*at != need)
        at = &(*at)->next_in_bucket;
    *at = need->next_in_bucket;
}

struct need *needs_get(struct needs *needs, const char *helper, const char *url,
                       int64_t assume_lifetime, const struct moment *now, bool spread)
{
    const size_t helper_size = strlen(helper) + 1, url_size = strlen(url) + 1;
    const uint32_t hash = hash_of(helper, url);
    struct need **bucket = bucket_of(needs, hash), *need;

    for (need = *bucket; need; need = need->next_in_bucket)
        if (need->hash == hash && need->assume_lifetime == assume_lifetime &&
            strcmp(need->helper, helper) == 0 && strcmp(need->url, url) == 0)
            return need;
    /* Not of secret_alloc: there are thousands, and the header has memory of its own. */
    need = calloc(1, sizeof(*need) + helper_size + url_size);
    if (!need)
        return NULL;
    need->helper = memcpy(need->text, helper, helper_size);
    need->url = memcpy(need->text + helper_size, url, url_size);
    need->hash = hash;
    need->assume_lifetime = assume_lifetime;
    need->expires_ms = INT64_MAX;
    need->renew_wall = INT64_MAX;
    need->due_ms = now->monotonic_ms + (spread ? random_below(NEEDS_BOOT_SPREAD_MS) : 0);
    need->next_in_bucket = *bucket;
    *bucket = need;
    *(needs->last ? &needs->last->next : &needs->first) = need;
    needs->last = need;
    return need;
}

/* How long before its end a credential is renewed. */
static int64_t margin_of(int64_t life)
{
    int64_t margin = life / 16;

    if (margin < MARGIN_LEAST)
        margin = life / 4 < MARGIN_LEAST ? life / 4 : MARGIN_LEAST;
    /* In any case while the header is still there. */
    if (margin <= EXPIRY_MARGIN)
        margin = life > 2 * EXPIRY_MARGIN + 1 ? EXPIRY_MARGIN + 1 : life / 2;
    return margin;
}

static void schedule_renewal(struct need *need, const struct moment *now)
{
    int64_t life, wait;

    if (need->expiry == 0) {
        wait = need->assume_lifetime - random_below(need->assume_lifetime / 8);
        need->expires_ms = INT64_MAX;
        need->renew_wall = INT64_MAX;
    } else {
        life = need->expiry - now->wall;
        wait = life - margin_of(life) - random_below(life / 48);
        need->expires_ms = now->monotonic_ms + life * 1000;
        need->renew_wall = now->wall + wait;
    }
    need->due_ms = now->monotonic_ms + wait * 1000;
}

static void schedule_retry(struct need *need, const struct moment *now)
{
    int64_t wait = BACKOFF_FIRST_MS;

    for (unsigned int i = 1; i < need->failures && wait < BACKOFF_LONGEST_MS; i++)
        wait *= 2;
    if (wait > BACKOFF_LONGEST_MS)
        wait = BACKOFF_LONGEST_MS;
    if (need->error.code == PULLKEY_NOT_FOUND && wait < ABSENT_MS)
        wait = ABSENT_MS;
    need->due_ms = now->monotonic_ms + wait - random_below(wait / 4);
    need->renew_wall = INT64_MAX;
}

static void drop_header(struct need *need)
{
    need->has_changed = need->has_changed || need->header.length > 0;
    secret_done(&need->header);
    need->expiry = 0;
    need->expires_ms = INT64_MAX;
}

bool needs_is_past(int64_t expiry, int64_t wall)
{
    return expiry != 0 && wall >= expiry - EXPIRY_MARGIN;
}

/* Whatever it says: a credential is asked for again within days, as core does. */
static int64_t clamp_expiry(int64_t expiry, const struct moment *now)
{
    const int64_t latest = now->wall + CACHE_LONGEST_SECONDS;

    return expiry > latest ? latest : expiry;
}

int needs_recover(struct need *need, const struct pullkey_secret *header, int64_t expiry,
                  const struct moment *now, struct pullkey_error *error)
{
    int r;

    if (need->header.length > 0 || needs_is_past(expiry, now->wall) ||
        !record_is_header(header->bytes, header->length))
        return 0;
    r = secret_set(&need->header, header->bytes, header->length, error);
    if (r < 0)
        return r;
    need->expiry = clamp_expiry(expiry, now);
    need->fetched = *now;
    /* One that does not expire is asked for soon: it may have been changed since. */
    if (expiry != 0)
        schedule_renewal(need, now);
    return 0;
}

void needs_begin_marking(struct needs *needs)
{
    for (struct need *need = needs->first; need; need = need->next)
        need->is_used = false;
}

void needs_sweep(struct needs *needs)
{
    struct need **at = &needs->first;

    needs->last = NULL;
    while (*at) {
        struct need *need = *at;

        if (need->is_used || need->is_running) {
            needs->last = need;
            at = &need->next;
            continue;
        }
        *at = need->next;
        take_from_bucket(needs, need);
        needs->wanted -= need->is_wanted;
        free_need(need);
    }
}

void needs_ask_again(struct needs *needs, const char *helper, const struct moment *now)
{
    for (struct need *need = needs->first; need; need = need->next)
        if (!helper || strcmp(need->helper, helper) == 0) {
            need->due_ms = now->monotonic_ms;
            need->is_doubtful = true;
        }
}

static bool is_due(const struct need *need, const struct moment *now)
{
    return now->monotonic_ms >= need->due_ms || now->wall >= need->renew_wall ||
           (need->fetched.wall > now->wall && need->failures == 0);
}

/* "Not found" is an answer. */
bool needs_has_failed(const struct need *need)
{
    return need->error.code != PULLKEY_OK && need->error.code != PULLKEY_NOT_FOUND;
}

bool needs_is_awaited(const struct need *need, const struct moment *now)
{
    if (need->is_doubtful)
        return true;
    if (need->header.length > 0)
        return need->failures == 0 && (need->is_running || is_due(need, now));
    return need->is_running || need->failures == 0 ||
           now->monotonic_ms - need->fetched.monotonic_ms >= WANT_PAUSE_MS;
}

static void set_wanted(struct needs *needs, struct need *need, bool is_wanted)
{
    needs->wanted += (size_t)is_wanted - (size_t)need->is_wanted;
    need->is_wanted = is_wanted;
}

bool needs_want(struct needs *needs, struct need *need, const struct moment *now)
{
    if (!needs_is_awaited(need, now))
        return false;
    if (!need->is_running) {
        need->due_ms = now->monotonic_ms;
        set_wanted(needs, need, true);
    }
    return true;
}

bool fresh_is_now(const struct fresh *fresh, const struct moment *now)
{
    return now->wall >= fresh->from_wall && now->wall < fresh->until_wall &&
           now->monotonic_ms < fresh->until_ms;
}

static bool is_expired(const struct need *need, const struct moment *now)
{
    return need->header.length > 0 && need->expiry != 0 &&
           (needs_is_past(need->expiry, now->wall) ||
            now->monotonic_ms >= need->expires_ms - EXPIRY_MARGIN * 1000);
}

bool needs_expire(struct needs *needs, const struct moment *now)
{
    bool found = false;

    for (struct need *need = needs->first; need; need = need->next) {
        if (!is_expired(need, now))
            continue;
        drop_header(need);
        found = true;
    }
    return found;
}

/* The lower the sooner. */
static int rank_of(const struct need *need)
{
    return need->is_wanted ? 0 : need->failures == 0 ? 1 : 2;
}

/* One that failed the last time has to wait for others that did, unless somebody waits for it. */
static bool may_run(const struct needs *needs, const struct need *need)
{
    return needs->running < NEEDS_RUNNING_MAX &&
           (rank_of(need) < 2 || needs->retrying < NEEDS_RETRYING_MAX);
}

static struct need *find_due(struct needs *needs, const struct moment *now)
{
    struct need *best = NULL;

    for (struct need *need = needs->first; need; need = need->next) {
        if (need->is_running || !is_due(need, now) || !may_run(needs, need))
            continue;
        if (!best || rank_of(need) < rank_of(best) ||
            (rank_of(need) == rank_of(best) && need->due_ms < best->due_ms))
            best = need;
    }
    return best;
}

struct need *needs_take_due(struct needs *needs, const struct moment *now)
{
    struct need *need = find_due(needs, now);

    if (need) {
        need->is_running = true;
        set_wanted(needs, need, false);
        need->due_ms = INT64_MAX;
        need->renew_wall = INT64_MAX;
        need->asked++;
        needs->running++;
        needs->retrying += need->failures > 0;
    }
    return need;
}

static void take_header(struct need *need, struct record *record, const struct moment *now)
{
    if (!secret_equal(&need->header, &record->header)) {
        need->has_changed = true;
        secret_done(&need->header);
        need->header = record->header;
        record->header = (struct pullkey_secret){ 0 };
    }
    record->expiry = clamp_expiry(record->expiry, now);
    need->has_changed = need->has_changed || need->expiry != record->expiry;
    need->expiry = record->expiry;
    need->failures = 0;
    set_error(need, &record->error);
    need->success_wall = now->wall;
    schedule_renewal(need, now);
}

void needs_answer(struct needs *needs, struct need *need, struct record *record,
                  const struct moment *now)
{
    bool asked_again = need->due_ms != INT64_MAX;

    if (record->error.code == PULLKEY_OK && needs_is_past(record->expiry, now->wall))
        (void)error_set(&record->error, PULLKEY_INVALID,
                        "the helper answered a credential that has expired; is the clock right?");
    need->is_running = false;
    need->is_doubtful = asked_again;
    needs->running--;
    needs->retrying -= need->failures > 0;
    need->fetched = *now;
    if (record->error.code == PULLKEY_OK) {
        take_header(need, record, now);
    } else {
        set_error(need, &record->error);
        need->failures++;
        count_failure(need, record->error.code);
        if (record->error.code == PULLKEY_NOT_FOUND)
            drop_header(need);
        schedule_retry(need, now);
    }
    /* A store changed while it ran. */
    if (asked_again)
        need->due_ms = now->monotonic_ms;
    record_done(record);
}

static int64_t sooner(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

void needs_narrow_fresh(const struct need *need, const struct moment *now, struct fresh *ret)
{
    if (needs_is_awaited(need, now)) {
        *ret = (struct fresh){ 0 };
    } else if (need->header.length == 0) {
        ret->until_ms = sooner(ret->until_ms, need->fetched.monotonic_ms + WANT_PAUSE_MS);
    } else if (need->failures == 0) {
        ret->until_ms = sooner(ret->until_ms, need->due_ms);
        ret->until_wall = sooner(ret->until_wall, need->renew_wall);
        if (ret->from_wall < need->fetched.wall)
            ret->from_wall = need->fetched.wall;
    } else if (need->expiry != 0) {
        ret->until_ms = sooner(ret->until_ms, need->expires_ms - EXPIRY_MARGIN * 1000);
        ret->until_wall = sooner(ret->until_wall, need->expiry - EXPIRY_MARGIN);
    }
}

int64_t needs_wait_ms(const struct needs *needs, const struct moment *now)
{
    int64_t wait = INT64_MAX;

    for (const struct need *need = needs->first; need; need = need->next) {
        if (need->header.length > 0 && need->expiry != 0) {
            wait = sooner(wait, (need->expiry - EXPIRY_MARGIN - now->wall) * 1000);
            wait = sooner(wait, need->expires_ms - EXPIRY_MARGIN * 1000 - now->monotonic_ms);
        }
        if (need->is_running || !may_run(needs, need))
            continue;
        if (is_due(need, now))
            return 0;
        wait = sooner(wait, need->due_ms - now->monotonic_ms);
        if (need->renew_wall != INT64_MAX)
            wait = sooner(wait, (need->renew_wall - now->wall) * 1000);
    }
    if (wait == INT64_MAX)
        return -1;
    return wait < 0 ? 0 : wait;
}
