/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kubelet: the file of its credential providers, and its two flags in a drop-in of
 * kubelet.service, where KUBELET_EXTRA_ARGS are kubeadm's. A kubelet that has these flags already
 * has providers of others, too: that file is somebody's to change.
 */
#include "setup.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/secret.h"
#include "kubelet.h"
#include "pullkey-build.h"

#define CONFIG "/etc/kubernetes/credential-provider.yaml"
#define UNIT "/etc/systemd/system/kubelet.service.d/pullkey.conf"
#define FLAG "--image-credential-provider-"
#define FLAGS FLAG "config=" CONFIG " " FLAG "bin-dir=" PULLKEY_LIBEXECDIR

/* Files of kubeadm's unit that set the variable again, after the drop-in. */
static const char *const variables[] = { "/etc/default/kubelet", "/etc/sysconfig/kubelet" };

static int check_node(const struct kubelet_node *node, struct pullkey_error *error)
{
    if (node->has_config && strcmp(node->config, CONFIG) != 0)
        return error_set(error, PULLKEY_INVALID,
                         "the kubelet that runs has its providers in %s: add to them what "
                         "\"pullkey kubelet config\" prints",
                         node->config[0] != '\0' ? node->config : "a file of its own");
    for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++) {
        cleanup_buffer struct buffer text = BUFFER_INIT(JSON_SIZE_MAX);
        struct pullkey_error ignored;
        const char *at;

        if (file_read(variables[i], FILE_GIVEN, 0, &text, NULL, &ignored) < 0 || !text.data)
            continue;
        at = strstr(text.data, "KUBELET_EXTRA_ARGS=");
        if (at && (at == text.data || at[-1] == '\n') && !strchr("\n\"", at[19]))
            return error_set(error, PULLKEY_INVALID,
                             "%s sets KUBELET_EXTRA_ARGS, which goes before a drop-in: add " FLAGS
                             " there, and write the first with \"pullkey kubelet config\"",
                             variables[i]);
    }
    return 0;
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
    static const char unit[] = "[Service]\nEnvironment=\"KUBELET_EXTRA_ARGS=" FLAGS "\"\n";
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
