/* SPDX-License-Identifier: Apache-2.0 */
#define SECRET_API_SUBJECT_TO_CHANGE /* for secret_service_encode_dbus_secret */
#include "service.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "service-errors.h"

#define ANSWER_MS 10000 /* a request has more, for what comes after a keyring that hangs */
#define SEARCHES 20

#define COLLECTION_INTERFACE "org.freedesktop.Secret.Collection"
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

/* GLib tries each of several addresses. */
static bool are_sockets(const char *addresses)
{
    for (const char *at = addresses; at; at = strchr(at, ';'), at = at ? at + 1 : NULL)
        if (strncmp(at, "unix:", 5) != 0)
            return false;
    return true;
}

/*
 * Where GLib is going to look for it, so that it neither starts a bus of its own (autolaunch, which
 * takes an X server and says so), nor runs the program of an address (unixexec), nor sends anything
 * over a network.
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
        return are_sockets(address)
                   ? 0
                   : error_set(error, PULLKEY_UNSUPPORTED,
                               "DBUS_SESSION_BUS_ADDRESS is no address of a socket (unix:...)");
    if (runtime && runtime[0] == '/' &&
        snprintf(path, sizeof(path), "%s/bus", runtime) < (int)sizeof(path) &&
        stat(path, &status) == 0 && S_ISSOCK(status.st_mode) && status.st_uid == geteuid())
        return 0;
    return error_set(error, PULLKEY_UNSUPPORTED,
                     "there is no session bus, so no keyring: log in on a desktop, or run "
                     "dbus-run-session");
}

/* Somebody else's bus would get the passwords. */
static int check_owner(GDBusConnection *bus, struct pullkey_error *error)
{
    GIOStream *stream = g_dbus_connection_get_stream(bus);
    GCredentials *peer =
        G_IS_SOCKET_CONNECTION(stream)
            ? g_socket_get_credentials(g_socket_connection_get_socket((GSocketConnection *)stream),
                                       NULL)
            : NULL;
    const uid_t owner = peer ? g_credentials_get_unix_user(peer, NULL) : (uid_t)-1;

    g_clear_object(&peer);
    if (file_is_trusted_owner(owner))
        return 0;
    return error_set(error, PULLKEY_DENIED,
                     "the session bus is not yours, but that of user %u: see "
                     "DBUS_SESSION_BUS_ADDRESS",
                     (unsigned int)owner);
}

static int connect_bus(struct service *service, struct pullkey_error *error)
{
    GError *problem = NULL;
    GDBusConnection *bus = g_bus_get_sync(G_BUS_TYPE_SESSION, service->watch.cancellable, &problem);
    int r;

    if (!bus)
        return service_error_bus(problem, error);
    /* By default the process ends when the bus does. */
    g_dbus_connection_set_exit_on_close(bus, FALSE);
    r = check_owner(bus, error);
    if (r == 0)
        service->secrets =
            secret_service_get_sync(SECRET_SERVICE_NONE, service->watch.cancellable, &problem);
    g_object_unref(bus);
    if (r == 0 && service->secrets)
        service->owner = g_dbus_proxy_get_name_owner(G_DBUS_PROXY(service->secrets));
    return r < 0 || service->owner ? r : service_error_start(problem, error);
}

int service_open(struct service *service, struct pullkey_error *error)
{
    const int64_t deadline_ms = service->host->monotonic_ms() + ANSWER_MS;
    int r = check_bus(error);

    if (r < 0)
        return r;
    if (service->deadline_ms > deadline_ms)
        service->deadline_ms = deadline_ms;
    silence();
    r = watch_start(service->deadline_ms, &service->watch, error);
    return r < 0 ? r : connect_bus(service, error);
}

void service_close(struct service *service)
{
    if (service->secrets)
        g_object_unref(service->secrets);
    service->secrets = NULL;
    g_clear_pointer(&service->owner, g_free);
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
    g_free(entry->path);
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

/* One without a server is no entry. */
static void add_entry(const char *path, GVariant *properties, GPtrArray *entries)
{
    GVariant *attributes =
        g_variant_lookup_value(properties, "Attributes", G_VARIANT_TYPE("a{ss}"));
    const char *server = NULL, *username = NULL;
    struct service_entry *entry;

    if (!attributes)
        return;
    if (g_variant_lookup(attributes, "server", "&s", &server)) {
        (void)g_variant_lookup(attributes, "username", "&s", &username);
        entry = g_new0(struct service_entry, 1);
        entry->server = g_strdup(server);
        entry->username = g_strdup(username ? username : "");
        entry->path = g_strdup(path);
        (void)g_variant_lookup(properties, "Modified", "t", &entry->modified);
        g_ptr_array_add(entries, entry);
    }
    g_variant_unref(attributes);
}

/* One that is gone meanwhile is no entry. */
static int look_at(struct service *service, const char *path, GPtrArray *entries,
                   struct pullkey_error *error)
{
    GError *problem = NULL;
    GVariant *properties,
        *reply = service_call(service, path, "org.freedesktop.DBus.Properties", "GetAll",
                              g_variant_new("(s)", ITEM_INTERFACE), "(a{sv})", &problem);
    int r = reply ? 0 : service_error(problem, "cannot be searched", error);

    if (r < 0)
        return r == -PULLKEY_NOT_FOUND ? 0 : r;
    properties = g_variant_get_child_value(reply, 0);
    add_entry(path, properties, entries);
    g_variant_unref(properties);
    g_variant_unref(reply);
    return 0;
}

int service_compare_age(guint64 modified, const char *path, guint64 other_modified,
                        const char *other_path)
{
    const char *number = strrchr(path, '/') + 1, *other_number = strrchr(other_path, '/') + 1;
    const size_t length = strlen(number), other_length = strlen(other_number);

    if (modified != other_modified)
        return modified < other_modified ? -1 : 1;
    if (length != other_length)
        return length < other_length ? -1 : 1;
    return strcmp(number, other_number);
}

static gint newest_first(gconstpointer left, gconstpointer right)
{
    const struct service_entry *one = *(struct service_entry *const *)left,
                               *other = *(struct service_entry *const *)right;

    return service_compare_age(other->modified, other->path, one->modified, one->path);
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
            r = look_at(service, path, *ret, error);
        g_variant_iter_free(paths[i]);
    }
    g_variant_unref(reply);
    if (r < 0)
        g_ptr_array_unref(*ret);
    else
        g_ptr_array_sort(*ret, newest_first);
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

/* -- Reading and writing ---------------------------------------------------------------------- */

int service_load(struct service *service, SecretItem *item, struct pullkey_error *error)
{
    GError *problem = NULL;

    if (secret_item_load_secret_sync(item, service->watch.cancellable, &problem))
        return 0;
    return service_error(problem, "cannot be read", error);
}

#define ASKS_TO_CHANGE "the keyring asks before it changes an entry"

int service_delete(struct service *service, SecretItem *item, struct pullkey_error *error)
{
    const char *path = g_dbus_proxy_get_object_path(G_DBUS_PROXY(item)), *prompt;
    GError *problem = NULL;
    GVariant *result = NULL,
             *reply = service_call(service, path, ITEM_INTERFACE, "Delete", NULL, "(o)", &problem);
    int r = 0;

    if (!reply)
        return service_error(problem, "cannot be changed", error);
    g_variant_get(reply, "(&o)", &prompt);
    if (strcmp(prompt, NO_PROMPT) != 0)
        r = service_prompt(service, prompt, ASKS_TO_CHANGE, &result, error);
    g_clear_pointer(&result, g_variant_unref);
    g_variant_unref(reply);
    return r;
}

static GVariant *properties_of(const char *server, const char *username)
{
    gchar *label = g_strconcat(SERVICE_LABEL, server, NULL);
    GVariantBuilder attributes, properties;

    g_variant_builder_init(&attributes, G_VARIANT_TYPE("a{ss}"));
    g_variant_builder_add(&attributes, "{ss}", "xdg:schema", schema.name);
    g_variant_builder_add(&attributes, "{ss}", "label", "Docker Credentials");
    g_variant_builder_add(&attributes, "{ss}", "server", server);
    g_variant_builder_add(&attributes, "{ss}", "username", username);
    g_variant_builder_add(&attributes, "{ss}", "docker_cli", "1");
    g_variant_builder_init(&properties, G_VARIANT_TYPE("a{sv}"));
    g_variant_builder_add(&properties, "{sv}", ITEM_INTERFACE ".Label",
                          g_variant_new_string(label));
    g_variant_builder_add(&properties, "{sv}", ITEM_INTERFACE ".Attributes",
                          g_variant_builder_end(&attributes));
    g_free(label);
    return g_variant_builder_end(&properties);
}

/* The path of the new item: of the reply, or of its prompt's result. */
static int take_path(struct service *service, GVariant *reply, gchar **ret,
                     struct pullkey_error *error)
{
    GVariant *result = NULL;
    const char *path, *prompt;
    int r = 0;

    g_variant_get(reply, "(&o&o)", &path, &prompt);
    if (strcmp(prompt, NO_PROMPT) != 0)
        r = service_prompt(service, prompt, ASKS_TO_CHANGE, &result, error);
    if (r == 0 && result && g_variant_is_of_type(result, G_VARIANT_TYPE_OBJECT_PATH))
        path = g_variant_get_string(result, NULL);
    if (r == 0)
        *ret = g_strdup(path);
    g_clear_pointer(&result, g_variant_unref);
    return r;
}

int service_store(struct service *service, const char *server,
                  const struct pullkey_credential *credential, gchar **ret,
                  struct pullkey_error *error)
{
    SecretCollection *collection;
    GVariant *secret, *reply;
    SecretValue *value;
    GError *problem = NULL;
    int r = service_open_collection(service, &collection, error);

    if (r < 0)
        return r;
    value =
        secret_value_new(credential->secret.bytes, (gssize)credential->secret.length, "text/plain");
    secret = secret_service_encode_dbus_secret(service->secrets, value);
    secret_value_unref(value);
    reply = service_call(service, g_dbus_proxy_get_object_path(G_DBUS_PROXY(collection)),
                         COLLECTION_INTERFACE, "CreateItem",
                         g_variant_new("(@a{sv}@(oayays)b)",
                                       properties_of(server, credential->username), secret, TRUE),
                         "(oo)", &problem);
    g_object_unref(collection);
    if (!reply)
        return service_error(problem, "cannot be changed", error);
    r = take_path(service, reply, ret, error);
    g_variant_unref(reply);
    return r;
}
