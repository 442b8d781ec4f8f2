/* SPDX-License-Identifier: Apache-2.0 */
/* Durations as Go's time.ParseDuration reads them, for the kubelet's files and containerd's. */
#ifndef PULLKEY_BASE_GO_DURATION_H
#define PULLKEY_BASE_GO_DURATION_H

#include <stdbool.h>

/* A duration as "1h30m", "-1.5s", "0". False: Go does not read it. *ret_is_negative is of less than
 * nothing. */
bool go_duration(const char *text, bool *ret_is_negative);

#endif
