/* SPDX-License-Identifier: Apache-2.0 */
/* What stands in hosts directories and is no directory. Seen with containerd 1.7, 2.0 and 2.3. */
#include "check.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"

#define FIX_LINK "make what the link leads to, or remove it"

/* Where a link leads that leads to nothing. What is made at boot is not in a template. */
static bool is_dangling(const struct check *check, const char *inner, char ret[FILE_PATH_MAX])
{
    struct pullkey_error ignored;
    struct stat status;
    ssize_t length;
    int fd;

    if (node_stat(&check->node, inner, &status, &ignored) != -PULLKEY_NOT_FOUND)
        return false;
    fd = node_open_at(&check->node, inner, O_PATH | O_NOFOLLOW, &ignored);
    if (fd < 0)
        return false;
    length = readlinkat(fd, "", ret, FILE_PATH_MAX - 1);
    (void)close(fd);
    if (length < 0)
        return false;
    ret[length] = '\0';
    return check->node.root[0] == '\0' || strncmp(ret, "/run/", 5) != 0;
}

/* containerd passes it over in silence. */
static void check_link(struct check *check, const struct check_root *root, const char *name,
                       const char *path, const char *link)
{
    bool has_default = strcmp(name, "_default") != 0 && check_find_directory(root, "_default");

    findings_add(&check->findings, OUTPUT_WARNING, "link-dangling", path, 0, FIX_LINK,
                 "it leads to %s, which is not there: containerd %s", link,
                 has_default ? "takes _default for this registry"
                             : "pulls from the registry itself");
}

/* Not what people keep beside the directories: notes, copies, certificates. */
static bool is_registry(const char *name)
{
    static const char *const others[] = { "bak", "cert", "conf", "crt", "json", "key",
                                          "md",  "old",  "orig", "pem", "sh",   "swp",
                                          "tmp", "txt",  "yaml", "yml", "toml" };
    const char *dot = strrchr(name, '.');

    for (size_t i = 0; dot && i < sizeof(others) / sizeof(others[0]); i++)
        if (text_equal_any_case(dot + 1, others[i]))
            return false;
    return name[0] != '.' && (strcmp(name, "_default") == 0 || strpbrk(name, ".:"));
}

static void check_file(struct check *check, const char *name, const char *path)
{
    if (strcmp(name, "hosts.toml") == 0)
        findings_add(&check->findings, OUTPUT_WARNING, "hosts-file-misplaced", path, 0,
                     "put it into a directory of the registry's name, or _default",
                     "containerd does not read a hosts.toml here");
    else if (is_registry(name))
        findings_add(&check->findings, OUTPUT_ERROR, "directory-is-file", path, 0,
                     "make it a directory with a hosts.toml in it, or remove it",
                     "it is no directory: every pull for which containerd looks here fails");
}

static void check_entry(struct check *check, const struct check_root *root, const char *name)
{
    char inner[FILE_PATH_MAX], path[FILE_PATH_MAX], link[FILE_PATH_MAX];
    struct pullkey_error ignored;
    struct stat status;

    if (file_join(inner, root->hosts.inner, name, &ignored) < 0 ||
        file_join(path, root->hosts.path, name, &ignored) < 0)
        return;
    if (node_stat(&check->node, inner, &status, &ignored) == 0 && !S_ISDIR(status.st_mode))
        check_file(check, name, path);
    else if (is_dangling(check, inner, link))
        check_link(check, root, name, path, link);
}

void check_entries(struct check *check, const struct check_root *root)
{
    cleanup_names struct node_names names = { 0 };
    struct pullkey_error ignored;
    char link[FILE_PATH_MAX];

    if (!root->hosts.exists || node_list(&check->node, root->hosts.inner, &names, &ignored) < 0)
        return;
    for (size_t i = 0; i < names.count; i++)
        if (!check_find_directory(root, names.items[i]))
            check_entry(check, root, names.items[i]);
    for (size_t i = 0; i < root->hosts.count; i++) {
        const struct node_host_directory *directory = &root->hosts.directories[i];

        if (!directory->has_file && is_dangling(check, directory->inner, link))
            findings_add(&check->findings, OUTPUT_WARNING, "link-dangling", directory->path, 0,
                         FIX_LINK, "it leads to %s, which is not there: containerd reads no hosts",
                         link);
    }
}
