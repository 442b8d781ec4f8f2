/* SPDX-License-Identifier: Apache-2.0 */
/* `pullkey kubelet check`: what is wrong with the kubelet's configuration of credential providers.
 */
#include "kubelet.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/secret.h"

#define TEXT_MAX (8u * JSON_SIZE_MAX)

void kubelet_check_done(struct kubelet_check *check)
{
    for (size_t i = 0; i < check->file_count; i++)
        kubelet_file_done(&check->files[i]);
    secret_release(check->files);
    findings_done(&check->findings);
}

/* The kubelet's program reads the system's configuration, whoever runs this. */
static int load_config(struct kubelet_check *check, struct config *config,
                       struct pullkey_error *error)
{
    struct config_source source;
    struct pullkey_error why;
    int r = config_source_default(true, &source, &why);

    if (r == 0)
        r = config_load(&source, config, &why);
    if (r == -PULLKEY_INTERNAL) {
        *error = why;
        return r;
    }
    if (r == 0)
        check->config = config;
    else
        findings_add(&check->findings, OUTPUT_ERROR, "configuration", NULL, 0,
                     "run \"pullkey --system config check\"", "%s", why.message);
    return 0;
}

/* One flag is of no use without the other. Whoever names a file asks about that. */
static void check_flags(struct kubelet_check *check)
{
    const struct kubelet_node *node = &check->node;

    if (check->is_given)
        return;
    if (node->pid != 0 && node->has_config != node->has_bin_dir)
        findings_add(&check->findings, OUTPUT_ERROR, "kubelet-flags", NULL, 0,
                     "give it both --image-credential-provider-config and "
                     "--image-credential-provider-bin-dir",
                     "the kubelet that runs (%d) has only one of the two flags", (int)node->pid);
    else if (node->pid != 0 && !node->has_config)
        findings_add(&check->findings, OUTPUT_WARNING, "kubelet-flags", NULL, 0,
                     "give it --image-credential-provider-config and "
                     "--image-credential-provider-bin-dir, and restart it",
                     "the kubelet that runs (%d) was not told of any configuration",
                     (int)node->pid);
}

static int check_all(struct kubelet_check *check, struct pullkey_error *error)
{
    int r;

    check_flags(check);
    if (check->node.config[0] == '\0') {
        findings_add(&check->findings, OUTPUT_WARNING, "no-config", NULL, 0,
                     "name it with --config, or write what \"pullkey kubelet config\" prints",
                     "no CredentialProviderConfig is known on this machine");
        return 0;
    }
    r = kubelet_check_files(check, error);
    if (r < 0)
        return r;
    for (size_t i = 0; i < check->provider_count; i++)
        kubelet_check_provider(check, &check->providers[i]);
    if (check->provider_count == 0 && check->findings.levels[OUTPUT_ERROR] == 0 &&
        check->file_count > 0 && check->files[0].json.root)
        kubelet_find(check, &check->files[0], NULL, OUTPUT_ERROR, "no-provider",
                     "add one, for example what \"pullkey kubelet config\" prints",
                     "there is no provider: the kubelet does not start");
    kubelet_check_programs(check);
    kubelet_check_rules(check);
    kubelet_check_audiences(check);
    return 0;
}

/* -- Report ----------------------------------------------------------------------------------- */

static void write_name(struct buffer *json, const char *key, const char *name)
{
    buffer_printf(json, "\"%s\":", key);
    if (name[0] != '\0')
        json_write_name(json, name);
    else
        buffer_append_text(json, "null");
}

static int report_json(const struct kubelet_check *check, struct pullkey_error *error)
{
    cleanup_buffer struct buffer json = BUFFER_INIT(TEXT_MAX);

    buffer_append_text(&json, "{");
    write_name(&json, "config", check->node.config);
    buffer_append_text(&json, ",");
    write_name(&json, "bin_dir", check->node.bin_dir);
    if (check->node.version.is_known)
        buffer_printf(&json, ",\"version\":\"1.%d\"", check->node.version.minor);
    else
        buffer_append_text(&json, ",\"version\":null");
    buffer_append_text(&json, ",\n\"findings\":");
    findings_write(&check->findings, &json);
    buffer_append_text(&json, "}\n");
    return output_buffer(&json, error);
}

static int report_text(const struct kubelet_check *check, bool is_fine, struct pullkey_error *error)
{
    char release[32] = "an unknown release";
    int r = findings_print(&check->findings, error);

    if (check->node.version.is_known)
        (void)snprintf(release, sizeof(release), "1.%d", check->node.version.minor);
    if (r == 0 && is_fine)
        output_line("No problem found in %s with %zu provider%s, for a kubelet of %s",
                    check->node.config, check->provider_count,
                    check->provider_count == 1 ? "" : "s", release);
    return r;
}

int kubelet_check_run(const struct admin_call *call, struct kubelet_check *check,
                      struct config *config, struct pullkey_error *error)
{
    int r = kubelet_node_find(call, &check->node, error);

    if (r == 0)
        r = load_config(check, config, error);
    if (r == 0)
        r = check_all(check, error);
    return r < 0 ? r : findings_sort(&check->findings, error);
}

int admin_kubelet_check(const struct admin_call *call, struct pullkey_error *error)
{
    cleanup_config struct config config = { 0 };
    cleanup_kubelet_check struct kubelet_check check = {
        .is_given = call->values[ADMIN_CONFIG] != NULL,
        .kubeconfig = call->values[ADMIN_KUBECONFIG],
    };
    bool is_fine;
    int r;

    if (check.kubeconfig && strcmp(check.kubeconfig, "auto") != 0 && check.kubeconfig[0] != '/')
        return admin_usage(error, "--kubeconfig: give an absolute path, or \"auto\"");
    r = kubelet_check_run(call, &check, &config, error);
    if (r < 0)
        return r;
    is_fine = check.findings.levels[OUTPUT_ERROR] + check.findings.levels[OUTPUT_WARNING] == 0;
    r = call->values[ADMIN_JSON] ? report_json(&check, error) : report_text(&check, is_fine, error);
    if (r < 0)
        return r;
    return is_fine ? 0 : ADMIN_PROBLEM;
}
