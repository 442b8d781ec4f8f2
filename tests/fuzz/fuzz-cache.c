/* SPDX-License-Identifier: Apache-2.0 */
/* core/cache-file: the text of a file of the cache. What is accepted keeps the limits that its users rely on. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "core/cache-file.h"

#define NOW 1700000000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static int64_t wall_seconds(void)
{
    return NOW;
}

static int64_t monotonic_ms(void)
{
    return 0;
}

static void check_token(const struct cache_entry *entry)
{
    const struct pullkey_credential *credential = &entry->credential;

    require(credential->username && strlen(credential->username) <= PULLKEY_USERNAME_MAX);
    require(credential->secret.bytes && credential->secret.length <= PULLKEY_SECRET_MAX);
    require(strlen(credential->secret.bytes) == credential->secret.length);
    require(entry->end <= credential->expiry - CACHE_LEEWAY_SECONDS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct clock clock = { wall_seconds, monotonic_ms };
    const struct cache_slot slot = { .parts = { "n", "t", "{}", "h", "", "", "0" } };
    cleanup_entry struct cache_entry entry = { 0 };

    json_start();
    clock_replace(&clock);
    if (!cache_entry_parse((const char *)data, size, &slot, &entry))
        return 0;
    require(entry.fetched <= NOW + CACHE_LEEWAY_SECONDS);
    require(entry.end <= entry.fetched + CACHE_LONGEST_SECONDS);
    if (entry.outcome == CACHE_TOKEN)
        check_token(&entry);
    else if (entry.outcome == CACHE_FAILURE)
        require(entry.failure.code != PULLKEY_OK && !strchr(entry.failure.message, '\n'));
    else
        require(entry.outcome == CACHE_UNKEPT);
    return 0;
}
