/* SPDX-License-Identifier: Apache-2.0 */
/* The options of an instance; pullkey-backends(7) is the manual. */
#ifndef PULLKEY_TOKEN_SETTINGS_H
#define PULLKEY_TOKEN_SETTINGS_H

#include "recipe.h"

struct provider;

struct settings {
    struct json json; /* what everything below points into */
    const struct provider *provider;
    const char *name;    /* of the instance, for messages; the host's */
    const char *ca_file; /* NULL: the system's authorities */
    const cJSON *identity, *endpoints, *hosts, *variables, *oauth; /* objects, or NULL */
    struct recipe recipe;                                          /* of a file */
    bool system;
    uint32_t depth;
};

extern const struct pullkey_option settings_table[];

int settings_read(const struct pullkey_instance *instance, struct settings *ret,
                  struct pullkey_error *error);
void settings_release(struct settings *settings);

/* The value of a member that is text; NULL without it. */
const char *settings_text(const cJSON *object, const char *name);

/*
 * Checks that an object of the options has no other members than these (ends with NULL), all of
 * them text. The error names the file and the key.
 */
int settings_check_texts(const struct settings *settings, const cJSON *object,
                         const char *const names[], struct pullkey_error *error);

#endif
