/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kubelet: the file of its credential providers, and its two flags in a drop-in of
 * kubelet.service, where KUBELET_EXTRA_ARGS are kubeadm's. A kubelet that has these flags already
 * has providers of others, too: that file is somebody's to change.
 */
#include "setup.h"

#include <ctype.h>
#include <dirent.h>
#include <string.h>

#include "base/error.h"
#include "base/secret.h"
#include "kubelet.h"
#include "pullkey-build.h"

#define CONFIG "/etc/kubernetes/credential-provider.yaml"
#define NAME "pullkey.conf"
#define UNIT "/etc/systemd/system/kubelet.service.d/" NAME
#define FLAG "--image-credential-provider-"
#define FLAGS FLAG "config=" CONFIG " " FLAG "bin-dir=" PULLKEY_LIBEXECDIR

#define VARIABLE "KUBELET_EXTRA_ARGS="

/* Files of kubeadm's unit that set the variable again, after the drop-in. */
static const char *const variables[] = { "/etc/default/kubelet", "/etc/sysconfig/kubelet" };

/* Drop-ins of one name are those of the first. */
static const char *const directories[] = { "/etc/systemd/system/kubelet.service.d",
                                           "/run/systemd/system/kubelet.service.d",
                                           "/usr/lib/systemd/system/kubelet.service.d",
                                           "/lib/systemd/system/kubelet.service.d" };

/* Of the line, at the variable: what is quoted is the value, or in a unit the whole assignment. */
static bool is_set(const char *line, const char *at)
{
    const char *value = at + sizeof(VARIABLE) - 1;
    const char before = at > line ? at[-1] : ' ';

    if (before == '_' || isalnum((unsigned char)before) ||
        (strchr("\"'", before) && *value == before))
        return false;
    value += strspn(value, " \t");
    if (strchr("\"'", *value) && value[0] != '\0' && value[1] == value[0])
        value += 2;
    return value[strspn(value, " \t\r")] != '\n' && value[strspn(value, " \t\r")] != '\0';
}

static int check_file(const char *path, struct pullkey_error *error)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(JSON_SIZE_MAX);
    struct pullkey_error ignored;

    if (file_read(path, FILE_GIVEN, 0, &text, NULL, &ignored) < 0 || !text.data)
        return 0;
    for (const char *line = text.data, *next; *line != '\0'; line = next) {
        const char *at = strstr(line, VARIABLE);

        if (!at)
            break;
        next = line + strcspn(line, "\n");
        next += *next == '\n';
        line += strspn(line, " \t");
        for (; *line != '#' && *line != ';' && at && at < next; at = strstr(at + 1, VARIABLE))
            if (is_set(line, at))
                return error_set(error, PULLKEY_INVALID,
                                 "%s sets KUBELET_EXTRA_ARGS, which only one file can: add " FLAGS
                                 " there, and write the first with \"pullkey kubelet config\"",
                                 path);
    }
    return 0;
}

static int check_directory(const char *directory, struct pullkey_error *error)
{
    DIR *entries = opendir(directory);
    char path[FILE_PATH_MAX];
    int r = 0;

    for (const struct dirent *entry; r == 0 && entries && (entry = readdir(entries));) {
        const size_t length = strlen(entry->d_name);

        if (length < 6 || strcmp(entry->d_name + length - 5, ".conf") != 0 ||
            strcmp(entry->d_name, NAME) == 0)
            continue;
        r = file_join(path, directory, entry->d_name, error);
        if (r == 0)
            r = check_file(path, error);
    }
    if (entries)
        (void)closedir(entries);
    return r;
}

static int check_node(const struct kubelet_node *node, struct pullkey_error *error)
{
    int r = 0;

    if (node->has_config && strcmp(node->config, CONFIG) != 0)
        return error_set(error, PULLKEY_INVALID,
                         "the kubelet that runs has its providers in %s: add to them what "
                         "\"pullkey kubelet config\" prints",
                         node->config[0] != '\0' ? node->config : "a file of its own");
    for (size_t i = 0; r == 0 && i < sizeof(variables) / sizeof(variables[0]); i++)
        r = check_file(variables[i], error);
    for (size_t i = 0; r == 0 && i < sizeof(directories) / sizeof(directories[0]); i++)
        r = check_directory(directories[i], error);
    return r;
}

/* True if pullkey's is the only provider: then the file is ours. */
static int is_ours(const struct change *file, bool *ret, struct pullkey_error *error)
{
    struct kubelet_file parsed = { 0 };
    const cJSON *list;
    int r = kubelet_file_read(file->path, &parsed, error);

    if (r < 0)
        return r;
    list = kubelet_member(&parsed, parsed.json.root, "providers", KUBELET_TYPE_LIST);
    *ret = list != NULL;
    for (const cJSON *item = list ? list->child : NULL; item; item = item->next) {
        const char *name = kubelet_string(&parsed, item, "name");

        *ret = *ret && name && strcmp(name, KUBELET_PROGRAM) == 0;
    }
    kubelet_file_done(&parsed);
    return 0;
}

/* The whole text, if it is another. */
static int put(struct setup *setup, const char *path, const char *text, struct pullkey_error *error)
{
    struct change *file;
    bool ours = true;
    int r = setup_open(setup, path, 0644, &file, error);

    if (r < 0 || (file->old.data && strcmp(file->old.data, text) == 0))
        return r;
    if (!change_is_new(file) && strcmp(path, CONFIG) == 0)
        r = is_ours(file, &ours, error);
    else
        ours = change_is_new(file);
    if (r < 0)
        return r;
    if (!ours)
        return error_set(error, PULLKEY_INVALID,
                         "%s is there, and somebody's: it stays as it is; add to it %s", file->path,
                         strcmp(path, CONFIG) == 0 ? "the output of \"pullkey kubelet config\""
                                                   : FLAGS);
    return setup_edit(setup, file, 0, file->old.length, text, strlen(text), NULL, NULL, error);
}

int setup_kubelet(struct setup *setup, struct pullkey_error *error)
{
    static const char unit[] = "[Service]\nEnvironment=\"" VARIABLE FLAGS "\"\n";
    cleanup_buffer struct buffer text = BUFFER_INIT(JSON_SIZE_MAX);
    struct kubelet_node node;
    int r = kubelet_node_find(setup->call, &node, error);

    if (r == 0)
        r = check_node(&node, error);
    if (r == 0)
        r = kubelet_config_text(setup->call, &text, error);
    if (r == 0)
        r = put(setup, CONFIG, text.data, error);
    if (r == 0)
        r = put(setup, UNIT, unit, error);
    if (r == 0)
        setup_note(setup, "Then: systemctl daemon-reload && systemctl restart kubelet; before "
                          "that, \"pullkey kubelet check\" tells whether it will start");
    return r;
}
