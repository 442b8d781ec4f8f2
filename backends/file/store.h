/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where one instance of the file backend keeps its documents, and how they are read and written.
 * There is one document, except for "sources", where the first that has an answer is the one.
 */
#ifndef PULLKEY_FILE_STORE_H
#define PULLKEY_FILE_STORE_H

#include "base/json.h"
#include "base/lock.h"

/* The file on the disk, sealed or not. */
#define STORE_SIZE_MAX JSON_SIZE_MAX

struct store {
    const struct pullkey_host *host;
    char **paths; /* one, or the sources in order */
    size_t path_count;
    char *key_path;   /* NULL: not encrypted */
    char *other_path; /* the same store in its other form, which must not be there; or NULL */
    bool read_only;
    bool credential; /* the one document must be there */
};

/* Checks the options and works out the paths; nothing is opened. Release with store_done. */
int store_init(struct store *store, const struct pullkey_host *host,
               const struct pullkey_instance *instance, struct pullkey_error *error);
void store_done(struct store *store);

/*
 * One document. -PULLKEY_NOT_FOUND if there is no such file. What does not parse or does not open
 * is an error.
 */
int store_load(const struct store *store, size_t index, struct json *ret,
               struct pullkey_error *error);

/*
 * Replaces the only document; the lock beside it must be held. `is_new` says that store_load found
 * none: only then may a key be made.
 */
int store_save(const struct store *store, const struct json *document, bool is_new,
               int64_t deadline_ms, struct pullkey_error *error);

/* The same with a given key, for an encrypted store that is there. */
int store_save_with(const struct store *store, const struct json *document,
                    const struct pullkey_secret *key, struct pullkey_error *error);

/* 0 if this key opens the only document. */
int store_try_key(const struct store *store, const char *key_path, struct pullkey_error *error);

/* The lock beside the only document; its directory must be there. */
int store_lock(const struct store *store, int64_t deadline_ms, struct lock *ret,
               struct pullkey_error *error);

#endif
