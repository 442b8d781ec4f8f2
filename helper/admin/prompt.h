/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Questions on the terminal itself, whatever stdin and stdout are. Source: termios(3),
 * readpassphrase(3bsd) for the manners.
 */
#ifndef PULLKEY_ADMIN_PROMPT_H
#define PULLKEY_ADMIN_PROMPT_H

#include "admin.h"

/*
 * Asks on /dev/tty and reads one line, without its line end. With `hidden` the terminal does not
 * echo; that is verified before anything is read. Whatever ends the wait, the terminal gets its
 * settings back first: a signal that kills or stops the process takes effect after that, and a
 * stopped process asks again when it goes on.
 *
 * -PULLKEY_UNSUPPORTED where there is no terminal, -PULLKEY_INVALID for an empty line or one longer
 * than a terminal hands over (4094 bytes).
 */
int prompt_line(const char *question, bool hidden, struct pullkey_secret *ret,
                struct pullkey_error *error);

/*
 * Whether what was shown is to be done: with --yes it is; at a terminal somebody is asked, and
 * ADMIN_PROBLEM is a no, so that "&& rm" does not follow; without one, or with --json, nothing is
 * done.
 */
int prompt_agree(const struct admin_call *call, const char *question, bool *ret,
                 struct pullkey_error *error);

#endif
