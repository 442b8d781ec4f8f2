/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs that say who a machine or a person is: the source "command", credential_process of AWS,
 * "executable" of Google. One place says what they are told, which is what exec's helpers are: a
 * user's program the user's environment, a system program's only HOME of the account and a fixed
 * PATH; both how deep they stand, so that one that leads back to pullkey comes to an end.
 */
#ifndef PULLKEY_TOKEN_PROGRAM_H
#define PULLKEY_TOKEN_PROGRAM_H

#include "exchange.h"

#define PROGRAM_MORE_MAX 4

struct program {
    const char *path;       /* absolute, and checked by the caller */
    char *const *arguments; /* whole, its name included; ends with NULL */
    char *const *more;      /* at most PROGRAM_MORE_MAX "NAME=value" that come before others of
                               that name; ends with NULL. NULL: none */
    int64_t deadline_ms;    /* 0: the request's */
};

/* As run.h says of run_program; there is no input. */
int program_run(const struct exchange *exchange, const struct program *program,
                struct buffer *output, int *ret_status, struct pullkey_error *error);

#endif
