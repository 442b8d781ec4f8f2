/* SPDX-License-Identifier: Apache-2.0 */
/* `pullkey doctor` as others than who runs it: containerd, of which pullkey-hosts knows what it
 * does, and another user. */
#include "admin.h"
#include "doctor.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/child.h"
#include "base/error.h"
#include "base/file.h"
#include "base/secret.h"
#include "pullkey-build.h"

#define HOSTS PULLKEY_LIBEXECDIR "/pullkey-hosts"
#define HOSTS_WAIT_MS 60000
#define HOSTS_TEXT_MAX (256 * 1024)

static void take_steps(struct doctor_caller *caller, const cJSON *root)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, json_member(root, "steps")) {
        const char *state = json_text(item, "state"), *file = json_text(item, "file");
        const char *cause = json_text(item, "cause"), *name = json_text(item, "step");
        const char *text = json_text(item, "text");
        char line[32];

        if (!state || !name || !text)
            continue;
        line[0] = '\0';
        if (json_number(item, "line") > 0)
            (void)snprintf(line, sizeof(line), ":%.0f", json_number(item, "line"));
        doctor_tell(caller, name,
                    strcmp(state, "problem") == 0 ? PULLKEY_STEP_FAILED
                    : strcmp(state, "note") == 0  ? PULLKEY_STEP_NOTE
                                                  : PULLKEY_STEP_FINE,
                    -1, cause ? cause : "", "%s%s%s%s", file ? file : "", file ? line : "",
                    file ? ": " : "", text);
    }
}

static int take_hosts(struct doctor_caller *caller, const struct doctor_image *image,
                      const char *text, struct pullkey_error *error)
{
    cleanup_json struct json json = { 0 };
    struct pullkey_error ignored;
    const char *cause = NULL, *sentence = NULL;
    const cJSON *host;

    if (json_parse(&json, "pullkey-hosts", text, strlen(text), 0, &ignored) == 0) {
        cause = json_text(json.root, "cause");
        sentence = json_text(json.root, "verdict");
    }
    if (!cause || !sentence) {
        doctor_tell(caller, "containerd", PULLKEY_STEP_FAILED, -1, DOCTOR_NOT_KNOWN,
                    "pullkey-hosts says nothing of it: see \"pullkey hosts doctor\"");
        return 0;
    }
    take_steps(caller, json.root);
    cJSON_ArrayForEach(host, json_member(json.root, "hosts")) {
        caller->has_credential |= cJSON_IsTrue(json_member(host, "credential"));
    }
    caller->judged_works = cJSON_IsTrue(json_member(json.root, "works"));
    (void)snprintf(caller->judged_cause, sizeof(caller->judged_cause), "%s", cause);
    (void)snprintf(caller->judged_sentence, sizeof(caller->judged_sentence), "%s", sentence);
    return caller->judged_works
               ? doctor_ask_mirrors(caller, image, json_member(json.root, "hosts"), error)
               : 0;
}

int doctor_ask_hosts(struct doctor_caller *caller, const struct doctor_image *image,
                     struct pullkey_error *error)
{
    char name[REGISTRY_CANONICAL_MAX + 1];
    const char *const words[] = { HOSTS, "doctor", "--ask", "--json", name, NULL };
    cleanup_release char *text = NULL;
    struct pullkey_error why;

    caller->name = "containerd";
    /* "localhost:5000" would be an image. */
    (void)snprintf(name, sizeof(name), "%s%s", image->name,
                   image->image.repository[0] != '\0' ? "" : "/");
    text = secret_alloc(HOSTS_TEXT_MAX);
    if (!text)
        doctor_tell(caller, "containerd", PULLKEY_STEP_FAILED, -1, DOCTOR_NOT_KNOWN,
                    "out of memory");
    else if (geteuid() != 0)
        doctor_tell(caller, "containerd", PULLKEY_STEP_FAILED, -1, DOCTOR_NOT_KNOWN,
                    "what containerd does is for root to see: run this as root");
    else if (child_run(HOSTS, words, environ, HOSTS_WAIT_MS, text, HOSTS_TEXT_MAX, &why) < 0)
        doctor_tell(caller, "containerd", PULLKEY_STEP_FAILED, -1, DOCTOR_NOT_KNOWN, "%s",
                    why.message);
    else
        return take_hosts(caller, image, text, error);
    return 0;
}

/* Of the environment of who runs this nothing is that user's but where programs are. */
static int set_environment(const struct passwd *user, struct pullkey_error *error)
{
    const char *path = secure_getenv("PATH");
    char runtime[32];

    (void)snprintf(runtime, sizeof(runtime), "/run/user/%u", (unsigned int)user->pw_uid);
    if (clearenv() != 0 || setenv("PATH", path ? path : "/usr/bin:/bin", 1) < 0 ||
        setenv("HOME", user->pw_dir, 1) < 0 || setenv("USER", user->pw_name, 1) < 0 ||
        setenv("LOGNAME", user->pw_name, 1) < 0 ||
        (access(runtime, X_OK) == 0 && setenv("XDG_RUNTIME_DIR", runtime, 1) < 0))
        return error_memory(error);
    return 0;
}

/* What that user has runs, and must not reach the terminal of who runs this: by its session it
 * could type there. In the child 0; in this process its exit status, as ADMIN_STATUS has it. */
static int leave_session(struct pullkey_error *error)
{
    int status;
    pid_t child;

    (void)fflush(NULL);
    child = fork();
    if (child < 0)
        return error_errno(error, errno, "cannot start a process");
    if (child == 0)
        return setsid() < 0 ? error_errno(error, errno, "cannot leave the terminal") : 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    error->message[0] = '\0';
    return ADMIN_STATUS - (WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

int doctor_become(const char *name, struct pullkey_error *error)
{
    const struct passwd *user = getpwnam(name);
    int r;

    if (!user)
        return error_set(error, PULLKEY_NOT_FOUND, "there is no user %.64s", name);
    if (user->pw_uid == geteuid())
        return 0;
    if (geteuid() != 0)
        return error_set(error, PULLKEY_DENIED,
                         "only root can see what %.64s gets: run this as root", name);
    r = leave_session(error);
    if (r != 0)
        return r;
    if (initgroups(user->pw_name, user->pw_gid) < 0 ||
        setresgid(user->pw_gid, user->pw_gid, user->pw_gid) < 0 ||
        setresuid(user->pw_uid, user->pw_uid, user->pw_uid) < 0 ||
        prctl(PR_SET_PDEATHSIG, SIGTERM) < 0)
        return error_errno(error, errno, "cannot become %.64s", name);
    file_caller_changed();
    return set_environment(user, error);
}
