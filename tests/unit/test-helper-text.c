/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "hosts/helper-text.h"

/* All hosts with a header get a helper, or `all` of them; NULL where that is refused. */
static void assert_change(const char *before, const char *after, bool all)
{
    bool wanted[HOSTS_PER_FILE_MAX];
    cleanup_hosts_file struct hosts_file file = { 0 };
    cleanup_buffer struct buffer text = BUFFER_INIT(HELPER_TEXT_SIZE_MAX);
    struct pullkey_error error;

    assert_fine(hosts_file_parse("f", "r.example", before, strlen(before), NULL, &file, &error),
                error);
    for (size_t i = 0; i < file.host_count; i++)
        wanted[i] = file.hosts[i].authorization || (all && !file.hosts[i].is_server);
    if (!after) {
        assert_refused(helper_text(&file, "r.example", wanted, &text, &error), PULLKEY_INVALID,
                       "without changing the rest", error);
        return;
    }
    assert_fine(helper_text(&file, "r.example", wanted, &text, &error), error);
    assert_string_equal(text.data, after);
}

static void a_table_of_headers_becomes_one_of_the_helper(void **state)
{
    (void)state;
    assert_change("# top\nserver = \"https://r.example\"\n"
                  "[host.\"https://r.example\"]\n  capabilities = [\"pull\"] # c\n\n"
                  "# the header\n[host.\"https://r.example\".header] # h\n"
                  "  authorization = \"Basic eDp5\" # old\n# end\n",
                  "# top\nserver = \"https://r.example\"\n"
                  "[host.\"https://r.example\"]\n  capabilities = [\"pull\"] # c\n\n"
                  "# the header\n[host.\"https://r.example\".auth] # h\n"
                  "  credHelper = \"pullkey\" # old\n# end\n",
                  false);
    assert_change("[host.\"https://r.example\"]\n[host.\"https://r.example\".header]\n"
                  "Authorization = [\n  \"Basic eDp5\",\n]\nX-A = \"1\"\n[host.\"https://s\"]\n",
                  "[host.\"https://r.example\"]\n[host.\"https://r.example\".header]\n"
                  "X-A = \"1\"\n[host.\"https://r.example\".auth]\ncredHelper = \"pullkey\"\n"
                  "[host.\"https://s\"]\n",
                  false);
    /* No table of the host itself, and no end of the last line. */
    assert_change(
        "[host.\"https://r.example\".header]\nX-A = \"1\"\nAuthorization = \"Basic eDp5\"",
        "[host.\"https://r.example\".header]\nX-A = \"1\"\n\n"
        "[host.\"https://r.example\".auth]\ncredHelper = \"pullkey\"\n",
        false);
}

static void keys_with_dots_and_inline_tables(void **state)
{
    (void)state;
    assert_change(
        "[host.\"https://r.example\"]\n\theader.Authorization = \"Basic eDp5\"\nca = \"c\"\n",
        "[host.\"https://r.example\"]\n\tauth.credHelper = \"pullkey\"\nca = \"c\"\n", false);
    assert_change("[host.\"https://r.example\"]\nheader = { Authorization = \"Basic eDp5\" }\n",
                  "[host.\"https://r.example\"]\nauth.credHelper = \"pullkey\"\n", false);
    assert_change(
        "[host.\"https://r.example\"]\n"
        "header = {Authorization = \"Basic eDp5\", X-A = ['1'], x = \"2\"} # h\nca = \"c\"\n",
        "[host.\"https://r.example\"]\nheader = { \"X-A\" = ['1'], \"x\" = \"2\" } # h\n"
        "ca = \"c\"\n[host.\"https://r.example\".auth]\ncredHelper = \"pullkey\"\n",
        false);
    assert_change(
        "[host.\"https://r.example\"]\nheader.X-A = \"1\"\n"
        "header.authorization = \"Basic eDp5\"\n",
        "[host.\"https://r.example\"]\nheader.X-A = \"1\"\nauth.credHelper = \"pullkey\"\n", false);
}

static void a_table_of_the_helper_is_kept(void **state)
{
    (void)state;
    assert_change("[host.\"https://r.example\".header]\nAuthorization = \"Basic eDp5\"\n"
                  "[host.\"https://r.example\".auth]\nassumeLifetime = \"1h\"\n",
                  "[host.\"https://r.example\".auth]\ncredHelper = \"pullkey\"\n"
                  "assumeLifetime = \"1h\"\n",
                  false);
    assert_change("[host.\"https://r.example\"]\nauth = { assumeLifetime = \"1h\" }\n"
                  "header.Authorization = \"Basic eDp5\"\n",
                  "[host.\"https://r.example\"]\n"
                  "auth = { credHelper = \"pullkey\", assumeLifetime = \"1h\" }\n",
                  false);
    assert_change("[host.\"https://r.example\"]\nauth.credHelper = \"pullkey\"\n"
                  "header.Authorization = \"Basic eDp5\"\n",
                  "[host.\"https://r.example\"]\nauth.credHelper = \"pullkey\"\n", false);
}

static void the_server_has_its_own(void **state)
{
    (void)state;
    assert_change("server = \"https://r.example\"\n[header]\nAuthorization = \"Basic eDp5\"\n",
                  "server = \"https://r.example\"\n[auth]\ncredHelper = \"pullkey\"\n", false);
    assert_change("header.Authorization = \"Basic eDp5\"\n[host.\"https://s\"]\n",
                  "auth.credHelper = \"pullkey\"\n[host.\"https://s\"]\n", false);
}

static void what_was_sent_in_the_open_still_is(void **state)
{
    (void)state;
    assert_change("[host.\"http://r.example\"]\n[host.\"http://r.example\".header]\n"
                  "  Authorization = \"Basic eDp5\"\n",
                  "[host.\"http://r.example\"]\n[host.\"http://r.example\".auth]\n"
                  "  credHelper = \"pullkey\"\n  allowInsecure = true\n",
                  false);
    assert_change("[host.\"https://r.example\"]\nskip_verify = true\n"
                  "header.Authorization = \"Basic eDp5\"\n",
                  "[host.\"https://r.example\"]\nskip_verify = true\n"
                  "auth.credHelper = \"pullkey\"\nauth.allowInsecure = true\n",
                  false);
}

static void hosts_without_a_header_get_one_too(void **state)
{
    (void)state;
    assert_change(
        "[host.\"https://r.example\"]\n# none\n[host.\"https://s\"]\nca = \"c\" # d\n# end\n",
        "[host.\"https://r.example\"]\n[host.\"https://r.example\".auth]\n"
        "credHelper = \"pullkey\"\n# none\n[host.\"https://s\"]\nca = \"c\" # d\n"
        "[host.\"https://s\".auth]\ncredHelper = \"pullkey\"\n# end\n",
        true);
    assert_change("[host.\"https://r.example\".header]\nX-A = \"1\"\n[host.\"https://s\"]\n",
                  "[host.\"https://r.example\".auth]\ncredHelper = \"pullkey\"\n"
                  "[host.\"https://r.example\".header]\nX-A = \"1\"\n"
                  "[host.\"https://s\"]\n[host.\"https://s\".auth]\ncredHelper = \"pullkey\"\n",
                  true);
    /* Nothing to do. */
    assert_change("[host.\"https://r.example\".auth]\ncredHelper = \"pullkey\"\n",
                  "[host.\"https://r.example\".auth]\ncredHelper = \"pullkey\"\n", true);
}

static void what_cannot_be_changed_is_refused(void **state)
{
    (void)state;
    /* Another host's table of the helper is spelled in a way that cannot be extended. */
    assert_change("[host]\n\"https://r.example\".header.Authorization = \"Basic eDp5\"\n"
                  "[host.\"https://r.example\".auth]\nassumeLifetime = 0\n",
                  NULL, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_table_of_headers_becomes_one_of_the_helper),
        cmocka_unit_test(keys_with_dots_and_inline_tables),
        cmocka_unit_test(a_table_of_the_helper_is_kept),
        cmocka_unit_test(the_server_has_its_own),
        cmocka_unit_test(what_was_sent_in_the_open_still_is),
        cmocka_unit_test(hosts_without_a_header_get_one_too),
        cmocka_unit_test(what_cannot_be_changed_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
