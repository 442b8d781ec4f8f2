/* SPDX-License-Identifier: Apache-2.0 */
/* What a daemon tells systemd: sd_notify(3), the protocol of $NOTIFY_SOCKET. Without a manager that
 * listens nothing happens. */
#ifndef PULLKEY_HOSTS_NOTIFY_H
#define PULLKEY_HOSTS_NOTIFY_H

#include <stdint.h>

/* Takes the variables out of the environment, so that no child speaks for this process. */
void notify_start(void);

/* Lines like "READY=1\nSTATUS=...". */
void notify_send(const char *lines);

/* Milliseconds between two "WATCHDOG=1" (half of what the manager allows); 0: it wants none. */
int64_t notify_watchdog_ms(void);

#endif
