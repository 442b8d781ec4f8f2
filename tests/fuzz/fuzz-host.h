/* SPDX-License-Identifier: Apache-2.0 */
/* What the targets that read credentials share: a way to fail, and the host of a module. */
#ifndef PULLKEY_TESTS_FUZZ_HOST_H
#define PULLKEY_TESTS_FUZZ_HOST_H

#include <stdlib.h>

#include "base/secret.h"
#include "core/credential.h"
#include "core/registry.h"

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void ignore_log(const char *source, const char *format, ...)
{
    (void)source;
    (void)format;
}

static const struct pullkey_host host = {
    .size = sizeof(host),
    .alloc = secret_alloc,
    .release = secret_release,
    .log = ignore_log,
    .match = registry_match,
    .list_add = list_add,
};

#endif
