/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Secret Service of the session (specifications.freedesktop.org/secret-service, 0.2), as
 * docker-credential-secretservice uses it: its schema and its attributes, so that each reads what
 * the other stores.
 *
 * Attributes are searched without unlocking. Who is not asked for a locked item gets
 * -PULLKEY_LOCKED; where there is a desktop and nobody came in by ssh, the service asks.
 */
#ifndef PULLKEY_KEYRING_SERVICE_H
#define PULLKEY_KEYRING_SERVICE_H

#include <pullkey/backend.h>

#define G_DISABLE_CAST_CHECKS /* which would be a call at each use */
#include <libsecret/secret.h>

#include "watch.h"

#define SERVICE_PATH "/org/freedesktop/secrets"
#define SERVICE_INTERFACE "org.freedesktop.Secret.Service"
#define NO_PROMPT "/" /* in the place of a prompt's path */
#define SERVICE_LABEL "Registry credentials for "

struct service {
    const struct pullkey_host *host;
    const char *collection; /* the option, or NULL */
    int64_t deadline_ms;    /* later by what a person took to answer */
    SecretService *secrets;
    gchar *owner; /* the unique name of who offers it */
    struct watch watch;
};

/*
 * Connects. -PULLKEY_UNSUPPORTED, at once, where there is no session bus or nobody offers the
 * service on it. The first three members are the caller's to set, the rest is empty. Close it also
 * after an error.
 */
int service_open(struct service *service, struct pullkey_error *error);
void service_close(struct service *service);

/* Agrees with the service on a key for secrets, which is done otherwise where the first one goes.
 */
int service_start_session(struct service *service, struct pullkey_error *error);

/* Every entry, from its attributes alone, the newest first. Release with g_ptr_array_unref. */
struct service_entry {
    char *server, *username, *path;
    guint64 modified; /* seconds since 1970 */
};
int service_list(struct service *service, GPtrArray **ret, struct pullkey_error *error);

/* Which of two entries is the older one: < 0 the first. Of those of one second it is the one with
 * the lower number, which GNOME Keyring counts up. */
int service_compare_age(guint64 modified, const char *path, guint64 other_modified,
                        const char *other_path);

/* The items of one server, none included. Release with service_free_items. */
int service_find(struct service *service, const char *server, GList **ret,
                 struct pullkey_error *error);
void service_free_items(GList *items);

/* Whether there is a desktop, and somebody before it. */
bool service_can_prompt(const struct service *service);

/*
 * Shows the prompt of that path, and waits for its end: two minutes, as somebody has to read and to
 * type. *ret is what it ended with, and the caller's. -PULLKEY_LOCKED where it was dismissed, or
 * nobody answers, or nobody can be asked here, when it is not shown. `about` says what for, as in
 * "the keyring is locked".
 */
int service_prompt(struct service *service, const char *path, const char *about, GVariant **ret,
                   struct pullkey_error *error);

/* Makes collections or items readable, or fails: with a prompt where somebody can see it. */
int service_unlock_objects(struct service *service, GList *objects, struct pullkey_error *error);

/* The same, for those of the items that are locked. */
int service_unlock(struct service *service, GList *items, struct pullkey_error *error);

/* Where a new entry goes, locked or not: the option, the default, or the only one. NULL where the
 * keyring has none yet. Release with g_object_unref. */
int service_find_collection(struct service *service, SecretCollection **ret,
                            struct pullkey_error *error);

/* The same, unlocked, and made if there is none. -PULLKEY_UNSUPPORTED where it is locked and nobody
 * can be asked. */
int service_open_collection(struct service *service, SecretCollection **ret,
                            struct pullkey_error *error);

/* Unlocks that collection, and each other one that has a locked entry: as in struct
 * pullkey_backend. */
int service_unlock_all(struct service *service, const struct pullkey_secret *password,
                       enum pullkey_unlock *ret, struct pullkey_error *error);

/* One call on the service or an object of it, NULL with *problem. Release with g_variant_unref. */
GVariant *service_call(struct service *service, const char *path, const char *interface,
                       const char *method, GVariant *arguments, const char *type, GError **problem);

/* A property as it is now. */
int service_get(struct service *service, const char *path, const char *interface, const char *name,
                const char *type, GVariant **ret, struct pullkey_error *error);

/* The paths of all entries: of those that are unlocked, and of those that are not ("(aoao)"). */
int service_search(struct service *service, GVariant **ret, struct pullkey_error *error);

/* Writes one entry, whose path is *ret: release with g_free. -PULLKEY_UNSUPPORTED where there is
 * nothing to write to and nobody to ask. */
int service_store(struct service *service, const char *server,
                  const struct pullkey_credential *credential, gchar **ret,
                  struct pullkey_error *error);

int service_delete(struct service *service, SecretItem *item, struct pullkey_error *error);

int service_load(struct service *service, SecretItem *item, struct pullkey_error *error);

#endif
