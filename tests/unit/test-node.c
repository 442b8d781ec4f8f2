/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "base/file.h"
#include "base/secret.h"
#include "hosts/node.h"

#define CONFIG "/etc/containerd/config.toml"
#define CRI "plugins.\"io.containerd.grpc.v1.cri\""
#define IMAGES "plugins.\"io.containerd.cri.v1.images\""

static char root[512];

static int set_up(void **state)
{
    (void)state;
    unit_make_directory(root);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unit_remove_directory(root);
    return 0;
}

static void make_parents(char *path)
{
    for (char *at = path + strlen(root) + 1; (at = strchr(at, '/')); at++) {
        *at = '\0';
        (void)mkdir(path, 0755);
        *at = '/';
    }
}

static void put(const char *inner, const char *text)
{
    char path[1024];
    FILE *file;

    (void)snprintf(path, sizeof(path), "%s%s", root, inner);
    make_parents(path);
    file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void put_link(const char *inner, const char *target)
{
    char path[1024];

    (void)snprintf(path, sizeof(path), "%s%s", root, inner);
    make_parents(path);
    assert_int_equal(symlink(target, path), 0);
}

static void put_package(const char *version)
{
    char text[512];

    (void)snprintf(text, sizeof(text),
                   "Package: other\nStatus: install ok installed\nVersion: 9.9.9\n\n"
                   "Package: containerd.io\nStatus: deinstall ok config-files\nVersion: 1.0.0-1\n\n"
                   "Package: containerd\nStatus: install ok installed\nArchitecture: amd64\n"
                   "Version: %s\n",
                   version);
    put("/var/lib/dpkg/status", text);
}

static void look(struct node *ret)
{
    struct pullkey_error error = { 0 };

    assert_fine(node_open(root, ret, &error), error);
}

static const char *text_of(const struct node_setting *setting)
{
    return setting->item && setting->item->kind == TOML_STRING ? setting->item->string : NULL;
}

static void versions(void **state)
{
    static const struct {
        const char *text;
        int major, minor, patch;
    } cases[] = {
        { "1.6.20~ds1-1+deb12u3", 1, 6, 20 },
        { "2:2.2.0-rc.1", 2, 2, 0 },
        { "containerd github.com/containerd/containerd/v2 v2.2.10 0a1b\n", 2, 2, 10 },
        { "containerd github.com/containerd/containerd 1.6.20~ds1 1.6.20~ds1-1\n", 1, 6, 20 },
        { "containerd github.com/k3s-io/containerd v1.7.23-k3s2 \n", 1, 7, 23 },
    };
    struct node_version version;

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(cases); i++) {
        assert_int_equal(node_version_parse(cases[i].text, &version), 0);
        assert_true(version.is_known);
        assert_int_equal(version.major, cases[i].major);
        assert_int_equal(version.minor, cases[i].minor);
        assert_int_equal(version.patch, cases[i].patch);
    }
    assert_true(node_version_parse("", &version) < 0);
    assert_true(node_version_parse("containerd/v2 of today", &version) < 0);
    assert_true(node_version_parse("2.1", &version) < 0);
}

static void an_empty_node(void **state)
{
    cleanup_node struct node node = { .root_fd = -1 };
    struct pullkey_error error;

    (void)state;
    look(&node);
    assert_int_equal(node.config_count, 1);
    assert_int_equal(node.configs[0].file_count, 0);
    assert_int_equal(node.yaml_count, 0);
    assert_false(node.configs[0].version.is_known);
    assert_null(node_registry_setting(&node.configs[0], "config_path").item);
    assert_refused(node_open("/nowhere/at/all", &node, &error), PULLKEY_NOT_FOUND, "/nowhere",
                   error);
}

static void tables(void **state)
{
    cleanup_node struct node node = { .root_fd = -1 };
    const struct node_config *config;

    (void)state;
    put(CONFIG, "version = 2\n"
                "[" CRI ".registry.mirrors.\"docker.io\"]\n"
                "endpoint = [\"https://a.example\"]\n"
                "[" CRI ".registry.configs.\"a.example\".auth]\n"
                "username = \"u\"\npassword = \"p\"\n"
                "[" CRI ".registry.configs.\"a.example\".tls]\n"
                "insecure_skip_verify = true\n"
                "[" CRI ".registry.auths.\"https://b.example\"]\n"
                "auth = \"dTpw\"\nidentitytoken = \"t\"\n");
    put_package("1.7.22-1");
    look(&node);
    config = &node.configs[0];
    assert_true(config->version.is_known);
    assert_int_equal(config->version.minor, 7);
    assert_int_equal(config->mirror_count, 1);
    assert_string_equal(config->mirrors[0].table->key, "docker.io");
    assert_int_equal(config->mirrors[0].endpoint->line, 3);
    assert_int_equal(config->auth_count, 2);
    assert_int_equal(config->auths[0].password->line, 6);
    assert_non_null(config->auths[0].tls);
    assert_true(config->auths[0].in->is_read);
    assert_true(config->auths[1].is_url);
    assert_string_equal(config->auths[1].encoded->string, "dTpw");
    assert_string_equal(config->auths[1].identity_token->string, "t");
    assert_string_equal(node_local_pull(config).item->key, "mirrors");
}

/* Which release reads which table. */
static void schemas(void **state)
{
    static const struct {
        const char *release, *version, *table;
        bool is_read;
    } cases[] = {
        { "1.7.22", "", "plugins.cri", true },
        { "1.7.22", "", CRI, false },
        { "1.7.22", "version = 2", CRI, true },
        { "1.7.22", "version = 2", "plugins.cri", false },
        { "1.7.22", "version = 2", IMAGES, false },
        { "2.1.0", "version = 2", CRI, true },
        { "2.1.0", "", CRI, true },
        { "2.1.0", "", "plugins.cri", true },
        { "2.1.0", "version = 3", CRI, false },
        { "2.3.0", "version = 3", CRI, true },
        { "2.1.0", "version = 3", IMAGES, true },
        { "2.1.0", "version = 2", IMAGES, true },
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(cases); i++) {
        cleanup_node struct node node = { .root_fd = -1 };
        struct node_setting found;
        char text[512];

        (void)snprintf(text, sizeof(text), "%s\n[%s.registry]\nconfig_path = \"/x\"\n",
                       cases[i].version, cases[i].table);
        put(CONFIG, text);
        put_package(cases[i].release);
        look(&node);
        found = node_registry_setting(&node.configs[0], "config_path");
        if ((found.item != NULL) != cases[i].is_read)
            fail_msg("%s %s %s", cases[i].release, cases[i].version, cases[i].table);
    }
}

static void imports(void **state)
{
    static const char *const releases[] = { "1.7.22", "2.1.0" };

    (void)state;
    put(CONFIG, "version = 2\nimports = [\"conf.d/*.toml\", \"/etc/containerd/config.toml\", "
                "\"../containerd/./gone.toml\"]\n"
                "[" CRI "]\nmax_concurrent_downloads = 5\n"
                "[" CRI ".registry]\nconfig_path = \"/first\"\n");
    put("/etc/containerd/conf.d/20.toml", "version = 2\n[" CRI ".registry]\n");
    put("/etc/containerd/conf.d/10.toml", "version = 2\n[" CRI ".registry]\n"
                                          "config_path = \"/second\"\n");
    put("/etc/containerd/conf.d/.hidden.toml", "broken = \n");
    for (size_t i = 0; i < UNIT_COUNT(releases); i++) {
        cleanup_node struct node node = { .root_fd = -1 };
        const struct node_config *config;
        struct node_setting found;

        put_package(releases[i]);
        look(&node);
        config = &node.configs[0];
        assert_int_equal(config->file_count, 5);
        assert_string_equal(config->files[1].inner, "/etc/containerd/conf.d/.hidden.toml");
        assert_int_equal(config->files[1].problem.code, PULLKEY_INVALID);
        assert_non_null(strstr(config->files[1].problem.message, ".hidden.toml:1: "));
        assert_string_equal(config->files[4].inner, "/etc/containerd/gone.toml");
        assert_int_equal(config->files[4].problem.code, PULLKEY_NOT_FOUND);
        found = node_registry_setting(config, "config_path");
        /* Containerd 1 forgets what the file before had in that plugin. */
        if (i == 0)
            assert_null(found.item);
        else
            assert_string_equal(text_of(&found), "/second");
        assert_int_equal(node_local_pull(config).item != NULL, i == 1);
    }
}

static void links_stay_below(void **state)
{
    cleanup_node struct node node = { .root_fd = -1 };
    cleanup_buffer struct buffer text = BUFFER_INIT(100);
    struct pullkey_error error = { 0 };
    char path[1024];

    (void)state;
    put("/srv/config.toml", "version = 3\n");
    put_link(CONFIG, "/srv/config.toml");
    put_link("/etc/loop", "loop");
    put_link("/etc/out", "../../../../../../../etc/passwd");
    (void)snprintf(path, sizeof(path), "%s/etc/fifo", root);
    assert_int_equal(mkfifo(path, 0600), 0);
    look(&node);
    assert_int_equal(node.configs[0].files[0].version, 3);
    assert_refused(node_read(&node, "/etc/loop", &text, &error), PULLKEY_DENIED, "leads nowhere",
                   error);
    assert_refused(node_read(&node, "/etc/out", &text, &error), PULLKEY_NOT_FOUND, "/etc/out",
                   error);
    assert_refused(node_read(&node, "/etc/fifo", &text, &error), PULLKEY_DENIED,
                   "not a regular file", error);
}

static void hosts(void **state)
{
    cleanup_node struct node node = { .root_fd = -1 };
    cleanup_node_hosts struct node_hosts hosts = { 0 };
    struct pullkey_error error = { 0 };

    (void)state;
    put("/certs.d/b.example/hosts.toml",
        "[host.\"https://m.example\".auth]\ncredHelper = \"gcr\"\n");
    put("/certs.d/a.example/ca.crt", "");
    put("/certs.d/c.example/hosts.toml", "capabilities = [\"fly\"]\n");
    put("/certs.d/d.example/hosts.toml", "[[[\n");
    put("/certs.d/file", "");
    put_link("/certs.d/dangling", "nowhere");
    put_link("/certs.d/e.example", "/certs.d/b.example");
    look(&node);
    assert_fine(node_hosts_read(&node, "/certs.d", NULL, &hosts, &error), error);
    assert_true(hosts.exists);
    assert_int_equal(hosts.count, 5);
    assert_string_equal(hosts.directories[0].name, "a.example");
    assert_false(hosts.directories[0].has_file);
    assert_true(hosts.directories[0].has_certificates);
    assert_int_equal(hosts.directories[1].file.host_count, 2);
    assert_int_equal(hosts.directories[2].problem.code, PULLKEY_INVALID);
    assert_non_null(hosts.directories[2].toml.root);
    assert_int_equal(hosts.directories[3].problem.code, PULLKEY_INVALID);
    assert_string_equal(hosts.directories[3].text.data, "[[[\n");
    assert_int_equal(hosts.directories[4].file.host_count, 2);
    node_hosts_done(&hosts);
    assert_fine(node_hosts_read(&node, "/nothing", NULL, &hosts, &error), error);
    assert_false(hosts.exists);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(versions, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_empty_node, set_up, tear_down),
        cmocka_unit_test_setup_teardown(tables, set_up, tear_down),
        cmocka_unit_test_setup_teardown(schemas, set_up, tear_down),
        cmocka_unit_test_setup_teardown(imports, set_up, tear_down),
        cmocka_unit_test_setup_teardown(links_stay_below, set_up, tear_down),
        cmocka_unit_test_setup_teardown(hosts, set_up, tear_down),
    };

    return cmocka_run_group_tests_name("node", tests, NULL, NULL);
}
