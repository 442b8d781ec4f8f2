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

#define HUB "docker.io"
#define HUB_KEY "https://index.docker.io/v1/" /* as docker has it in its file; others know it */
#define TARGETS_MAX 16
#define DOCUMENT_MAX (2 * 1024 * 1024)
#define FILE_NAME "config.json" /* docker's; REGISTRY_AUTH_FILE can have any name */

enum { STATUS_CANNOT_RUN = 126, STATUS_NOT_FOUND = 127 }; /* as shells have them */

/* A credential that the command gets, and where it is for. */
struct target {
    struct registry_reference reference;  /* what is asked for, with the path of an image */
    char registry[RUN_AUTHORITY_MAX + 1]; /* for messages, and the key in the file */
    struct pullkey_credential credential;
};

struct targets {
    struct target items[TARGETS_MAX];
    size_t count;
};

static void targets_release(struct targets **targets)
{
    for (size_t i = 0; *targets && i < (*targets)->count; i++)
        credential_done(&(*targets)->items[i].credential);
    secret_release(*targets);
    *targets = NULL;
}

#define cleanup_targets __attribute__((cleanup(targets_release)))

static bool is_same_registry(const struct registry_reference *a, const struct registry_reference *b)
{
    return a->port == b->port && strcmp(a->host, b->host) == 0;
}

/* Each once. */
static int add_target(struct targets *targets, const struct registry_reference *reference,
                      const char *authority, size_t length, struct pullkey_error *error)
{
    struct target *target;

    for (size_t i = 0; i < targets->count; i++) {
        const struct registry_reference *other = &targets->items[i].reference;

        if (is_same_registry(reference, other) && strcmp(reference->path, other->path) == 0 &&
            reference->http == other->http)
            return 0;
    }
    if (targets->count == TARGETS_MAX)
        return admin_usage(error, "more than %d registries and repositories are named",
                           TARGETS_MAX);
    target = &targets->items[targets->count++];
    target->reference = *reference;
    if (strcmp(reference->host, HUB) == 0 && reference->port == 0)
        memcpy(target->registry, HUB, sizeof(HUB));
    else
        memcpy(mempcpy(target->registry, authority, length), "", 1);
    return 0;
}

/* What --for names: the registry as it is written there, without scheme and path. */
static int add_named(struct targets *targets, const char *name, struct pullkey_error *error)
{
    struct registry_reference reference;
    char authority[RUN_AUTHORITY_MAX];
    const char *text;
    size_t length;
    int r = admin_reference(name, &reference, error);

    if (r < 0) {
        (void)error_wrap(error, "--for");
        return r;
    }
    text = strstr(reference.text, "://");
    text = text ? text + 3 : reference.text;
    length = strcspn(text, "/");
    if (reference.opaque || length > sizeof(authority))
        return admin_usage(error, "--for: %s is not the name of a registry", reference.text);
    for (size_t i = 0; i < length; i++)
        authority[i] = text_lower(text[i]);
    return add_target(targets, &reference, authority, length, error);
}

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
            r = add_target(targets, &reference, image.authority, length, error);
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
        r = add_named(targets, call->items[i], error);
    return r;
}

/* What neither form of the file nor CRICTL_AUTH can hold. */
static int check_credential(const struct target *target, struct pullkey_error *error)
{
    const struct pullkey_credential *credential = &target->credential;

    if (credential->kind == PULLKEY_IDENTITY_TOKEN) {
        if (!text_is_utf8(credential->secret.bytes, credential->secret.length))
            return error_set(error, PULLKEY_INVALID, "the identity token for %s is not text",
                             target->registry);
    } else if (strchr(credential->username, ':')) {
        return error_set(error, PULLKEY_INVALID,
                         "the user name for %s holds a colon, and cannot be handed to a command",
                         target->registry);
    }
    return 0;
}

static int get_credential(const struct admin_call *call, const struct config *config,
                          struct target *target, struct pullkey_error *error)
{
    const struct resolve resolve = admin_resolve(config);
    char source[RESOLVE_SOURCE_MAX] = "";
    int r = resolve_get(&resolve, &target->reference, &target->credential, source, error);

    if (r == -PULLKEY_NOT_FOUND && call->item_count > 0)
        return error_set(error, PULLKEY_NOT_FOUND,
                         "there is no credential for %s: run \"pullkey login %s\", or leave that "
                         "--for out",
                         target->registry, target->registry);
    if (r == -PULLKEY_NOT_FOUND)
        return error_set(error, PULLKEY_NOT_FOUND,
                         "there is no credential for %s: run \"pullkey login %s\", or name those "
                         "that need one with --for",
                         target->registry, target->registry);
    if (r < 0)
        return error_wrap(error, "%s", target->registry);
    log_line("run", "the credential for %s is from %s", target->reference.text, source);
    return check_credential(target, error);
}

/* A file has one place for a registry: two repositories of it with two credentials have none. */
static int check_agreement(const struct targets *targets, struct pullkey_error *error)
{
    for (size_t i = 0; i < targets->count; i++)
        for (size_t j = i + 1; j < targets->count; j++) {
            const struct target *a = &targets->items[i], *b = &targets->items[j];

            if (is_same_registry(&a->reference, &b->reference) &&
                (strcmp(a->credential.username, b->credential.username) != 0 ||
                 !secret_equal(&a->credential.secret, &b->credential.secret)))
                return error_set(error, PULLKEY_INVALID,
                                 "%s and %s have two credentials, and the command can get one of a "
                                 "registry: choose with --for",
                                 a->reference.text, b->reference.text);
        }
    return 0;
}

static int get_credentials(const struct admin_call *call, struct targets *targets,
                           struct pullkey_error *error)
{
    cleanup_config struct config config = { 0 };
    int r = admin_load(call, &config, error);

    for (size_t i = 0; i < targets->count && r == 0; i++)
        r = get_credential(call, &config, &targets->items[i], error);
    output_wait_end();
    return r < 0 ? r : check_agreement(targets, error);
}

/* base64("user:password"): "auth" in the file, and CRICTL_AUTH. */
static int append_pair(const struct pullkey_credential *credential, struct buffer *ret,
                       struct pullkey_error *error)
{
    cleanup_buffer struct buffer pair = BUFFER_INIT(PULLKEY_USERNAME_MAX + 1 + PULLKEY_SECRET_MAX);
    int r;

    buffer_append_text(&pair, credential->username);
    buffer_append_text(&pair, ":");
    if (credential->kind != PULLKEY_IDENTITY_TOKEN)
        buffer_append(&pair, credential->secret.bytes, credential->secret.length);
    r = buffer_check(&pair, error);
    if (r < 0)
        return r;
    text_base64_encode(ret, pair.data, pair.length);
    return buffer_check(ret, error);
}

static int append_entry(const struct target *target, struct buffer *ret,
                        struct pullkey_error *error)
{
    const struct pullkey_secret *secret = &target->credential.secret;
    const char *key = strcmp(target->registry, HUB) == 0 ? HUB_KEY : target->registry;
    int r;

    json_write_string(ret, key, strlen(key));
    buffer_append_text(ret, ":{\"auth\":\"");
    r = append_pair(&target->credential, ret, error);
    if (r < 0)
        return r;
    buffer_append_text(ret, "\"");
    if (target->credential.kind == PULLKEY_IDENTITY_TOKEN) {
        buffer_append_text(ret, ",\"identitytoken\":");
        json_write_string(ret, secret->bytes, secret->length);
    }
    buffer_append_text(ret, "}");
    return 0;
}

/* True if an entry before it has the same key: another repository of the same registry. */
static bool is_written(const struct targets *targets, size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (strcmp(targets->items[i].registry, targets->items[at].registry) == 0)
            return true;
    return false;
}

static int write_file(const struct targets *targets, const struct run_directory *directory,
                      struct pullkey_error *error)
{
    cleanup_buffer struct buffer document = BUFFER_INIT(DOCUMENT_MAX);
    int r = 0;

    buffer_append_text(&document, "{\"auths\":{");
    for (size_t i = 0; i < targets->count && r == 0; i++) {
        if (is_written(targets, i))
            continue;
        buffer_append_text(&document, i > 0 ? "," : "");
        r = append_entry(&targets->items[i], &document, error);
    }
    buffer_append_text(&document, "}}\n");
    if (r == 0)
        r = buffer_check(&document, error);
    return r < 0 ? r : run_directory_write(directory, FILE_NAME, &document, error);
}

/* The registry that all of them are of, or NULL. */
static const struct target *find_only(const struct targets *targets)
{
    for (size_t i = 1; i < targets->count; i++)
        if (!is_same_registry(&targets->items[0].reference, &targets->items[i].reference))
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
        r = append_pair(&only->credential, ret, error);
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
    int r = get_credentials(call, targets, error);

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
