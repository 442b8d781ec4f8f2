/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "base/secret.h"
#include "kubernetes-host.h"
#include "kubernetes/kubeconfig.h"

#define PATH "/etc/kubernetes/kubelet.conf"

/* As kubeadm writes it, and a second context. */
#define WHOLE                                                                                      \
    "apiVersion: v1\n"                                                                             \
    "kind: Config\n"                                                                               \
    "current-context: node\n"                                                                      \
    "preferences: {}\n"                                                                            \
    "contexts:\n"                                                                                  \
    "- name: node\n"                                                                               \
    "  context: {cluster: main, user: 'system:node:a', namespace: kube-system}\n"                  \
    "- name: other\n"                                                                              \
    "  context: {cluster: proxied, user: robot}\n"                                                 \
    "clusters:\n"                                                                                  \
    "- name: main\n"                                                                               \
    "  cluster:\n"                                                                                 \
    "    certificate-authority-data: UEVN\n"                                                       \
    "    certificate-authority: ignored.crt\n"                                                     \
    "    server: https://10.0.0.1:6443\n"                                                          \
    "- name: proxied\n"                                                                            \
    "  cluster:\n"                                                                                 \
    "    server: https://api.example.com/k8s/clusters/c-1\n"                                       \
    "    tls-server-name: kubernetes\n"                                                            \
    "    proxy-url: socks5://proxy.example.com:1080\n"                                             \
    "    insecure-skip-tls-verify: true\n"                                                         \
    "users:\n"                                                                                     \
    "- name: system:node:a\n"                                                                      \
    "  user:\n"                                                                                    \
    "    client-certificate: /var/lib/kubelet/pki/kubelet-client-current.pem\n"                    \
    "    client-key: pki/key.pem\n"                                                                \
    "- name: robot\n"                                                                              \
    "  user: {token: t0k3n, tokenFile: token, username: u, password: p}\n"

static int parse(const char *text, const char *context, struct kubeconfig *ret,
                 struct pullkey_error *error)
{
    return kubeconfig_parse(&host, PATH, text, strlen(text), context, ret, error);
}

static void current_context(void **state)
{
    cleanup_kubeconfig struct kubeconfig config = { 0 };
    cleanup_secret struct pullkey_secret pem = { 0 };
    char path[FILE_PATH_MAX];
    struct pullkey_error error;

    (void)state;
    assert_fine(parse(WHOLE, NULL, &config, &error), error);
    assert_string_equal(config.context, "node");
    assert_string_equal(config.server, "https://10.0.0.1:6443");
    assert_string_equal(config.namespace_name, "kube-system");
    assert_string_equal(config.certificate.path, "/var/lib/kubelet/pki/kubelet-client-current.pem");
    assert_null(config.token);
    assert_null(config.exec);
    assert_false(config.insecure);
    /* Data win over a file, and relative paths begin at the kubeconfig. */
    assert_fine(kubeconfig_load(&config, &config.authority, "certificate-authority", &pem, &error),
                error);
    assert_string_equal(pem.bytes, "PEM");
    assert_fine(kubeconfig_resolve(&config, config.key.path, path, &error), error);
    assert_string_equal(path, "/etc/kubernetes/pki/key.pem");
    assert_fine(kubeconfig_resolve(&config, config.certificate.path, path, &error), error);
    assert_string_equal(path, config.certificate.path);
}

static void named_context(void **state)
{
    cleanup_kubeconfig struct kubeconfig config = { 0 };
    struct pullkey_error error;

    (void)state;
    assert_fine(parse(WHOLE, "other", &config, &error), error);
    assert_string_equal(config.server, "https://api.example.com/k8s/clusters/c-1");
    assert_string_equal(config.server_name, "kubernetes");
    assert_string_equal(config.proxy, "socks5://proxy.example.com:1080");
    assert_true(config.insecure);
    assert_string_equal(config.token, "t0k3n");
    assert_string_equal(config.token_path, "token");
    assert_string_equal(config.username, "u");
    assert_null(config.namespace_name);
    assert_null(config.authority.data);
}

static void json_too(void **state)
{
    cleanup_kubeconfig struct kubeconfig config = { 0 };
    struct pullkey_error error;

    (void)state;
    assert_fine(parse("{\"current-context\": \"a\", \"contexts\": [{\"name\": \"a\", \"context\": "
                      "{\"cluster\": \"a\", \"user\": \"a\"}}], \"clusters\": [{\"name\": \"a\", "
                      "\"cluster\": {\"server\": \"https://a\"}}], \"users\": [{\"name\": \"a\", "
                      "\"user\": {\"exec\": {\"command\": \"aws\"}}}]}",
                      NULL, &config, &error),
                error);
    assert_non_null(config.exec);
}

#define CONTEXT "current-context: a\ncontexts: [{name: a, context: {cluster: a, user: a}}]\n"
#define CLUSTER "clusters: [{name: a, cluster: {server: 'https://a'}}]\n"
#define USER "users: [{name: a, user: {}}]\n"

static void refused(void **state)
{
    static const char *const rows[][2] = {
        { "", "is no kubeconfig" },
        { "[]", "is no kubeconfig" },
        { "a: [", "" },
        { "contexts: []\n", "current-context" },
        { "current-context: b\n" CLUSTER USER, "there is no \"b\" in \"contexts\"" },
        { "current-context: a\ncontexts: 5\n", "must be a list" },
        { "current-context: a\ncontexts: [{name: a}]\n", "has no \"context\"" },
        { "current-context: a\ncontexts: [{name: a, context: {user: a}}]\n", "has no \"cluster\"" },
        { CONTEXT USER, "there is no \"a\" in \"clusters\"" },
        { CONTEXT CLUSTER, "there is no \"a\" in \"users\"" },
        { CONTEXT USER "clusters: [{name: a, cluster: {}}]\n", "has no \"server\"" },
        { CONTEXT USER
          "clusters:\n- {name: a, cluster: {server: x}}\n- {name: a, cluster: {server: "
          "y}}\n",
          "two of this name" },
        { CONTEXT USER "clusters: [{name: a, cluster: {server: x, insecure-skip-tls-verify: 1}}]\n",
          "must be true or false" },
        { CONTEXT USER "clusters: [{name: a, cluster: {server: x, insecure-skip-tls-verify: true, "
                       "certificate-authority: x}}]\n",
          "exclude each other" },
        { CONTEXT CLUSTER "users: [{name: a, user: {auth-provider: {name: gcp}}}]\n",
          "use an \"exec\" plugin" },
        { CONTEXT CLUSTER "users: [{name: a, user: {as: admin}}]\n", "is not supported" },
        { CONTEXT CLUSTER "users: [{name: a, user: {as-groups: [x]}}]\n", "is not supported" },
        { CONTEXT CLUSTER "users: [{name: a, user: {client-certificate: x}}]\n", "go together" },
        { CONTEXT CLUSTER "users: [{name: a, user: {client-key-data: x}}]\n", "go together" },
        { CONTEXT CLUSTER "users: [{name: a, user: {exec: x}}]\n", "must be a map" },
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        struct kubeconfig config;
        struct pullkey_error error = { 0 };

        if (parse(rows[i][0], NULL, &config, &error) != -PULLKEY_INVALID)
            fail_msg("taken: %s", rows[i][0]);
        if (!strstr(error.message, rows[i][1]) || !strstr(error.message, PATH))
            fail_msg("%s: %s", rows[i][0], error.message);
    }
}

/* A secret in it is never repeated. */
static void no_secret(void **state)
{
    struct kubeconfig config;
    struct pullkey_error error;

    (void)state;
    assert_int_equal(parse(CONTEXT CLUSTER
                           "users: [{name: a, user: {token: m4rk3r, password: [m4rk3r]}}]\n",
                           NULL, &config, &error),
                     -PULLKEY_INVALID);
    assert_null(strstr(error.message, "m4rk3r"));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(current_context), cmocka_unit_test(named_context),
        cmocka_unit_test(json_too),        cmocka_unit_test(refused),
        cmocka_unit_test(no_secret),
    };

    json_start();
    return cmocka_run_group_tests(tests, set_host, NULL);
}
