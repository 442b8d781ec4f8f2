/* SPDX-License-Identifier: Apache-2.0 */
#include "doctor.h"

#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/process.h"
#include "base/secret.h"
#include "crew.h"

#define ENVIRONMENT_MAX 1024

/* What helpers inherit is the daemon's from here on. False: it stays this shell's. */
static bool take_environment(struct doctor *doctor, char **list)
{
    char *at = doctor->environment.data, *end = at ? at + doctor->environment.length : NULL;
    size_t count = 0;

    if (!at)
        return false;
    for (; at < end && count < ENVIRONMENT_MAX; at += strlen(at) + 1)
        if (!process_is_hostile(at))
            list[count++] = at;
    list[count] = NULL;
    environ = list;
    return true;
}

static int ask(struct doctor *doctor, const struct hosts_host *host, struct pullkey_error *error)
{
    struct crew crew = { .timeout_ms = doctor->check.settings->helper_timeout * 1000 };
    const struct moment began = crew_now();
    const char *url = check_host_name(host->name);
    struct needs needs = { 0 };
    struct need *need =
        needs_get(&needs, host->helper, host->name, host->assume_lifetime, &began, false);
    char until[DOCTOR_TIME_SIZE];
    int64_t took;
    int r = need ? crew_ask_all(&crew, &needs, error) : error_memory(error);

    crew_end(&crew);
    took = clock_monotonic_ms() - began.monotonic_ms;
    if (r == 0 && need->error.code == PULLKEY_OK) {
        doctor_until(need->expiry, until);
        doctor_step(doctor, DOCTOR_OK, "ask",
                    "\"%s\" answered for %s in %lld ms: a credential, good %s", host->helper, url,
                    (long long)took, until);
    } else if (r == 0) {
        doctor_find(doctor, OUTPUT_ERROR, "ask-failed", host,
                    "mend that, and run \"systemctl reload pullkey-hosts\"",
                    "\"%s\", asked now as the daemon would, failed for %s in %lld ms (%s): %s",
                    host->helper, url, (long long)took, error_class_name(need->error.code),
                    needs_message(need));
    }
    needs_done(&needs);
    return r;
}

int doctor_ask(struct doctor *doctor, struct pullkey_error *error)
{
    cleanup_release char **list = secret_alloc((ENVIRONMENT_MAX + 1) * sizeof(*list));
    char **own = environ;
    struct stat status;
    int r = 0;

    if (!list)
        return error_memory(error);
    if (!doctor->check.settings || (doctor->check.node.root[0] != '\0' && !doctor->is_running))
        return error_set(error, PULLKEY_UNSUPPORTED,
                         "--ask needs a configuration, and is for a node that runs");
    if (doctor->is_running &&
        node_stat(&doctor->check.node, doctor->read_root->hosts.inner, &status, error) == 0 &&
        status.st_uid != file_caller())
        return error_set(error, PULLKEY_DENIED, "--ask is for the user of the daemon, %u",
                         (unsigned int)status.st_uid);
    doctor_step(doctor, DOCTOR_NOTE, "ask", "with the environment of %s, as the user %u",
                take_environment(doctor, list) ? "the daemon" : "this shell",
                (unsigned int)file_caller());
    for (size_t i = 0; r == 0 && doctor->source && i < doctor->source->file.host_count; i++)
        if (hosts_host_is_managed(&doctor->source->file.hosts[i]))
            r = ask(doctor, &doctor->source->file.hosts[i], error);
    environ = own;
    return r;
}
