/* SPDX-License-Identifier: Apache-2.0 */
/* The places that access.c knows are moved below a scratch directory. */
#include "unit.h"

#include "base/secret.h"
#include "kubernetes-host.h"
#include "kubernetes/access.h"

int __real_access(const char *path, int mode);
int __wrap_access(const char *path, int mode);
int __real_file_read(const char *path, enum file_trust trust, unsigned int flags,
                     struct buffer *buffer, mode_t *ret_mode, struct pullkey_error *error);
int __wrap_file_read(const char *path, enum file_trust trust, unsigned int flags,
                     struct buffer *buffer, mode_t *ret_mode, struct pullkey_error *error);

static char root[512];

static const char *move(const char *path)
{
    static const char *const places[] = { "/etc/kubernetes/", "/var/" };
    static char moved[4096];

    for (size_t i = 0; i < UNIT_COUNT(places); i++)
        if (strncmp(path, places[i], strlen(places[i])) == 0 &&
            strncmp(path, root, strlen(root)) != 0) {
            (void)snprintf(moved, sizeof(moved), "%s%s", root, path);
            return moved;
        }
    return path;
}

int __wrap_access(const char *path, int mode)
{
    return __real_access(move(path), mode);
}

int __wrap_file_read(const char *path, enum file_trust trust, unsigned int flags,
                     struct buffer *buffer, mode_t *ret_mode, struct pullkey_error *error)
{
    return __real_file_read(move(path), trust, flags, buffer, ret_mode, error);
}

/* A path below the scratch directory, and the directories that it needs. */
static const char *place(const char *path)
{
    static char full[1024];

    (void)snprintf(full, sizeof(full), "%s%s", root, path);
    for (char *slash = strchr(full + strlen(root) + 1, '/'); slash;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(full, 0755) < 0)
            assert_int_equal(__real_access(full, F_OK), 0);
        *slash = '/';
    }
    return full;
}

static void put(const char *path, const char *text)
{
    unit_write(place(path), text, strlen(text), 0600);
}

static int set_up(void **state)
{
    (void)state;
    unit_make_directory(root);
    return unsetenv("KUBECONFIG") | unsetenv("KUBERNETES_SERVICE_HOST") |
           unsetenv("KUBERNETES_SERVICE_PORT") | setenv("HOME", root, 1);
}

static int clear(void **state)
{
    (void)state;
    unit_remove_directory(root);
    return 0;
}

static int find(const struct access_settings *settings, struct access *ret,
                struct pullkey_error *error)
{
    return access_open(&host, settings, INT64_MAX, ret, error);
}

#define POD "/var/run/secrets/kubernetes.io/serviceaccount"
#define KUBELET "/etc/kubernetes/kubelet.conf"

#define CONFIG(cluster, user)                                                                      \
    "current-context: a\ncontexts: [{name: a, context: {cluster: a, user: a, namespace: ns}}]\n"   \
    "clusters: [{name: a, cluster: {server: 'https://10.0.0.1:6443'" cluster "}}]\n"               \
    "users: [{name: a, user: {" user "}}]\n"

static const struct access_settings any = { 0 };
static const struct access_settings automatic = { .kubeconfig = "auto" };
static const struct access_settings of_system = { .system = true };

static void nothing(void **state)
{
    static const struct access_settings *const rows[] = { &any, &automatic, &of_system };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        struct pullkey_error error;
        struct access access;

        assert_refused(find(rows[i], &access, &error), PULLKEY_NO_IDENTITY, "no kubeconfig", error);
    }
}

/* kubeadm, the clouds, k3s, RKE2, k0s, MicroK8s, Talos; where there are several, in this order. */
static void places(void **state)
{
    static const char *const paths[] = {
        KUBELET,
        "/var/lib/kubelet/kubeconfig",
        "/var/lib/rancher/k3s/agent/kubelet.kubeconfig",
        "/var/lib/rancher/rke2/agent/kubelet.kubeconfig",
        "/var/lib/k0s/kubelet.conf",
        "/var/snap/microk8s/current/credentials/kubelet.config",
        "/etc/kubernetes/kubeconfig-kubelet",
    };

    (void)state;
    for (size_t i = UNIT_COUNT(paths); i-- > 0;) {
        cleanup_access struct access access = { 0 };
        struct pullkey_error error;

        put(paths[i], CONFIG("", "token: t"));
        assert_fine(find(&automatic, &access, &error), error);
        assert_string_equal(access.origin, paths[i]);
        assert_string_equal(access.namespace_name, "ns");
        assert_string_equal(access.token.bytes, "t");
    }
}

static void put_pod(const char *name, const char *port)
{
    put(POD "/token", "t0k3n\n");
    put(POD "/ca.crt", "PEM");
    put(POD "/namespace", "team\n");
    assert_int_equal(setenv("KUBERNETES_SERVICE_HOST", name, 1), 0);
    if (port)
        assert_int_equal(setenv("KUBERNETES_SERVICE_PORT", port, 1), 0);
}

static void pod(void **state)
{
    static const struct {
        const char *name, *port, *host;
        uint16_t expected;
    } rows[] = {
        { "10.96.0.1", NULL, "10.96.0.1", 443 },
        { "10.96.0.1", "6443", "10.96.0.1", 6443 },
        { "fd00:10:96::1", "443", "[fd00:10:96::1]", 443 },
        { "[fd00:10:96::1]", "6443", "[fd00:10:96::1]", 6443 },
        { "kubernetes.default.svc", "443", "kubernetes.default.svc", 443 },
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        cleanup_access struct access access = { 0 };
        struct http_options options = { 0 };
        struct http_request request = { 0 };
        struct pullkey_error error;

        put_pod(rows[i].name, rows[i].port);
        assert_fine(find(&any, &access, &error), error);
        assert_string_equal(access.url.host, rows[i].host);
        assert_int_equal(access.url.port, rows[i].expected);
        assert_true(access.url.https);
        assert_string_equal(access.url.target, "");
        assert_string_equal(access.namespace_name, "team");
        access_fill_options(&access, &options);
        assert_string_equal(options.ca_file, POD "/ca.crt");
        assert_null(options.ca_data);
        assert_null(options.client_certificate);
        access_fill_request(&access, &request);
        assert_int_equal(request.scheme, HTTP_BEARER);
        assert_string_equal(request.secret->bytes, "t0k3n");
    }
}

static void broken_pod(void **state)
{
    static const char *const ports[] = { "x", "0", "70000" };
    struct pullkey_error error;
    struct access access;

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(ports); i++) {
        put_pod("10.96.0.1", ports[i]);
        assert_refused(find(&any, &access, &error), PULLKEY_INVALID, "the pod's service account",
                       error);
    }
    put_pod("fd00::zz", "443");
    assert_refused(find(&any, &access, &error), PULLKEY_INVALID, "the pod's service account",
                   error);
    put_pod("10.96.0.1", "443");
    put(POD "/token", "\n");
    assert_refused(find(&any, &access, &error), PULLKEY_INVALID, "is empty", error);
    /* "auto" asks for the kubelet's by name. */
    put_pod("10.96.0.1", "443");
    assert_refused(find(&automatic, &access, &error), PULLKEY_NO_IDENTITY, "no kubeconfig", error);
    /* The default namespace is one that may be missing. */
    assert_int_equal(unlink(place(POD "/namespace")), 0);
    assert_fine(find(&any, &access, &error), error);
    assert_string_equal(access.namespace_name, "");
    access_done(&access);
    /* Variables alone are left over by a container that a pod has started. */
    assert_int_equal(unlink(place(POD "/token")), 0);
    assert_refused(find(&any, &access, &error), PULLKEY_NO_IDENTITY, "no kubeconfig", error);
}

static void explicit_server(void **state)
{
    char token_file[1024];
    struct access_settings settings = { .server = "https://api.example.com:6443/k8s/c-1//",
                                        .ca_file = "/some/ca.crt",
                                        .token_file = token_file };
    struct http_options options = { 0 };
    struct pullkey_error error;
    struct access access;

    (void)state;
    put("/token", "one\r\n");
    (void)snprintf(token_file, sizeof(token_file), "%s", place("/token"));
    /* A pod or a kubeconfig beside it changes nothing. */
    put_pod("10.96.0.1", "443");
    put(KUBELET, CONFIG("", "token: t"));
    assert_fine(find(&settings, &access, &error), error);
    assert_string_equal(access.url.host, "api.example.com");
    assert_string_equal(access.url.target, "/k8s/c-1");
    assert_string_equal(access.token.bytes, "one");
    access_fill_options(&access, &options);
    assert_string_equal(options.ca_file, "/some/ca.crt");
    access_done(&access);
    put("/token", "two");
    assert_fine(find(&settings, &access, &error), error);
    assert_string_equal(access.token.bytes, "two");
    access_done(&access);
    put("/token", "\n");
    assert_refused(find(&settings, &access, &error), PULLKEY_INVALID, "is empty", error);
    assert_int_equal(unlink(token_file), 0);
    assert_refused(find(&settings, &access, &error), PULLKEY_INVALID, token_file, error);
    settings.token_file = NULL;
    settings.server = "https://api.example.com/?x";
    assert_refused(find(&settings, &access, &error), PULLKEY_INVALID, "'?'", error);
    settings.server = "ftp://api.example.com";
    assert_refused(find(&settings, &access, &error), PULLKEY_INVALID, "https://", error);
}

/* A user's kubeconfig that names a file which is missing is there itself. */
static void missing(void **state)
{
    struct access_settings settings = { .kubeconfig = "/nowhere/kubeconfig" };
    struct pullkey_error error;
    struct access access;

    (void)state;
    assert_refused(find(&settings, &access, &error), PULLKEY_INVALID, settings.kubeconfig, error);
    put("/.kube/config", CONFIG("", "tokenFile: token"));
    assert_refused(find(&any, &access, &error), PULLKEY_INVALID, "/.kube/token", error);
}

static void users_kubeconfig(void **state)
{
    struct pullkey_error error;
    struct access access;

    (void)state;
    put("/.kube/config", CONFIG("", "token: home"));
    put("/other", CONFIG("", "token: other"));
    put(KUBELET, CONFIG("", "token: kubelet"));
    assert_fine(find(&any, &access, &error), error);
    assert_string_equal(access.token.bytes, "home");
    access_done(&access);
    assert_int_equal(setenv("KUBECONFIG", place("/other"), 1), 0);
    assert_fine(find(&any, &access, &error), error);
    assert_string_equal(access.token.bytes, "other");
    access_done(&access);
    assert_fine(find(&of_system, &access, &error), error);
    assert_string_equal(access.token.bytes, "kubelet");
    access_done(&access);
    /* What is named is not looked for elsewhere, and that is not remembered as no identity is. */
    assert_int_equal(setenv("KUBECONFIG", place("/missing"), 1), 0);
    assert_refused(find(&any, &access, &error), PULLKEY_INVALID, "which is not there", error);
    assert_int_equal(setenv("KUBECONFIG", "/a:/b", 1), 0);
    assert_refused(find(&any, &access, &error), PULLKEY_INVALID, "KUBECONFIG is a list", error);
    assert_int_equal(setenv("KUBECONFIG", "relative", 1), 0);
    assert_refused(find(&any, &access, &error), PULLKEY_INVALID, "KUBECONFIG is a list", error);
}

static void insecure(void **state)
{
    struct access_settings settings = { .kubeconfig = "auto" };
    struct http_options options = { 0 };
    struct pullkey_error error;
    struct access access;

    (void)state;
    put(KUBELET, CONFIG(", insecure-skip-tls-verify: true", "token: MARKER"));
    assert_refused(find(&settings, &access, &error), PULLKEY_INVALID,
                   "\"insecure_skip_tls_verify\": true", error);
    settings.insecure = true;
    assert_fine(find(&settings, &access, &error), error);
    access_fill_options(&access, &options);
    assert_true(options.insecure);
    access_done(&access);
    /* It allows a kubeconfig to say it, and says nothing itself. */
    put(KUBELET, CONFIG("", "token: t"));
    assert_fine(find(&settings, &access, &error), error);
    access_fill_options(&access, &options);
    assert_false(options.insecure);
    access_done(&access);
}

static void identities(void **state)
{
    struct http_options options = { 0 };
    struct http_request request = { 0 };
    struct pullkey_error error;
    struct access access;

    (void)state;
    put(KUBELET, CONFIG(", certificate-authority: ca.crt, tls-server-name: kubernetes, proxy-url: "
                        "'socks5://p:1080'",
                        "client-certificate: pki/one.pem, client-key-data: S0VZ"));
    put("/etc/kubernetes/ca.crt", "AUTHORITY");
    put("/etc/kubernetes/pki/one.pem", "CERTIFICATE");
    assert_fine(find(&automatic, &access, &error), error);
    access_fill_options(&access, &options);
    access_fill_request(&access, &request);
    assert_string_equal(options.ca_data->bytes, "AUTHORITY");
    assert_string_equal(options.client_certificate->bytes, "CERTIFICATE");
    assert_string_equal(options.client_key->bytes, "KEY");
    assert_string_equal(options.server_name, "kubernetes");
    assert_string_equal(options.proxy, "socks5://p:1080");
    assert_null(options.ca_file);
    assert_int_equal(request.scheme, HTTP_NO_AUTH);
    access_done(&access);
    /* Rotated, and read anew. */
    put("/etc/kubernetes/pki/one.pem", "NEXT");
    assert_fine(find(&automatic, &access, &error), error);
    assert_string_equal(access.certificate.bytes, "NEXT");
    access_done(&access);
    /* A certificate that cannot be read is not a credential that is missing. */
    assert_int_equal(unlink(place("/etc/kubernetes/pki/one.pem")), 0);
    assert_refused(find(&automatic, &access, &error), PULLKEY_INVALID, "client-certificate", error);
    put(KUBELET, CONFIG(", certificate-authority-data: '!'", ""));
    assert_refused(find(&automatic, &access, &error), PULLKEY_INVALID, "certificate-authority-data",
                   error);
    put(KUBELET, CONFIG(", certificate-authority-data: \"UE\\nVN\\r\\n\"", "token: t"));
    assert_fine(find(&automatic, &access, &error), error);
    assert_string_equal(access.authority.bytes, "PEM");
    access_done(&access);
    put(KUBELET, CONFIG("", "tokenFile: pki/token, token: MARKER"));
    put("/etc/kubernetes/pki/token", "one\n");
    assert_fine(find(&automatic, &access, &error), error);
    assert_string_equal(access.token.bytes, "one");
    access_done(&access);
    put(KUBELET, CONFIG("", "username: u, password: p"));
    assert_fine(find(&automatic, &access, &error), error);
    access_fill_request(&access, &request);
    assert_int_equal(request.scheme, HTTP_BASIC);
    assert_string_equal(request.username, "u");
    assert_string_equal(request.secret->bytes, "p");
    access_done(&access);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing, set_up, clear),
        cmocka_unit_test_setup_teardown(places, set_up, clear),
        cmocka_unit_test_setup_teardown(pod, set_up, clear),
        cmocka_unit_test_setup_teardown(broken_pod, set_up, clear),
        cmocka_unit_test_setup_teardown(explicit_server, set_up, clear),
        cmocka_unit_test_setup_teardown(missing, set_up, clear),
        cmocka_unit_test_setup_teardown(users_kubeconfig, set_up, clear),
        cmocka_unit_test_setup_teardown(insecure, set_up, clear),
        cmocka_unit_test_setup_teardown(identities, set_up, clear),
    };

    json_start();
    return cmocka_run_group_tests(tests, set_host, NULL);
}
