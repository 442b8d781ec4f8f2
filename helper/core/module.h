/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds descriptors: first in the table of what is built in, then as NAME.so in the module
 * directory, which is fixed when pullkey is built. A name becomes a path only after its characters
 * are checked; the file must be one of FILE_OURS in base/file.h's sense; the head of the descriptor
 * is checked before anything is called. A module is never unloaded.
 *
 * -PULLKEY_UNSUPPORTED: there is no such module on this machine. -PULLKEY_INVALID: there is one,
 * and it cannot be used.
 */
#ifndef PULLKEY_CORE_MODULE_H
#define PULLKEY_CORE_MODULE_H

#include "base/buffer.h"

int module_find_backend(const char *type, const struct pullkey_backend **ret,
                        struct pullkey_error *error);
int module_find_codec(const char *type, const struct pullkey_codec **ret,
                      struct pullkey_error *error);
int module_find_probe(const char *type, const struct pullkey_probe **ret,
                      struct pullkey_error *error);
int module_find_reader(const char *type, const struct pullkey_reader **ret,
                       struct pullkey_error *error);

/*
 * What chooses the identity of a backend that yields expiring tokens (pullkey_module.inputs),
 * without loading it. The buffer stays empty where the backend declares nothing, so that nothing of
 * it is cached.
 */
int module_inputs(const char *type, struct buffer *ret, struct pullkey_error *error);

/* The table that modules are given. */
extern const struct pullkey_host module_host;

#endif
