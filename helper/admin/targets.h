/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Credentials that are handed to somebody who can ask no helper: whose they are, and docker's
 * "auths" with them. For `run` and `export`.
 */
#ifndef PULLKEY_ADMIN_TARGETS_H
#define PULLKEY_ADMIN_TARGETS_H

#include "admin.h"
#include "run-image.h"

#define TARGETS_MAX 16
#define TARGETS_DOCUMENT_MAX (2 * 1024 * 1024)

/* A credential that is handed over, and where it is for. */
struct target {
    struct registry_reference reference;  /* what is asked for, with the path of an image */
    char registry[RUN_AUTHORITY_MAX + 1]; /* for messages, and the key in the file */
    struct pullkey_credential credential;
};

struct targets {
    struct target items[TARGETS_MAX];
    size_t count;
};

void targets_release(struct targets **targets);

#define cleanup_targets __attribute__((cleanup(targets_release)))

bool targets_is_same_registry(const struct registry_reference *a,
                              const struct registry_reference *b);

/* Each once. `authority` is the host with its port as it is written. */
int targets_add(struct targets *targets, const struct registry_reference *reference,
                const char *authority, size_t length, struct pullkey_error *error);

/* The same of a registry as a person names it: what is written there, without scheme and path. */
int targets_add_named(struct targets *targets, const char *name, struct pullkey_error *error);

/*
 * Asks for all of them, and refuses two credentials of one registry. `otherwise` is what to do
 * about one that has none, beside logging in.
 */
int targets_get(const struct admin_call *call, struct targets *targets, const char *otherwise,
                struct pullkey_error *error);

/* {"auths": {...}} and a line end. */
int targets_write(const struct targets *targets, struct buffer *ret, struct pullkey_error *error);

/* base64("user:password"): "auth" in the file, and CRICTL_AUTH. */
int targets_write_pair(const struct pullkey_credential *credential, struct buffer *ret,
                       struct pullkey_error *error);

#endif
