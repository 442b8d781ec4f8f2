/* SPDX-License-Identifier: Apache-2.0 */
/*
 * containerd: config_path, which leads to what pullkey-hosts writes. k3s and RKE2 write config.toml
 * themselves, and import a directory of others.
 */
#include "setup.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "setup-toml.h"

#define CONFIG "/etc/containerd/config.toml"
#define VALUE "/run/pullkey/certs.d"
#define IMPORTED "config-v3.toml.d"

static const char *const distributions[] = { "k3s", "rke2" };
static const char drop_in[] = "version = 3\n\n[plugins.\"io.containerd.cri.v1.images\".registry]\n"
                              "  config_path = \"" VALUE "\"\n";

/* Somewhere on a line before its comment. */
static bool has_imports(const char *text)
{
    for (size_t length; *text != '\0'; text += length + (text[length] == '\n')) {
        length = strcspn(text, "\n");
        if (memmem(text, strcspn(text, "#\n"), IMPORTED, sizeof(IMPORTED) - 1))
            return true;
    }
    return false;
}

/* The directory beside config.toml must be one that it imports. */
static int put_drop_in(struct setup *setup, const char *name, const char *config,
                       struct pullkey_error *error)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(JSON_SIZE_MAX);
    char path[FILE_PATH_MAX];
    struct change *file;
    int r = file_read(config, FILE_GIVEN, 0, &text, NULL, error);

    if (r < 0)
        return r;
    if (!text.data || !has_imports(text.data))
        return error_set(error, PULLKEY_INVALID,
                         "%s imports no " IMPORTED ": this %s needs a config.toml.tmpl of yours",
                         config, name);
    (void)snprintf(path, sizeof(path),
                   "/var/lib/rancher/%s/agent/etc/containerd/config-v3.toml.d/pullkey.toml", name);
    r = setup_open(setup, path, 0600, &file, error);
    if (r < 0 || (file->old.data && strcmp(file->old.data, drop_in) == 0))
        return r;
    if (!change_is_new(file))
        return error_set(error, PULLKEY_INVALID, "%s is there, and somebody's: it stays as it is",
                         file->path);
    setup_note(setup,
               "pullkey-hosts has to read what %s writes: link its %s.conf into "
               "/etc/systemd/system/pullkey-hosts.service.d",
               name, name);
    return setup_edit(setup, file, 0, 0, drop_in, sizeof(drop_in) - 1, NULL, NULL, error);
}

static int put_key(struct setup *setup, struct pullkey_error *error)
{
    struct setup_toml edit = { .text = BUFFER_INIT(JSON_SIZE_MAX) };
    struct change *file;
    int r = setup_open(setup, CONFIG, 0644, &file, error);

    if (r == 0)
        r = setup_toml(file->path, file->old.data ? file->old.data : "", file->old.length, VALUE,
                       &edit, error);
    if (r == 0 && edit.imports > 0)
        setup_note(setup,
                   "%s:%zu names other files, which go before it: \"pullkey hosts check\" "
                   "looks at them",
                   file->path, edit.imports);
    if (r == 0 && edit.text.length > 0)
        r = setup_edit(setup, file, edit.begin, edit.end, edit.text.data, edit.text.length, NULL,
                       NULL, error);
    buffer_done(&edit.text);
    return r;
}

int setup_containerd(struct setup *setup, struct pullkey_error *error)
{
    int r = -PULLKEY_NOT_FOUND;

    if (!admin_has_hosts())
        return error_set(error, PULLKEY_UNSUPPORTED,
                         "containerd needs pullkey-hosts, which is not installed");
    for (size_t i = 0; i < 2 && r == -PULLKEY_NOT_FOUND; i++) {
        char config[FILE_PATH_MAX];

        (void)snprintf(config, sizeof(config),
                       "/var/lib/rancher/%s/agent/etc/containerd/config.toml", distributions[i]);
        if (access(config, F_OK) == 0)
            r = put_drop_in(setup, distributions[i], config, error);
    }
    if (r == -PULLKEY_NOT_FOUND)
        r = put_key(setup, error);
    if (r == 0)
        setup_note(setup,
                   "Then, in this order: systemd-sysusers && systemd-tmpfiles --create; "
                   "systemctl enable --now pullkey-hosts; restart containerd; \"pullkey hosts "
                   "check\"");
    return r;
}
