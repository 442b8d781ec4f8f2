/* SPDX-License-Identifier: Apache-2.0 */
#include "unit-free.h"

#include "base/secret.h"
#include "hosts/render-text.h"

#define A "https://a.example"
#define B "https://b.example"
#define VALUE "Basic eDp5"
#define LINE "Authorization = \"" VALUE "\" # pullkey: x 1700000000\n"
#define DIRECTORY "/etc/certs.d/r.example"

static char value_bytes[] = VALUE;
static struct pullkey_secret value = { value_bytes, sizeof(value_bytes) - 1 };

/* Who gets the header: everybody that may, or those with a name that holds this. */
static bool answer(void *context, const struct hosts_host *host, struct render_header *ret)
{
    const char *wanted = context;

    assert_true(hosts_host_is_managed(host));
    *ret = (struct render_header){ &value, 1700000000 };
    return !wanted || strstr(host->name, wanted);
}

static int render_at(const struct render_place *place, const char *text, const char *wanted,
                     struct buffer *result, struct pullkey_error *error)
{
    cleanup_hosts_file struct hosts_file file = { 0 };
    int r = hosts_file_parse("hosts.toml", place->registry, text, strlen(text), NULL, &file, error);
    char context[100] = "";

    if (wanted)
        (void)snprintf(context, sizeof(context), "%s", wanted);
    return r < 0 ? r : render_text(&file, place, answer, wanted ? context : NULL, result, error);
}

static int render_for(const char *registry, const char *text, const char *wanted,
                      struct buffer *result, struct pullkey_error *error)
{
    return render_at(&(struct render_place){ registry, DIRECTORY, false }, text, wanted, result,
                     error);
}

static void assert_rendered_for(const char *registry, const char *wanted, const char *text,
                                const char *expected)
{
    cleanup_buffer struct buffer result = BUFFER_INIT(RENDER_SIZE_MAX);
    struct pullkey_error error;

    if (render_for(registry, text, wanted, &result, &error) < 0)
        fail_msg("%s: %s", text, error.message);
    if (strcmp(result.data ? result.data : "", expected) != 0)
        fail_msg("\n%s\nbecame\n%s\nnot\n%s", text, result.data ? result.data : "", expected);
}

static void assert_rendered(const char *text, const char *expected)
{
    assert_rendered_for("r.example", NULL, text, expected);
}

#define HOST "[host.\"" A "\"]\n"
#define AUTH "[host.\"" A "\".auth]\ncredHelper = \"x\"\n"
#define HEADER "[host.\"" A "\".header]\n"

static void where_it_is_put(void **state)
{
    static const char *const rows[][2] = {
        /* Behind the header of the host. */
        { HOST "ca = \"/x\"\n" AUTH, HOST "header." LINE "ca = \"/x\"\n" AUTH },
        { HOST "credHelper = \"x\"", HOST "header." LINE "credHelper = \"x\"" },
        { "[host.\"" A "\"] # comment\n" AUTH, "[host.\"" A "\"] # comment\nheader." LINE AUTH },
        { "\t[ 'host' . \"" A "\" ]\r\ncredHelper = 'x'\r\n",
          "\t[ 'host' . \"" A "\" ]\r\nheader." LINE "credHelper = 'x'\r\n" },
        { AUTH HOST, AUTH HOST "header." LINE },
        { AUTH "[host.\"" A "\"]", AUTH HOST "header." LINE },
        { AUTH "[host.\"" A "\"] # end", AUTH "[host.\"" A "\"] # end\nheader." LINE },
        /* Into headers of its own. */
        { HOST HEADER "X = \"y\"\n" AUTH, HOST HEADER LINE "X = \"y\"\n" AUTH },
        { AUTH HEADER, AUTH HEADER LINE },
        { AUTH "[host.\"" A "\".header]", AUTH HEADER LINE },
        { AUTH "[host.\"" A "\".Header] # h\nX = []\n",
          AUTH "[host.\"" A "\".Header] # h\n" LINE "X = []\n" },
        { HOST "header.X = \"y\"\ncredHelper = 'x'\n",
          HOST "header." LINE "header.X = \"y\"\ncredHelper = 'x'\n" },
        { HOST "HEADER.X = \"y\"\ncredHelper = 'x'\n",
          HOST "HEADER." LINE "HEADER.X = \"y\"\ncredHelper = 'x'\n" },
        { HOST "header = {}\ncredHelper = 'x'\n",
          HOST "header = { Authorization = \"" VALUE "\" }\ncredHelper = 'x'\n" },
        { HOST "header = { X = \"y\" } # c\ncredHelper = 'x'\n",
          HOST "header = { Authorization = \"" VALUE "\", X = \"y\" } # c\ncredHelper = 'x'\n" },
        { HOST "header = {X = [\"y\"]}\ncredHelper = 'x'",
          HOST "header = { Authorization = \"" VALUE "\",X = [\"y\"]}\ncredHelper = 'x'" },
        /* A table of headers in front of the tables of a host that has none itself. */
        { "# c\n" AUTH, "# c\n[host.\"" A "\".header]\n" LINE AUTH },
        { "[host.\"" B "\"]\n  " AUTH, "[host.\"" B "\"]\n" HEADER LINE "  " AUTH },
        { "[[host.\"" A "\".list]]\n[host.\"" B "\"]\n" AUTH,
          "[[host.\"" A "\".list]]\n[host.\"" B "\"]\n" HEADER LINE AUTH },
        { "[host.'" A "'.deep.er]\n" AUTH, HEADER LINE "[host.'" A "'.deep.er]\n" AUTH },
        { "[host.\"" A "\".auth.x]\n" AUTH, HEADER LINE "[host.\"" A "\".auth.x]\n" AUTH },
        /* Hosts that need no header are as they were. */
        { "[host.\"" B "\"]\n" HOST "credHelper = 'x'\n",
          "[host.\"" B "\"]\n" HOST "header." LINE "credHelper = 'x'\n" },
        { HOST "[host.\"" B "\"]\n" AUTH, HOST "header." LINE "[host.\"" B "\"]\n" AUTH },
        { HOST "skip_verify = true\n" AUTH, HOST "skip_verify = true\n" AUTH },
        { HEADER "Authorization = 'own'\n" AUTH, HEADER "Authorization = 'own'\n" AUTH },
        { HEADER "authorization = 'own'\n" AUTH, HEADER "authorization = 'own'\n" AUTH },
        { "# nothing", "# nothing" },
        { "", "" },
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(rows); i++)
        assert_rendered(rows[i][0], rows[i][1]);
}

/* With a host beside it, so that the server needs no table. */
static void the_server(void **state)
{
    static const char *const rows[][2] = {
        { "[auth]\ncredHelper = 'x'\n[host.\"" B "\"]\n",
          "header." LINE "[auth]\ncredHelper = 'x'\n[host.\"" B "\"]\n" },
        { "server = 's.example'\nauth.credHelper = 'x'\n[host.\"" B "\"]\n",
          "header." LINE "server = 's.example'\nauth.credHelper = 'x'\n[host.\"" B "\"]\n" },
        { "auth.credHelper = 'x'\n[header] # h\nX = 'y'\n[host.\"" B "\"]\n",
          "auth.credHelper = 'x'\n[header] # h\n" LINE "X = 'y'\n[host.\"" B "\"]\n" },
        { "auth.credHelper = 'x'\nheader = {X = 'y'}\n[host.\"" B "\"]\n",
          "auth.credHelper = 'x'\nheader = { Authorization = \"" VALUE "\",X = 'y'}\n[host.\"" B
          "\"]\n" },
        { "Header.X = 'y'\nauth.credHelper = 'x'\n[host.\"" B "\"]\n",
          "Header." LINE "Header.X = 'y'\nauth.credHelper = 'x'\n[host.\"" B "\"]\n" },
        /* Two in front of the text: that of the server must not get into the table of the host. */
        { AUTH "[auth]\ncredHelper = 'x'\n",
          "header." LINE HEADER LINE AUTH "[auth]\ncredHelper = 'x'\n" },
        { HOST "credHelper = 'x'\n[auth]\ncredHelper = 'x'",
          "header." LINE HOST "header." LINE "credHelper = 'x'\n[auth]\ncredHelper = 'x'" },
        /* Tables of hosts that containerd does not see. */
        { "auth.credHelper = 'x'\nhost = {}\n",
          "header." LINE "auth.credHelper = 'x'\nhost = {}\n" },
        { "auth.credHelper = 'x'\n[host]\n\"" A "\" = {}\n",
          "header." LINE "auth.credHelper = 'x'\n[host]\n\"" A "\" = {}\n" },
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(rows); i++)
        assert_rendered(rows[i][0], rows[i][1]);
}

/* Where there is no host at all, as containerd 1.7 needs one. */
static void a_table_for_the_server(void **state)
{
    (void)state;
    assert_rendered("auth.credHelper = 'x'\n", "header." LINE "auth.credHelper = 'x'\n"
                                               "\n[host.\"r.example\"]\nheader." LINE);
    assert_rendered("server = 'https://s.example/v2'\n[auth]\ncredHelper = 'x'",
                    "header." LINE "server = 'https://s.example/v2'\n[auth]\ncredHelper = 'x'\n"
                    "\n[host.\"https://s.example/v2\"]\nheader." LINE);
    assert_rendered(
        "server = 's.example'\ncapabilities = [ # c\n'pull']\nca = ['a', '/b']\n"
        "client = [['c', \"d\"], 'e']\nskip_verify = false\noverride_path = true\n"
        "dial_timeout = '''5s'''\n[auth]\ncredHelper = 'x'\n[header]\n'X \" Y' = ['z']\n",
        "server = 's.example'\ncapabilities = [ # c\n'pull']\n"
        "ca = [\"" DIRECTORY "/a\", '/b']\n"
        "client = [[\"" DIRECTORY "/c\", \"" DIRECTORY "/d\"], \"" DIRECTORY "/e\"]\n"
        "skip_verify = false\noverride_path = true\ndial_timeout = '''5s'''\n"
        "[auth]\ncredHelper = 'x'\n[header]\n" LINE "'X \" Y' = ['z']\n"
        "\n[host.\"s.example\"]\ncapabilities = [ # c\n'pull']\n"
        "ca = [\"" DIRECTORY "/a\", \"/b\"]\n"
        "client = [[\"" DIRECTORY "/c\", \"" DIRECTORY "/d\"], \"" DIRECTORY "/e\"]\n"
        "skip_verify = false\noverride_path = true\ndial_timeout = '''5s'''\n"
        "header.\"X \\\" Y\" = ['z']\nheader." LINE);
    /* Of a key in capitals containerd 1.7 would see the copy alone. */
    assert_rendered("SKIP_VERIFY = false\nauth.credHelper = 'x'\n",
                    "header." LINE "SKIP_VERIFY = false\nauth.credHelper = 'x'\n");
    assert_rendered("auth.credHelper = 'x'\n[Header]\nX = 'y'\n",
                    "auth.credHelper = 'x'\n[Header]\n" LINE "X = 'y'\n");
    /* Of these containerd heeds some only where no server is named. */
    assert_rendered(
        "capabilities = ['pull']\noverride_path = true\nca = '/a'\nauth.credHelper = 'x'\n",
        "header." LINE "capabilities = ['pull']\noverride_path = true\nca = '/a'\n"
        "auth.credHelper = 'x'\n\n[host.\"r.example\"]\nca = \"/a\"\nheader." LINE);
    assert_rendered_for("docker.io", NULL, "auth.credHelper = 'x'\n",
                        "header." LINE "auth.credHelper = 'x'\n"
                        "\n[host.\"registry-1.docker.io\"]\nheader." LINE);
    /* What containerd makes of these cannot be written down. */
    assert_rendered_for("localhost_5000_", NULL,
                        "auth = {credHelper = 'x', allowInsecure = true}\n",
                        "header." LINE "auth = {credHelper = 'x', allowInsecure = true}\n");
    assert_rendered_for("localhost", NULL, "auth = {credHelper = 'x', allowInsecure = true}\n",
                        "header." LINE "auth = {credHelper = 'x', allowInsecure = true}\n");
    assert_rendered_for("_default", NULL, "auth.credHelper = 'x'\n", "auth.credHelper = 'x'\n");
    assert_rendered_for("_default", NULL, "server = 's.example'\nauth.credHelper = 'x'\n",
                        "header." LINE "server = 's.example'\nauth.credHelper = 'x'\n"
                        "\n[host.\"s.example\"]\nheader." LINE);
}

/* A host whose header is not known now has none, and the others have theirs. */
static void some_only(void **state)
{
    static const char text[] = HOST "credHelper = 'x'\n[host.\"" B "\"]\ncredHelper = 'x'\n";

    (void)state;
    assert_rendered_for("r.example", "nobody", text, text);
    assert_rendered_for("r.example", "b.example", text,
                        HOST "credHelper = 'x'\n[host.\"" B "\"]\nheader." LINE
                             "credHelper = 'x'\n");
}

static void paths(void **state)
{
    static const char *const rows[][2] = {
        { "ca = 'a.crt'", "ca = \"" DIRECTORY "/a.crt\"" },
        { "ca = '/a.crt'", "ca = '/a.crt'" },
        { "ca = '/a/../b'", "ca = '/a/../b'" },
        { "ca = ''", "ca = \"" DIRECTORY "\"" },
        { "ca = '.'", "ca = \"" DIRECTORY "\"" },
        { "ca = './a//b/'", "ca = \"" DIRECTORY "/a/b\"" },
        { "ca = '../a'", "ca = \"/etc/certs.d/a\"" },
        { "ca = 'a/../../../../../../b'", "ca = \"/b\"" },
        { "ca = '../../..'", "ca = \"/\"" },
        { "ca = '..a/...'", "ca = \"" DIRECTORY "/..a/...\"" },
        { "ca = \"a\\\"\\u00e9\\u0000\"", "ca = \"" DIRECTORY "/a\\\"\xc3\xa9\\u0000\"" },
        { "ca = '''\na\nb'''", "ca = \"" DIRECTORY "/a\\u000Ab\"" },
        { "ca = []", "ca = []" },
        { "ca = [ 'a', # c\n '/b', \"c\" , ]",
          "ca = [ \"" DIRECTORY "/a\", # c\n '/b', \"" DIRECTORY "/c\" , ]" },
        { "CA = 'a'\nunknown = 'a'", "CA = \"" DIRECTORY "/a\"\nunknown = 'a'" },
        { "client = 'a'", "client = \"" DIRECTORY "/a\"" },
        { "client = ['a', 'b']", "client = [\"" DIRECTORY "/a\", \"" DIRECTORY "/b\"]" },
        { "client = [['a', '/b'], 'c']",
          "client = [[\"" DIRECTORY "/a\", '/b'], \"" DIRECTORY "/c\"]" },
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(rows); i++)
        for (int in_host = 0; in_host < 2; in_host++) {
            char text[300], expected[300];

            (void)snprintf(text, sizeof(text), "%s%s\n", in_host ? HOST : "", rows[i][0]);
            (void)snprintf(expected, sizeof(expected), "%s%s\n", in_host ? HOST : "", rows[i][1]);
            assert_rendered(text, expected);
        }
    assert_rendered("x.ca = 'a'\nheader.ca = 'a'\n", "x.ca = 'a'\nheader.ca = 'a'\n");
}

static void refused(void **state)
{
    static const char *const rows[][2] = {
        /* Dotted keys and a table of one host: there is no line to put it on. */
        { "[host]\n\"" A "\".header.X = 'y'\n" AUTH, "hosts.toml: a header cannot be put into it" },
        { HOST "ca = '''a\r\nb'''\r\n" AUTH, "a path has a line end in it" },
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        cleanup_buffer struct buffer result = BUFFER_INIT(RENDER_SIZE_MAX);
        struct pullkey_error error;

        assert_refused(render_for("r.example", rows[i][0], NULL, &result, &error), PULLKEY_INVALID,
                       rows[i][1], error);
    }
}

static void any_value(void **state)
{
    static const char *const rows[] = {
        "",
        "\"",
        "\n",
        "\"\n[host.\"https://evil.example\"]\n#",
        "'''",
        "\"\"\"",
        "\\",
        "\\u0041",
        "\t\r\x01\x7f",
        "caf\xc3\xa9",
        "]",
        "# x",
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        cleanup_buffer struct buffer result = BUFFER_INIT(RENDER_SIZE_MAX);
        cleanup_hosts_file struct hosts_file file = { 0 };
        cleanup_secret struct pullkey_secret odd = { 0 };
        struct pullkey_secret usual = value;
        struct pullkey_error error;

        assert_fine(secret_set(&odd, rows[i], strlen(rows[i]), &error), error);
        value = odd;
        assert_fine(render_for("r.example", HOST "credHelper = 'x'\n", NULL, &result, &error),
                    error);
        value = usual;
        assert_fine(
            hosts_file_parse("x", "r.example", result.data, result.length, NULL, &file, &error),
            error);
        assert_int_equal(file.host_count, 2);
        assert_int_equal(file.hosts[0].authorization->string_length, odd.length);
        assert_memory_equal(file.hosts[0].authorization->string, rows[i], odd.length);
        assert_null(file.hosts[1].authorization);
    }
}

static void too_large(void **state)
{
    cleanup_buffer struct buffer result = BUFFER_INIT(RENDER_SIZE_MAX);
    struct pullkey_secret usual = value;
    struct pullkey_error error;

    (void)state;
    value = (struct pullkey_secret){ secret_alloc(200001), 200000 };
    assert_non_null(value.bytes);
    memset(value.bytes, 'a', 200000);
    assert_refused(render_for("r.example", HOST "credHelper = 'x'\n", NULL, &result, &error),
                   PULLKEY_INVALID, "", error);
    secret_done(&value);
    value = usual;
}

static bool recover(const char *text, struct render_header *header, struct pullkey_secret *view,
                    char helper[100], struct hosts_file *file)
{
    struct pullkey_error error;
    const char *name;
    size_t length;

    assert_fine(hosts_file_parse("x", "r.example", text, strlen(text), NULL, file, &error), error);
    if (!render_recover(file, &file->hosts[0], &name, &length, header, view))
        return false;
    assert_true(length < 100);
    memcpy(mempcpy(helper, name, length), "", 1);
    return true;
}

static void recovered(void **state)
{
    static const char *const texts[] = {
        HOST "credHelper = 'x'\n",
        AUTH,
        HEADER "X = 'y'\n" AUTH,
        HOST "header.X = 'y'\n" AUTH,
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(texts); i++) {
        cleanup_buffer struct buffer result = BUFFER_INIT(RENDER_SIZE_MAX);
        cleanup_hosts_file struct hosts_file file = { 0 };
        struct render_header header;
        struct pullkey_secret view;
        struct pullkey_error error;
        char helper[100];

        assert_fine(render_for("r.example", texts[i], NULL, &result, &error), error);
        assert_true(recover(result.data, &header, &view, helper, &file));
        assert_string_equal(helper, "x");
        assert_int_equal(header.expiry, 1700000000);
        assert_true(secret_equal(header.value, &value));
    }
}

static void not_recovered(void **state)
{
    static const char *const rows[] = {
        "",
        HOST,
        HOST "header.Authorization = 'x'\n",
        HOST "header.Authorization = 'x' # pullkey: x\n",
        HOST "header.Authorization = 'x' # pullkey: x 1 \n",
        HOST "header.Authorization = 'x' # pullkey: x 1x\n",
        HOST "header.Authorization = 'x' # pullkey:  1\n",
        HOST "header.Authorization = 'x' # pullkey: x 1",
        HOST "header.Authorization = 'x' # pullkey: x 1\r\n",
        HOST "header.Authorization = 'x' # pullkey: x -1\n",
        HOST "header.Authorization = 'x' # pullkey: x 99999999999999999999999\n",
        HOST "header.Authorization = 'x'  # pullkey: x 1\n",
        HOST "header.Authorization = ['x'] # pullkey: x 1\n",
        HOST "header.X = 'x' # pullkey: x 1\n",
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        cleanup_hosts_file struct hosts_file file = { 0 };
        struct render_header header;
        struct pullkey_secret view;
        char helper[100];

        if (recover(rows[i], &header, &view, helper, &file))
            fail_msg("recovered: %s", rows[i]);
    }
}

static const char secrets[] = "ca = '" MARKER "'\n# " MARKER "\n[host.\"https://" MARKER
                              ".example\".auth]\ncredHelper = 'x'\n[auth]\ncredHelper = 'x'\n";

static void wiped(void **state)
{
    struct buffer result = BUFFER_INIT(RENDER_SIZE_MAX);
    struct pullkey_error error;

    (void)state;
    assert_wiped(assert_fine(render_for("r.example", secrets, NULL, &result, &error), error));
    assert_wiped(buffer_done(&result));
}

static void out_of_memory(void **state)
{
    struct pullkey_error error;
    int result = -1;

    (void)state;
    for (int left = 0; result < 0; left++) {
        cleanup_buffer struct buffer text = BUFFER_INIT(RENDER_SIZE_MAX);

        assert_true(left < 100000);
        freed_markers = 0;
        allocations_left = left;
        result = render_for("r.example", secrets, NULL, &text, &error);
        allocations_left = -1;
        assert_int_equal(freed_markers, 0);
        if (result < 0 && error.code != PULLKEY_INTERNAL)
            fail_msg("%d: %s", left, error.message);
    }
}

/* For a containerd that would ignore the whole file because of it. */
static void assert_before_referrers(bool is_before, const char *text, const char *expected)
{
    const struct render_place place = { "r.example", DIRECTORY, is_before };
    cleanup_buffer struct buffer result = BUFFER_INIT(RENDER_SIZE_MAX);
    struct pullkey_error error;

    if (render_at(&place, text, NULL, &result, &error) < 0)
        fail_msg("%s: %s", text, error.message);
    assert_string_equal(result.data, expected);
}

static void without_referrers(void **state)
{
    static const char *const rows[][2] = {
        { "capabilities = ['pull', 'referrers', 'resolve']",
          "capabilities = [\"pull\", \"resolve\"]" },
        { "capabilities = [\n'Referrers', # why\n \"PULL\",\n]", "capabilities = [\"PULL\"]" },
        { "CAPABILITIES = ['push', 'REFERRERS']", "CAPABILITIES = [\"push\"]" },
        { "capabilities = [ 'pull' , # why\n]", "capabilities = [ 'pull' , # why\n]" },
        { "capabilities = []", "capabilities = []" },
    };
    const struct render_place old = { "r.example", DIRECTORY, true };
    cleanup_buffer struct buffer none = BUFFER_INIT(RENDER_SIZE_MAX);
    struct pullkey_error error;

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        char text[500], expected[500];

        (void)snprintf(text, sizeof(text), HOST "%s\ncredHelper = 'x'\n", rows[i][0]);
        (void)snprintf(expected, sizeof(expected), HOST "header." LINE "%s\ncredHelper = 'x'\n",
                       rows[i][1]);
        assert_before_referrers(true, text, expected);
        (void)snprintf(expected, sizeof(expected), HOST "header." LINE "%s\ncredHelper = 'x'\n",
                       rows[i][0]);
        assert_before_referrers(false, text, expected);
    }
    assert_before_referrers(
        true, "capabilities = ['referrers', 'pull']\nserver = 's'\nauth.credHelper = 'x'\n",
        "header." LINE "capabilities = [\"pull\"]\nserver = 's'\nauth.credHelper = 'x'\n"
        "\n[host.\"s\"]\ncapabilities = [\"pull\"]\nheader." LINE);
    /* Also of a host that has no helper. */
    assert_before_referrers(
        true, HOST "credHelper = 'x'\n[host.\"" B "\"]\ncapabilities = ['push', 'referrers']\n",
        HOST "header." LINE "credHelper = 'x'\n[host.\"" B "\"]\ncapabilities = [\"push\"]\n");
    /* With an empty list it would have all the others. */
    assert_int_equal(render_at(&old, HOST "capabilities = ['referrers']\ncredHelper = 'x'\n", NULL,
                               &none, &error),
                     -PULLKEY_INVALID);
    assert_non_null(strstr(error.message, "this containerd has no other capabilities"));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(counting_works), cmocka_unit_test(where_it_is_put),
        cmocka_unit_test(the_server),     cmocka_unit_test(a_table_for_the_server),
        cmocka_unit_test(some_only),      cmocka_unit_test(paths),
        cmocka_unit_test(refused),        cmocka_unit_test(any_value),
        cmocka_unit_test(too_large),      cmocka_unit_test(recovered),
        cmocka_unit_test(not_recovered),  cmocka_unit_test(wiped),
        cmocka_unit_test(out_of_memory),  cmocka_unit_test(without_referrers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
