/* SPDX-License-Identifier: Apache-2.0 */
#include "unit-free.h"

#include "hosts/hosts-file.h"

#define A "https://a.example"
#define B "https://b.example"

static int parse_for(const char *registry, struct hosts_file *file, const char *text,
                     struct pullkey_error *error)
{
    return hosts_file_parse("hosts.toml", registry, text, strlen(text), NULL, file, error);
}

static int parse(struct hosts_file *file, const char *text, struct pullkey_error *error)
{
    return parse_for("r.example", file, text, error);
}

static void assert_names(const char *text, const char *const *names)
{
    cleanup_hosts_file struct hosts_file file = { 0 };
    struct pullkey_error error;
    size_t i = 0;

    assert_fine(parse(&file, text, &error), error);
    for (; names[i]; i++) {
        if (i == file.host_count || strcmp(file.hosts[i].name, names[i]) != 0)
            fail_msg("%s: no %s at place %zu", text, names[i], i);
        assert_int_equal(file.hosts[i].is_server, i == file.host_count - 1);
    }
    if (file.host_count != i)
        fail_msg("%s: %zu hosts", text, file.host_count);
}

#define NAMES(...) ((const char *const[]){ __VA_ARGS__, NULL })

static void order(void **state)
{
    (void)state;
    assert_names("", NAMES("r.example"));
    assert_names("server = \"s.example\"\n", NAMES("s.example"));
    assert_names("[host.\"" B "\"]\n[host.\"" A "\"]\n", NAMES(B, A, "r.example"));
    /* A table of one of its keys is enough, and counts from where it stands. */
    assert_names("[host.\"" B "\".auth]\n[host.\"" A "\"]\n[host.\"" B "\"]\n",
                 NAMES(B, A, "r.example"));
    assert_names("[host.\"" B "\".x.y]\n[host.\"" A "\"]\n", NAMES(B, A, "r.example"));
    assert_names("[[host.\"" B "\".x]]\n[host.\"" A "\"]\n[host.\"" B "\".auth]\n",
                 NAMES(A, B, "r.example"));
    assert_names("[\"host\" . '" A "']\n", NAMES(A, "r.example"));
    assert_names("[host]\n[host.\"" A "\"]\n", NAMES(A, "r.example"));
    assert_names("[host]\n\"" A "\".ca = []\n[host.\"" A "\".auth]\n", NAMES(A, "r.example"));
}

/* containerd sees only what has a header. */
static void unseen(void **state)
{
    (void)state;
    assert_names("host = {\"" A "\" = {}}\n", NAMES("r.example"));
    assert_names("[host]\n\"" A "\" = {}\n\"" B "\".ca = []\n", NAMES("r.example"));
    assert_names("host.\"" A "\".auth.credHelper = \"x\"\n", NAMES("r.example"));
    assert_names("[[host.\"" A "\".list]]\n", NAMES("r.example"));
    assert_names("[Host.\"" A "\"]\n", NAMES("r.example"));
    /* It is not looked at either. */
    assert_names("[host]\n\"a b\" = {ca = 1, capabilities = [\"fly\"], header.x = 1}\n",
                 NAMES("r.example"));
}

static void servers(void **state)
{
    static const struct {
        const char *registry, *text, *name;
        bool is_http, skip_verify;
    } rows[] = {
        { "r.example", "", "r.example", false, false },
        { "r.example", "server = \"\"", "r.example", false, false },
        { "r.example", "SERVER = \"s.example\"", "s.example", false, false },
        { "r.example", "server = \"http://s.example\"", "http://s.example", true, false },
        { "r.example", "skip_verify = true", "r.example", false, true },
        { "r.example_5000_", "", "r.example:5000", false, false },
        { "r.example:5000", "", "r.example:5000", false, false },
        { "r_5000_", "", "r:5000", false, false },
        { "r.example_x_", "", "r.example_x_", false, false },
        { "r.example__", "", "r.example__", false, false },
        { "docker.io", "", "registry-1.docker.io", false, false },
        { "_default", "", NULL, false, false },
        { "_default", "server = \"s.example\"", "s.example", false, false },
        { "localhost", "", "localhost", false, true },
        { "localhost_443_", "", "localhost:443", false, true },
        { "localhost_5000_", "", "localhost:5000", true, true },
        { "127.1.2.3:80", "", "127.1.2.3:80", true, true },
        { "[::1]_5000_", "", "[::1]:5000", true, true },
        { "[::ffff:127.0.0.1]_5000_", "", "[::ffff:127.0.0.1]:5000", true, true },
        { "localhost_5000_", "server = \"https://localhost:5000\"", "https://localhost:5000", false,
          false },
        { "localhost.example", "", "localhost.example", false, false },
    };
    struct pullkey_error error;

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        cleanup_hosts_file struct hosts_file file = { 0 };

        assert_fine(parse_for(rows[i].registry, &file, rows[i].text, &error), error);
        assert_int_equal(file.host_count, 1);
        if (rows[i].name)
            assert_string_equal(file.hosts[0].name, rows[i].name);
        else
            assert_null(file.hosts[0].name);
        if (file.hosts[0].is_http != rows[i].is_http ||
            file.hosts[0].skip_verify != rows[i].skip_verify)
            fail_msg("%s %s", rows[i].registry, rows[i].text);
    }
}

static void directories(void **state)
{
    static const char *const rows[][2] = {
        { "a", "a" },
        { "a_5_", "a:5" },
        { "a_b_5_", "a_b:5" },
        { "a_5", "a_5" },
        { "_5_", "_5_" },
        { "__", "__" },
        { "_", "_" },
        { "", "" },
        { "a_5x_", "a_5x_" },
        { "a:5", "a:5" },
        { "_default", "_default" },
    };
    char long_name[1000], ret[REGISTRY_HOST_MAX + 8];

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        hosts_directory_registry(rows[i][0], ret);
        assert_string_equal(ret, rows[i][1]);
    }
    memset(long_name, '_', sizeof(long_name));
    long_name[sizeof(long_name) - 1] = '\0';
    hosts_directory_registry(long_name, ret);
    assert_int_equal(strlen(ret), REGISTRY_HOST_MAX + 7);
}

static void keys_in_any_case(void **state)
{
    cleanup_hosts_file struct hosts_file file = { 0 };
    struct pullkey_error error;

    (void)state;
    assert_true(hosts_key_is("Skip_VERIFY", "skip_verify"));
    assert_true(hosts_key_is("s\xe2\x84\xaa\xc4\xb0p_verify", "skip_verify"));
    assert_false(hosts_key_is("skip_verif", "skip_verify"));
    assert_false(hosts_key_is("skip_verifyy", "skip_verify"));
    assert_false(hosts_key_is("", "ca"));
    assert_false(hosts_key_is("\xe2\x84", "ca"));
    assert_fine(parse(&file,
                      "[host.\"" A "\"]\n\"S\xe2\x84\xaa\xc4\xb0p_Verify\" = true\n"
                      "[host.\"" A "\".HEADER]\naUTHORIZATION = \"x\"\nAuthor = \"y\"\n",
                      &error),
                error);
    assert_true(file.hosts[0].skip_verify);
    assert_non_null(file.hosts[0].authorization);
    assert_string_equal(file.hosts[0].authorization->key, "aUTHORIZATION");
    assert_null(file.hosts[1].authorization);
    assert_non_null(hosts_member(file.hosts[0].table, "header"));
    assert_null(hosts_member(file.hosts[0].table, "ca"));
    assert_null(hosts_member(NULL, "ca"));
    assert_null(hosts_member(file.hosts[0].authorization, "ca"));
}

#define IN_HOST "[host.\"" A "\"]\n"

static void read_files(void **state)
{
    static const char *const rows[] = {
        "capabilities = []",
        "capabilities = [\"PULL\", 'resolve', \"push\", \"referrers\"]",
        "ca = \"x\"",
        "ca = []",
        "ca = [\"x\", 'y']",
        "client = \"x\"",
        "client = []",
        "client = [\"x\", [\"y\", \"z\"]]",
        "skip_verify = false",
        "header = {}",
        "header = {a = \"x\", b = [], c = [\"y\"]}",
        "override_path = true",
        "dial_timeout = \"\"",
        "dial_timeout = \"0\"",
        "dial_timeout = \"-1.5h2m3.s\"",
        "dial_timeout = \"+.5ms1us1ns1\xc2\xb5s1\xce\xbcs\"",
        "dial_timeout = \"2562047h47m16.854775807s\"",
        "dial_timeout = \"-9223372036854775808ns\"",
        "unknown = {a = [1]}",
        "capability = 1",
        "header.x = \"\"\nheader.\"\xc3\xa9\" = [\"a\"]",
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(rows); i++)
        for (int in_host = 0; in_host < 2; in_host++) {
            cleanup_hosts_file struct hosts_file file = { 0 };
            struct pullkey_error error;
            char text[300];

            (void)snprintf(text, sizeof(text), "%s%s\n", in_host ? IN_HOST : "", rows[i]);
            assert_fine(parse(&file, text, &error), error);
        }
}

/* Each of these makes containerd go upstream, without any mirror. */
static void unread_files(void **state)
{
    static const struct {
        const char *text, *message;
    } rows[] = {
        { "capabilities = \"pull\"", "capabilities must be a list" },
        { "capabilities = [1]", "capabilities must be a list" },
        { "capabilities = [\"fly\"]", "knows the capabilities" },
        { "capabilities = [\"pull\\u0000\"]", "knows the capabilities" },
        { "ca = 1", "ca must be a string" },
        { "ca = [[\"x\"]]", "ca must be a string" },
        { "ca = {}", "ca must be a string" },
        { "CA = false", "ca must be a string" },
        { "client = [[\"x\"]]", "client must be a string" },
        { "client = [[\"x\", \"y\", \"z\"]]", "client must be a string" },
        { "client = [[\"x\", 1]]", "client must be a string" },
        { "client = [1]", "client must be a string" },
        { "skip_verify = \"true\"", "skip_verify must be true or false" },
        { "skip_verify = 1", "skip_verify must be true or false" },
        { "override_path = \"\"", "override_path must be true or false" },
        { "header = \"x\"", "header must be a table" },
        { "header = {a = 1}", "header must be a table" },
        { "header.a.b = \"x\"", "header must be a table" },
        { "header = {a = [1]}", "header must be a table" },
        { "dial_timeout = 5", "dial_timeout must be a duration" },
        { "dial_timeout = \"5\"", "dial_timeout must be" },
        { "dial_timeout = \"5sx\"", "dial_timeout must be" },
        { "dial_timeout = \"s\"", "dial_timeout must be" },
        { "dial_timeout = \"-\"", "dial_timeout must be" },
        { "dial_timeout = \".s\"", "dial_timeout must be" },
        { "dial_timeout = \"1d\"", "dial_timeout must be" },
        { "dial_timeout = \"5s\\u0000\"", "dial_timeout must be" },
        { "dial_timeout = \" 5s\"", "dial_timeout must be" },
        { "dial_timeout = \"9223372036854775808ns\"", "dial_timeout must be" },
        { "dial_timeout = \"99999999999999999999s\"", "dial_timeout must be" },
        { "dial_timeout = \"2562048h\"", "dial_timeout must be" },
        { "dial_timeout = \"2562047h2562047h\"", "dial_timeout must be" },
        { "ca = \"x\"\nCA = \"y\"", "ca is there twice" },
        { "Header.a = \"x\"\nheader.b = \"y\"", "header is there twice" },
        { "skip_verify = true\n\"s\xe2\x84\xaaip_verify\" = false", "skip_verify is there twice" },
    };
    static const struct {
        const char *text, *message;
    } roots[] = {
        { "server = 1", "server must be a string" },
        { "server = \"a b\"", "hosts.toml:1: this is no URL" },
        { "server = \"https://a\\u0000\"", "this is no URL" },
        { "server = \"x\"\nServer = \"y\"", "hosts.toml:2: server is there twice" },
        { "host = 1", "hosts are tables" },
        { "[[host]]", "hosts are tables" },
        { "Host = 1", "hosts are tables" },
        { "host.a = 1", "a host is a table" },
        { "[host]\na = []", "a host is a table" },
        { "[host.a]\n[Host.b]", "host is there twice" },
        { "\n[host.\"https://a:x\"]", "hosts.toml:2: this is no URL" },
        { "[host.\"a b\".auth]", "this is no URL" },
        { "[host]\na = {skip_verify = 1}", "skip_verify must be" },
        { "[Host.a]\ncapabilities = 1", "capabilities must be" },
        { "\xef\xbb\xbfserver = \"x\"", "byte order mark" },
        { "[host.\"a\\u0000\"]", "NUL in a key" },
        { "[", "hosts.toml:1: this is not TOML: the file ends too early (column 2)" },
    };
    struct pullkey_error error;
    struct hosts_file file;

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(rows); i++)
        for (int in_host = 0; in_host < 2; in_host++) {
            char text[300];

            (void)snprintf(text, sizeof(text), "%s%s\n", in_host ? IN_HOST : "", rows[i].text);
            error.message[0] = '\0';
            assert_refused(parse(&file, text, &error), PULLKEY_INVALID, rows[i].message, error);
        }
    for (size_t i = 0; i < UNIT_COUNT(roots); i++) {
        error.message[0] = '\0';
        assert_refused(parse(&file, roots[i].text, &error), PULLKEY_INVALID, roots[i].message,
                       error);
    }
}

static void number_of_hosts(void **state)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(65536);
    struct pullkey_error error;
    struct hosts_file file;

    (void)state;
    for (int i = 1; i < HOSTS_PER_FILE_MAX; i++)
        buffer_printf(&text, "[host.a%d]\n", i);
    assert_fine(parse(&file, text.data, &error), error);
    assert_int_equal(file.host_count, HOSTS_PER_FILE_MAX);
    assert_string_equal(file.hosts[HOSTS_PER_FILE_MAX - 2].name, "a255");
    hosts_file_done(&file);
    buffer_append_text(&text, "[host.last]\n");
    assert_refused(parse(&file, text.data, &error), PULLKEY_INVALID, "more than 255 hosts", error);
}

struct expected {
    const char *text; /* the first host of it counts */
    const char *helper;
    const char *problem;
    int64_t lifetime;
};

static void assert_helper(const struct expected *row)
{
    cleanup_hosts_file struct hosts_file file = { 0 };
    struct pullkey_error error;
    const struct hosts_host *host;

    if (parse(&file, row->text, &error) < 0)
        fail_msg("%s: %s", row->text, error.message);
    host = &file.hosts[0];
    if (!row->problem != !host->problem || (row->problem && !strstr(host->problem, row->problem)))
        fail_msg("%s: %s", row->text, host->problem ? host->problem : "no problem");
    if (!row->helper != !host->helper || (row->helper && strcmp(host->helper, row->helper) != 0))
        fail_msg("%s: %s", row->text, host->helper ? host->helper : "no helper");
    assert_int_equal(hosts_host_is_managed(host), row->helper && !row->problem);
    assert_true(!host->helper || host->helper_item);
    if (row->lifetime > 0)
        assert_int_equal(host->assume_lifetime, row->lifetime);
}

#define AUTH "[host.\"" A "\".auth]\n"
#define HELPED AUTH "credHelper = \"x\"\n"

static void helpers(void **state)
{
    static const struct expected rows[] = {
        { IN_HOST, NULL, NULL, 0 },
        { HELPED, "x", NULL, HOSTS_LIFETIME_DEFAULT },
        { IN_HOST "credHelper = 'ecr-login_2'", "ecr-login_2", NULL, 0 },
        { IN_HOST "credHelper = 'a'\nauth = {credHelper = 'b'}", "b", NULL, 0 },
        { IN_HOST "auth.credHelper = 'b'", "b", NULL, 0 },
        { IN_HOST "credhelper = 'a'", NULL, NULL, 0 },
        { IN_HOST "Auth = {credHelper = 'b'}", NULL, NULL, 0 },
        { IN_HOST "auth = 'x'", NULL, NULL, 0 },
        { AUTH "credHelper = ''", NULL, "credHelper must be", 0 },
        { AUTH "credHelper = 1", NULL, "credHelper must be", 0 },
        { AUTH "credHelper = '../x'", NULL, "credHelper must be", 0 },
        { AUTH "credHelper = 'A'", NULL, "credHelper must be", 0 },
        { AUTH "credHelper = \"x\\u0000y\"", NULL, "credHelper must be", 0 },
        { AUTH "credHelper = \"x\\n\"", NULL, "credHelper must be", 0 },
        { AUTH "credHelper = '"
               "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
               "'",
          NULL, "credHelper must be", 0 },
        { "auth.credHelper = 'x'", "x", NULL, 0 },
        { "credHelper = 'x'", NULL, NULL, 0 },
        { "server = 's.example'\n[auth]\ncredHelper = 'x'", "x", NULL, 0 },
        { "Server = 's.example'\n[auth]\ncredHelper = 'x'", "x", "server must be in lower case",
          0 },
        { "Server = ''\n[auth]\ncredHelper = 'x'", "x", NULL, 0 },
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(rows); i++)
        assert_helper(&rows[i]);
}

static void lifetimes(void **state)
{
    static const struct expected rows[] = {
        { HELPED "assumeLifetime = '90s'", "x", NULL, 90 },
        { HELPED "assumeLifetime = '15m'", "x", NULL, 900 },
        { HELPED "assumeLifetime = '168h'", "x", NULL, 604800 },
        { HELPED "assumeLifetime = 600", "x", NULL, 600 },
        { HELPED "assumeLifetime = 604800", "x", NULL, 604800 },
        { HELPED "assumeLifetime = '169h'", "x", "assumeLifetime must be", 0 },
        { HELPED "assumeLifetime = 604801", "x", "assumeLifetime must be", 0 },
        { HELPED "assumeLifetime = '604801s'", "x", "assumeLifetime must be", 0 },
        { HELPED "assumeLifetime = '99999999999999999999999s'", "x", "assumeLifetime must be", 0 },
        { HELPED "assumeLifetime = 0", "x", "assumeLifetime must be", 0 },
        { HELPED "assumeLifetime = -1", "x", "assumeLifetime must be", 0 },
        { HELPED "assumeLifetime = '0s'", "x", "assumeLifetime must be", 0 },
        { HELPED "assumeLifetime = 's'", "x", "assumeLifetime must be", 0 },
        { HELPED "assumeLifetime = ''", "x", "assumeLifetime must be", 0 },
        { HELPED "assumeLifetime = '15'", "x", "assumeLifetime must be", 0 },
        { HELPED "assumeLifetime = '1d'", "x", "assumeLifetime must be", 0 },
        { HELPED "assumeLifetime = '15m '", "x", "assumeLifetime must be", 0 },
        { HELPED "assumeLifetime = '1h5m'", "x", "assumeLifetime must be", 0 },
        { HELPED "assumeLifetime = \"15m\\u0000\"", "x", "assumeLifetime must be", 0 },
        { HELPED "assumeLifetime = 1.5", "x", "assumeLifetime must be", 0 },
        { HELPED "assumeLifetime = true", "x", "assumeLifetime must be", 0 },
        { AUTH "assumeLifetime = 0", NULL, "assumeLifetime must be", 0 },
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(rows); i++)
        assert_helper(&rows[i]);
}

static void insecure_hosts(void **state)
{
    static const struct expected rows[] = {
        { IN_HOST "skip_verify = true\ncredHelper = 'x'", "x", "over http:// or with skip_verify",
          0 },
        { IN_HOST "SKIP_VERIFY = true\ncredHelper = 'x'", "x", "over http:// or with skip_verify",
          0 },
        { IN_HOST "skip_verify = false\ncredHelper = 'x'", "x", NULL, 0 },
        { IN_HOST "skip_verify = true\n" HELPED "allowInsecure = true", "x", NULL, 0 },
        { IN_HOST "skip_verify = true\n" HELPED "allowInsecure = false", "x", "over http://", 0 },
        { IN_HOST "skip_verify = true\n" HELPED "allowInsecure = 'yes'", "x",
          "allowInsecure must be true or false", 0 },
        { IN_HOST "skip_verify = true\ncredHelper = 'x'\nallowInsecure = true", "x", "over http://",
          0 },
        { "[host.\"http://a.example\".auth]\ncredHelper = 'x'", "x", "over http://", 0 },
        { "[host.\"http://a.example\".auth]\ncredHelper = 'x'\nallowInsecure = true", "x", NULL,
          0 },
    };
    struct pullkey_error error;

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(rows); i++)
        assert_helper(&rows[i]);
    for (int allowed = 0; allowed < 2; allowed++) {
        cleanup_hosts_file struct hosts_file file = { 0 };

        assert_fine(parse_for("localhost_5000_", &file,
                              allowed ? "[auth]\ncredHelper = 'x'\nallowInsecure = true\n"
                                      : "[auth]\ncredHelper = 'x'\n",
                              &error),
                    error);
        assert_int_equal(hosts_host_is_managed(&file.hosts[0]), allowed);
    }
}

static void other_problems(void **state)
{
    static const struct expected rows[] = {
        { HELPED "[host.\"" A "\".header]\nauthorization = 'x'", "x",
          "an Authorization header as well", 0 },
        { HELPED "[host.\"" A "\".header]\nAUTHORIZATION = ['x']", "x", "an Authorization header",
          0 },
        { HELPED "[host.\"" A "\".header]\nProxy-Authorization = 'x'", "x", NULL, 0 },
        { HELPED "# a\\b\nx = 'a\\b'", "x", NULL, 0 },
        { HELPED "[host.\"https\\u003A//b.example\"]", "x", "a backslash in its name", 0 },
        { HELPED "\"a\\u0062\" = 1", "x", "a backslash in its name", 0 },
    };
    /* containerd reads these, and sends what is for nobody that the name seems to name. */
    static const char *const names[] = {
        "HTTPS://a.example",
        "Http://a.example",
        "ftp://a.example",
        "httpbin.example",
        "http:a.example",
        "https:///a.example",
        "https://",
        "https:a.example",
        "https://u@a.example",
        "https://u:p@a.example",
        "u@a.example",
        "https://a.example?x",
        "https://a.example#x",
        "https://a.example/x y",
        "https://a.example/%41",
        "https://a%c3%a9",
        "https://\xc3\xa9.example",
        "https://a.example/../b",
        "https://a.example//b",
        "https://a.example.",
        "https://a_b.example",
        "https://127.1",
        "https://0x7f000001",
        "https://a.example:",
        "https://a.example:0",
        "https://a.example:65536",
        "https://a.example/\\\"",
        "//a.example",
        "/a.example",
        "https://a.example/<x>",
        "a.example/x://y",
        "nerdctl-experimental://x",
        "https://index.docker.io/v1/access-token",
    };
    struct pullkey_error error;

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(rows); i++)
        assert_helper(&rows[i]);
    for (size_t i = 0; i < UNIT_COUNT(names); i++) {
        char text[300];

        (void)snprintf(text, sizeof(text), "[host.\"%s\"]\ncredHelper = 'x'", names[i]);
        assert_helper(&(struct expected){ text, "x", "its URL is not one", 0 });
    }
    for (int named = 0; named < 2; named++) {
        cleanup_hosts_file struct hosts_file file = { 0 };

        assert_fine(parse_for("_default", &file,
                              named ? "server = 's.example'\nauth.credHelper = 'x'\n"
                                    : "auth.credHelper = 'x'\n",
                              &error),
                    error);
        assert_int_equal(hosts_host_is_managed(&file.hosts[0]), named);
        assert_true(named || strstr(file.hosts[0].problem, "_default needs a server"));
    }
}

static void good_names(void **state)
{
    static const char *const names[] = {
        A,
        "a.example",
        "a.example:5000/x",
        "https://A.EXAMPLE",
        "https://a.example:5000/v2/x",
        "https://a.example/v2/",
        "https://[::1]:5000",
        "https://127.0.0.1",
        "https://xn--e1afmkfd.example",
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(names); i++) {
        char text[300];

        (void)snprintf(text, sizeof(text), "[host.\"%s\"]\ncredHelper = 'x'", names[i]);
        assert_helper(&(struct expected){ text, "x", NULL, 0 });
    }
}

/* A problem of one host leaves the others alone. */
static void side_by_side(void **state)
{
    cleanup_hosts_file struct hosts_file file = { 0 };
    struct pullkey_error error;

    (void)state;
    assert_fine(parse(&file,
                      "[host.\"" A "\"]\ncredHelper = 'x'\nskip_verify = true\n"
                      "[host.\"" B "\"]\ncredHelper = 'y'\n",
                      &error),
                error);
    assert_false(hosts_host_is_managed(&file.hosts[0]));
    assert_true(hosts_host_is_managed(&file.hosts[1]));
    assert_int_equal(file.hosts[1].helper_item->line, 5);
    assert_false(hosts_host_is_managed(&file.hosts[2]));
}

static void helpers_of_the_configuration(void **state)
{
    static const char configuration[] =
        "{\"version\": 1, \"containerd\": {\"hosts\": {\"" A "\": \"one\", \"" A
        "/v2/team\": \"two\", \"https://s.example\": \"three\", \"http://plain.example\": "
        "\"four\"}}}";
    static const char text[] = "server = 's.example'\n"
                               "[host.\"a.example/other\"]\n"
                               "[host.\"" A "/v2/team\"]\n"
                               "[host.\"" A "\"]\ncredHelper = 'own'\n"
                               "[host.\"" B "\"]\n"
                               "[host.\"http://plain.example\"]\n"
                               "[host.\"https://plain.example\"]\n"
                               "[host.\"" A "/bad\".auth]\ncredHelper = 1\n"
                               "[host.\"" A "/header\".header]\nAuthorization = 'x'\n";
    static const struct {
        const char *helper;
        bool managed;
    } rows[] = { { "one", true }, { "two", true },   { "own", true },
                 { NULL, false }, { "four", false }, { NULL, false },
                 { NULL, false }, { "one", false },  { "three", true } };
    cleanup_config struct config config = { 0 };
    cleanup_settings struct settings settings = { 0 };
    cleanup_hosts_file struct hosts_file file = { 0 };
    struct pullkey_error error;

    (void)state;
    assert_fine(config_load(&(struct config_source){ .text = configuration }, &config, &error),
                error);
    assert_fine(settings_load(&config, &settings, &error), error);
    assert_fine(
        hosts_file_parse("hosts.toml", "r.example", text, strlen(text), &settings, &file, &error),
        error);
    assert_int_equal(file.host_count, UNIT_COUNT(rows));
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        assert_int_equal(hosts_host_is_managed(&file.hosts[i]), rows[i].managed);
        if (rows[i].helper)
            assert_string_equal(file.hosts[i].helper, rows[i].helper);
        else
            assert_null(file.hosts[i].helper);
        if (rows[i].helper && strcmp(rows[i].helper, "own") != 0)
            assert_null(file.hosts[i].helper_item);
    }
}

static const char secrets[] =
    "server = \"https://" MARKER ".example\"\n# " MARKER "\n[host.\"" A "\"]\ncredHelper = \"x\"\n"
    "header.Authorization = \"" MARKER "\"\n[host.\"" MARKER "\"]\nskip_verify = true\n"
    "[host.\"" MARKER "\".auth]\ncredHelper = \"y\"\n";

static void wiped(void **state)
{
    struct hosts_file file = { 0 };
    struct pullkey_error error;

    (void)state;
    assert_wiped(assert_fine(parse(&file, secrets, &error), error));
    assert_wiped(hosts_file_done(&file));
    assert_null(file.hosts);
}

/* However little memory there is, no problem gets lost. */
static void out_of_memory(void **state)
{
    struct hosts_file file = { 0 };
    struct pullkey_error error;
    int result = -1;

    (void)state;
    for (int left = 0; result < 0; left++) {
        assert_true(left < 100000);
        allocations_left = left;
        result = parse(&file, secrets, &error);
        allocations_left = -1;
        if (result < 0)
            assert_int_equal(error.code, PULLKEY_INTERNAL);
    }
    assert_false(hosts_host_is_managed(&file.hosts[0]));
    assert_false(hosts_host_is_managed(&file.hosts[1]));
    hosts_file_done(&file);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(counting_works),  cmocka_unit_test(order),
        cmocka_unit_test(unseen),          cmocka_unit_test(servers),
        cmocka_unit_test(directories),     cmocka_unit_test(keys_in_any_case),
        cmocka_unit_test(read_files),      cmocka_unit_test(unread_files),
        cmocka_unit_test(number_of_hosts), cmocka_unit_test(helpers),
        cmocka_unit_test(lifetimes),       cmocka_unit_test(insecure_hosts),
        cmocka_unit_test(other_problems),  cmocka_unit_test(good_names),
        cmocka_unit_test(side_by_side),    cmocka_unit_test(helpers_of_the_configuration),
        cmocka_unit_test(wiped),           cmocka_unit_test(out_of_memory),
    };

    json_start();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
