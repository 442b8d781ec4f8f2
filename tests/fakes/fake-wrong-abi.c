/* SPDX-License-Identifier: Apache-2.0 */
/* Built for another release: of its descriptor nothing but the number may be believed. */
#include <pullkey/backend.h>

static const struct pullkey_backend backend = { .module = { .abi_major = PULLKEY_ABI_MAJOR + 1 } };

PULLKEY_EXPORT_MODULE(backend);
