/* SPDX-License-Identifier: Apache-2.0 */
/* What the node needs beside containerd's files: helpers, their user, a system that leaves
 * configuration alone. */
#include "check.h"

#include <pwd.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "pullkey-build.h"

#define OUR_HELPER "pullkey"
#define PASSWD_MAX (4u * 1024 * 1024)
#define RELEASE_MAX 65536

/* -- Helpers ---------------------------------------------------------------------------------- */

static bool is_installed(const struct check *check, const char *helper)
{
    static const char *const places[] = { PULLKEY_BINDIR, "/usr/local/bin", "/usr/bin" };
    char inner[FILE_PATH_MAX];
    struct pullkey_error ignored;
    struct stat status;

    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        (void)snprintf(inner, sizeof(inner), "%s/docker-credential-%s", places[i], helper);
        if (node_stat(&check->node, inner, &status, &ignored) == 0 && S_ISREG(status.st_mode) &&
            (status.st_mode & 0111))
            return true;
    }
    return false;
}

static bool has_user(const struct check *check, const char *user)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(PASSWD_MAX);
    struct pullkey_error ignored;
    size_t length = strlen(user);

    if (check->node.root[0] == '\0' && getpwnam(user))
        return true;
    if (node_read(&check->node, "/etc/passwd", &text, &ignored) < 0 || !text.data)
        return false;
    for (const char *line = text.data; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, user, length) == 0 && line[length] == ':')
            return true;
    }
    return false;
}

static void check_helper(struct check *check, const char *helper, const char *file, size_t line,
                         bool *ret_others)
{
    /* pullkey's own is not run: pullkey asks itself. */
    if (strcmp(helper, OUR_HELPER) == 0)
        return;
    *ret_others = true;
    if (!is_installed(check, helper))
        findings_add(&check->findings, OUTPUT_ERROR, "helper-missing", file, line,
                     "install it in /usr/local/bin or /usr/bin",
                     "the program docker-credential-%s is not installed", helper);
}

void check_helpers(struct check *check)
{
    bool others = false;

    for (size_t i = 0; i < check->root_count; i++)
        for (size_t j = 0; !check->roots[i].is_target && j < check->roots[i].hosts.count; j++) {
            const struct node_host_directory *directory = &check->roots[i].hosts.directories[j];

            for (size_t k = 0; k < directory->file.host_count; k++) {
                const struct hosts_host *host = &directory->file.hosts[k];

                if (host->helper)
                    check_helper(check, host->helper, directory->path,
                                 host->helper_item ? host->helper_item->line : 0, &others);
            }
        }
    if (others && check->settings && !has_user(check, check->settings->helper_user))
        findings_add(&check->findings, OUTPUT_ERROR, "helper-user-missing", NULL, 0,
                     "make the user with \"useradd --system\", or set helper_user in the "
                     "configuration",
                     "there is no user %s, who is to run the helpers",
                     check->settings->helper_user);
    if (check->settings && check->settings->scrub && check->has_helpers)
        findings_add(
            &check->findings, OUTPUT_NOTE, "scrub", NULL, 0,
            "leave scrub off where pulls must go on without the daemon, or the issuer",
            "scrub is on: files are without a credential when the daemon is gone, and after "
            "each restart or upgrade of it until its helper has answered; pulls that need "
            "one fail meanwhile");
    if (check->settings && check->settings->readers_policy == SETTINGS_READERS_DENY &&
        check->has_helpers)
        findings_add(&check->findings, OUTPUT_NOTE, "readers-deny", NULL, 0,
                     "list in readers every program that pulls, by its path",
                     "readers_policy is \"deny\": a program that is not listed cannot read the "
                     "files, until the daemon is gone");
}

/* -- The system ------------------------------------------------------------------------------- */

static const struct {
    const char *id, *line, *text, *fix;
} systems[] = {
    { "managed-talos", "ID=talos",
      "Talos writes containerd's configuration from its machine "
      "configuration",
      "change machine.registries and machine.files of the machine configuration" },
    { "managed-bottlerocket", "ID=bottlerocket",
      "Bottlerocket writes containerd's configuration, and has a containerd of its own that reads "
      "credentials.toml",
      "use settings.container-registry of the API" },
    { "managed-gke", "ID=cos", "Container-Optimized OS of GKE writes containerd's configuration",
      "use containerdConfig of the node pool" },
};

static bool has_line(const char *text, const char *line)
{
    for (const char *at = text; (at = strstr(at, line)); at++)
        if ((at == text || at[-1] == '\n') && strchr("\r\n", at[strlen(line)]))
            return true;
    return false;
}

/* What the kernel does, or what a template asks for. */
bool check_is_selinux_enforcing(const struct check *check)
{
    bool is_machine = check->node.root[0] == '\0';
    cleanup_buffer struct buffer text = BUFFER_INIT(RELEASE_MAX);
    struct pullkey_error ignored;
    int r = node_read(&check->node, is_machine ? "/sys/fs/selinux/enforce" : "/etc/selinux/config",
                      &text, &ignored);

    if (r < 0 || !text.data)
        return false;
    return is_machine ? text.data[0] == '1' : has_line(text.data, "SELINUX=enforcing");
}

/* Where releases of rpm have their database. Its formats are rpm's own, and change with it. */
static bool has_rpm(const struct check *check)
{
    static const char *const places[] = {
        "/usr/lib/sysimage/rpm/rpmdb.sqlite", "/usr/lib/sysimage/rpm/Packages.db",
        "/usr/lib/sysimage/rpm/Packages",     "/var/lib/rpm/rpmdb.sqlite",
        "/var/lib/rpm/Packages.db",           "/var/lib/rpm/Packages",
    };
    struct pullkey_error ignored;
    struct stat status;

    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
        if (node_stat(&check->node, places[i], &status, &ignored) == 0)
            return true;
    return false;
}

static void check_version(struct check *check, const struct node_config *config)
{
    if (config->owner == NODE_CONTAINERD && config->file_count > 0 && !config->version.is_known &&
        has_rpm(check))
        findings_add(&check->findings, OUTPUT_NOTE, "version-unknown", config->path, 0,
                     "run \"pullkey hosts check\" on the node itself, where containerd says it",
                     "the version of containerd could not be determined, as the database of rpm is "
                     "not read: what is wrong with some releases only may not be wrong here");
}

void check_system(struct check *check)
{
    static const char *const places[] = { "/etc/os-release", "/usr/lib/os-release" };
    cleanup_buffer struct buffer text = BUFFER_INIT(RELEASE_MAX);
    struct pullkey_error ignored;
    int r = -1;

    for (size_t i = 0; r < 0 && i < 2; i++)
        r = node_read(&check->node, places[i], &text, &ignored);
    for (size_t i = 0; text.data && i < sizeof(systems) / sizeof(systems[0]); i++)
        if (has_line(text.data, systems[i].line))
            findings_add(&check->findings, OUTPUT_NOTE, systems[i].id, NULL, 0, systems[i].fix,
                         "%s", systems[i].text);
    for (size_t i = 0; i < check->node.config_count; i++)
        check_version(check, &check->node.configs[i]);
    for (size_t i = 0; i < check->node.config_count; i++)
        if (check->node.configs[i].owner != NODE_CONTAINERD)
            findings_add(&check->findings, OUTPUT_NOTE, "managed-k3s", check->node.configs[i].path,
                         0,
                         "change registries.yaml, or put a file into config-v3.toml.d beside this "
                         "one; containerd 1 needs a config.toml.tmpl there",
                         "%s writes this file and the hosts directories at every start",
                         check->node.configs[i].owner == NODE_K3S ? "k3s" : "RKE2");
}
