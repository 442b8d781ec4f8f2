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

typedef int config_check_value(const struct json *document, const cJSON *item,
                               struct pullkey_error *error);

/* A key of an object and the check of its value. */
struct config_key {
    const char *name;
    config_check_value *check;
};

/* An object of which every key is known and its value fine. */
int config_check_keys(const struct json *document, const cJSON *object,
                      const struct config_key *keys, size_t count, struct pullkey_error *error);

/* "kubelet" at the top and in a rule; what they say is read after they were checked. */
config_check_value config_check_kubelet, config_check_kubelet_rule;
void config_read_kubelet_rule(const cJSON *item, struct config_kubelet_rule *ret);

/* Makes rules, default chain and store from the documents, and resolves the names in them. */
int config_merge(const struct config_source *source, struct config *config,
                 struct pullkey_error *error);

/* Keys that begin with "x-" belong to whoever wrote the file. */
bool config_is_foreign_key(const char *key);

/* Keys of an instance that core reads, and "x-...": the backend never sees them. */
bool config_is_instance_key(const char *key);

#endif
