/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The registries of clouds that a machine's own identity opens, for who has configured nothing.
 * This only says which recipe is worth a look; the module `token` has the exact patterns, and
 * answers that there is nothing for a host that is none.
 */
#ifndef PULLKEY_CORE_CLOUD_H
#define PULLKEY_CORE_CLOUD_H

#include "core/config.h"

/* The implicit instance of the module for a registry, NULL where there is none. Static memory. */
const struct config_instance *cloud_instance(const struct registry_reference *reference);

#endif
