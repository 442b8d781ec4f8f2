/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The last good answers of an API server, for a boot at which it cannot be reached. One file for
 * each object, sealed by the codec cms, with what it is the answer to and when it was read:
 *
 *   DIRECTORY/HASH.cms      what was read; HASH of who read it and the object
 *   DIRECTORY-key/key       the key, away from it, so that a copy of DIRECTORY is of no use
 *
 * The key is another one than the store's: a store that has lost its key must not get a new one.
 * Who read it is part of what it is: an identity never gets what another one could read. What is of
 * another reader or object, or was read in the future (so the clock was set back), is as if it were
 * not there; what is older than it may be is removed when it is met.
 */
#ifndef PULLKEY_KUBERNETES_KEEP_H
#define PULLKEY_KUBERNETES_KEEP_H

#include "api.h"

#define KEEP_AGE_MAX (366 * 24 * 3600) /* seconds */
#define KEEP_RESERVE_MS 500            /* of a deadline, to read what is kept */

struct keep {
    const struct pullkey_host *host;
    int64_t max_age; /* seconds; 0: nothing is kept */
    char directory[FILE_PATH_MAX];
};

/* The option "keep"; `system` as in struct pullkey_instance. */
int keep_read_option(const cJSON *option, bool system, struct keep *ret,
                     struct pullkey_error *error);

/* How often keep_forget was called in this directory. */
int64_t keep_forgotten(const struct keep *keep);

/*
 * Keeps an answer, if it is another one or what is kept has become old. `forgotten` is what
 * keep_forgotten said before it was asked for: if it says another number now, the answer is from
 * before a change, and is not kept. Nor is one that cannot be written, which is logged; then what
 * differs from it goes too. `reader` is what access_describe says. Removes what is too old to be of
 * use, whoever has kept it.
 */
void keep_save(const struct keep *keep, const char *reader, const struct api_object *object,
               const struct json *answer, int64_t forgotten);

/* It is gone from the server too, or its reader may not read it any more. */
void keep_drop(const struct keep *keep, const char *reader, const struct api_object *object);

/* We have changed it: also what others are being answered now is not to be kept. */
void keep_forget(const struct keep *keep, const char *reader, const struct api_object *object);

/* -PULLKEY_NOT_FOUND if nothing of use is kept. */
int keep_load(const struct keep *keep, const char *reader, const struct api_object *object,
              struct json *ret, struct pullkey_error *error);

#endif
