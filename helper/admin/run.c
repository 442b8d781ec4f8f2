/* SPDX-License-Identifier: Apache-2.0 */
#include "admin.h"

#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "base/output.h"
#include "base/secret.h"
#include "base/text.h"
#include "run-image.h"
#include "run-process.h"
#include "targets.h"

#define FILE_NAME "config.json" /* docker's; REGISTRY_AUTH_FILE can have any name */

enum { STATUS_CANNOT_RUN = 126, STATUS_NOT_FOUND = 127 }; /* as shells have them */

static int add_images(struct targets *targets, char *const *arguments, struct pullkey_error *error)
{
    struct run_images images = { .arguments = arguments + 1 };
    struct run_image image;

    while (run_images_next(&images, &image)) {
        char name[sizeof(image.authority) + sizeof(image.repository)];
        size_t length = strlen(image.authority);
        struct registry_reference reference;
        char *end = mempcpy(name, image.authority, length);
        int r;

        end = mempcpy(end, "/", 1);
        memcpy(end, image.repository, strlen(image.repository) + 1);
        r = registry_parse(name, strlen(name), &reference, error);
        if (r == 0)
            r = targets_add(targets, &reference, image.authority, length, error);
        if (r < 0)
            return r;
    }
    if (targets->count == 0)
        return admin_usage(error, "no argument of the command names an image with its registry "
                                  "(registry.example.com/team/app): name the registry with --for "
                                  "(--for docker.io for short names)");
    return 0;
}

static int find_targets(const struct admin_call *call, struct targets *targets,
                        struct pullkey_error *error)
{
    int r = 0;

    if (call->item_count == 0)
        return add_images(targets, call->command, error);
    if (call->item_count > TARGETS_MAX)
        return admin_usage(error, "--for is given more than %d times", TARGETS_MAX);
    for (size_t i = 0; i < call->item_count && r == 0; i++)
        r = targets_add_named(targets, call->items[i], error);
    if (r < 0)
        (void)error_wrap(error, "--for");
    return r;
}

static int write_file(const struct targets *targets, const struct run_directory *directory,
                      struct pullkey_error *error)
{
    cleanup_buffer struct buffer document = BUFFER_INIT(TARGETS_DOCUMENT_MAX);
    int r = targets_write(targets, &document, error);

    return r < 0 ? r : run_directory_write(directory, FILE_NAME, &document, error);
}

/* The registry that all of them are of, or NULL. */
static const struct target *find_only(const struct targets *targets)
{
    for (size_t i = 1; i < targets->count; i++)
        if (!targets_is_same_registry(&targets->items[0].reference, &targets->items[i].reference))
            return NULL;
    return &targets->items[0];
}

/* crictl reads no file, so it would go on without a credential. */
static int check_crictl(const char *program, const struct target *only, struct pullkey_error *error)
{
    const char *slash = strrchr(program, '/');

    if (strcmp(slash ? slash + 1 : program, "crictl") != 0)
        return 0;
    if (!only)
        return error_set(error, PULLKEY_UNSUPPORTED,
                         "crictl takes the credential of one registry: choose it with --for");
    if (only->credential.kind == PULLKEY_IDENTITY_TOKEN)
        return error_set(error, PULLKEY_UNSUPPORTED,
                         "crictl takes no identity token, which is what there is for %s: log in "
                         "with a password",
                         only->registry);
    return 0;
}

static int write_variables(const struct targets *targets, const char *program,
                           const struct run_directory *directory, struct buffer *ret,
                           struct pullkey_error *error)
{
    const struct target *only = find_only(targets);
    int r = check_crictl(program, only, error);

    if (r < 0)
        return r;
    buffer_printf(ret, "DOCKER_CONFIG=%s", directory->path);
    buffer_append(ret, "", 1);
    buffer_printf(ret, "REGISTRY_AUTH_FILE=%s/" FILE_NAME, directory->path);
    buffer_append(ret, "", 1);
    if (only && only->credential.kind != PULLKEY_IDENTITY_TOKEN) {
        buffer_append_text(ret, "CRICTL_AUTH=");
        r = targets_write_pair(&only->credential, ret, error);
        if (r < 0)
            return r;
        buffer_append(ret, "", 1);
    }
    return buffer_check(ret, error);
}

/* Everything between the command's start and the moment when it is let go. What is secret here is
 * wiped at the end of it. */
static int hand_over(const struct admin_call *call, struct targets *targets,
                     const struct run_directory *directory, struct run_processes *processes,
                     struct pullkey_error *error)
{
    cleanup_buffer struct buffer variables = BUFFER_INIT(RUN_VARIABLES_MAX);
    int r = targets_get(call, targets,
                        call->item_count > 0 ? "leave that --for out"
                                             : "name those that need one with --for",
                        error);

    if (r == 0)
        r = write_variables(targets, call->command[0], directory, &variables, error);
    if (r < 0)
        return r;
    run_signals_hold();
    r = write_file(targets, directory, error);
    return r < 0 ? r : run_command_go(processes, &variables, error);
}

/* In the command's process the error of one that could not be run. */
static int run_in(const struct admin_call *call, const struct run_program *program,
                  struct targets **targets, struct run_directory *directory,
                  struct run_processes *processes, struct pullkey_error *error)
{
    int status = 0;
    int r = run_keeper_start(processes, directory, error);

    if (r == 0)
        r = run_directory_make(directory, error);
    if (r == 0)
        r = run_keeper_hold(processes, error);
    if (r == 0)
        r = run_command_start(processes, program, error);
    if (processes->is_child && r != RUN_CHILD_ENDS)
        return ADMIN_STATUS - STATUS_CANNOT_RUN;
    if (processes->is_child) {
        error->message[0] = '\0';
        return ADMIN_STATUS;
    }
    process_harden_finally();
    if (r == 0)
        r = hand_over(call, *targets, directory, processes, error);
    targets_release(targets);
    if (r < 0)
        return r;
    r = run_command_wait(processes, &status, error);
    if (r < 0)
        return r;
    error->message[0] = '\0';
    return ADMIN_STATUS - status;
}

int admin_run(const struct admin_call *call, struct pullkey_error *error)
{
    cleanup_run_directory struct run_directory directory = RUN_DIRECTORY_INIT;
    cleanup_release struct run_program *program = secret_alloc(sizeof(*program));
    cleanup_targets struct targets *targets = secret_alloc(sizeof(*targets));
    struct run_processes processes = RUN_PROCESSES_INIT;
    struct pullkey_error why;
    bool is_gone;
    int r;

    if (!program || !targets)
        return error_memory(error);
    program->caller = call->caller;
    r = find_targets(call, targets, error);
    if (r < 0)
        return r;
    r = run_program_find(call->command, program, error);
    if (r < 0)
        return ADMIN_STATUS - (r == -PULLKEY_NOT_FOUND ? STATUS_NOT_FOUND : STATUS_CANNOT_RUN);
    r = run_directory_choose(&directory, error);
    if (r < 0)
        return r;
    run_directory_sweep(&directory);
    r = run_in(call, program, &targets, &directory, &processes, error);
    if (processes.is_child)
        return r;
    is_gone = run_directory_remove(&directory, &why) == 0;
    run_processes_end(&processes);
    /* The keeper has tried it too. */
    if (!is_gone && run_directory_remove(&directory, &why) < 0)
        output_error(why.message);
    return r;
}
