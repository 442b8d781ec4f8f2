/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The options of a check, a JSON object:
 *   "ca_file"   PEM file: trust these authorities instead of the system's
 *   "realms"    ["HOST[:PORT]", ...]: token servers that may be anywhere, private addresses
 * included "endpoint"  "https://HOST[:PORT]": ask here instead of the registry's own name
 */
#ifndef PULLKEY_PROBE_SETTINGS_H
#define PULLKEY_PROBE_SETTINGS_H

#include "base/json.h"
#include "http/realm.h"

struct settings {
    struct json json; /* what ca_file points into */
    const char *ca_file;
    struct realm_list realms;
    struct url endpoint;
    bool has_endpoint;
};

/* `text` may be NULL or empty. -PULLKEY_INVALID for what is not as above. Release with
 * probe_settings_done. */
int probe_settings_parse(const char *text, struct settings *ret, struct pullkey_error *error);
void probe_settings_done(struct settings *settings);

#define cleanup_settings __attribute__((cleanup(probe_settings_done)))

#endif
