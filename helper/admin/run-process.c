/* SPDX-License-Identifier: Apache-2.0 */
#include "run-process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/secret.h"

#define DEFAULT_PATH "/usr/local/bin:/usr/bin:/bin"
#define KEEPER_START_MS 10000

static void close_fd(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

/* 0 if it is a file that may be run. */
static int check_program(const char *path)
{
    struct stat status;

    if (stat(path, &status) < 0)
        return errno;
    if (!S_ISREG(status.st_mode))
        return EACCES;
    return faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) < 0 ? errno : 0;
}

/* A failure that says no more than that it is not there. */
static bool is_absent(int errnum)
{
    return errnum == ENOENT || errnum == ENOTDIR;
}

/* Looks for a name in one directory of PATH; an empty one is the present directory. */
static int look_in(const char *directory, size_t length, const char *name, char *ret)
{
    size_t size = strlen(name);

    if (length + size + 3 > FILE_PATH_MAX)
        return ENOENT;
    if (length == 0)
        ret = mempcpy(ret, ".", 1);
    else
        ret = mempcpy(ret, directory, length);
    ret = mempcpy(ret, "/", 1);
    memcpy(ret, name, size + 1);
    return 0;
}

static int search(const char *name, char *ret)
{
    const char *path = secure_getenv("PATH");
    int failure = ENOENT;

    for (const char *at = path ? path : DEFAULT_PATH;; at++) {
        size_t length = strcspn(at, ":");
        int r = look_in(at, length, name, ret);

        if (r == 0)
            r = check_program(ret);
        if (r == 0)
            return 0;
        if (!is_absent(r))
            failure = r;
        at += length;
        if (*at == '\0')
            return failure;
    }
}

int run_program_find(char *const *arguments, struct run_program *ret, struct pullkey_error *error)
{
    const char *name = arguments[0];
    bool is_path = strchr(name, '/');
    int r;

    ret->arguments = arguments;
    if (name[0] == '\0')
        return error_set(error, PULLKEY_NOT_FOUND, "the name of the command is empty");
    if (!is_path) {
        r = search(name, ret->path);
    } else if (strlen(name) < sizeof(ret->path)) {
        memcpy(ret->path, name, strlen(name) + 1);
        r = check_program(name);
    } else {
        r = ENAMETOOLONG;
    }
    if (is_absent(r))
        return error_set(error, PULLKEY_NOT_FOUND, "there is no program %s%s", name,
                         is_path ? "" : " in PATH");
    if (r != 0)
        (void)error_errno(error, r, "cannot run %s", name);
    if (r != 0 && error->code == PULLKEY_NOT_FOUND)
        error->code = PULLKEY_INVALID;
    return r == 0 ? 0 : -(int)error->code;
}

/* Input and output that are nobody's. */
static void let_go_of_output(void)
{
    int null = open("/dev/null", O_RDWR);

    for (int fd = 0; fd <= 2; fd++)
        if (null < 0)
            (void)close(fd);
        else if (null != fd)
            (void)dup2(null, fd);
    if (null > 2)
        (void)close(null);
}

/*
 * The life of the keeper: it says that nothing which is sent to the process group reaches it any
 * more. A byte says that the directory is made, the end of the connection that nobody uses it.
 */
static void keep(int lifeline, struct run_directory *directory)
{
    struct pullkey_error ignored;
    char byte = 'k';

    (void)setsid();
    (void)!write(lifeline, &byte, 1);
    (void)!chdir("/");
    let_go_of_output();
    while (read(lifeline, &byte, 1) == 1)
        run_directory_open(directory);
    (void)close(lifeline);
    (void)run_directory_remove(directory, &ignored);
}

/* Whatever is made while the keeper can still be killed together with this process stays. */
static int wait_for_keeper(int lifeline, struct pullkey_error *error)
{
    struct pollfd wait = { .fd = lifeline, .events = POLLIN };
    char byte;
    int ready = clock_poll(&wait, 1, clock_monotonic_ms() + KEEPER_START_MS);

    if (ready < 0)
        return error_errno(error, errno, "cannot wait for a process");
    if (ready == 0)
        return error_set(error, PULLKEY_UNREACHABLE,
                         "the process that removes the credentials later did not start in time");
    if (read(lifeline, &byte, 1) != 1)
        return error_set(error, PULLKEY_INTERNAL,
                         "the process that removes the credentials later was ended");
    return 0;
}

int run_keeper_start(struct run_processes *processes, struct run_directory *directory,
                     struct pullkey_error *error)
{
    sigset_t all, before;
    bool is_blocked;
    int ends[2], r;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        return error_errno(error, errno, "cannot make a pair of sockets");
    /* So the keeper blocks them from its first moment on. */
    (void)sigfillset(&all);
    is_blocked = sigprocmask(SIG_SETMASK, &all, &before) == 0;
    processes->keeper = fork();
    if (processes->keeper == 0) {
        processes->is_child = true;
        (void)close(ends[1]);
        keep(ends[0], directory);
        return RUN_CHILD_ENDS;
    }
    r = processes->keeper < 0 ? error_errno(error, errno, "cannot make a process") : 0;
    if (is_blocked)
        (void)sigprocmask(SIG_SETMASK, &before, NULL);
    (void)close(ends[0]);
    processes->lifeline = ends[1];
    if (r == 0)
        r = wait_for_keeper(ends[1], error);
    /* There is nothing to be removed yet, and one that hangs would be waited for. */
    if (r < 0 && processes->keeper > 0)
        (void)kill(processes->keeper, SIGKILL);
    if (processes->keeper < 0)
        processes->keeper = 0;
    return r;
}

int run_keeper_hold(const struct run_processes *processes, struct pullkey_error *error)
{
    return file_write_all(processes->lifeline, "m", 1, error);
}

/* What is given to the command, and what it would use in place of that. */
static bool is_replaced(const char *variable)
{
    static const char *const names[] = { "DOCKER_CONFIG", "REGISTRY_AUTH_FILE",
                                         "DOCKER_AUTH_CONFIG", "CRICTL_AUTH", "CRICTL_CREDS" };
    size_t length = strcspn(variable, "=");

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strlen(names[i]) == length && memcmp(variable, names[i], length) == 0)
            return true;
    return false;
}

/* An empty variable ends the message: without it the sender was killed. */
static bool is_complete(const struct buffer *message)
{
    return message->length >= 2 && message->data[message->length - 1] == '\0' &&
           message->data[message->length - 2] == '\0';
}

/* Becomes the command. Returns only if that fails. */
static int become(const struct run_program *program, const struct buffer *variables,
                  struct pullkey_error *error)
{
    cleanup_release char **environment = NULL;
    char **caller = program->caller->environment;
    size_t at = 0, room = 1;

    for (size_t i = 0; caller[i]; i++)
        room++;
    for (size_t i = 0; i < variables->length; i++)
        room += variables->data[i] == '\0';
    environment = secret_alloc(room * sizeof(*environment));
    if (!environment)
        return error_memory(error);
    for (size_t i = 0; caller[i]; i++)
        if (!is_replaced(caller[i]))
            environment[at++] = caller[i];
    for (char *variable = variables->data; *variable != '\0'; variable += strlen(variable) + 1)
        environment[at++] = variable;
    environment[at] = NULL;
    (void)execve(program->path, program->arguments, environment);
    if (errno == ENOENT)
        return error_set(error, PULLKEY_INVALID,
                         "cannot run %s: the interpreter that its first line names is missing",
                         program->path);
    (void)error_errno(error, errno, "cannot run %s", program->path);
    return -(int)error->code;
}

/* Waits for the message. The end of the pipe without one: there is nothing to be done. */
static int wait_at_gate(int gate, const struct run_program *program, struct pullkey_error *error)
{
    cleanup_buffer struct buffer message = BUFFER_INIT(RUN_VARIABLES_MAX);
    struct pullkey_error ignored;
    int r = buffer_read(&message, gate, &ignored);

    (void)close(gate);
    return r == 0 && is_complete(&message) ? become(program, &message, error) : RUN_CHILD_ENDS;
}

int run_command_start(struct run_processes *processes, const struct run_program *program,
                      struct pullkey_error *error)
{
    struct sigaction waiting;
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        return error_errno(error, errno, "cannot make a pipe");
    /* A caller that ignores it leaves no status to wait for; the command has it as it was. */
    (void)sigaction(SIGCHLD, NULL, &waiting);
    (void)signal(SIGCHLD, SIG_DFL);
    processes->command = fork();
    if (processes->command == 0) {
        processes->is_child = true;
        (void)close(ends[1]);
        close_fd(&processes->lifeline);
        (void)sigaction(SIGCHLD, &waiting, NULL);
        process_give_back(program->caller);
        return wait_at_gate(ends[0], program, error);
    }
    (void)close(ends[0]);
    processes->gate = ends[1];
    if (processes->command > 0)
        return 0;
    processes->command = 0;
    return error_errno(error, errno, "cannot make a process");
}

int run_command_go(struct run_processes *processes, const struct buffer *variables,
                   struct pullkey_error *error)
{
    int r = file_write_all(processes->gate, variables->data, variables->length, error);

    if (r == 0)
        r = file_write_all(processes->gate, "", 1, error);
    close_fd(&processes->gate);
    return r < 0 ? error_wrap(error, "cannot start the command") : 0;
}

static const int passed_on[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2 };

static void fill_signals(sigset_t *ret)
{
    (void)sigemptyset(ret);
    (void)sigaddset(ret, SIGCHLD);
    for (size_t i = 0; i < sizeof(passed_on) / sizeof(passed_on[0]); i++)
        (void)sigaddset(ret, passed_on[i]);
}

void run_signals_hold(void)
{
    sigset_t signals;

    fill_signals(&signals);
    (void)sigprocmask(SIG_BLOCK, &signals, NULL);
}

/*
 * What the keyboard sends reaches the whole group, and a second one would be taken for the user's
 * impatience. A hang-up reaches the leader of the session alone.
 */
static void pass_on(const siginfo_t *signal, pid_t command)
{
    bool keyboard =
        (signal->si_signo == SIGINT || signal->si_signo == SIGQUIT) && signal->si_code == SI_KERNEL;
    bool its_own = signal->si_code <= 0 && signal->si_pid == command;

    if (!keyboard && !its_own)
        (void)kill(command, signal->si_signo);
}

/*
 * Collects every child that has ended: as the first process of a container this one inherits
 * strangers. 1 if the command is among them, -1 with errno if there is none to wait for.
 */
static int collect(struct run_processes *processes, int *ret_status)
{
    pid_t pid;
    int status, r = 0;

    for (;;) {
        pid = waitpid(-1, &status, WNOHANG);
        if (pid < 0 && errno == EINTR)
            continue;
        if (pid <= 0)
            return r != 0 ? r : (int)pid;
        if (pid == processes->keeper)
            processes->keeper = 0;
        if (pid != processes->command)
            continue;
        processes->command = 0;
        *ret_status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
        r = 1;
    }
}

int run_command_wait(struct run_processes *processes, int *ret_status, struct pullkey_error *error)
{
    sigset_t signals;

    fill_signals(&signals);
    for (;;) {
        int r = collect(processes, ret_status);
        siginfo_t info;

        if (r > 0)
            return 0;
        if (r < 0)
            return error_errno(error, errno, "cannot wait for the command");
        if (sigwaitinfo(&signals, &info) < 0) {
            if (errno != EINTR)
                return error_errno(error, errno, "cannot wait for a signal");
        } else if (info.si_signo != SIGCHLD) {
            pass_on(&info, processes->command);
        }
    }
}

static void wait_for(pid_t *pid)
{
    if (*pid > 0)
        while (waitpid(*pid, NULL, 0) < 0 && errno == EINTR)
            ;
    *pid = 0;
}

void run_processes_end(struct run_processes *processes)
{
    if (processes->is_child)
        return;
    close_fd(&processes->gate);
    wait_for(&processes->command);
    close_fd(&processes->lifeline);
    wait_for(&processes->keeper);
}
