/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose machine this is, as its firmware says (DMI, which the kernel shows in /sys). Nobody waits
 * for a metadata service that cannot be there.
 */
#ifndef PULLKEY_TOKEN_MACHINE_H
#define PULLKEY_TOKEN_MACHINE_H

#include <stdbool.h>

#include "exchange.h"

/* `root` is "" but in tests. */
bool machine_is_google(const char *root);
bool machine_is_azure(const char *root);
bool machine_is_amazon(const char *root);

/* One attempt at a question to metadata that nobody has named, in ms, once they answer at all. */
#define MACHINE_TOKEN_MS 5000

/*
 * Whether the metadata service of this machine answers, be it by a refusal: -PULLKEY_UNREACHABLE if
 * not. The firmware says whose machine it is, so that who does not answer is starting, or out of a
 * container's reach: no reason to be nobody. Takes three seconds at most.
 */
int machine_probe(struct exchange *exchange, const struct url *url, const char *const *headers,
                  struct pullkey_error *error);

#endif
