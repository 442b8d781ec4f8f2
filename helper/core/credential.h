/* SPDX-License-Identifier: Apache-2.0 */
/* The life of credentials and lists of them; their memory comes from secret_alloc. */
#ifndef PULLKEY_CORE_CREDENTIAL_H
#define PULLKEY_CORE_CREDENTIAL_H

#include <pullkey/backend.h>

/* Wipe, free and empty. */
void credential_done(struct pullkey_credential *credential);
void list_done(struct pullkey_list *list);

/* What a backend hands out, or is handed: complete, within the limits, nothing empty, no NUL. */
int credential_check(const struct pullkey_credential *credential, struct pullkey_error *error);

/* Copies one entry to the end of a list; the host table offers it to modules. */
int list_add(struct pullkey_list *list, const char *server, const char *username,
             struct pullkey_error *error);

#define cleanup_credential __attribute__((cleanup(credential_done)))
#define cleanup_list __attribute__((cleanup(list_done)))

#endif
