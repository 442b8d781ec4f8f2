/* SPDX-License-Identifier: Apache-2.0 */
/* Files in other formats than JSON, read through the modules that know them. */
#ifndef PULLKEY_CORE_CONVERT_H
#define PULLKEY_CORE_CONVERT_H

#include "base/json.h"

/*
 * YAML, through the module "yaml". Lines of *ret are those of the text. *ret_places has the place
 * of each value in the order of the document; release it with secret_release. -PULLKEY_UNSUPPORTED
 * where the module is not installed. Errors begin with `name`.
 */
int convert_yaml(const char *name, const char *text, size_t length, struct json *ret,
                 struct pullkey_place **ret_places, size_t *ret_count, struct pullkey_error *error);

/* The place of an item, or NULL. */
const struct pullkey_place *convert_place(const struct json *json,
                                          const struct pullkey_place *places, size_t count,
                                          const cJSON *item);

#endif
