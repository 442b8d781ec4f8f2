/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The modules that ask servers, in one file, so that they share the code for it.
 * helper/core/module.c looks here for them.
 */
#include <pullkey/backend.h>

#define EXPORT(name, descriptor)                                                                   \
    __attribute__((                                                                                \
        visibility("default"))) extern const struct pullkey_module *const pullkey_module_##name;   \
    const struct pullkey_module *const pullkey_module_##name = &(descriptor).module

#ifdef PULLKEY_WITH_KUBERNETES
extern const struct pullkey_backend kubernetes_backend;
EXPORT(kubernetes, kubernetes_backend);
#endif
#ifdef PULLKEY_WITH_PROBE
extern const struct pullkey_probe probe_module;
EXPORT(probe, probe_module);
#endif
#ifdef PULLKEY_WITH_TOKEN
extern const struct pullkey_backend token_backend;
EXPORT(token, token_backend);
#endif
