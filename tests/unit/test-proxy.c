/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "http/proxy.h"

static void test_excluded(void **state)
{
    static const struct {
        const char *server, *list;
        bool expected;
    } cases[] = {
        { "r.example.com", "", false },
        { "r.example.com", "*", true },
        { "r.example.com", "a,r.example.com", true },
        { "r.example.com", "R.EXAMPLE.COM", true },
        { "r.example.com", "example.com", true },
        { "r.example.com", ".example.com", true },
        { "r.example.com", "a b\texample.com", true },
        { "r.example.com", "ple.com", false },
        { "r.example.com", "x.r.example.com", false },
        { "r.example.com", "r.example.com.evil", false },
        { "r.example.com", "r.example.com:443", true },
        { "r.example.com", "r.example.com:5000", false },
        { "r.example.com:5000", "example.com:5000", true },
        { "r.example.com", ".", false },
        { "r.example.com", "*.com", false },
        { "10.1.2.3", "10.1.2.3", true },
        { "10.1.2.3", "10.0.0.0/8", true },
        { "11.1.2.3", "10.0.0.0/8", false },
        { "10.1.2.3", "10.1.2.0/23", true },
        { "10.1.3.3", "10.1.2.0/23", true },
        { "10.1.4.3", "10.1.2.0/23", false },
        { "10.1.2.3", "0.0.0.0/0", true },
        { "10.1.2.3", "10.1.2.3/33", false },
        { "10.1.2.3", "10.1.2.3/x", false },
        { "10.1.2.3", "10.1.2.3/", false },
        { "10.1.2.3", ".3", false },
        { "[fd00::1]", "fd00::1", true },
        { "[fd00::1]", "[fd00::1]", true },
        { "[fd00::1]", "[fd00::1]:443", true },
        { "[fd00::1]", "[fd00::1]:444", false },
        { "[fd00::1]", "fd00::/8", true },
        { "[fe00::1]", "fd00::/8", false },
        { "[fd00::1]", "0.0.0.0/0", false },
        { "r.example.com", "10.0.0.0/8", false },
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(cases); i++) {
        struct pullkey_error error;
        struct url url;

        assert_fine(url_parse_authority(cases[i].server, &url, &error), error);
        if (proxy_is_excluded(&url, cases[i].list) != cases[i].expected)
            fail_msg("%s in \"%s\"", cases[i].server, cases[i].list);
    }
}

static const char *proxy_of(const char *text)
{
    struct pullkey_error error;
    struct url url;

    assert_fine(url_parse(text, &url, &error), error);
    return proxy_for(&url);
}

static void test_environment(void **state)
{
    static const char *const never[] = {
        "http://r.example/",        "https://localhost/",       "https://127.0.0.1/",
        "https://127.9.9.9/",       "https://[::1]/",           "https://169.254.169.254/",
        "https://[fe80::1]/",       "https://[febf::1]/",       "https://[::ffff:169.254.169.254]/",
        "https://[fd00:ec2::254]/", "https://[fd00:ec2:1::1]/", "https://metadata.google.internal/",
        "https://metadata/",
    };

    (void)state;
    assert_null(proxy_of("https://r.example/"));
    assert_int_equal(setenv("ALL_PROXY", "http://all", 1), 0);
    assert_string_equal(proxy_of("https://r.example/"), "http://all");
    assert_int_equal(setenv("HTTPS_PROXY", "http://upper", 1), 0);
    assert_int_equal(setenv("https_proxy", "http://lower", 1), 0);
    assert_string_equal(proxy_of("https://r.example/"), "http://lower");
    for (size_t i = 0; i < UNIT_COUNT(never); i++)
        assert_null(proxy_of(never[i]));
    assert_int_equal(setenv("NO_PROXY", "r.example", 1), 0);
    assert_null(proxy_of("https://r.example/"));
    assert_int_equal(setenv("no_proxy", "", 1), 0);
    assert_string_equal(proxy_of("https://r.example/"), "http://lower");
    assert_int_equal(setenv("https_proxy", "", 1), 0);
    assert_null(proxy_of("https://r.example/"));
}

static void test_supported(void **state)
{
    static const struct {
        const char *proxy;
        bool expected;
    } cases[] = {
        { "http://p:3128", true },
        { "https://u:p@p", true },
        { "socks5://[::1]:1080", true },
        { "socks5h://p", true },
        { "SOCKS4a://p", true },
        { "p:3128", true },
        { "ftp://p", false },
        { "socks://p", false },
        { "file:///p", false },
        { "http:// p", false },
        { "http://p\r\nX: y", false },
        { "://p", false },
        { "http\xc3\xa9://p", false },
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(cases); i++)
        if (proxy_is_supported(cases[i].proxy) != cases[i].expected)
            fail_msg("%s", cases[i].proxy);
}

static int clear_environment(void **state)
{
    (void)state;
    return unsetenv("https_proxy") | unsetenv("HTTPS_PROXY") | unsetenv("all_proxy") |
           unsetenv("ALL_PROXY") | unsetenv("no_proxy") | unsetenv("NO_PROXY");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_excluded),
        cmocka_unit_test(test_supported),
        cmocka_unit_test_setup_teardown(test_environment, clear_environment, clear_environment),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
