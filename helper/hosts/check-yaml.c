/* SPDX-License-Identifier: Apache-2.0 */
/* registries.yaml of k3s and RKE2, which write config.toml and hosts.toml from it. */
#include "check.h"

#include <string.h>

static const char *const top_keys[] = { "mirrors", "configs", "auths", NULL };
static const char *const mirror_keys[] = { "endpoint", "rewrite", NULL };
static const char *const config_keys[] = { "auth", "tls", NULL };
static const char *const auth_keys[] = { "username", "password", "auth", "identity_token", NULL };
static const char *const tls_keys[] = { "ca_file", "cert_file", "key_file", "insecure_skip_verify",
                                        NULL };

static void check_keys(struct check *check, const struct node_yaml *yaml, const cJSON *object,
                       const char *const *names, const char *where)
{
    for (const cJSON *item = cJSON_IsObject(object) ? object->child : NULL; item;
         item = item->next) {
        size_t i = 0;

        while (names[i] && strcmp(item->string, names[i]) != 0)
            i++;
        if (!names[i])
            findings_add(&check->findings, OUTPUT_WARNING, "unknown-key", yaml->path,
                         json_line(&yaml->json, item), "remove it: it does nothing",
                         "%s is no key that k3s and RKE2 have in %s", item->string, where);
    }
}

static bool has_value(const cJSON *item)
{
    return item && !cJSON_IsNull(item) && !(cJSON_IsString(item) && item->valuestring[0] == '\0');
}

static void check_auth(struct check *check, const struct node_yaml *yaml, const char *host,
                       const cJSON *auth)
{
    static const char *const secrets[] = { "password", "auth", "identity_token" };

    check_keys(check, yaml, auth, auth_keys, "auth");
    for (size_t i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++) {
        const cJSON *item = cJSON_IsObject(auth) ? json_member(auth, secrets[i]) : NULL;

        if (has_value(item))
            findings_add(&check->findings, OUTPUT_ERROR, "plaintext-registries", yaml->path,
                         json_line(&yaml->json, item),
                         "run \"pullkey hosts migrate\", and name the helper in pullkey's "
                         "configuration",
                         "%s of %s is in plain text, here and in the config.toml that is made of "
                         "it",
                         secrets[i], check_host_name(host));
    }
}

void check_yaml(struct check *check, const struct node_yaml *yaml)
{
    const cJSON *root = yaml->json.root;
    const cJSON *configs = cJSON_IsObject(root) ? json_member(root, "configs") : NULL;
    const cJSON *mirrors = cJSON_IsObject(root) ? json_member(root, "mirrors") : NULL;
    const cJSON *auths = cJSON_IsObject(root) ? json_member(root, "auths") : NULL;

    if (yaml->problem.code == PULLKEY_UNSUPPORTED)
        findings_add_error(&check->findings, OUTPUT_WARNING, "registries-not-checked", yaml->path,
                           "install the module \"yaml\" of pullkey", &yaml->problem);
    else if (yaml->problem.code != PULLKEY_OK)
        findings_add_error(&check->findings, OUTPUT_ERROR, "registries-refused", yaml->path,
                           "write it in plain YAML", &yaml->problem);
    check_keys(check, yaml, root, top_keys, "registries.yaml");
    for (const cJSON *item = cJSON_IsObject(mirrors) ? mirrors->child : NULL; item;
         item = item->next)
        check_keys(check, yaml, item, mirror_keys, "mirrors");
    for (const cJSON *item = cJSON_IsObject(configs) ? configs->child : NULL; item;
         item = item->next) {
        check_keys(check, yaml, item, config_keys, "configs");
        if (!cJSON_IsObject(item))
            continue;
        check_auth(check, yaml, item->string, json_member(item, "auth"));
        check_keys(check, yaml, json_member(item, "tls"), tls_keys, "tls");
    }
    for (const cJSON *item = cJSON_IsObject(auths) ? auths->child : NULL; item; item = item->next)
        check_auth(check, yaml, item->string, item);
}
