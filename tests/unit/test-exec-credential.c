/* SPDX-License-Identifier: Apache-2.0 */
/* Plugins are shell scripts in a scratch directory, where the kubeconfig is too. */
#include "unit.h"

#include "base/clock.h"
#include "base/secret.h"
#include "kubernetes-host.h"
#include "kubernetes/exec-answer.h"
#include "kubernetes/exec-credential.h"

#define V1 "client.authentication.k8s.io/v1"
#define V1BETA1 "client.authentication.k8s.io/v1beta1"
#define ANSWER(version, status)                                                                    \
    "echo '{\"kind\":\"ExecCredential\",\"apiVersion\":\"" version "\",\"status\":" status "}'\n"

static char root[512];

static int set_up(void **state)
{
    (void)state;
    unit_make_directory(root);
    return 0;
}

static int clear(void **state)
{
    (void)state;
    unit_remove_directory(root);
    return 0;
}

static const char *place(const char *name)
{
    static char path[1024];

    (void)snprintf(path, sizeof(path), "%s/%s", root, name);
    return path;
}

static void put_plugin(const char *script)
{
    char text[4096];

    (void)snprintf(text, sizeof(text), "#!/bin/sh\n%s", script);
    unit_write(place("plugin"), text, strlen(text), 0755);
}

struct found {
    struct pullkey_secret token, certificate, key;
};

static void found_done(struct found *found)
{
    secret_done(&found->token);
    secret_done(&found->certificate);
    secret_done(&found->key);
}

#define cleanup_found __attribute__((cleanup(found_done)))

/* `cluster` and `exec` are members of these maps in a kubeconfig. */
static int run_within(int64_t ms, const char *cluster, const char *exec, struct found *ret,
                      struct pullkey_error *error)
{
    cleanup_kubeconfig struct kubeconfig config = { 0 };
    char text[4096];

    (void)snprintf(text, sizeof(text),
                   "current-context: a\n"
                   "contexts: [{name: a, context: {cluster: a, user: a}}]\n"
                   "clusters: [{name: a, cluster: {server: 'https://a:6443'%s}}]\n"
                   "users: [{name: a, user: {exec: {%s}}}]\n",
                   cluster, exec);
    assert_fine(kubeconfig_parse(&host, place("config"), text, strlen(text), NULL, &config, error),
                *error);
    return exec_credential_get(&host, &config, 0, clock_monotonic_ms() + ms, &ret->token,
                               &ret->certificate, &ret->key, error);
}

static int run(const char *exec, struct found *ret, struct pullkey_error *error)
{
    return run_within(20000, "", exec, ret, error);
}

#define PLUGIN "command: ./plugin, apiVersion: " V1

static void token(void **state)
{
    static const struct {
        const char *script, *exec;
    } rows[] = {
        { ANSWER(V1, "{\"token\":\"t0k3n\"}"), PLUGIN },
        { ANSWER(V1BETA1, "{\"token\":\"t0k3n\"}"), "command: ./plugin, apiVersion: " V1BETA1 },
        { ANSWER(V1, "{\"token\":\"t0k3n\",\"expirationTimestamp\":\"2999-01-01T00:00:00Z\"}"),
          PLUGIN ", interactiveMode: IfAvailable" },
        { "read line && exit 1\n" ANSWER(V1, "{\"token\":\"t0k3n\"}"),
          PLUGIN ", interactiveMode: Never" },
        { "[ \"$#:$1:$2\" = '2:get-token:a b' ] || exit 1\n" ANSWER(V1, "{\"token\":\"t0k3n\"}"),
          PLUGIN ", args: [get-token, 'a b']" },
        { "[ \"$PROFILE:$EMPTY\" = 'x y:' ] || exit 1\n" ANSWER(V1, "{\"token\":\"t0k3n\"}"),
          PLUGIN ", env: [{name: PROFILE, value: 'x y'}, {name: EMPTY, value: ''}]" },
        { "echo MARKER >&2\n" ANSWER(V1, "{\"token\":\"t0k3n\"}"),
          PLUGIN ", args: null, env: null" },
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        cleanup_found struct found found = { 0 };
        struct pullkey_error error;

        put_plugin(rows[i].script);
        assert_fine(run(rows[i].exec, &found, &error), error);
        assert_string_equal(found.token.bytes, "t0k3n");
        assert_int_equal(found.certificate.length + found.key.length, 0);
    }
}

static void certificate(void **state)
{
    cleanup_found struct found found = { 0 };
    struct pullkey_error error;

    (void)state;
    put_plugin(ANSWER(V1, "{\"clientCertificateData\":\"CERT\",\"clientKeyData\":\"KEY\"}"));
    assert_fine(run(PLUGIN, &found, &error), error);
    assert_string_equal(found.certificate.bytes, "CERT");
    assert_string_equal(found.key.bytes, "KEY");
    assert_int_equal(found.token.length, 0);
}

/* What KUBERNETES_EXEC_INFO has; the plugin writes it down. */
static void get_info(const char *cluster, const char *exec, struct json *ret)
{
    cleanup_found struct found found = { 0 };
    cleanup_buffer struct buffer text = BUFFER_INIT(100000);
    struct pullkey_error error;

    put_plugin(
        "printf %s \"$KUBERNETES_EXEC_INFO\" >\"$0.info\"\n" ANSWER(V1, "{\"token\":\"t\"}"));
    assert_fine(run_within(20000, cluster, exec, &found, &error), error);
    assert_fine(file_read(place("plugin.info"), FILE_INPUT, 0, &text, NULL, &error), error);
    assert_fine(json_parse(ret, "info", text.data, text.length, 0, &error), error);
}

static void assert_member(const cJSON *object, const char *key, const char *expected)
{
    const cJSON *item = json_member(object, key);

    assert_true(cJSON_IsString(item));
    assert_string_equal(item->valuestring, expected);
}

static void info(void **state)
{
    cleanup_json struct json plain = { 0 }, whole = { 0 }, file = { 0 };
    const cJSON *spec, *cluster;

    (void)state;
    get_info("", PLUGIN, &plain);
    assert_member(plain.root, "kind", "ExecCredential");
    assert_member(plain.root, "apiVersion", V1);
    spec = json_member(plain.root, "spec");
    assert_true(cJSON_IsFalse(json_member(spec, "interactive")));
    assert_null(json_member(spec, "cluster"));

    get_info(", tls-server-name: b, proxy-url: 'http://p', certificate-authority-data: UEVN, "
             "extensions: [{name: other, extension: 1}, {name: client.authentication.k8s.io/exec, "
             "extension: {audience: x}}]",
             PLUGIN ", provideClusterInfo: true", &whole);
    cluster = json_member(json_member(whole.root, "spec"), "cluster");
    assert_member(cluster, "server", "https://a:6443");
    assert_member(cluster, "tls-server-name", "b");
    assert_member(cluster, "proxy-url", "http://p");
    assert_member(cluster, "certificate-authority-data", "UEVN");
    assert_member(json_member(cluster, "config"), "audience", "x");

    /* Plugins are given data, as kubectl has it. */
    unit_write(place("ca.crt"), "PEM", 3, 0600);
    get_info(", certificate-authority: ca.crt", PLUGIN ", provideClusterInfo: true", &file);
    cluster = json_member(json_member(file.root, "spec"), "cluster");
    assert_member(cluster, "certificate-authority-data", "UEVN");
    assert_null(json_member(cluster, "config"));
}

/* Nothing of what a plugin writes is in an error. */
static void failures(void **state)
{
    static const struct {
        const char *script;
        enum pullkey_error_class code;
        const char *part;
    } rows[] = {
        { "echo MARKER; echo MARKER >&2; exit 1\n", PULLKEY_UNREACHABLE, "ends with status 1" },
        { "kill -9 $$\n", PULLKEY_INTERNAL, "signal 9" },
        { "echo MARKER please log in\n", PULLKEY_INVALID, "plugin" },
        { "exit 0\n", PULLKEY_INVALID, "plugin" },
        { "yes MARKER\n", PULLKEY_INVALID, "more than" },
        { ANSWER(V1BETA1, "{\"token\":\"MARKER\"}"), PULLKEY_INVALID,
          "does not answer with an ExecCredential of " V1 },
        { ANSWER("v1", "{\"token\":\"MARKER\"}"), PULLKEY_INVALID, "does not answer with" },
        { "echo '{\"kind\":\"Secret\",\"apiVersion\":\"" V1
          "\",\"status\":{\"token\":\"MARKER\"}}'",
          PULLKEY_INVALID, "does not answer with" },
        { ANSWER(V1, "{}"), PULLKEY_INVALID, "neither a token nor" },
        { ANSWER(V1, "null"), PULLKEY_INVALID, "neither a token nor" },
        { ANSWER(V1, "{\"token\":\"\"}"), PULLKEY_INVALID, "neither a token nor" },
        { ANSWER(V1, "{\"token\":[\"MARKER\"]}"), PULLKEY_INVALID, "neither a token nor" },
        { ANSWER(V1, "{\"clientCertificateData\":\"MARKER\"}"), PULLKEY_INVALID,
          "neither a token nor" },
        { ANSWER(V1, "{\"token\":\"MARKER\",\"clientKeyData\":\"MARKER\"}"), PULLKEY_INVALID,
          "neither a token nor" },
        { ANSWER(V1, "{\"token\":\"MARKER\",\"expirationTimestamp\":\"2001-01-01T00:00:00Z\"}"),
          PULLKEY_UNREACHABLE, "has expired" },
        { ANSWER(V1, "{\"token\":\"MARKER\",\"expirationTimestamp\":\"soon\"}"), PULLKEY_INVALID,
          "no time of RFC 3339" },
        { ANSWER(V1, "{\"token\":\"MARKER\"}") ANSWER(V1, "{\"token\":\"MARKER\"}"),
          PULLKEY_INVALID, "plugin" },
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        cleanup_found struct found found = { 0 };
        struct pullkey_error error;

        put_plugin(rows[i].script);
        assert_refused(run(PLUGIN, &found, &error), rows[i].code, rows[i].part, error);
        if (strstr(error.message, "MARKER") || strchr(error.message, '\n'))
            fail_msg("%s", error.message);
        assert_int_equal(found.token.length + found.certificate.length + found.key.length, 0);
    }
}

static void hang(void **state)
{
    cleanup_found struct found found = { 0 };
    struct pullkey_error error;
    int64_t start = clock_monotonic_ms();

    (void)state;
    put_plugin("sleep 1000 & wait\n");
    assert_refused(run_within(300, "", PLUGIN, &found, &error), PULLKEY_UNREACHABLE,
                   "did not answer in time", error);
    assert_true(clock_monotonic_ms() - start < 15000);
}

/* A kubeconfig that is wrong: the plugin is not run. */
static void refused(void **state)
{
    static const struct {
        const char *exec;
        enum pullkey_error_class code;
        const char *part;
    } rows[] = {
        { "command: ./plugin", PULLKEY_INVALID, "\"apiVersion\" must be client.auth" },
        { "command: ./plugin, apiVersion: client.authentication.k8s.io/v1alpha1", PULLKEY_INVALID,
          "must be client.authentication.k8s.io/v1 or" },
        { PLUGIN ", interactiveMode: Always", PULLKEY_INVALID, "nobody to be asked" },
        { PLUGIN ", interactiveMode: Sometimes", PULLKEY_INVALID, "interactiveMode" },
        { "apiVersion: " V1, PULLKEY_INVALID, "must be the name of a program" },
        { "apiVersion: " V1 ", command: [x]", PULLKEY_INVALID, "must be the name of a program" },
        { "apiVersion: " V1 ", command: ./missing, installHint: 'get it from x\n\n  MARKER'",
          PULLKEY_INVALID, "get it from x" },
        { "apiVersion: " V1 ", command: no-such-plugin-anywhere", PULLKEY_INVALID,
          "no-such-plugin-anywhere is not there" },
        { PLUGIN ", args: x", PULLKEY_INVALID, "must be a list" },
        { PLUGIN ", args: [[x]]", PULLKEY_INVALID, "must be a text" },
        { PLUGIN ", env: {A: b}", PULLKEY_INVALID, "must be a list" },
        { PLUGIN ", env: [{value: b}]", PULLKEY_INVALID, "loads no code" },
        { PLUGIN ", env: [{name: LD_PRELOAD, value: b}]", PULLKEY_INVALID, "loads no code" },
        { PLUGIN ", env: [{name: 'A=b', value: b}]", PULLKEY_INVALID, "loads no code" },
    };

    (void)state;
    put_plugin("touch \"$0.ran\"\n" ANSWER(V1, "{\"token\":\"t\"}"));
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        cleanup_found struct found found = { 0 };
        struct pullkey_error error;

        assert_refused(run(rows[i].exec, &found, &error), rows[i].code, rows[i].part, error);
        assert_null(strstr(error.message, "MARKER"));
        assert_int_equal(access(place("plugin.ran"), F_OK), -1);
    }
}

/* What others can change, or have put there, is not run; wherever a link to it is. */
static void changed_by_others(void **state)
{
    static const struct {
        mode_t file, directory;
        const char *part;
    } rows[] = { { 0777, 0755, "/bin/plugin" }, { 0775, 0755, "/bin/plugin" },
                 { 0755, 0777, "/bin" },        { 0755, 0775, "/bin" },
                 { 0755, 0755, NULL } };
    static const char script[] = "#!/bin/sh\ntouch \"$0.ran\"\n" ANSWER(V1, "{\"token\":\"t\"}");

    (void)state;
    assert_int_equal(mkdir(place("bin"), 0700), 0);
    unit_write(place("bin/plugin"), script, strlen(script), 0755);
    assert_int_equal(symlink("bin/plugin", place("plugin")), 0);
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        cleanup_found struct found found = { 0 };
        struct pullkey_error error;

        assert_int_equal(chmod(place("bin/plugin"), rows[i].file), 0);
        assert_int_equal(chmod(place("bin"), rows[i].directory), 0);
        if (rows[i].part) {
            assert_refused(run(PLUGIN, &found, &error), PULLKEY_DENIED, rows[i].part, error);
            assert_int_equal(access(place("bin/plugin.ran"), F_OK), -1);
        } else {
            assert_fine(run(PLUGIN, &found, &error), error);
            assert_string_equal(found.token.bytes, "t");
        }
    }
}

/* Some programs go by the name that they are called by, as snap's do. */
static void name_of_a_link(void **state)
{
    cleanup_found struct found found = { 0 };
    char exec[2048];
    struct pullkey_error error;

    (void)state;
    put_plugin(ANSWER(V1, "{\"token\":\"t\"}"));
    assert_int_equal(symlink("/bin/sh", place("called")), 0);
    (void)snprintf(exec, sizeof(exec),
                   "command: ./called, apiVersion: " V1
                   ", args: [-c, '[ \"${0##*/}\" = called ] && exec %s/plugin']",
                   root);
    assert_fine(run(exec, &found, &error), error);
    assert_string_equal(found.token.bytes, "t");
}

/* A bare name is looked for in PATH, and never where the kubeconfig or the caller is. */
static void search_path(void **state)
{
    cleanup_found struct found found = { 0 };
    char path[1024];
    struct pullkey_error error;

    (void)state;
    put_plugin(ANSWER(V1, "{\"token\":\"t\"}"));
    assert_int_equal(chdir(root), 0);
    assert_int_equal(setenv("PATH", ":.:/usr/bin:/bin:", 1), 0);
    assert_refused(run("command: plugin, apiVersion: " V1, &found, &error), PULLKEY_INVALID,
                   "plugin is not there", error);
    (void)snprintf(path, sizeof(path), "/nowhere:%s:/usr/bin:/bin", root);
    assert_int_equal(setenv("PATH", path, 1), 0);
    assert_fine(run("command: plugin, apiVersion: " V1, &found, &error), error);
    assert_string_equal(found.token.bytes, "t");
    assert_int_equal(chdir("/"), 0);
}

/* 2001-09-09T01:46:40Z is 1000000000. */
static void times(void **state)
{
    static const struct {
        const char *text;
        int64_t expected; /* -1: none */
    } rows[] = {
        { "2001-09-09T01:46:40Z", 1000000000 },
        { "2001-09-09T01:46:40.999999999Z", 1000000000 },
        { "2001-09-09T03:16:40+01:30", 1000000000 },
        { "2001-09-08T17:46:40-08:00", 1000000000 },
        { "2001-09-09 01:46:40Z", -1 },
        { "2001-09-09T01:46:40", -1 },
        { "2001-09-09T01:46:40z", -1 },
        { "2001-09-09T01:46:40+0130", -1 },
        { "2001-09-09T01:46:40+01:30x", -1 },
        { "2001-09-09", -1 },
        { "", -1 },
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        cleanup_buffer struct buffer output = BUFFER_INIT(1000);
        cleanup_found struct found found = { 0 };
        struct pullkey_error error;
        int before, at;

        buffer_printf(&output,
                      "{\"kind\":\"ExecCredential\",\"apiVersion\":\"v\",\"status\":{\"token\":"
                      "\"t\",\"expirationTimestamp\":\"%s\"}}",
                      rows[i].text);
        before = exec_answer_read("p", "v", rows[i].expected - 1, &output, &found.token,
                                  &found.certificate, &found.key, &error);
        at = exec_answer_read("p", "v", rows[i].expected, &output, &found.token, &found.certificate,
                              &found.key, &error);
        if (rows[i].expected < 0) {
            assert_int_equal(before, -PULLKEY_INVALID);
            continue;
        }
        if (before != 0 || at != -PULLKEY_UNREACHABLE)
            fail_msg("%s: %d before, %d at its end", rows[i].text, before, at);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(token, set_up, clear),
        cmocka_unit_test_setup_teardown(certificate, set_up, clear),
        cmocka_unit_test_setup_teardown(info, set_up, clear),
        cmocka_unit_test_setup_teardown(failures, set_up, clear),
        cmocka_unit_test_setup_teardown(hang, set_up, clear),
        cmocka_unit_test_setup_teardown(refused, set_up, clear),
        cmocka_unit_test_setup_teardown(changed_by_others, set_up, clear),
        cmocka_unit_test_setup_teardown(name_of_a_link, set_up, clear),
        cmocka_unit_test_setup_teardown(search_path, set_up, clear),
        cmocka_unit_test(times),
    };

    json_start();
    return cmocka_run_group_tests(tests, set_host, NULL);
}
