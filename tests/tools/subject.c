/* SPDX-License-Identifier: Apache-2.0 */

/* The program on which the fault tools are tested: every mode does a known, small thing. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Not through the C library's wrapper, which may cache or add calls. */
static void call_getppid(int times)
{
    for (int i = 0; i < times; i++)
        syscall(SYS_getppid);
}

static int write_three_times(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd < 0)
        return 2;
    for (int i = 0; i < 3; i++) {
        static const char text[] = "0123456789";
        ssize_t n = write(fd, text, 10);

        if (n < 0)
            return errno;
        /* A short write is finished, as every program should. */
        if (n < 10 && write(fd, &text[n], (size_t)(10 - n)) < 0)
            return errno;
    }
    return fsync(fd) < 0 ? errno : 0;
}

/* Exit status: a bit for each kind of allocation that failed. */
static int allocate(void)
{
    char *memory[5];
    void *aligned = NULL;
    int failed = 0;

    memory[0] = malloc(10);
    memory[1] = calloc(2, 10);
    memory[2] = realloc(NULL, 20);
    memory[3] = strdup("text");
    memory[4] = posix_memalign(&aligned, 64, 64) ? NULL : aligned;
    for (int i = 0; i < 5; i++) {
        failed |= memory[i] ? 0 : 1 << i;
        free(memory[i]);
    }
    return failed;
}

static int run_child(void)
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        call_getppid(50);
        _exit(0);
    }
    return pid < 0 || waitpid(pid, &status, 0) < 0 || status;
}

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "";

    if (!strcmp(mode, "calls") && argc > 2) {
        prctl(PR_SET_DUMPABLE, 0L, 0L, 0L, 0L);
        call_getppid((int)strtol(argv[2], NULL, 10));
        return 0;
    }
    if (!strcmp(mode, "child"))
        return run_child();
    if (!strcmp(mode, "write") && argc > 2)
        return write_three_times(argv[2]);
    if (!strcmp(mode, "allocate"))
        return allocate();
    if (!strcmp(mode, "crash"))
        abort();
    return 99;
}
