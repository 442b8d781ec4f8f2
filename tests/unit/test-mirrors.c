/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "hosts/mirrors.h"

static int find(const char *registry, const char *toml_text, struct toml_document *toml,
                struct mirrors *ret, struct pullkey_error *error)
{
    assert_fine(toml_parse(toml, "t", toml_text, strlen(toml_text), error), *error);
    return mirrors_find(registry, toml_member(toml->root, "endpoint"), ret, error);
}

/* `tls` stands beside the endpoints, and all of them have a helper then. */
static void assert_hosts(const char *registry, const char *toml_text, const char *expected)
{
    cleanup_toml struct toml_document toml = { 0 };
    cleanup_mirrors struct mirrors mirrors = { 0 };
    cleanup_buffer struct buffer text = BUFFER_INIT(MIRRORS_TEXT_MAX);
    struct pullkey_error error;

    assert_fine(find(registry, toml_text, &toml, &mirrors, &error), error);
    for (size_t i = 0; i < mirrors.count; i++) {
        mirrors.items[i].tls = toml_member(toml.root, "tls");
        mirrors.items[i].has_helper = mirrors.items[i].tls != NULL;
    }
    assert_fine(mirrors_write(&mirrors, &text, &error), error);
    assert_string_equal(text.data ? text.data : "", expected);
}

static void refuses(const char *toml_text, const char *part)
{
    cleanup_toml struct toml_document toml = { 0 };
    cleanup_mirrors struct mirrors mirrors = { 0 };
    struct pullkey_error error;

    assert_refused(find("docker.io", toml_text, &toml, &mirrors, &error), PULLKEY_INVALID, part,
                   error);
    assert_null(strstr(error.message, "hunter2"));
}

static void the_registry_itself_is_the_last(void **state)
{
    (void)state;
    assert_hosts("docker.io", "endpoint = ['https://m', 'https://registry-1.docker.io']",
                 "server = \"https://registry-1.docker.io\"\n\n[host.\"https://m\"]\n"
                 "  capabilities = [\"pull\", \"resolve\"]\n");
    assert_hosts("docker.io", "endpoint = ['m:5000', 'm:5000']",
                 "server = \"https://registry-1.docker.io\"\n\n[host.\"https://m:5000\"]\n"
                 "  capabilities = [\"pull\", \"resolve\"]\n");
    /* It is in the middle: the last is the last, and nothing is added. */
    assert_hosts("r.example", "endpoint = ['https://r.example', 'http://z']",
                 "server = \"http://z\"\n\n[host.\"https://r.example\"]\n"
                 "  capabilities = [\"pull\", \"resolve\"]\n");
    /* Of an image without mirrors, and of a local registry. */
    assert_hosts("r.example", "",
                 "server = \"https://r.example\"\n\n[host.\"https://r.example\"]\n"
                 "  capabilities = [\"pull\", \"resolve\", \"push\"]\n");
    assert_hosts("localhost:5000", "",
                 "server = \"http://localhost:5000\"\n\n[host.\"http://localhost:5000\"]\n"
                 "  capabilities = [\"pull\", \"resolve\", \"push\"]\n");
}

static void all_registries_have_no_server(void **state)
{
    (void)state;
    assert_hosts("*", "endpoint = ['https://m']",
                 "\n[host.\"https://m\"]\n  capabilities = [\"pull\", \"resolve\"]\n");
    assert_hosts("*", "endpoint = []", "");
}

static void settings_follow_the_host(void **state)
{
    (void)state;
    assert_hosts("q.example",
                 "endpoint = ['https://m/v2/p']\n[tls]\nca_file = 'c'\ncert_file = 'd'\n"
                 "key_file = 'k\"'\ninsecure_skip_verify = true\n",
                 "server = \"https://q.example\"\nca = \"c\"\nclient = [[\"d\", \"k\\\"\"]]\n"
                 "skip_verify = true\nauth.credHelper = \"pullkey\"\nauth.allowInsecure = true\n"
                 "\n[host.\"https://m/v2/p\"]\n  capabilities = [\"pull\", \"resolve\"]\n"
                 "  override_path = true\n  ca = \"c\"\n  client = [[\"d\", \"k\\\"\"]]\n"
                 "  skip_verify = true\n[host.\"https://m/v2/p\".auth]\n"
                 "  credHelper = \"pullkey\"\n  allowInsecure = true\n");
}

static void what_containerd_would_not_take_is_refused(void **state)
{
    (void)state;
    refuses("endpoint = 'https://m'", "list");
    refuses("endpoint = [1]", "list");
    refuses("endpoint = ['https://user:hunter2@m/v2']", "user name");
    refuses("endpoint = ['user:hunter2@m']", "user name");
    refuses("endpoint = ['ftp://m']", "neither");
    refuses("endpoint = ['https://']", "no URL");
    refuses("endpoint = ['https://a b']", "no URL");
    refuses("endpoint = ['https://m?x=1']", "no URL");
    refuses("endpoint = [\"m\\t\"]", "no URL");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_registry_itself_is_the_last),
        cmocka_unit_test(all_registries_have_no_server),
        cmocka_unit_test(settings_follow_the_host),
        cmocka_unit_test(what_containerd_would_not_take_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
