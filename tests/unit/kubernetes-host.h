/* SPDX-License-Identifier: Apache-2.0 */
/* The host of every program, with the reader of YAML at hand wherever it is installed. */
#ifndef PULLKEY_TESTS_KUBERNETES_HOST_H
#define PULLKEY_TESTS_KUBERNETES_HOST_H

#include <string.h>

#include "core/module.h"

extern const struct pullkey_reader yaml_reader;

static int find_reader(const char *name, const struct pullkey_reader **ret,
                       struct pullkey_error *error)
{
    (void)error;
    *ret = &yaml_reader;
    return strcmp(name, "yaml") == 0 ? 0 : -PULLKEY_UNSUPPORTED;
}

static struct pullkey_host host;

static int set_host(void **state)
{
    (void)state;
    host = module_host;
    host.reader = find_reader;
    return 0;
}

#endif
