/* SPDX-License-Identifier: Apache-2.0 */
/* The kubelet of this machine: its flags, its version, and where its files usually are. */
#include "kubelet.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/child.h"
#include "base/error.h"
#include "base/secret.h"
#include "pullkey-build.h"

#define COMMAND_LINE_MAX (2u * 1024 * 1024) /* as long as Linux has them */
#define ANSWER_MAX 4096
#define ANSWER_WAIT_MS 5000

/* The samples of pullkey, for a package and for the manifests; EKS; k3s and RKE2; OpenShift; GKE;
 * AKS. */
static const struct {
    const char *config, *bin_dir;
} places[] = {
    { "/etc/kubernetes/credential-provider.yaml", PULLKEY_LIBEXECDIR },
    { "/etc/pullkey/credential-provider.yaml", "/opt/pullkey/libexec/pullkey" },
    { "/etc/eks/image-credential-provider/config.json", "/etc/eks/image-credential-provider" },
    { "/var/lib/rancher/credentialprovider/config.yaml",
      "/var/lib/rancher/credentialprovider/bin" },
    { "/etc/kubernetes/credential-providers",
      "/usr/libexec/kubelet-image-credential-provider-plugins" },
    { "/etc/srv/kubernetes/cri_auth_config.yaml", "/home/kubernetes/bin" },
    { "/var/lib/kubelet/credential-provider-config.yaml", "/var/lib/kubelet/credential-provider" },
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

bool kubelet_version_parse(const char *text, struct kubelet_version *ret)
{
    static const char name[] = "Kubernetes ";
    int major, minor, used = 0;

    if (strncmp(text, name, strlen(name)) == 0)
        text += strlen(name);
    text += text[0] == 'v';
    if (text[0] < '0' || text[0] > '9' || sscanf(text, "%3d.%4d%n", &major, &minor, &used) != 2 ||
        major != 1 || minor < 0 || !strchr(".-+ \n", text[used]))
        return false;
    *ret = (struct kubelet_version){ .is_known = true, .minor = minor };
    return true;
}

/* -- The one that runs ------------------------------------------------------------------------ */

/* The value of "--NAME=VALUE", or of "--NAME VALUE"; NULL if this word is another one. */
static const char *flag_value(const char *word, const char *next, const char *name)
{
    size_t length = strlen(name);

    if (word[0] != '-')
        return NULL;
    word += word[1] == '-' ? 2 : 1;
    if (strncmp(word, name, length) != 0)
        return NULL;
    if (word[length] == '=')
        return word + length + 1;
    return word[length] == '\0' ? next : NULL;
}

static void take_gates(const char *gates, struct kubelet_node *node)
{
    const char *at = strstr(gates, KUBELET_GATE "=");

    if (at)
        node->gate = strncmp(at + strlen(KUBELET_GATE "="), "true", 4) == 0 ? KUBELET_GATE_ON
                                                                            : KUBELET_GATE_OFF;
}

static bool take_path(const char *value, char ret[FILE_PATH_MAX])
{
    if (!value)
        return false;
    /* What is not absolute is the kubelet's own to find. */
    (void)snprintf(ret, FILE_PATH_MAX, "%s", value[0] == '/' ? value : "");
    return true;
}

/* The words of its command line, each with a NUL behind it. */
static void take_words(const struct buffer *words, struct kubelet_node *node)
{
    const char *end = words->data + words->length;

    for (const char *word = words->data; word < end; word += strlen(word) + 1) {
        const char *next = word + strlen(word) + 1 < end ? word + strlen(word) + 1 : NULL;
        const char *gates = flag_value(word, next, "feature-gates");

        if (take_path(flag_value(word, next, "image-credential-provider-config"), node->config))
            node->has_config = true;
        if (take_path(flag_value(word, next, "image-credential-provider-bin-dir"), node->bin_dir))
            node->has_bin_dir = true;
        if (gates)
            take_gates(gates, node);
    }
}

static bool is_kubelet(const char *command)
{
    const char *slash = strrchr(command, '/');

    return strcmp(slash ? slash + 1 : command, "kubelet") == 0;
}

/* Root's or our own: the real user counts too, as anybody can start a program that becomes root.
 * What is inside the directory may belong to root in any case. And none with a second number, which
 * is that of a container, as kind has them: its files are not here. */
static bool is_of_machine(int directory)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(ANSWER_MAX);
    const int fd = openat(directory, "status", O_RDONLY | O_CLOEXEC);
    unsigned int real, effective, saved;
    struct pullkey_error ignored;
    const char *line, *numbers;
    int first, second;

    if (fd < 0)
        return false;
    (void)buffer_read(&text, fd, &ignored);
    (void)close(fd);
    line = text.data ? strstr(text.data, "\nUid:") : NULL;
    numbers = text.data ? strstr(text.data, "\nNSpid:") : NULL;
    if (numbers && sscanf(numbers, "\nNSpid: %d%*[\t]%d", &first, &second) == 2)
        return false;
    return line && sscanf(line, "\nUid: %u %u %u", &real, &effective, &saved) == 3 &&
           file_is_trusted_owner(real) && file_is_trusted_owner(effective) &&
           file_is_trusted_owner(saved);
}

bool kubelet_process_read(pid_t pid, const char *name, struct buffer *ret)
{
    char path[64];
    struct pullkey_error ignored;
    int directory, fd = -1;
    bool is_fine;

    (void)snprintf(path, sizeof(path), "/proc/%d", (int)pid);
    directory = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0)
        return false;
    if (is_of_machine(directory))
        fd = openat(directory, name, O_RDONLY | O_CLOEXEC);
    (void)close(directory);
    if (fd < 0)
        return false;
    is_fine = buffer_read(ret, fd, &ignored) == 0 && ret->data;
    (void)close(fd);
    return is_fine;
}

/* In a container with few capabilities the link of another process cannot be read: then its name
 * counts. ask() looks at whose file that is. */
static void take_program(const char *name, struct kubelet_node *node)
{
    char link[64];
    ssize_t length;

    (void)snprintf(link, sizeof(link), "/proc/%d/exe", (int)node->pid);
    length = readlink(link, node->program, sizeof(node->program) - 1);
    node->program[length > 0 ? length : 0] = '\0';
    if (length < 0 && name[0] == '/')
        (void)snprintf(node->program, sizeof(node->program), "%s", name);
}

static void find_process(struct kubelet_node *node)
{
    DIR *directory = opendir("/proc");
    const struct dirent *entry;

    while (directory && node->pid == 0 && (entry = readdir(directory))) {
        cleanup_buffer struct buffer words = BUFFER_INIT(COMMAND_LINE_MAX);
        pid_t pid;

        if (entry->d_name[0] < '1' || entry->d_name[0] > '9')
            continue;
        pid = (pid_t)strtol(entry->d_name, NULL, 10);
        if (!kubelet_process_read(pid, "cmdline", &words) || !is_kubelet(words.data))
            continue;
        node->pid = pid;
        take_words(&words, node);
        take_program(words.data, node);
    }
    if (directory)
        (void)closedir(directory);
}

/* -- Its version ------------------------------------------------------------------------------ */

/* Nothing is run that others can change. */
static bool ask(const char *program, struct kubelet_version *ret)
{
    static const char *const words[] = { "kubelet", "--version", NULL };
    struct pullkey_error ignored;
    char path[FILE_PATH_MAX], text[ANSWER_MAX];

    return program[0] == '/' && realpath(program, path) &&
           file_check(path, FILE_LINKED, &ignored) == 0 &&
           child_run(path, words, NULL, ANSWER_WAIT_MS, text, sizeof(text), &ignored) == 0 &&
           kubelet_version_parse(text, ret);
}

static void ask_in_path(struct kubelet_version *ret)
{
    const char *at = secure_getenv("PATH");

    while (at && !ret->is_known) {
        size_t length = strcspn(at, ":");
        char path[FILE_PATH_MAX];

        if (length > 0 &&
            snprintf(path, sizeof(path), "%.*s/kubelet", (int)length, at) < (int)sizeof(path))
            (void)ask(path, ret);
        at = at[length] == ':' ? at + length + 1 : NULL;
    }
}

/* -- All of it -------------------------------------------------------------------------------- */

static void find_places(struct kubelet_node *node)
{
    for (size_t i = 0; i < COUNT(places); i++) {
        if (node->config[0] == '\0' && !node->has_config && access(places[i].config, F_OK) == 0)
            (void)take_path(places[i].config, node->config);
        if (node->bin_dir[0] == '\0' && !node->has_bin_dir &&
            strcmp(node->config, places[i].config) == 0)
            (void)take_path(places[i].bin_dir, node->bin_dir);
    }
}

/* What a person names may be below the directory in which we are. */
static int take_option(const char *value, char ret[FILE_PATH_MAX], struct pullkey_error *error)
{
    if (!value)
        return 0;
    if (snprintf(ret, FILE_PATH_MAX, "%s", value) >= FILE_PATH_MAX)
        return error_set(error, PULLKEY_INVALID, "a path is longer than %d bytes", FILE_PATH_MAX);
    return 0;
}

int kubelet_node_find(const struct admin_call *call, struct kubelet_node *ret,
                      struct pullkey_error *error)
{
    const char *version = call->values[ADMIN_KUBELET_VERSION];
    int r;

    *ret = (struct kubelet_node){ 0 };
    if (version && !kubelet_version_parse(version, &ret->version))
        return admin_usage(error, "--kubelet-version: write it as 1.34 or v1.34.2");
    find_process(ret);
    /* Its flags say nothing about another release. */
    if (version)
        ret->gate = KUBELET_GATE_DEFAULT;
    r = take_option(call->values[ADMIN_CONFIG], ret->config, error);
    if (r == 0)
        r = take_option(call->values[ADMIN_BIN_DIR], ret->bin_dir, error);
    if (r < 0)
        return r;
    find_places(ret);
    if (!ret->version.is_known && ret->program[0] != '\0')
        (void)ask(ret->program, &ret->version);
    if (!ret->version.is_known)
        ask_in_path(&ret->version);
    return 0;
}
