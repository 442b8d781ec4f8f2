/* SPDX-License-Identifier: Apache-2.0 */
/* Where a new entry goes. */
#include <string.h>

#include "base/error.h"
#include "service-errors.h"
#include "service.h"

static bool is_named(SecretCollection *collection, const char *name)
{
    const char *path = g_dbus_proxy_get_object_path(G_DBUS_PROXY(collection));
    gchar *label = secret_collection_get_label(collection);
    const bool same = strcmp(strrchr(path, '/') + 1, name) == 0 || g_strcmp0(label, name) == 0;

    g_free(label);
    return same;
}

/* The collection of that name; without one the only one that outlives the session. NULL where there
 * is none, or more than one. */
static int choose(struct service *service, const char *name, SecretCollection **ret,
                  struct pullkey_error *error)
{
    GError *problem = NULL;
    GList *all;
    guint count = 0;

    if (!secret_service_load_collections_sync(service->secrets, service->watch.cancellable,
                                              &problem))
        return service_error(problem, "cannot be asked for its collections", error);
    *ret = NULL;
    all = secret_service_get_collections(service->secrets);
    for (GList *item = all; item; item = item->next)
        if (name ? is_named(item->data, name) : !is_named(item->data, SECRET_COLLECTION_SESSION)) {
            *ret = item->data;
            count++;
        }
    if (count == 1)
        g_object_ref(*ret);
    else
        *ret = NULL;
    g_list_free_full(all, g_object_unref);
    if (count > 1)
        return error_set(error, PULLKEY_INVALID,
                         name ? "%u collections of the keyring have that name: give another"
                              : "the keyring has %u collections and no default one: name one with "
                                "the option \"collection\"",
                         count);
    return 0;
}

static int find_default(struct service *service, SecretCollection **ret,
                        struct pullkey_error *error)
{
    GError *problem = NULL;

    *ret = secret_collection_for_alias_sync(service->secrets, SECRET_COLLECTION_DEFAULT,
                                            SECRET_COLLECTION_NONE, service->watch.cancellable,
                                            &problem);
    if (problem)
        return service_error(problem, "cannot be asked for its collections", error);
    return *ret ? 0 : choose(service, NULL, ret, error);
}

static GVariant *default_properties(void)
{
    GVariantBuilder properties;

    g_variant_builder_init(&properties, G_VARIANT_TYPE("a{sv}"));
    g_variant_builder_add(&properties, "{sv}", "org.freedesktop.Secret.Collection.Label",
                          g_variant_new_string("Default keyring"));
    return g_variant_new("(a{sv}s)", &properties, SECRET_COLLECTION_DEFAULT);
}

static int create_default(struct service *service, SecretCollection **ret,
                          struct pullkey_error *error)
{
    GVariant *reply, *result = NULL;
    GError *problem = NULL;
    const char *prompt;
    int r = 0;

    if (!service_can_prompt(service))
        return error_set(error, PULLKEY_UNSUPPORTED,
                         "the keyring has no collection yet, and nobody can be asked for its "
                         "password here");
    reply = service_call(service, SERVICE_PATH, SERVICE_INTERFACE, "CreateCollection",
                         default_properties(), "(oo)", &problem);
    if (!reply)
        return service_error(problem, "cannot be made", error);
    g_variant_get(reply, "(o&o)", NULL, &prompt);
    if (strcmp(prompt, NO_PROMPT) != 0)
        r = service_prompt(service, prompt, "the keyring has no collection yet", &result, error);
    g_clear_pointer(&result, g_variant_unref);
    g_variant_unref(reply);
    if (r == 0)
        r = find_default(service, ret, error);
    if (r == 0 && !*ret)
        r = error_set(error, PULLKEY_INVALID, "the keyring has made no collection");
    return r;
}

int service_find_collection(struct service *service, SecretCollection **ret,
                            struct pullkey_error *error)
{
    int r;

    if (!service->collection)
        return find_default(service, ret, error);
    r = choose(service, service->collection, ret, error);
    if (r == 0 && !*ret)
        r = error_set(error, PULLKEY_INVALID, "the keyring has no collection \"%s\"",
                      service->collection);
    return r;
}

int service_open_collection(struct service *service, SecretCollection **ret,
                            struct pullkey_error *error)
{
    GList object = { 0 };
    int r = service_find_collection(service, ret, error);

    if (r == 0 && !*ret)
        r = create_default(service, ret, error);
    if (r < 0)
        return r;
    if (!secret_collection_get_locked(*ret))
        return 0;
    object.data = *ret;
    r = service_unlock_objects(service, &object, error);
    /* Nothing in it is in the way of another store, which may have the credential then. */
    if (r == -PULLKEY_LOCKED && !service_can_prompt(service))
        error->code = PULLKEY_UNSUPPORTED;
    if (r < 0)
        g_object_unref(*ret);
    return r < 0 ? -(int)error->code : 0;
}
