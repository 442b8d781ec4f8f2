/* SPDX-License-Identifier: Apache-2.0 */
/* What every program does to itself before it reads a byte. Sources: prctl(2), close_range(2),
 * ld.so(8), gconv(3). */
#ifndef PULLKEY_BASE_PROCESS_H
#define PULLKEY_BASE_PROCESS_H

#include <pullkey/backend.h>

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

/*
 * Makes sure that descriptors 0 to 2 are open and no others, that the process leaves no core,
 * cannot be traced by its own user and gains no privileges, that what it makes is for its owner
 * only (umask 077), drops the environment variables that process_is_hostile names, ignores
 * SIGPIPE, and blocks SIGXFSZ and no other signal. Fails only where descriptors cannot be made
 * safe.
 */
int process_harden(struct pullkey_error *error);

/* What the caller had: for a command of the caller's own, which is to find it as it was. */
struct process_caller {
    char **environment; /* all of it; one block of pointers to strings that stay where they were */
    struct rlimit core;
    mode_t umask;
    sigset_t mask;
    struct sigaction pipe;
};

/*
 * The same less what nobody can take back (that no privileges are gained, and the hard limit of
 * cores), until process_harden_finally is called. *ret is filled for process_give_back.
 */
int process_harden_reversibly(struct process_caller *ret, struct pullkey_error *error);
void process_harden_finally(void);

/* The list as it is now, with NULL at its end, to be released; the strings stay where they are.
 * Libraries set variables too, and may move the list itself. */
int process_copy_environment(char ***ret, struct pullkey_error *error);

/*
 * In a child that will become the caller's command. The environment is the child's to hand over;
 * descriptors that were closed stay closed.
 */
void process_give_back(const struct process_caller *caller);

/* Before another program takes the place of this one: it would inherit what was done to signals. */
void process_restore_signals(void);

/*
 * Sends a signal to the process groups that these children of ours lead, as helpers do, and kills
 * them when all leaders have ended, or a moment (200 ms) later: so that they can end what they have
 * started. Takes no status: whoever waits for them still can. For a handler too: system calls only.
 */
void process_end_groups(const pid_t *leaders, size_t count, int number);

/* The same with all children of this thread in this session, those included that have ended and
 * were not waited for. */
void process_end_children(int number);

/*
 * From here on SIGHUP, SIGINT, SIGQUIT and SIGTERM, where they are not ignored, call
 * process_end_children before they end this process: to be called before a program is started that
 * leads a group, which they do not reach.
 */
void process_end_with_children(void);

/* True for a variable ("NAME=value" or "NAME") that loads code into a program or makes it leak. */
bool process_is_hostile(const char *variable);

#endif
