/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two processes below a `pullkey run`. Both are forked before a secret is in memory.
 *
 * The command waits until it is let go, and is then what the caller would have started: with the
 * caller's environment, umask, limits and signals, and without no_new_privs, so that sudo works in
 * it. The keeper removes the directory when this process is gone, however that happened; it has a
 * session of its own, no terminal, and no output.
 *
 * Only main files leave a process, so these functions return in the children too, to be handed up:
 * with RUN_CHILD_ENDS, or the command with an error.
 *
 * This process stays in the command's process group: what the terminal sends reaches both, and only
 * what was sent to this one alone is passed on. Sources: sigwaitinfo(2), credentials(7), prctl(2).
 */
#ifndef PULLKEY_ADMIN_RUN_PROCESS_H
#define PULLKEY_ADMIN_RUN_PROCESS_H

#include <sys/types.h>

#include "base/process.h"
#include "run-directory.h"

enum { RUN_CHILD_ENDS = 1 };

#define RUN_VARIABLES_MAX (3 * FILE_PATH_MAX + 2 * (PULLKEY_USERNAME_MAX + PULLKEY_SECRET_MAX))

struct run_processes {
    bool is_child; /* true in the children */
    pid_t keeper;  /* 0: none */
    pid_t command; /* 0: none */
    int lifeline;  /* to the keeper */
    int gate;      /* to the command */
};

#define RUN_PROCESSES_INIT                                                                         \
    {                                                                                              \
        .lifeline = -1, .gate = -1                                                                 \
    }

/* What the command will be. */
struct run_program {
    char path[FILE_PATH_MAX];
    char *const *arguments; /* the first is its name */
    const struct process_caller *caller;
};

/*
 * Finds what execvp(3) would, through the caller's PATH, but hands no file to a shell.
 * -PULLKEY_NOT_FOUND where there is none, another error where it cannot be run.
 */
int run_program_find(char *const *arguments, struct run_program *ret, struct pullkey_error *error);

/*
 * To be called before the directory is made, so that it is removed from its first moment on. Comes
 * back when the keeper has its own session, out of reach of what is sent to the process group, and
 * waits 10 seconds for that.
 */
int run_keeper_start(struct run_processes *processes, struct run_directory *directory,
                     struct pullkey_error *error);

/* The directory is made: the keeper holds it from now on. */
int run_keeper_hold(const struct run_processes *processes, struct pullkey_error *error);

int run_command_start(struct run_processes *processes, const struct run_program *program,
                      struct pullkey_error *error);

/* From now on signals wait for run_command_wait. */
void run_signals_hold(void);

/*
 * Lets it go. `variables` are those of its environment that are not the caller's, each "NAME=VALUE"
 * with a NUL behind it. What would be used in their place is taken out of it.
 */
int run_command_go(struct run_processes *processes, const struct buffer *variables,
                   struct pullkey_error *error);

/* Until the command has ended: its exit status, or 128 and its signal. Passes signals on. */
int run_command_wait(struct run_processes *processes, int *ret_status, struct pullkey_error *error);

/* Ends both: a command that was not let go, and the keeper. Does nothing in the children. */
void run_processes_end(struct run_processes *processes);

#endif
