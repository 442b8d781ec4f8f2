/* SPDX-License-Identifier: Apache-2.0 */
/* What GLib and the service say, as errors of ours. Each releases the GError. */
#ifndef PULLKEY_KEYRING_SERVICE_ERRORS_H
#define PULLKEY_KEYRING_SERVICE_ERRORS_H

#include <pullkey/backend.h>

#include <glib.h>

/* Of looking for the service: `problem` is NULL where simply nobody offers it. */
int service_error_start(GError *problem, struct pullkey_error *error);

/* A call: "the keyring cannot be asked: ..." */
int service_error(GError *problem, const char *what, struct pullkey_error *error);

/* Connecting to the session bus. */
int service_error_bus(GError *problem, struct pullkey_error *error);

#endif
