/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prompts of the service, and unlocking by one. libsecret has calls that show them as well, but
 * those do so whoever is there, and wait for an answer to "Dismiss" however long it takes.
 */
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "service-errors.h"
#include "service.h"

#define PROMPT_MS 120000
#define PROMPT_INTERFACE "org.freedesktop.Secret.Prompt"

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

/* -- Prompts -------------------------------------------------------------------------------------
 */

struct prompt {
    GDBusConnection *bus;
    const char *owner; /* who has made it: nobody else's word counts */
    const char *path;
    GVariant *result; /* once it is completed */
    GError *problem;  /* of the call that shows it */
    bool is_called, is_completed, is_dismissed, is_late, is_orphaned;
};

static void complete(GDBusConnection *bus, const gchar *sender, const gchar *path,
                     const gchar *interface, const gchar *name, GVariant *arguments, gpointer data)
{
    struct prompt *prompt = data;
    gboolean dismissed;

    (void)bus, (void)sender, (void)path, (void)interface, (void)name;
    if (prompt->is_completed || !g_variant_is_of_type(arguments, G_VARIANT_TYPE("(bv)")))
        return;
    g_variant_get(arguments, "(bv)", &dismissed, &prompt->result);
    prompt->is_completed = true;
    prompt->is_dismissed = dismissed;
}

static void lose_owner(GDBusConnection *bus, const gchar *sender, const gchar *path,
                       const gchar *interface, const gchar *name, GVariant *arguments,
                       gpointer data)
{
    struct prompt *prompt = data;

    (void)bus, (void)sender, (void)path, (void)interface, (void)name, (void)arguments;
    prompt->is_orphaned = true;
}

static void take_reply(GObject *bus, GAsyncResult *result, gpointer data)
{
    struct prompt *prompt = data;
    GVariant *reply =
        g_dbus_connection_call_finish(G_DBUS_CONNECTION(bus), result, &prompt->problem);

    if (reply)
        g_variant_unref(reply);
    prompt->is_called = true;
}

static gboolean be_late(GCancellable *cancellable, gpointer data)
{
    struct prompt *prompt = data;

    (void)cancellable;
    prompt->is_late = true;
    return G_SOURCE_REMOVE;
}

/* Without waiting for what comes of it. */
static void dismiss(const struct prompt *prompt)
{
    g_dbus_connection_call(prompt->bus, prompt->owner, prompt->path, PROMPT_INTERFACE, "Dismiss",
                           NULL, NULL, G_DBUS_CALL_FLAGS_NONE, -1, NULL, NULL, NULL);
    (void)g_dbus_connection_flush_sync(prompt->bus, NULL, NULL);
}

/* Until it is completed, or nothing can come any more. */
static void wait_for_end(GMainContext *context, struct prompt *prompt)
{
    GCancellable *call = g_cancellable_new();

    g_dbus_connection_call(prompt->bus, prompt->owner, prompt->path, PROMPT_INTERFACE, "Prompt",
                           g_variant_new("(s)", ""), NULL, G_DBUS_CALL_FLAGS_NONE, G_MAXINT, call,
                           take_reply, prompt);
    while (!prompt->is_completed && !prompt->is_late && !prompt->is_orphaned && !prompt->problem)
        (void)g_main_context_iteration(context, TRUE);
    g_cancellable_cancel(call);
    while (!prompt->is_called)
        (void)g_main_context_iteration(context, TRUE);
    g_object_unref(call);
}

static void show(struct service *service, struct prompt *prompt)
{
    GMainContext *context = g_main_context_new();
    GSource *deadline = g_cancellable_source_new(service->watch.cancellable);
    guint completed, lost;

    g_main_context_push_thread_default(context);
    g_source_set_callback(deadline, G_SOURCE_FUNC(be_late), prompt, NULL);
    (void)g_source_attach(deadline, context);
    completed = g_dbus_connection_signal_subscribe(
        prompt->bus, prompt->owner, PROMPT_INTERFACE, "Completed", prompt->path, NULL,
        G_DBUS_SIGNAL_FLAGS_NONE, complete, prompt, NULL);
    lost = g_dbus_connection_signal_subscribe(
        prompt->bus, "org.freedesktop.DBus", "org.freedesktop.DBus", "NameOwnerChanged",
        "/org/freedesktop/DBus", prompt->owner, G_DBUS_SIGNAL_FLAGS_NONE, lose_owner, prompt, NULL);
    wait_for_end(context, prompt);
    g_dbus_connection_signal_unsubscribe(prompt->bus, completed);
    g_dbus_connection_signal_unsubscribe(prompt->bus, lost);
    g_source_destroy(deadline);
    g_source_unref(deadline);
    g_main_context_pop_thread_default(context);
    g_main_context_unref(context);
}

static int judge(struct prompt *prompt, const char *about, GVariant **ret,
                 struct pullkey_error *error)
{
    if (prompt->is_completed && !prompt->is_dismissed) {
        *ret = prompt->result;
        prompt->result = NULL;
        return 0;
    }
    if (prompt->is_completed)
        return error_set(error, PULLKEY_LOCKED,
                         "%s, and its prompt was dismissed, or could not be shown", about);
    if (prompt->is_late)
        return error_set(error, PULLKEY_LOCKED,
                         "%s, and nobody answered its prompt within %d seconds", about,
                         PROMPT_MS / 1000);
    if (prompt->is_orphaned)
        return error_set(error, PULLKEY_UNREACHABLE,
                         "%s, and has ended while its prompt was open: try again", about);
    return service_error(g_steal_pointer(&prompt->problem), "cannot show its prompt", error);
}

int service_prompt(struct service *service, const char *path, const char *about, GVariant **ret,
                   struct pullkey_error *error)
{
    struct prompt prompt = {
        .bus = g_dbus_proxy_get_connection(G_DBUS_PROXY(service->secrets)),
        .owner = service->owner,
        .path = path,
    };
    int r;

    *ret = NULL;
    if (!service_can_prompt(service)) {
        dismiss(&prompt);
        return error_set(error, PULLKEY_LOCKED,
                         "%s, and nobody can be asked here: do it on the desktop", about);
    }
    (void)service->host->wait_for_person(PROMPT_MS);
    watch_move(&service->watch, service->host->monotonic_ms() + PROMPT_MS);
    show(service, &prompt);
    service->deadline_ms += service->host->wait_for_person(0);
    watch_move(&service->watch, service->deadline_ms);
    r = judge(&prompt, about, ret, error);
    if (prompt.is_late)
        dismiss(&prompt);
    g_clear_error(&prompt.problem);
    g_clear_pointer(&prompt.result, g_variant_unref);
    return r;
}

/* -- Unlocking -----------------------------------------------------------------------------------
 */

static GVariant *paths_of(GList *objects)
{
    GVariantBuilder builder;

    g_variant_builder_init(&builder, G_VARIANT_TYPE("ao"));
    for (GList *object = objects; object; object = object->next)
        g_variant_builder_add(&builder, "o", g_dbus_proxy_get_object_path(object->data));
    return g_variant_new("(ao)", &builder);
}

/* How many of an array of paths. */
static gsize count_paths(GVariant *paths)
{
    return paths && g_variant_is_of_type(paths, G_VARIANT_TYPE("ao")) ? g_variant_n_children(paths)
                                                                      : 0;
}

int service_unlock_objects(struct service *service, GList *objects, struct pullkey_error *error)
{
    GVariant *reply, *opened, *more = NULL;
    GError *problem = NULL;
    const char *prompt;
    int r = 0;

    if (!service_can_prompt(service))
        return error_set(error, PULLKEY_LOCKED,
                         "the keyring is locked, and nobody can be asked here: unlock it with "
                         "`pullkey unlock`");
    reply = service_call(service, SERVICE_PATH, SERVICE_INTERFACE, "Unlock", paths_of(objects),
                         "(aoo)", &problem);
    if (!reply)
        return service_error(problem, "cannot be unlocked", error);
    g_variant_get(reply, "(@ao&o)", &opened, &prompt);
    if (strcmp(prompt, NO_PROMPT) != 0)
        r = service_prompt(service, prompt, "the keyring is locked", &more, error);
    if (r == 0 && count_paths(opened) + count_paths(more) < g_list_length(objects))
        r = error_set(error, PULLKEY_LOCKED,
                      "the keyring says that it is unlocked, and is not: unlock it by its own "
                      "program");
    g_clear_pointer(&more, g_variant_unref);
    g_variant_unref(opened);
    g_variant_unref(reply);
    /* Signals that would say so are not heard. */
    for (GList *object = objects; r == 0 && object; object = object->next)
        g_dbus_proxy_set_cached_property(object->data, "Locked", g_variant_new_boolean(FALSE));
    return r;
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
