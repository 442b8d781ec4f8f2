/* SPDX-License-Identifier: Apache-2.0 */
/* Random bytes fit for keys, from the kernel: getrandom(2). */
#ifndef PULLKEY_BASE_RANDOM_H
#define PULLKEY_BASE_RANDOM_H

#include <pullkey/backend.h>

/* Fills all of it or fails. */
int random_fill(void *bytes, size_t length, struct pullkey_error *error);

#endif
