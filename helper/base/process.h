/* SPDX-License-Identifier: Apache-2.0 */
/* What every program does to itself before it reads a byte. Sources: prctl(2), close_range(2),
 * ld.so(8), gconv(3). */
#ifndef PULLKEY_BASE_PROCESS_H
#define PULLKEY_BASE_PROCESS_H

#include <pullkey/backend.h>

/*
 * Makes sure that descriptors 0 to 2 are open and no others, that the process leaves no core,
 * cannot be traced by its own user and gains no privileges, that what it makes is for its owner
 * only (umask 077), drops the environment variables that process_is_hostile names, ignores
 * SIGPIPE, and blocks SIGXFSZ and no other signal. Fails only where descriptors cannot be made
 * safe.
 */
int process_harden(struct pullkey_error *error);

/* Before another program takes the place of this one: it would inherit what was done to signals. */
void process_restore_signals(void);

/* True for a variable ("NAME=value" or "NAME") that loads code into a program or makes it leak. */
bool process_is_hostile(const char *variable);

#endif
