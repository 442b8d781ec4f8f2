/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A new key for encrypted stores, so that they can be opened at every moment, whatever stops it:
 *
 *   1. the new key is written beside the old one, as KEY.next
 *   2. each store is sealed with it, replaced, and read back
 *   3. KEY.next is renamed to KEY, which removes the old key; if a store that is configured was not
 *      there, the old key is kept before as KEY.old-N, with which a store that comes back is opened
 *
 * Between 2 and 3 only KEY.next opens a store, so a reader to whom KEY is refused tries KEY.next
 * (store_load does). A run that finds a store in that state goes on with the same KEY.next. One
 * that opens no store is left from a run that ended before 2: once every store is seen to open with
 * KEY, the next run replaces it.
 */
#ifndef PULLKEY_FILE_REKEY_H
#define PULLKEY_FILE_REKEY_H

#include "base/file.h"
#include "store.h"

#define REKEY_STORES_MAX 16

/* The stores that have a new key now. */
struct rekey_done {
    const struct store *stores[REKEY_STORES_MAX];
    size_t count;
    /* KEY.old-N, where the old key is kept since a store that may need it is not there; or "". */
    char old_key_path[FILE_PATH_MAX];
};

/* True if two paths lead to one file. */
bool rekey_is_same(const char *a, const char *b);

/*
 * All stores that have the same key (rekey_is_same), at most REKEY_STORES_MAX; the same store may
 * be there twice. Stores that do not exist are left out; -PULLKEY_NOT_FOUND if none does. After an
 * error everything can be read, and a new run can finish it.
 */
int rekey_stores(const struct store *const *stores, size_t count, int64_t deadline_ms,
                 struct rekey_done *ret, struct pullkey_error *error);

#endif
