/* SPDX-License-Identifier: Apache-2.0 */
#include "service.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "service-errors.h"

#define PROMPT_MS 120000
#define SEARCHES 20

#define SERVICE_INTERFACE "org.freedesktop.Secret.Service"
#define ITEM_INTERFACE "org.freedesktop.Secret.Item"

/* As docker-credential-helpers 0.9 has it in secretservice/secretservice.c. */
static const SecretSchema schema = {
    "io.docker.Credentials",
    SECRET_SCHEMA_NONE,
    {
        { "label", SECRET_SCHEMA_ATTRIBUTE_STRING },
        { "server", SECRET_SCHEMA_ATTRIBUTE_STRING },
        { "username", SECRET_SCHEMA_ATTRIBUTE_STRING },
        { "docker_cli", SECRET_SCHEMA_ATTRIBUTE_STRING },
        { NULL, SECRET_SCHEMA_ATTRIBUTE_STRING },
    },
    0,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
};

/* -- Connecting ------------------------------------------------------------------------------- */

/* What GLib has to say goes nowhere: what matters comes back as an error. */
static GLogWriterOutput say_nothing(GLogLevelFlags level, const GLogField *fields, gsize count,
                                    gpointer data)
{
    (void)level;
    (void)fields;
    (void)count;
    (void)data;
    return G_LOG_WRITER_HANDLED;
}

static void silence(void)
{
    static gsize is_done;

    if (g_once_init_enter(&is_done)) {
        g_log_set_writer_func(say_nothing, NULL, NULL);
        g_once_init_leave(&is_done, 1);
    }
}

/*
 * Where GLib is going to look for it, so that it neither starts a bus of its own (autolaunch, which
 * takes an X server and says so) nor runs the program of an address (unixexec).
 */
static int check_bus(struct pullkey_error *error)
{
    const char *address = secure_getenv("DBUS_SESSION_BUS_ADDRESS");
    const char *runtime = secure_getenv("XDG_RUNTIME_DIR");
    char path[FILE_PATH_MAX];
    struct stat status;

    if (file_caller_is_root())
        return error_set(error, PULLKEY_UNSUPPORTED,
                         "root has no keyring: run it as the user who is logged in");
    if (address && address[0] != '\0')
        return strncmp(address, "unix:", 5) == 0
                   ? 0
                   : error_set(error, PULLKEY_UNSUPPORTED,
                               "DBUS_SESSION_BUS_ADDRESS is no address of a socket (unix:...)");
    if (runtime && runtime[0] == '/' &&
        snprintf(path, sizeof(path), "%s/bus", runtime) < (int)sizeof(path) &&
        stat(path, &status) == 0 && S_ISSOCK(status.st_mode))
        return 0;
    return error_set(error, PULLKEY_UNSUPPORTED,
                     "there is no session bus, so no keyring: log in on a desktop, or run "
                     "dbus-run-session");
}

static int connect_bus(struct service *service, struct pullkey_error *error)
{
    GError *problem = NULL;
    GDBusConnection *bus = g_bus_get_sync(G_BUS_TYPE_SESSION, service->watch.cancellable, &problem);

    if (!bus)
        return service_error_bus(problem, error);
    /* By default the process ends when the bus does. */
    g_dbus_connection_set_exit_on_close(bus, FALSE);
    service->secrets =
        secret_service_get_sync(SECRET_SERVICE_NONE, service->watch.cancellable, &problem);
    g_object_unref(bus);
    return service->secrets ? 0 : service_error(problem, "cannot be asked", error);
}

int service_open(struct service *service, struct pullkey_error *error)
{
    int r = check_bus(error);

    if (r < 0)
        return r;
    silence();
    r = watch_start(service->deadline_ms, &service->watch, error);
    return r < 0 ? r : connect_bus(service, error);
}

void service_close(struct service *service)
{
    if (service->secrets)
        g_object_unref(service->secrets);
    service->secrets = NULL;
    watch_stop(&service->watch);
}

int service_start_session(struct service *service, struct pullkey_error *error)
{
    GError *problem = NULL;

    if (secret_service_ensure_session_sync(service->secrets, service->watch.cancellable, &problem))
        return 0;
    return service_error(problem, "cannot be asked", error);
}

/* -- Finding ---------------------------------------------------------------------------------- */

static void free_entry(gpointer data)
{
    struct service_entry *entry = data;

    g_free(entry->server);
    g_free(entry->username);
    g_free(entry);
}

GVariant *service_call(struct service *service, const char *path, const char *interface,
                       const char *method, GVariant *arguments, const char *type, GError **problem)
{
    GDBusProxy *proxy = G_DBUS_PROXY(service->secrets);

    return g_dbus_connection_call_sync(g_dbus_proxy_get_connection(proxy),
                                       g_dbus_proxy_get_name(proxy), path, interface, method,
                                       arguments, G_VARIANT_TYPE(type), G_DBUS_CALL_FLAGS_NONE,
                                       G_MAXINT, service->watch.cancellable, problem);
}

int service_get(struct service *service, const char *path, const char *interface, const char *name,
                const char *type, GVariant **ret, struct pullkey_error *error)
{
    GError *problem = NULL;
    GVariant *boxed, *reply = service_call(service, path, "org.freedesktop.DBus.Properties", "Get",
                                           g_variant_new("(ss)", interface, name), "(v)", &problem);

    if (!reply)
        return service_error(problem, "cannot be searched", error);
    g_variant_get(reply, "(v)", &boxed);
    g_variant_unref(reply);
    *ret = boxed;
    if (g_variant_is_of_type(boxed, G_VARIANT_TYPE(type)))
        return 0;
    g_variant_unref(boxed);
    return error_set(error, PULLKEY_INVALID, "the keyring's property %s has another type", name);
}

/* One that is gone meanwhile is no entry, nor is one without a server. */
static int add_entry(struct service *service, const char *path, GPtrArray *entries,
                     struct pullkey_error *error)
{
    const char *server = NULL, *username = NULL;
    struct service_entry *entry;
    GVariant *attributes;
    int r = service_get(service, path, ITEM_INTERFACE, "Attributes", "a{ss}", &attributes, error);

    if (r < 0)
        return r == -PULLKEY_NOT_FOUND ? 0 : r;
    if (g_variant_lookup(attributes, "server", "&s", &server)) {
        (void)g_variant_lookup(attributes, "username", "&s", &username);
        entry = g_new0(struct service_entry, 1);
        entry->server = g_strdup(server);
        entry->username = g_strdup(username ? username : "");
        g_ptr_array_add(entries, entry);
    }
    g_variant_unref(attributes);
    return 0;
}

/* A service without what is asked of it is not one without a credential. */
static int not_missing(int r, struct pullkey_error *error)
{
    if (r == -PULLKEY_NOT_FOUND)
        error->code = PULLKEY_UNREACHABLE;
    return r < 0 ? -(int)error->code : r;
}

int service_search(struct service *service, GVariant **ret, struct pullkey_error *error)
{
    GVariantBuilder builder;
    GError *problem = NULL;

    g_variant_builder_init(&builder, G_VARIANT_TYPE("a{ss}"));
    g_variant_builder_add(&builder, "{ss}", "xdg:schema", schema.name);
    g_variant_builder_add(&builder, "{ss}", "docker_cli", "1");
    *ret = service_call(service, SERVICE_PATH, SERVICE_INTERFACE, "SearchItems",
                        g_variant_new("(a{ss})", &builder), "(aoao)", &problem);
    return *ret ? 0 : not_missing(service_error(problem, "cannot be searched", error), error);
}

int service_list(struct service *service, GPtrArray **ret, struct pullkey_error *error)
{
    GVariantIter *paths[2]; /* of items that are unlocked, and of those that are not */
    GVariant *reply;
    const char *path;
    int r = service_search(service, &reply, error);

    if (r < 0)
        return r;
    *ret = g_ptr_array_new_with_free_func(free_entry);
    g_variant_get(reply, "(aoao)", &paths[0], &paths[1]);
    for (size_t i = 0; i < 2; i++) {
        while (r == 0 && g_variant_iter_next(paths[i], "&o", &path))
            r = add_entry(service, path, *ret, error);
        g_variant_iter_free(paths[i]);
    }
    g_variant_unref(reply);
    if (r < 0)
        g_ptr_array_unref(*ret);
    return r;
}

/* Those of the server: a service that finds others would give away their passwords. */
static GList *keep_of(GList *items, const char *server)
{
    GList *next;

    for (GList *item = items; item; item = next) {
        GHashTable *attributes = secret_item_get_attributes(item->data);

        next = item->next;
        if (g_strcmp0(g_hash_table_lookup(attributes, "server"), server) != 0) {
            g_object_unref(item->data);
            items = g_list_delete_link(items, item);
        }
        g_hash_table_unref(attributes);
    }
    return items;
}

int service_find(struct service *service, const char *server, GList **ret,
                 struct pullkey_error *error)
{
    GHashTable *attributes =
        secret_attributes_build(&schema, "server", server, "docker_cli", "1", NULL);
    GError *problem;
    int r = 0;

    /* One that is removed meanwhile fails a search, which looks at each that it has found. */
    for (int i = 0; i == 0 || (r == -PULLKEY_NOT_FOUND && i < SEARCHES); i++) {
        problem = NULL;
        *ret = secret_service_search_sync(service->secrets, &schema, attributes, SECRET_SEARCH_ALL,
                                          service->watch.cancellable, &problem);
        r = problem ? service_error(problem, "cannot be searched", error) : 0;
    }
    g_hash_table_unref(attributes);
    *ret = keep_of(*ret, server);
    return not_missing(r, error);
}

void service_free_items(GList *items)
{
    g_list_free_full(items, g_object_unref);
}

/* -- Unlocking -------------------------------------------------------------------------------- */

static bool has_variable(const char *name)
{
    const char *value = secure_getenv(name);

    return value && value[0] != '\0';
}

bool service_can_prompt(const struct service *service)
{
    const struct pullkey_host *host = service->host;

    /* A host of an older release would end the process meanwhile. */
    if (host->size < offsetof(struct pullkey_host, wait_for_person) + sizeof(void *) ||
        !host->wait_for_person)
        return false;
    return (has_variable("DISPLAY") || has_variable("WAYLAND_DISPLAY")) &&
           !has_variable("SSH_CONNECTION") && !has_variable("SSH_CLIENT") &&
           !has_variable("SSH_TTY");
}

void service_prompt_begin(struct service *service)
{
    (void)service->host->wait_for_person(PROMPT_MS);
    watch_move(&service->watch, service->host->monotonic_ms() + PROMPT_MS);
}

void service_prompt_end(struct service *service)
{
    service->deadline_ms += service->host->wait_for_person(0);
    watch_move(&service->watch, service->deadline_ms);
}

int service_unlock_objects(struct service *service, GList *objects, struct pullkey_error *error)
{
    GError *problem = NULL;
    gint unlocked;

    if (!service_can_prompt(service))
        return error_set(error, PULLKEY_LOCKED,
                         "the keyring is locked, and nobody can be asked here: unlock it with "
                         "`pullkey unlock`");
    service_prompt_begin(service);
    unlocked = secret_service_unlock_sync(service->secrets, objects, service->watch.cancellable,
                                          NULL, &problem);
    service_prompt_end(service);
    if (problem && g_cancellable_is_cancelled(service->watch.cancellable)) {
        g_error_free(problem);
        return error_set(error, PULLKEY_LOCKED,
                         "the keyring is locked, and nobody answered its prompt within %d seconds",
                         PROMPT_MS / 1000);
    }
    if (problem)
        return service_error(problem, "cannot be unlocked", error);
    if (unlocked < (gint)g_list_length(objects))
        return error_set(error, PULLKEY_LOCKED,
                         "the keyring is locked, and its prompt was dismissed");
    return 0;
}

int service_unlock(struct service *service, GList *items, struct pullkey_error *error)
{
    GList *locked = NULL;
    int r = 0;

    for (GList *item = items; item; item = item->next)
        if (secret_item_get_locked(item->data))
            locked = g_list_prepend(locked, item->data);
    if (locked)
        r = service_unlock_objects(service, locked, error);
    g_list_free(locked);
    return r;
}

/* -- Reading and writing ---------------------------------------------------------------------- */

int service_load(struct service *service, SecretItem *item, struct pullkey_error *error)
{
    GError *problem = NULL;

    if (secret_item_load_secret_sync(item, service->watch.cancellable, &problem))
        return 0;
    return service_error(problem, "cannot be read", error);
}

int service_delete(struct service *service, SecretItem *item, struct pullkey_error *error)
{
    GError *problem = NULL;

    if (secret_item_delete_sync(item, service->watch.cancellable, &problem))
        return 0;
    return service_error(problem, "cannot be changed", error);
}

int service_store(struct service *service, const char *server,
                  const struct pullkey_credential *credential, struct pullkey_error *error)
{
    GHashTable *attributes;
    SecretCollection *collection;
    SecretItem *item;
    SecretValue *value;
    GError *problem = NULL;
    gchar *label;
    int r = service_open_collection(service, &collection, error);

    if (r < 0)
        return r;
    attributes = secret_attributes_build(&schema, "label", "Docker Credentials", "server", server,
                                         "username", credential->username, "docker_cli", "1", NULL);
    label = g_strconcat(SERVICE_LABEL, server, NULL);
    value =
        secret_value_new(credential->secret.bytes, (gssize)credential->secret.length, "text/plain");
    item =
        secret_item_create_sync(collection, &schema, attributes, label, value,
                                SECRET_ITEM_CREATE_REPLACE, service->watch.cancellable, &problem);
    secret_value_unref(value);
    g_free(label);
    g_hash_table_unref(attributes);
    g_object_unref(collection);
    if (!item)
        return service_error(problem, "cannot be changed", error);
    g_object_unref(item);
    return 0;
}
