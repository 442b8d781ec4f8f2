/* SPDX-License-Identifier: Apache-2.0 */
#include "service-errors.h"

#include <gio/gio.h>
#include <libsecret/secret.h>

#include "base/error.h"

/* Nobody offers the service, and nothing on this machine could be started to. */
static bool is_absent(const GError *problem)
{
    static const gint codes[] = {
        G_DBUS_ERROR_SERVICE_UNKNOWN,    G_DBUS_ERROR_NAME_HAS_NO_OWNER,
        G_DBUS_ERROR_SPAWN_EXEC_FAILED,  G_DBUS_ERROR_SPAWN_FORK_FAILED,
        G_DBUS_ERROR_SPAWN_CHILD_EXITED, G_DBUS_ERROR_SPAWN_CHILD_SIGNALED,
        G_DBUS_ERROR_SPAWN_FAILED,       G_DBUS_ERROR_SPAWN_SERVICE_NOT_FOUND,
    };

    for (size_t i = 0; i < G_N_ELEMENTS(codes); i++)
        if (g_error_matches(problem, G_DBUS_ERROR, codes[i]))
            return true;
    return false;
}

/* An object that was there. */
static bool is_gone(const GError *problem)
{
    return g_error_matches(problem, SECRET_ERROR, SECRET_ERROR_NO_SUCH_OBJECT) ||
           g_error_matches(problem, G_DBUS_ERROR, G_DBUS_ERROR_UNKNOWN_OBJECT) ||
           g_error_matches(problem, G_DBUS_ERROR, G_DBUS_ERROR_UNKNOWN_INTERFACE) ||
           g_error_matches(problem, G_DBUS_ERROR, G_DBUS_ERROR_UNKNOWN_METHOD);
}

static enum pullkey_error_class class_of(const GError *problem)
{
    if (g_error_matches(problem, SECRET_ERROR, SECRET_ERROR_IS_LOCKED))
        return PULLKEY_LOCKED;
    if (is_gone(problem))
        return PULLKEY_NOT_FOUND;
    if (g_error_matches(problem, SECRET_ERROR, SECRET_ERROR_PROTOCOL))
        return PULLKEY_INVALID;
    if (g_error_matches(problem, G_DBUS_ERROR, G_DBUS_ERROR_ACCESS_DENIED) ||
        g_error_matches(problem, G_DBUS_ERROR, G_DBUS_ERROR_AUTH_FAILED))
        return PULLKEY_DENIED;
    return PULLKEY_UNREACHABLE;
}

static bool is_late(const GError *problem)
{
    return g_error_matches(problem, G_IO_ERROR, G_IO_ERROR_CANCELLED) ||
           g_error_matches(problem, G_IO_ERROR, G_IO_ERROR_TIMED_OUT) ||
           g_error_matches(problem, G_DBUS_ERROR, G_DBUS_ERROR_TIMEOUT);
}

int service_error_start(GError *problem, struct pullkey_error *error)
{
    if (problem && !is_absent(problem))
        return service_error(problem, "cannot be asked", error);
    g_clear_error(&problem);
    return error_set(error, PULLKEY_UNSUPPORTED,
                     "no keyring is running: nobody on the session bus is "
                     "org.freedesktop.secrets: start GNOME Keyring, KWallet or KeePassXC");
}

int service_error(GError *problem, const char *what, struct pullkey_error *error)
{
    int r;

    if (is_absent(problem)) {
        r = error_set(error, PULLKEY_UNREACHABLE, "the keyring has ended meanwhile: try again");
    } else if (is_late(problem)) {
        r = error_set(error, PULLKEY_UNREACHABLE,
                      "the keyring did not answer in time: restart it, or let \"default\" in the "
                      "configuration name other stores");
    } else {
        g_dbus_error_strip_remote_error(problem);
        r = error_set(error, class_of(problem), "the keyring %s: %s", what, problem->message);
    }
    g_error_free(problem);
    return r;
}

int service_error_bus(GError *problem, struct pullkey_error *error)
{
    int r;

    if (is_late(problem))
        r = error_set(error, PULLKEY_UNREACHABLE, "the session bus did not answer in time");
    else
        r = error_set(error, PULLKEY_UNSUPPORTED,
                      "the session bus cannot be reached, so there is no keyring: %s",
                      problem->message);
    g_error_free(problem);
    return r;
}
