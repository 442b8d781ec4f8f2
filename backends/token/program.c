/* SPDX-License-Identifier: Apache-2.0 */
#include "program.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/depth.h"
#include "base/error.h"
#include "base/file.h"
#include "base/process.h"
#include "base/secret.h"
#include "run/run.h"

#define DEPTH_SIZE (sizeof(DEPTH_VARIABLE) + 16)
#define HOME_SIZE (sizeof("HOME=") + FILE_PATH_MAX)

static char fixed_path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

static bool is_depth(const char *variable)
{
    return strncmp(variable, DEPTH_VARIABLE "=", sizeof(DEPTH_VARIABLE)) == 0;
}

/* What a system program's program gets beside its depth. */
static size_t add_fixed(char **list, char home[HOME_SIZE])
{
    char account[FILE_PATH_MAX];
    struct pullkey_error ignored;
    size_t count = 0;

    list[count++] = fixed_path;
    if (file_account_home(account, &ignored) == 0) {
        (void)snprintf(home, HOME_SIZE, "HOME=%s", account);
        list[count++] = home;
    }
    return count;
}

/* The caller's variables. */
static size_t add_inherited(char **list)
{
    size_t count = 0;

    for (char **from = environ; from && *from; from++)
        if (!process_is_hostile(*from) && !is_depth(*from))
            list[count++] = *from;
    return count;
}

/* One block of pointers to what others own. The first of a name counts. */
static char **make_environment(const struct program *program, bool system, char *depth,
                               char home[HOME_SIZE])
{
    size_t count = 0, size = PROGRAM_MORE_MAX + 4; /* depth, PATH, HOME, NULL */
    char **list;

    for (char **from = environ; from && *from; from++)
        size++;
    list = secret_alloc(size * sizeof(*list));
    if (!list)
        return NULL;
    list[count++] = depth;
    for (size_t i = 0; program->more && program->more[i] && i < PROGRAM_MORE_MAX; i++)
        list[count++] = program->more[i];
    count += system ? add_fixed(list + count, home) : add_inherited(list + count);
    list[count] = NULL;
    return list;
}

int program_run(const struct exchange *exchange, const struct program *program,
                struct buffer *output, int *ret_status, struct pullkey_error *error)
{
    const struct settings *settings = exchange->settings;
    char depth[DEPTH_SIZE], home[HOME_SIZE];
    cleanup_release char **environment = make_environment(program, settings->system, depth, home);
    const struct run run = {
        .path = program->path,
        .arguments = program->arguments,
        .environment = environment,
        .input = "",
        .deadline_ms =
            program->deadline_ms != 0 ? program->deadline_ms : exchange->request->deadline_ms,
    };

    if (!environment)
        return error_memory(error);
    (void)snprintf(depth, sizeof(depth), DEPTH_VARIABLE "=%u", (unsigned int)settings->depth + 1);
    return run_program(&run, output, ret_status, error);
}
