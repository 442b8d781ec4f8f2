/* SPDX-License-Identifier: Apache-2.0 */
#include "rekey.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/lock.h"
#include "base/secret.h"
#include "key/key.h"

/* The stores that exist, each once, and locked. */
struct run {
    struct rekey_done done;
    struct lock locks[REKEY_STORES_MAX];
    struct lock key_lock;
    bool missing; /* a store that is configured is not there */
    const char *key_path;
    char next_path[FILE_PATH_MAX];
};

static void run_done(struct run *run)
{
    for (size_t i = 0; i < run->done.count; i++)
        lock_drop(&run->locks[i]);
    lock_drop(&run->key_lock);
}

#define cleanup_run __attribute__((cleanup(run_done)))

bool rekey_is_same(const char *a, const char *b)
{
    struct stat first, second;

    if (strcmp(a, b) == 0)
        return true;
    return stat(a, &first) == 0 && stat(b, &second) == 0 && first.st_dev == second.st_dev &&
           first.st_ino == second.st_ino;
}

static bool is_known(const struct run *run, const struct store *store)
{
    for (size_t i = 0; i < run->done.count; i++)
        if (rekey_is_same(run->done.stores[i]->paths[0], store->paths[0]))
            return true;
    return false;
}

static int start(struct run *run, const struct store *const *stores, size_t count,
                 int64_t deadline_ms, struct pullkey_error *error)
{
    int locked = key_lock(stores[0]->key_path, deadline_ms, &run->key_lock, error);

    if (locked < 0)
        return locked;
    for (size_t i = 0; i < count; i++) {
        cleanup_json struct json document = { 0 };
        int r;

        if (is_known(run, stores[i]))
            continue;
        r = store_load(stores[i], 0, &document, error);
        if (r == -PULLKEY_NOT_FOUND) {
            run->missing = true;
            continue;
        }
        if (r == 0)
            r = store_lock(stores[i], deadline_ms, &run->locks[run->done.count], error);
        if (r < 0)
            return r;
        run->done.stores[run->done.count++] = stores[i];
    }
    if (run->done.count == 0)
        return error_set(error, PULLKEY_NOT_FOUND, "nothing is stored");
    run->key_path = run->done.stores[0]->key_path;
    return key_next(run->key_path, run->next_path, error);
}

static bool opens_with_an_old_key(const struct run *run, const struct store *store)
{
    for (unsigned int number = 1; number <= KEY_OLD_MAX; number++) {
        struct pullkey_error ignored;
        char path[FILE_PATH_MAX];

        if (key_old(run->key_path, number, path, &ignored) < 0 || access(path, F_OK) < 0)
            return false;
        if (store_try_key(store, path, &ignored) == 0)
            return true;
    }
    return false;
}

/*
 * The key to seal with. A run that was stopped has sealed stores with KEY.next, which then is the
 * only key that opens them: so it is replaced only if every store is seen to open with KEY
 * or one that was kept, and whatever keeps a store from being opened (no memory, no descriptors)
 * ends the run.
 */
static int choose_key(const struct run *run, struct pullkey_secret *ret,
                      struct pullkey_error *error)
{
    bool next_is_used = false;

    for (size_t i = 0; i < run->done.count; i++) {
        struct pullkey_error ignored;

        if (store_try_key(run->done.stores[i], run->key_path, error) == 0)
            continue;
        if (store_try_key(run->done.stores[i], run->next_path, &ignored) == 0)
            next_is_used = true;
        else if (!opens_with_an_old_key(run, run->done.stores[i]))
            return -(int)error->code;
    }
    return next_is_used ? key_read(run->next_path, ret, error)
                        : key_make(run->next_path, ret, error);
}

static int seal_store(const struct run *run, const struct store *store,
                      const struct pullkey_secret *key, struct pullkey_error *error)
{
    cleanup_json struct json document = { 0 };
    struct pullkey_error ignored;
    int r;

    if (store_try_key(store, run->next_path, &ignored) == 0)
        return 0;
    r = store_load(store, 0, &document, error);
    if (r == 0)
        r = store_save_with(store, &document, key, error);
    return r < 0 ? r : store_try_key(store, run->next_path, error);
}

/*
 * A store that is not there now, on a disk that is not mounted perhaps, may need the old key. One
 * that was kept before stays: another store may need that.
 */
static int keep_old_key(struct run *run, struct pullkey_error *error)
{
    char *path = run->done.old_key_path;
    cleanup_secret struct pullkey_secret key = { 0 };
    unsigned int number = 1;
    int r;

    do
        r = key_old(run->key_path, number, path, error);
    while (r == 0 && access(path, F_OK) == 0 && number++ < KEY_OLD_MAX);
    if (r == 0 && number > KEY_OLD_MAX)
        r = error_set(error, PULLKEY_INVALID,
                      "there are %d old keys beside %s: remove those that "
                      "no store needs",
                      KEY_OLD_MAX, run->key_path);
    if (r == 0)
        r = key_read(run->key_path, &key, error);
    return r < 0 ? r : file_replace(path, key.bytes, key.length, 0400, error);
}

int rekey_stores(const struct store *const *stores, size_t count, int64_t deadline_ms,
                 struct rekey_done *ret, struct pullkey_error *error)
{
    cleanup_run struct run run = { .key_lock = LOCK_INIT };
    cleanup_secret struct pullkey_secret key = { 0 };
    int r = start(&run, stores, count, deadline_ms, error);

    if (r < 0)
        return r;
    r = choose_key(&run, &key, error);
    /* From here on the new key stays, whatever happens: a store may need it. */
    for (size_t i = 0; r == 0 && i < run.done.count; i++)
        r = seal_store(&run, run.done.stores[i], &key, error);
    if (r == 0 && run.missing)
        r = keep_old_key(&run, error);
    if (r == 0)
        r = key_adopt(run.next_path, run.key_path, error);
    if (r < 0)
        return error_wrap(error, "the change of keys is not complete; everything can be read, and "
                                 "another run completes it");
    *ret = run.done;
    return 0;
}
