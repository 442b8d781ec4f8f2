/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Runs a program under ptrace and counts its system calls, kills it at one of them, or lets one
 * fail. A test tool: it follows the one process it starts (no threads, but for kill --child no
 * children), from the return of its execve to its end, and needs no access to its memory, so that
 * it works for a program that makes itself undumpable.
 *
 *   syscall-fault [--report FILE] [--by-name] count PROG [ARG...]
 *   syscall-fault [--report FILE] [--group | --child] kill N PROG [ARG...]
 *   syscall-fault [--report FILE] [--from] [--bytes K] fail NAME[,NAME...] N ERRNO PROG [ARG...]
 *
 * count   runs PROG undisturbed.
 * kill    sends SIGKILL at the entry of the N-th system call (from 1), which then does not run.
 *         With --group PROG is in a process group of its own, and all of that is killed. With
 *         --child too, but the calls are those of the first child that PROG forks: it stays at the
 *         entry of the N-th until PROG sleeps or has ended, and then the group is killed. Where
 *         the child sleeps or ends before that, this is the moment, and nothing fired.
 * fail    lets the N-th of the named calls return -ERRNO (a name as ENOSPC, or a number) without
 *         running. With --from every later one fails too, as on a disk that stays full. With
 *         --bytes K the N-th call runs, its third argument (the length of read and write) cut to
 *         K, and the later calls of those names on the same descriptor fail: the disk was full
 *         after K bytes.
 *
 * The report goes to FILE, or to stderr: "calls N" (how many system calls were entered),
 * "matched N" (fail: how many had one of the names), "fired 0|1", "status N" (as below), and with
 * --by-name one line "name NAME N" for each call.
 *
 * Exit status: that of PROG; 128 + the signal when a signal ended it (137 after kill); 125 when
 * this tool was used wrongly or failed; 127 when PROG could not be started.
 */

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <elf.h>
#include <linux/ptrace.h>

#include "syscall-names.h"

#define STATUS_TOOL 125
#define STATUS_START 127
#define MAX_NAMES 32
#define MAX_NUMBER 1024
#define MIN_LOOKS 200 /* at a process, which may sleep for a moment within a call */

enum mode { MODE_COUNT, MODE_KILL, MODE_FAIL };

struct plan {
    enum mode mode;
    long at;
    int error;
    bool from;
    bool group;
    bool child;
    long bytes; /* -1: the call fails whole */
    long names[MAX_NAMES];
    size_t n_names;
};

struct tally {
    long calls;
    long matched;
    bool fired;
    int status;
    long by_number[MAX_NUMBER];
};

/* ---- registers, the only part that knows the machine ---- */

#if defined(__x86_64__)

static int skip_call(pid_t pid)
{
    return (int)ptrace(PTRACE_POKEUSER, pid, offsetof(struct user_regs_struct, orig_rax), -1L);
}

static int set_result(pid_t pid, long value)
{
    return (int)ptrace(PTRACE_POKEUSER, pid, offsetof(struct user_regs_struct, rax), value);
}

static int set_third_argument(pid_t pid, long value)
{
    return (int)ptrace(PTRACE_POKEUSER, pid, offsetof(struct user_regs_struct, rdx), value);
}

#elif defined(__aarch64__)

static int skip_call(pid_t pid)
{
    int number = -1;
    struct iovec data = {.iov_base = &number, .iov_len = sizeof(number)};

    return (int)ptrace(PTRACE_SETREGSET, pid, NT_ARM_SYSTEM_CALL, &data);
}

static int set_register(pid_t pid, size_t index, long value)
{
    struct user_regs_struct regs;
    struct iovec data = {.iov_base = &regs, .iov_len = sizeof(regs)};

    if (ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &data) < 0)
        return -1;
    regs.regs[index] = (unsigned long long)value;
    return (int)ptrace(PTRACE_SETREGSET, pid, NT_PRSTATUS, &data);
}

static int set_result(pid_t pid, long value)
{
    return set_register(pid, 0, value);
}

static int set_third_argument(pid_t pid, long value)
{
    return set_register(pid, 2, value);
}

#else
#error "syscall-fault knows the registers of x86_64 and aarch64 only"
#endif

/* ---- command line ---- */

static int usage(void)
{
    fputs("usage: syscall-fault [--report FILE] [--by-name] count PROG [ARG...]\n"
          "       syscall-fault [--report FILE] [--group | --child] kill N PROG [ARG...]\n"
          "       syscall-fault [--report FILE] [--from] [--bytes K] fail NAME[,NAME...] N ERRNO"
          " PROG [ARG...]\n",
          stderr);
    return STATUS_TOOL;
}

static bool parse_number(const char *text, long min, long *ret_value)
{
    char *end = NULL;
    long value;

    errno = 0;
    value = strtol(text, &end, 10);
    if (errno || end == text || *end || value < min)
        return false;
    *ret_value = value;
    return true;
}

static bool parse_error_name(const char *text, int *ret_error)
{
    static const struct {
        const char *name;
        int value;
    } errors[] = {
        {"ENOSPC", ENOSPC}, {"EDQUOT", EDQUOT}, {"EIO", EIO},       {"EROFS", EROFS},
        {"EACCES", EACCES}, {"EPERM", EPERM},   {"ENOMEM", ENOMEM}, {"EMFILE", EMFILE},
        {"ENOSYS", ENOSYS}, {"EINTR", EINTR},   {"EAGAIN", EAGAIN}, {"ENOLCK", ENOLCK},
        {"EFBIG", EFBIG},   {"EINVAL", EINVAL}, {"EPIPE", EPIPE},   {"ENOENT", ENOENT},
    };
    long value;

    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        if (!strcmp(text, errors[i].name)) {
            *ret_error = errors[i].value;
            return true;
        }
    }
    if (!parse_number(text, 1, &value) || value > 4095)
        return false;
    *ret_error = (int)value;
    return true;
}

static const char *call_name(long number)
{
    for (size_t i = 0; i < sizeof(syscall_names) / sizeof(syscall_names[0]); i++) {
        if (syscall_names[i].number == number)
            return syscall_names[i].name;
    }
    return NULL;
}

/* Names that this machine does not have (open on aarch64) are left out; none known is an error. */
static bool parse_names(const char *text, struct plan *plan)
{
    while (*text) {
        size_t length = strcspn(text, ",");

        for (size_t i = 0; i < sizeof(syscall_names) / sizeof(syscall_names[0]); i++) {
            const char *name = syscall_names[i].name;

            if (strlen(name) == length && !memcmp(name, text, length)) {
                if (plan->n_names == MAX_NAMES)
                    return false;
                plan->names[plan->n_names++] = syscall_names[i].number;
                break;
            }
        }
        text += length;
        text += *text == ',';
    }
    return plan->n_names > 0;
}

/* ---- the run ---- */

static bool is_named(const struct plan *plan, long number)
{
    for (size_t i = 0; i < plan->n_names; i++) {
        if (plan->names[i] == number)
            return true;
    }
    return false;
}

enum action { ACTION_RUN, ACTION_SKIP, ACTION_CUT, ACTION_KILL };

static enum action choose_action(const struct plan *plan, struct tally *tally, long number,
                                 uint64_t first_argument)
{
    static uint64_t cut_descriptor;

    tally->calls++;
    if (number >= 0 && number < MAX_NUMBER)
        tally->by_number[number]++;
    if (plan->mode == MODE_KILL && tally->calls == plan->at)
        return ACTION_KILL;
    if (plan->mode != MODE_FAIL || !is_named(plan, number))
        return ACTION_RUN;
    tally->matched++;
    if (tally->matched == plan->at) {
        cut_descriptor = first_argument;
        return plan->bytes >= 0 ? ACTION_CUT : ACTION_SKIP;
    }
    if (tally->matched < plan->at)
        return ACTION_RUN;
    if (plan->bytes >= 0)
        return first_argument == cut_descriptor ? ACTION_SKIP : ACTION_RUN;
    return plan->from ? ACTION_SKIP : ACTION_RUN;
}

static int at_entry(pid_t pid, const struct plan *plan, struct tally *tally,
                    const struct __ptrace_syscall_info *info, bool *ret_skipped)
{
    enum action action =
        choose_action(plan, tally, (long)info->entry.nr, info->entry.args[0]);

    *ret_skipped = action == ACTION_SKIP;
    tally->fired = tally->fired || action != ACTION_RUN;
    if (action == ACTION_KILL)
        return kill(plan->group ? -pid : pid, SIGKILL);
    if (action == ACTION_SKIP)
        return skip_call(pid);
    if (action == ACTION_CUT && (uint64_t)plan->bytes < info->entry.args[2])
        return set_third_argument(pid, plan->bytes);
    return 0;
}

/* Runs to the end of the process; -1 when ptrace itself failed. */
static int follow(pid_t pid, const struct plan *plan, struct tally *tally)
{
    bool started = false;
    bool skipped = false;
    int deliver = 0;

    for (;;) {
        int status;

        /* A killed process may be gone before it can be resumed; waitpid tells the rest. */
        if (ptrace(started ? PTRACE_SYSCALL : PTRACE_CONT, pid, 0L, (long)deliver) < 0 &&
            errno != ESRCH)
            return -1;
        deliver = 0;
        if (waitpid(pid, &status, __WALL) < 0)
            return -1;
        if (WIFEXITED(status)) {
            tally->status = WEXITSTATUS(status);
            return 0;
        }
        if (WIFSIGNALED(status)) {
            tally->status = 128 + WTERMSIG(status);
            return 0;
        }
        if (!WIFSTOPPED(status))
            continue;
        if (status >> 8 == (SIGTRAP | (PTRACE_EVENT_EXEC << 8))) {
            started = true;
        } else if (WSTOPSIG(status) == (SIGTRAP | 0x80)) {
            struct __ptrace_syscall_info info;

            memset(&info, 0, sizeof(info));
            if (ptrace((enum __ptrace_request)PTRACE_GET_SYSCALL_INFO, pid, sizeof(info), &info) < 0)
                return errno == ESRCH ? 0 : -1;
            if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
                if (at_entry(pid, plan, tally, &info, &skipped) < 0)
                    return -1;
            } else if (info.op == PTRACE_SYSCALL_INFO_EXIT && skipped) {
                skipped = false;
                if (set_result(pid, -(long)plan->error) < 0)
                    return -1;
            }
        } else if (WSTOPSIG(status) != SIGTRAP) {
            deliver = WSTOPSIG(status);
        }
    }
}

struct family {
    pid_t program;
    pid_t child; /* 0: none yet */
    int looks; /* how often in a row they were at rest */
    bool is_killed;
};

/* Asleep in a system call, or gone: it does nothing more of its own accord. */
static bool is_at_rest(pid_t pid)
{
    char path[64], text[512] = "";
    const char *state;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%ld/stat", (long)pid);
    file = fopen(path, "re");
    if (!file)
        return true;
    state = fgets(text, sizeof(text), file) ? strrchr(text, ')') : NULL;
    fclose(file);
    return !state || strchr("SZX", state[2]);
}

/* One stop of a child. Only the first is followed, to its call; those after it are let go. */
static int at_child_stop(pid_t pid, int signal, const struct plan *plan, struct tally *tally)
{
    if (signal == (SIGTRAP | 0x80)) {
        struct __ptrace_syscall_info info;

        memset(&info, 0, sizeof(info));
        if (ptrace((enum __ptrace_request)PTRACE_GET_SYSCALL_INFO, pid, sizeof(info), &info) < 0)
            return -1;
        tally->fired = info.op == PTRACE_SYSCALL_INFO_ENTRY && ++tally->calls == plan->at;
        if (tally->fired)
            return 0;
        signal = 0;
    }
    /* It begins with a stop. */
    return (int)ptrace(PTRACE_SYSCALL, pid, 0L, signal == SIGSTOP ? 0L : (long)signal);
}

static int at_stop(pid_t pid, int status, const struct plan *plan, struct tally *tally,
                   struct family *family)
{
    int signal = WSTOPSIG(status);

    if (pid == family->program)
        return (int)ptrace(PTRACE_CONT, pid, 0L, signal == SIGTRAP ? 0L : (long)signal);
    if (family->child == 0)
        family->child = pid;
    if (family->is_killed || pid != family->child)
        return (int)ptrace(PTRACE_DETACH, pid, 0L, 0L);
    return at_child_stop(pid, signal, plan, tally);
}

/* The program may be waiting for the child, so it is looked at last. */
static int kill_at_rest(const struct tally *tally, struct family *family)
{
    bool is_over = family->child != 0 && (tally->fired || is_at_rest(family->child)) &&
                   is_at_rest(family->program);

    family->looks = is_over ? family->looks + 1 : 0;
    if (family->looks < MIN_LOOKS)
        return sched_yield();
    if (kill(-family->program, SIGKILL) < 0 && errno != ESRCH)
        return -1;
    family->is_killed = true;
    if (tally->fired && ptrace(PTRACE_DETACH, family->child, 0L, 0L) < 0 && errno != ESRCH)
        return -1;
    return 0;
}

/* For --child: until the program has ended, and its child has too or goes on by itself. */
static int follow_child(pid_t program, const struct plan *plan, struct tally *tally)
{
    struct family family = {.program = program};

    if (ptrace(PTRACE_CONT, program, 0L, 0L) < 0)
        return -1;
    for (;;) {
        int status, r = 0;
        pid_t pid = waitpid(-1, &status, __WALL | (family.is_killed ? 0 : WNOHANG));

        if (pid < 0)
            return errno == ECHILD ? 0 : -1;
        if (pid == 0)
            r = kill_at_rest(tally, &family);
        else if (WIFSTOPPED(status))
            r = at_stop(pid, status, plan, tally, &family);
        else if (pid == program)
            tally->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        if (r < 0 && errno != ESRCH)
            return -1;
    }
}

static int start(const struct plan *plan, char **argv, pid_t *ret_pid)
{
    const long follow_forks = PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE;
    int status;
    pid_t pid = fork();

    if (pid < 0)
        return STATUS_TOOL;
    if (pid == 0) {
        if (ptrace(PTRACE_TRACEME, 0, 0L, 0L) < 0)
            _exit(STATUS_TOOL);
        if (plan->group && setpgid(0, 0) < 0)
            _exit(STATUS_TOOL);
        raise(SIGSTOP);
        execvp(argv[0], argv);
        fprintf(stderr, "syscall-fault: cannot start %s: %s\n", argv[0], strerror(errno));
        _exit(STATUS_START);
    }
    if (waitpid(pid, &status, __WALL) < 0 || !WIFSTOPPED(status))
        return STATUS_TOOL;
    if (ptrace(PTRACE_SETOPTIONS, pid, 0L,
               (long)(PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL |
                      (plan->child ? follow_forks : 0))) < 0) {
        kill(pid, SIGKILL);
        return STATUS_TOOL;
    }
    *ret_pid = pid;
    return 0;
}

static int print_report(FILE *out, const struct tally *tally, bool by_name)
{
    fprintf(out, "calls %ld\nmatched %ld\nfired %d\nstatus %d\n", tally->calls, tally->matched,
            tally->fired, tally->status);
    for (long number = 0; by_name && number < MAX_NUMBER; number++) {
        const char *name = call_name(number);

        if (!tally->by_number[number])
            continue;
        if (name)
            fprintf(out, "name %s %ld\n", name, tally->by_number[number]);
        else
            fprintf(out, "name %ld %ld\n", number, tally->by_number[number]);
    }
    return ferror(out) ? -1 : 0;
}

static int report(const char *path, const struct tally *tally, bool by_name)
{
    FILE *out;
    int r;

    if (!path)
        return print_report(stderr, tally, by_name);
    out = fopen(path, "we");
    if (!out)
        return -1;
    r = print_report(out, tally, by_name);
    return fclose(out) || r ? -1 : 0;
}

static bool parse_mode(char ***argv, struct plan *plan)
{
    char **arg = *argv;

    if (!arg[0])
        return false;
    if (!strcmp(arg[0], "count")) {
        plan->mode = MODE_COUNT;
        arg += 1;
    } else if (!strcmp(arg[0], "kill") && arg[1] && parse_number(arg[1], 1, &plan->at)) {
        plan->mode = MODE_KILL;
        arg += 2;
    } else if (!strcmp(arg[0], "fail") && arg[1] && arg[2] && arg[3] &&
               parse_names(arg[1], plan) && parse_number(arg[2], 1, &plan->at) &&
               parse_error_name(arg[3], &plan->error)) {
        plan->mode = MODE_FAIL;
        arg += 4;
    } else {
        return false;
    }
    *argv = arg;
    return arg[0] != NULL;
}

int main(int argc, char **argv)
{
    struct plan plan = {.bytes = -1};
    static struct tally tally;
    const char *report_path = NULL;
    bool by_name = false;
    pid_t pid;
    int r;

    (void)argc;
    for (argv++; *argv && !strncmp(*argv, "--", 2); argv++) {
        if (!strcmp(*argv, "--by-name"))
            by_name = true;
        else if (!strcmp(*argv, "--from"))
            plan.from = true;
        else if (!strcmp(*argv, "--group"))
            plan.group = true;
        else if (!strcmp(*argv, "--child"))
            plan.child = plan.group = true;
        else if (!strcmp(*argv, "--report") && argv[1])
            report_path = *++argv;
        else if (!strcmp(*argv, "--bytes") && argv[1] && parse_number(argv[1], 0, &plan.bytes))
            argv++;
        else
            return usage();
    }
    if (!parse_mode(&argv, &plan) || (plan.group && plan.mode != MODE_KILL))
        return usage();
    r = start(&plan, argv, &pid);
    if (r)
        return r;
    if ((plan.child ? follow_child : follow)(pid, &plan, &tally) < 0) {
        fprintf(stderr, "syscall-fault: ptrace: %s\n", strerror(errno));
        return STATUS_TOOL;
    }
    if (report(report_path, &tally, by_name) < 0) {
        fprintf(stderr, "syscall-fault: cannot write the report\n");
        return STATUS_TOOL;
    }
    return tally.status;
}
