/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unlocking for its own sake: by the service's prompt, or with the keyring's password. Of the three
 * only GNOME Keyring takes that from a program, by an interface that its makers call internal:
 * gnome-keyring's daemon/dbus/org.gnome.keyring.InternalUnsupportedGuiltRiddenInterface.xml.
 */
#define SECRET_API_SUBJECT_TO_CHANGE /* for secret_service_encode_dbus_secret */
#include <string.h>

#include "base/error.h"
#include "service-errors.h"
#include "service.h"

#define COLLECTION_INTERFACE "org.freedesktop.Secret.Collection"
#define MASTER_INTERFACE "org.gnome.keyring.InternalUnsupportedGuiltRiddenInterface"
#define REFUSAL "org.gnome.keyring.Error.Denied"

/* -- What is locked --------------------------------------------------------------------------- */

static bool holds_any(SecretCollection *collection, GVariant *found)
{
    const char *path = g_dbus_proxy_get_object_path(G_DBUS_PROXY(collection));
    const size_t length = strlen(path);
    GVariantIter *locked;
    const char *item;
    bool holds = false;

    g_variant_get_child(found, 1, "ao", &locked);
    while (!holds && g_variant_iter_next(locked, "&o", &item))
        holds = strncmp(item, path, length) == 0 && item[length] == '/';
    g_variant_iter_free(locked);
    return holds;
}

static bool is_path_of(SecretCollection *collection, SecretCollection *other)
{
    return other && strcmp(g_dbus_proxy_get_object_path(G_DBUS_PROXY(collection)),
                           g_dbus_proxy_get_object_path(G_DBUS_PROXY(other))) == 0;
}

static int find_locked_among(struct service *service, SecretCollection *target, GVariant *found,
                             GList **ret, struct pullkey_error *error)
{
    GError *problem = NULL;
    GList *all;

    if (!secret_service_load_collections_sync(service->secrets, service->watch.cancellable,
                                              &problem))
        return service_error(problem, "cannot be asked for its collections", error);
    *ret = NULL;
    all = secret_service_get_collections(service->secrets);
    for (GList *item = all; item; item = item->next)
        if (secret_collection_get_locked(item->data) &&
            (is_path_of(item->data, target) || holds_any(item->data, found)))
            *ret = g_list_prepend(*ret, g_object_ref(item->data));
    g_list_free_full(all, g_object_unref);
    return 0;
}

static int find_locked(struct service *service, GList **ret, struct pullkey_error *error)
{
    SecretCollection *target;
    GVariant *found;
    int r = service_find_collection(service, &target, error);

    if (r < 0)
        return r;
    r = service_search(service, &found, error);
    if (r == 0) {
        r = find_locked_among(service, target, found, ret, error);
        g_variant_unref(found);
    }
    g_clear_object(&target);
    return r;
}

/* -- With a password -------------------------------------------------------------------------- */

static int check_interface(struct service *service, struct pullkey_error *error)
{
    GError *problem = NULL;
    GVariant *reply = service_call(service, SERVICE_PATH, "org.freedesktop.DBus.Introspectable",
                                   "Introspect", NULL, "(s)", &problem);
    const char *description = "";
    bool takes;

    if (reply)
        g_variant_get(reply, "(&s)", &description);
    takes = strstr(description, "\"" MASTER_INTERFACE "\"") != NULL;
    if (reply)
        g_variant_unref(reply);
    g_clear_error(&problem);
    return takes ? 0
                 : error_set(error, PULLKEY_UNSUPPORTED,
                             "the keyring is locked, and takes its password on the desktop alone, "
                             "as KWallet and KeePassXC do: unlock it there");
}

/* The service says yes to what it did not do, too. */
static int check_unlocked(struct service *service, const char *path, struct pullkey_error *error)
{
    GVariant *locked;
    int r = service_get(service, path, COLLECTION_INTERFACE, "Locked", "b", &locked, error);

    if (r == 0 && g_variant_get_boolean(locked))
        r = error_set(error, PULLKEY_LOCKED, "the keyring took the password, and is still locked");
    if (r == 0 || r == -PULLKEY_LOCKED)
        g_variant_unref(locked);
    return r;
}

/* The password goes over the bus as passwords of entries do: encrypted for this session. */
static int unlock_with(struct service *service, SecretCollection *collection, SecretValue *password,
                       struct pullkey_error *error)
{
    const char *path = g_dbus_proxy_get_object_path(G_DBUS_PROXY(collection));
    GVariant *secret = secret_service_encode_dbus_secret(service->secrets, password);
    GError *problem = NULL;
    GVariant *reply =
        service_call(service, SERVICE_PATH, MASTER_INTERFACE, "UnlockWithMasterPassword",
                     g_variant_new("(o@(oayays))", path, secret), "()", &problem);
    gchar *name;
    bool is_refusal;

    if (reply) {
        g_variant_unref(reply);
        return check_unlocked(service, path, error);
    }
    name = g_dbus_error_get_remote_error(problem);
    is_refusal = g_strcmp0(name, REFUSAL) == 0;
    g_free(name);
    if (!is_refusal)
        return service_error(problem, "cannot be unlocked", error);
    g_error_free(problem);
    return error_set(error, PULLKEY_DENIED, "this is not the password of the keyring \"%s\"",
                     strrchr(path, '/') + 1);
}

static int unlock_each(struct service *service, GList *locked,
                       const struct pullkey_secret *password, struct pullkey_error *error)
{
    GError *problem = NULL;
    SecretValue *value;
    int r = check_interface(service, error);

    if (r < 0)
        return r;
    if (!secret_service_ensure_session_sync(service->secrets, service->watch.cancellable, &problem))
        return service_error(problem, "cannot be asked", error);
    value = secret_value_new(password->bytes, (gssize)password->length, "text/plain");
    for (GList *item = locked; r == 0 && item; item = item->next)
        r = unlock_with(service, item->data, value, error);
    secret_value_unref(value);
    return r;
}

int service_unlock_all(struct service *service, const struct pullkey_secret *password,
                       enum pullkey_unlock *ret, struct pullkey_error *error)
{
    GList *locked = NULL;
    int r = find_locked(service, &locked, error);

    if (r < 0)
        return r;
    *ret = PULLKEY_WAS_OPEN;
    if (locked && !password && !service_can_prompt(service)) {
        r = check_interface(service, error);
        *ret = PULLKEY_ASKS_PASSWORD;
    } else if (locked) {
        r = password ? unlock_each(service, locked, password, error)
                     : service_unlock_objects(service, locked, error);
        *ret = PULLKEY_UNLOCKED;
    }
    g_list_free_full(locked, g_object_unref);
    return r;
}
