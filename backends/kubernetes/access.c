/* SPDX-License-Identifier: Apache-2.0 */
#include "access.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/secret.h"
#include "exec-credential.h"

#define POD "/var/run/secrets/kubernetes.io/serviceaccount"
#define TOKEN_MAX PULLKEY_SECRET_MAX
#define CA_ADVICE "is \"certificate-authority\" the right one?"

/* kubeadm and k0s; the clouds and OpenShift; k3s; RKE2; MicroK8s; Talos. */
static const char *const kubelet_configs[] = {
    "/etc/kubernetes/kubelet.conf",
    "/var/lib/kubelet/kubeconfig",
    "/var/lib/rancher/k3s/agent/kubelet.kubeconfig",
    "/var/lib/rancher/rke2/agent/kubelet.kubeconfig",
    "/var/lib/k0s/kubelet.conf",
    "/var/snap/microk8s/current/credentials/kubelet.config",
    "/etc/kubernetes/kubeconfig-kubelet",
};

const char *access_auto(void)
{
    for (size_t i = 0; i < sizeof(kubelet_configs) / sizeof(kubelet_configs[0]); i++)
        if (access(kubelet_configs[i], F_OK) == 0)
            return kubelet_configs[i];
    return NULL;
}

void access_done(struct access *access)
{
    kubeconfig_done(&access->config);
    secret_done(&access->authority);
    secret_done(&access->certificate);
    secret_done(&access->key);
    secret_done(&access->token);
    secret_done(&access->password);
    *access = (struct access){ 0 };
}

/* A file that must be there (access_open); line ends at its end do not count. */
static int read_token(const char *path, struct pullkey_secret *ret, struct pullkey_error *error)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(TOKEN_MAX);
    int r = file_read(path, FILE_INPUT, 0, &text, NULL, error);

    if (r < 0)
        return r;
    while (text.length > 0 && strchr("\r\n \t", text.data[text.length - 1]))
        text.data[--text.length] = '\0';
    if (text.length == 0)
        return error_set(error, PULLKEY_INVALID, "%s is empty", path);
    return buffer_steal(&text, ret, error);
}

/* The target without the slash at its end: paths of the API follow. */
static int set_server(struct access *access, const char *text, struct pullkey_error *error)
{
    size_t length;
    int r = url_parse(text, &access->url, error);

    if (r < 0)
        return error_wrap(error, "%s: its server", access->origin);
    if (strchr(access->url.target, '?'))
        return error_set(error, PULLKEY_INVALID, "%s: its server has a '?' in its URL",
                         access->origin);
    length = strlen(access->url.target);
    while (length > 0 && access->url.target[length - 1] == '/')
        access->url.target[--length] = '\0';
    return 0;
}

static int copy_namespace(struct access *access, const char *text, struct pullkey_error *error)
{
    if (!text)
        return 0;
    if (strlen(text) >= sizeof(access->namespace_name))
        return error_set(error, PULLKEY_INVALID, "%s: the name of its namespace is too long",
                         access->origin);
    memcpy(access->namespace_name, text, strlen(text) + 1);
    return 0;
}

static int use_bearer(const struct pullkey_secret *bearer, struct access *access,
                      struct pullkey_error *error)
{
    (void)snprintf(access->origin, sizeof(access->origin), "the workload");
    return secret_set(&access->token, bearer->bytes, bearer->length, error);
}

static int use_server(const struct access_settings *settings, struct access *access,
                      struct pullkey_error *error)
{
    int r;

    (void)snprintf(access->origin, sizeof(access->origin), "\"server\"");
    if (settings->ca_file)
        (void)snprintf(access->ca_file, sizeof(access->ca_file), "%s", settings->ca_file);
    r = set_server(access, settings->server, error);
    if (r == 0 && settings->bearer)
        r = use_bearer(settings->bearer, access, error);
    if (r == 0 && settings->token_file)
        r = read_token(settings->token_file, &access->token, error);
    return r;
}

static bool is_in_pod(void)
{
    return secure_getenv("KUBERNETES_SERVICE_HOST") && access(POD "/token", F_OK) == 0;
}

static int use_pod(struct access *access, struct pullkey_error *error)
{
    const char *name = secure_getenv("KUBERNETES_SERVICE_HOST");
    const char *port = secure_getenv("KUBERNETES_SERVICE_PORT");
    cleanup_buffer struct buffer text = BUFFER_INIT(sizeof(access->namespace_name) - 1);
    bool is_ipv6 = strchr(name, ':') && name[0] != '[';
    char url[URL_HOST_MAX + 32];
    int r;

    (void)snprintf(access->origin, sizeof(access->origin), "the pod's service account");
    (void)snprintf(access->ca_file, sizeof(access->ca_file), POD "/ca.crt");
    if (snprintf(url, sizeof(url), "https://%s%s%s:%s", is_ipv6 ? "[" : "", name,
                 is_ipv6 ? "]" : "", port ? port : "443") >= (int)sizeof(url))
        return error_set(error, PULLKEY_INVALID, "KUBERNETES_SERVICE_HOST is too long");
    r = set_server(access, url, error);
    if (r == 0)
        r = read_token(POD "/token", &access->token, error);
    if (r < 0)
        return r;
    /* It is only the default. */
    if (file_read(POD "/namespace", FILE_INPUT, 0, &text, NULL, error) == 0 && text.data)
        (void)snprintf(access->namespace_name, sizeof(access->namespace_name), "%.*s",
                       (int)strcspn(text.data, "\r\n"), text.data);
    return 0;
}

static int use_user(const struct pullkey_host *host, const struct access_settings *settings,
                    int64_t deadline_ms, struct access *access, struct pullkey_error *error)
{
    struct kubeconfig *config = &access->config;
    char path[FILE_PATH_MAX];
    int r;

    if (config->token_path) {
        r = kubeconfig_resolve(config, config->token_path, path, error);
        return r < 0 ? r : read_token(path, &access->token, error);
    }
    if (config->token)
        return secret_set(&access->token, config->token, strlen(config->token), error);
    if (config->username) {
        access->username = config->username;
        return secret_set(&access->password, config->password ? config->password : "",
                          config->password ? strlen(config->password) : 0, error);
    }
    if (!config->exec)
        return 0;
    r = exec_credential_get(host, config, settings->depth, deadline_ms, &access->token,
                            &access->certificate, &access->key, error);
    if (r != -PULLKEY_UNREACHABLE || !settings->plugin_may_fail)
        return r;
    access->plugin_failure = *error;
    return 0;
}

static int use_kubeconfig(const struct pullkey_host *host, const struct access_settings *settings,
                          const char *path, int64_t deadline_ms, struct access *access,
                          struct pullkey_error *error)
{
    struct kubeconfig *config = &access->config;
    int r = kubeconfig_read(host, path, settings->context, config, error);

    if (r < 0)
        return r;
    memcpy(access->origin, config->path, strlen(config->path) + 1);
    if (config->insecure && !settings->insecure)
        return error_set(error, PULLKEY_INVALID,
                         "%s says insecure-skip-tls-verify: anybody on the way could read the "
                         "secrets. Give it the authority's certificate, or say "
                         "\"insecure_skip_tls_verify\": true in pullkey's configuration as well",
                         path);
    access->insecure = config->insecure;
    r = set_server(access, config->server, error);
    if (r == 0)
        r = copy_namespace(access, config->namespace_name, error);
    if (r == 0)
        r = kubeconfig_load(config, &config->authority, "certificate-authority", &access->authority,
                            error);
    if (r == 0 && settings->bearer)
        return use_bearer(settings->bearer, access, error);
    if (r == 0)
        r = kubeconfig_load(config, &config->certificate, "client-certificate",
                            &access->certificate, error);
    if (r == 0)
        r = kubeconfig_load(config, &config->key, "client-key", &access->key, error);
    return r < 0 ? r : use_user(host, settings, deadline_ms, access, error);
}

/* $KUBECONFIG is a list, and kubectl merges what it names; here it is one file. */
static int users_kubeconfig(char *ret, struct pullkey_error *error)
{
    const char *given = secure_getenv("KUBECONFIG");
    char home[FILE_PATH_MAX];
    int r;

    if (given && given[0] != '\0') {
        if (strchr(given, ':') || given[0] != '/')
            return error_set(error, PULLKEY_INVALID,
                             "KUBECONFIG is a list, or no absolute path: name the file as "
                             "\"kubeconfig\" in pullkey's configuration");
        if (strlen(given) >= FILE_PATH_MAX)
            return error_set(error, PULLKEY_INVALID, "KUBECONFIG is too long");
        if (access(given, F_OK) < 0)
            return error_set(error, PULLKEY_INVALID, "KUBECONFIG is %s, which is not there", given);
        memcpy(ret, given, strlen(given) + 1);
        return 0;
    }
    r = file_home(home, error);
    return r < 0 ? r : file_join(ret, home, ".kube/config", error);
}

static int nothing_found(bool is_auto, struct pullkey_error *error)
{
    const size_t count = sizeof(kubelet_configs) / sizeof(kubelet_configs[0]);
    char places[PULLKEY_ERROR_SIZE] = "";
    size_t length = 0;

    for (size_t i = 0; i < count && length < sizeof(places); i++)
        length += (size_t)snprintf(places + length, sizeof(places) - length, "%s%s",
                                   i > 0 ? ", " : "", kubelet_configs[i]);
    return error_set(error, PULLKEY_NO_IDENTITY,
                     "nothing on this machine leads to a Kubernetes: there is %sno kubeconfig of "
                     "the kubelet's in one of the places %s; name one as \"kubeconfig\"",
                     is_auto ? "" : "no pod's service account and ", places);
}

static int find(const struct pullkey_host *host, const struct access_settings *settings,
                int64_t deadline_ms, struct access *access, struct pullkey_error *error)
{
    bool is_auto = settings->kubeconfig && strcmp(settings->kubeconfig, "auto") == 0;
    char path[FILE_PATH_MAX];
    const char *found;
    int r;

    if (settings->server)
        return use_server(settings, access, error);
    if (settings->kubeconfig && !is_auto)
        return use_kubeconfig(host, settings, settings->kubeconfig, deadline_ms, access, error);
    if (!is_auto && is_in_pod())
        return use_pod(access, error);
    if (!is_auto && !settings->system) {
        r = users_kubeconfig(path, error);
        if (r == 0)
            r = use_kubeconfig(host, settings, path, deadline_ms, access, error);
        /* What it names may be missing as well, and is not looked for elsewhere. */
        if (r != -PULLKEY_NOT_FOUND || access->origin[0] != '\0')
            return r;
    }
    found = access_auto();
    if (found)
        return use_kubeconfig(host, settings, found, deadline_ms, access, error);
    return nothing_found(is_auto, error);
}

int access_open(const struct pullkey_host *host, const struct access_settings *settings,
                int64_t deadline_ms, struct access *ret, struct pullkey_error *error)
{
    int r;

    *ret = (struct access){ .token_file = settings->token_file };
    r = find(host, settings, deadline_ms, ret, error);
    /* A file that is missing is not a credential that is missing; and what somebody mends must not
     * be remembered, as it is that there is no identity. */
    if (r == -PULLKEY_NOT_FOUND) {
        error->code = PULLKEY_INVALID;
        r = -(int)error->code;
    }
    if (r < 0)
        access_done(ret);
    return r;
}

void access_fill_options(const struct access *access, struct http_options *options)
{
    const struct kubeconfig *config = &access->config;

    options->ca_file = access->ca_file[0] != '\0' ? access->ca_file : NULL;
    options->ca_data = access->authority.length > 0 ? &access->authority : NULL;
    options->ca_advice = CA_ADVICE;
    if (access->certificate.length > 0) {
        options->client_certificate = &access->certificate;
        options->client_key = &access->key;
    }
    options->server_name = config->server_name;
    options->proxy = config->proxy;
    options->insecure = access->insecure;
}

void access_fill_request(const struct access *access, struct http_request *request)
{
    request->allow_http = true;
    if (access->token.length > 0) {
        request->scheme = HTTP_BEARER;
        request->secret = &access->token;
    } else if (access->username) {
        request->scheme = HTTP_BASIC;
        request->username = access->username;
        request->secret = &access->password;
    }
}

void access_describe(const struct access *access, struct buffer *ret)
{
    const struct kubeconfig *config = &access->config;
    const char *const reader[] = { access->origin, config->context, config->user,
                                   access->token_file };
    char server[URL_AUTHORITY_SIZE];

    url_authority(&access->url, server);
    buffer_printf(ret, "%s://%s%s", access->url.https ? "https" : "http", server,
                  access->url.target);
    for (size_t i = 0; i < sizeof(reader) / sizeof(reader[0]); i++) {
        buffer_append_text(ret, " ");
        json_write_name(ret, reader[i] ? reader[i] : "");
    }
}
