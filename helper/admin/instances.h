/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every backend instance of a configuration, used or not: for the commands that look at all of
 * them.
 */
#ifndef PULLKEY_ADMIN_INSTANCES_H
#define PULLKEY_ADMIN_INSTANCES_H

#include "core/resolve-chain.h"

struct instances {
    struct config_instance *items; /* declared ones first, then those that rules make */
    size_t count;
};

/* What is collected points into the configuration. Each instance is there once. */
int instances_collect(const struct config *config, struct instances *ret,
                      struct pullkey_error *error);
void instances_done(struct instances *instances);

/* "FILE:LINE" of an item, or "built in" where no file has it. */
void instances_where(const struct json *document, const cJSON *item, struct buffer *ret);

/* The same in place of what `ret` had; an error if there is no room. */
int instances_find(const struct json *document, const cJSON *item, struct buffer *ret,
                   struct pullkey_error *error);
/* The same of the default chain. */
int instances_default(const struct config *config, struct buffer *ret, struct pullkey_error *error);

/* Where an instance of the file backend keeps what it has; nothing for others. */
void instances_place(const struct resolve_opened *opened, struct buffer *ret);

/* Its JSON object, to which members may be added: without the bracket at its end. */
int instances_write(const struct config_instance *instance, struct buffer *json,
                    struct pullkey_error *error);

/*
 * What the declaration says, less core's own keys, on one line. Values that sound like a secret
 * become "***".
 */
int instances_options(const struct config_instance *instance, struct buffer *ret,
                      struct pullkey_error *error);

#define cleanup_instances __attribute__((cleanup(instances_done)))

#endif
