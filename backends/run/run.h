/* SPDX-License-Identifier: Apache-2.0 */
/* Runs one program: no shell, input and output through pipes, and an end at the deadline. */
#ifndef PULLKEY_RUN_RUN_H
#define PULLKEY_RUN_RUN_H

#include "base/buffer.h"

struct run {
    const char *path;         /* absolute */
    char *const *arguments;   /* whole, its name included; ends with NULL */
    char *const *environment; /* whole; ends with NULL */
    const char *input;
    size_t input_length;
    int64_t deadline_ms;
};

/*
 * Feeds the program its input and collects its standard output, at most output->limit bytes. Its
 * standard error goes nowhere: clients of ours may not drain it. *ret_status is its exit status.
 * The program leads a process group of its own, which is ended, and killed a moment later, when the
 * deadline passes
 * (-PULLKEY_UNREACHABLE), when it writes too much (-PULLKEY_INVALID) or when it ends by a signal.
 */
int run_program(const struct run *run, struct buffer *output, int *ret_status,
                struct pullkey_error *error);

#endif
