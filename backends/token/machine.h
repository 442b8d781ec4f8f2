/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose machine this is, as its firmware says (DMI, which the kernel shows in /sys). Nobody waits
 * for a metadata service that cannot be there.
 */
#ifndef PULLKEY_TOKEN_MACHINE_H
#define PULLKEY_TOKEN_MACHINE_H

#include <stdbool.h>

/* `root` is "" but in tests. */
bool machine_is_google(const char *root);
bool machine_is_azure(const char *root);
bool machine_is_amazon(const char *root);

#endif
