/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The descriptors that are part of the program. helper/core/module.c looks here before it looks for
 * a file.
 */
#include <pullkey/backend.h>

extern const struct pullkey_backend env_backend;
extern const struct pullkey_backend exec_backend;
extern const struct pullkey_backend file_backend;
#ifdef PULLKEY_WITH_CMS
extern const struct pullkey_codec cms_codec;
#endif
#ifdef PULLKEY_WITH_KEYRING
extern const struct pullkey_backend keyring_backend;
#endif
#ifdef PULLKEY_WITH_KUBERNETES
extern const struct pullkey_backend kubernetes_backend;
#endif
#ifdef PULLKEY_WITH_PROBE
extern const struct pullkey_probe probe_module;
#endif
#ifdef PULLKEY_WITH_TOKEN
extern const struct pullkey_backend token_backend;
#endif
#ifdef PULLKEY_WITH_YAML
extern const struct pullkey_reader yaml_reader;
#endif

extern const struct pullkey_module *const module_builtin_table[];
const struct pullkey_module *const module_builtin_table[] = {
    &env_backend.module,
    &exec_backend.module,
    &file_backend.module,
#ifdef PULLKEY_WITH_CMS
    &cms_codec.module,
#endif
#ifdef PULLKEY_WITH_KEYRING
    &keyring_backend.module,
#endif
#ifdef PULLKEY_WITH_KUBERNETES
    &kubernetes_backend.module,
#endif
#ifdef PULLKEY_WITH_PROBE
    &probe_module.module,
#endif
#ifdef PULLKEY_WITH_TOKEN
    &token_backend.module,
#endif
#ifdef PULLKEY_WITH_YAML
    &yaml_reader.module,
#endif
    NULL,
};
