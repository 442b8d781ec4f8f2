/* SPDX-License-Identifier: Apache-2.0 */
/* What the files config*.c share; everybody else includes config.h. */
#ifndef PULLKEY_CORE_CONFIG_PARTS_H
#define PULLKEY_CORE_CONFIG_PARTS_H

#include "core/config.h"

#define CONFIG_NAME_MAX 63 /* the name of a backend instance */
#define CONFIG_TYPE_MAX 31 /* as pullkey_module.type */

/* Reads and checks the documents one by one, nearest first, into config->documents. */
int config_read(const struct config_source *source, struct config *config,
                struct pullkey_error *error);

/* The structure of one document: keys, types, names, patterns. No references between documents. */
int config_check(const struct json *document, struct pullkey_error *error);

/* Makes rules, default chain and store from the documents, and resolves the names in them. */
int config_merge(const struct config_source *source, struct config *config,
                 struct pullkey_error *error);

/* Keys that begin with "x-" belong to whoever wrote the file. */
bool config_is_foreign_key(const char *key);

/* Keys of an instance that core reads, and "x-...": the backend never sees them. */
bool config_is_instance_key(const char *key);

#endif
