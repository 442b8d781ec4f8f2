/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The `auths` map of a containers-auth.json(5), Docker config.json or dockerconfigjson document:
 * keys of registries, and under each an entry in one of these forms:
 *
 *   "auth": base64("user:password")         split at the first colon; final NULs are dropped
 *   "username": "user", "password": "..."   where the user name has a colon in it
 *   "identitytoken": "..."                  an OAuth 2 refresh token, whatever "auth" says
 *
 * An entry without any of them is a mark that some helper holds the secret, and one with
 * "registrytoken" alone is a token that nobody renews: both count as absent. Everything else in the
 * document is kept as it is.
 */
#ifndef PULLKEY_AUTHS_AUTHS_H
#define PULLKEY_AUTHS_AUTHS_H

#include "base/json.h"

/*
 * The map, or NULL in *ret where the document has none. -PULLKEY_INVALID if it is something else.
 */
int auths_map(const struct json *document, cJSON **ret, struct pullkey_error *error);

/* True for an entry that counts as absent: see above. */
bool auths_is_absent(const struct pullkey_host *host, const cJSON *entry);

/* The entry that serves a get best, NULL if none does. */
const cJSON *auths_find(const struct pullkey_host *host, const cJSON *map,
                        const struct pullkey_request *request);

/*
 * What the answer of auths_find is good for besides the request's path: the whole registry unless a
 * key may be for a path of it.
 */
enum pullkey_scope auths_scope(const struct pullkey_host *host, const cJSON *map,
                               const struct pullkey_request *request);

/*
 * What an entry that auths_find yielded holds; memory comes from host->alloc. Errors name the key,
 * never its value.
 */
int auths_read(const struct pullkey_host *host, const struct json *document, const cJSON *entry,
               struct pullkey_credential *ret, struct pullkey_error *error);

/* True if the map holds the request's key or an alias of the same path. */
bool auths_has_alias(const struct pullkey_host *host, const cJSON *map,
                     const struct pullkey_request *request);

/* Removes all of these; true if there was one. */
bool auths_remove(const struct pullkey_host *host, cJSON *map,
                  const struct pullkey_request *request);

/*
 * Adds an entry under the request's own text, in place of those. Makes the map if the document has
 * none.
 */
int auths_put(const struct pullkey_host *host, struct json *document,
              const struct pullkey_request *request, const struct pullkey_credential *credential,
              struct pullkey_error *error);

/*
 * Whether a credential keeps the limits of the contract and is text, so that it can be read back.
 * auths_put asks it itself. -PULLKEY_INVALID.
 */
int auths_check(const struct pullkey_credential *credential, struct pullkey_error *error);

/* Adds every entry to a list. One that cannot be read is left out and logged. */
int auths_list(const struct pullkey_host *host, const struct json *document,
               struct pullkey_list *list, struct pullkey_error *error);

#endif
