/* SPDX-License-Identifier: Apache-2.0 */
#include "doctor.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "hosts.h"
#include "publish.h"

#define FIX_START                                                                                  \
    "start pullkey-hosts.service; \"systemctl status pullkey-hosts\" says why it ended"

static void add(struct doctor *doctor, const char *id, const char *fix, const char *text)
{
    findings_add(&doctor->check.findings, OUTPUT_ERROR, id, doctor->read_root->hosts.path, 0, fix,
                 "%s", text);
}

/* Until the daemon has run, the link that config_path names leads to the source. */
static bool is_source(const struct doctor *doctor, int fd)
{
    const struct node *node = &doctor->check.node;
    struct pullkey_error ignored;
    struct stat own, source;

    return !doctor->check.is_overmount && fstat(fd, &own) == 0 &&
           node_stat(node, check_source(&doctor->check), &source, &ignored) == 0 &&
           own.st_dev == source.st_dev && own.st_ino == source.st_ino;
}

/* What the daemon says is of this target, or of another one that it is at work on. */
static void look_at_status(struct doctor *doctor)
{
    static const char *const keys[] = { "configuration_problem", "source_problem",
                                        "target_problem" };
    const cJSON *status = doctor->status.root;
    const char *target = json_text(status, "target"), *source = json_text(status, "source");

    if (!doctor->is_running && target && publish_is_held(target)) {
        findings_add(&doctor->check.findings, OUTPUT_ERROR, "target-other",
                     doctor->read_root->hosts.path, 0,
                     "give both the same directory: config_path of containerd, --target or --link "
                     "of the daemon",
                     "containerd reads this, and the daemon writes %s", target);
        return;
    }
    if (!doctor->is_running) {
        add(doctor, "daemon-not-running", FIX_START,
            "the daemon does not run: what it has written stays as it is, until it expires too");
        return;
    }
    doctor_step(doctor, DOCTOR_OK, "daemon", "the daemon runs, and makes %s of %s",
                target ? target : doctor->read_root->hosts.path, source ? source : "its source");
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        if (json_text(status, keys[i]))
            add(doctor, "source-problem", "mend that; the daemon sees it by itself",
                json_text(status, keys[i]));
}

static void look_at_target(struct doctor *doctor, int fd)
{
    if (is_source(doctor, fd)) {
        add(doctor, "target-is-source", FIX_START,
            "it still leads to the source, where credHelper does nothing: the daemon has not run "
            "since this machine was started");
        return;
    }
    doctor->is_running = publish_is_at_work(fd);
    look_at_status(doctor);
}

void doctor_daemon(struct doctor *doctor)
{
    const struct check_root *root = doctor->read_root;
    struct pullkey_error why;
    int fd;

    if (!root || !root->is_target)
        return;
    fd = node_open_at(&doctor->check.node, root->hosts.inner, O_RDONLY | O_DIRECTORY, &why);
    if (fd >= 0) {
        look_at_target(doctor, fd);
        (void)close(fd);
    } else if (doctor->check.node.root[0] != '\0' && fd == -PULLKEY_NOT_FOUND) {
        doctor_step(doctor, DOCTOR_NOTE, "daemon", "%s is made when the node starts",
                    root->hosts.inner);
    } else {
        add(doctor, "target-missing", FIX_START, why.message);
    }
}
