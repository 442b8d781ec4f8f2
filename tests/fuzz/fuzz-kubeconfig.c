/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kubernetes/kubeconfig: the input is one. What is found keeps the rules of kubeconfig.h, and what
 * is data can be read or is refused in a line.
 */
#include <stdlib.h>
#include <string.h>

#include "base/secret.h"
#include "kubernetes/kubeconfig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

extern const struct pullkey_reader yaml_reader;

static void require(bool condition)
{
    if (!condition)
        abort();
}

static int find_reader(const char *name, const struct pullkey_reader **ret,
                       struct pullkey_error *error)
{
    (void)error;
    require(strcmp(name, "yaml") == 0);
    *ret = &yaml_reader;
    return 0;
}

static const struct pullkey_host host = {
    .size = sizeof(host),
    .alloc = secret_alloc,
    .release = secret_release,
    .reader = find_reader,
};

static void check_error(const struct pullkey_error *error)
{
    require(error->code == PULLKEY_INVALID && error->message[0] != '\0' &&
            !strchr(error->message, '\n'));
}

/* Files are left alone: their names are the input's. */
static void check_pem(const struct kubeconfig *config, const struct kubeconfig_pem *pem)
{
    cleanup_secret struct pullkey_secret text = { 0 };
    struct pullkey_error error = { 0 };
    char path[FILE_PATH_MAX];

    if (pem->data && kubeconfig_load(config, pem, "pem", &text, &error) < 0)
        check_error(&error);
    if (!pem->path)
        return;
    if (kubeconfig_resolve(config, pem->path, path, &error) < 0)
        check_error(&error);
    else
        require(path[0] == '/');
}

static void check_text(const char *text)
{
    require(!text || text[0] != '\0');
}

static void check(const char *text, size_t length, const char *context)
{
    cleanup_kubeconfig struct kubeconfig config = { 0 };
    struct pullkey_error error = { 0 };

    if (kubeconfig_parse(&host, "/etc/kubeconfig", text, length, context, &config, &error) < 0) {
        check_error(&error);
        require(!config.json.root);
        return;
    }
    require(config.server && config.context);
    require(!context || strcmp(config.context, context) == 0);
    require(!config.insecure || (!config.authority.data && !config.authority.path));
    require(!config.exec || cJSON_IsObject(config.exec));
    require((config.certificate.data || config.certificate.path) ==
            (config.key.data || config.key.path));
    check_text(config.server);
    check_text(config.server_name);
    check_text(config.proxy);
    check_text(config.namespace_name);
    check_text(config.token);
    check_text(config.token_path);
    check_text(config.username);
    check_pem(&config, &config.authority);
    check_pem(&config, &config.certificate);
    check_pem(&config, &config.key);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_start();
    check((const char *)data, size, NULL);
    check((const char *)data, size, "a");
    return 0;
}
