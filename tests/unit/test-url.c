/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <curl/curl.h>

#include "http/url.h"

static void test_accepts(void **state)
{
    static const struct {
        const char *text, *host;
        enum url_host kind;
        uint16_t port;
        bool https;
        const char *target, *authority;
    } cases[] = {
        { "https://auth.example.com/token", "auth.example.com", URL_NAME, 443, true, "/token",
          "auth.example.com" },
        { "HTTPS://Auth.Example.COM", "auth.example.com", URL_NAME, 443, true, "/",
          "auth.example.com" },
        { "http://h:80/", "h", URL_NAME, 80, false, "/", "h" },
        { "http://h:443/", "h", URL_NAME, 443, false, "/", "h:443" },
        { "https://h:5000?a=b", "h", URL_NAME, 5000, true, "/?a=b", "h:5000" },
        { "https://h/a%20b/../c?d=%C3%BC&e", "h", URL_NAME, 443, true, "/a%20b/../c?d=%C3%BC&e",
          "h" },
        { "https://127.0.0.1:1", "127.0.0.1", URL_IPV4, 1, true, "/", "127.0.0.1:1" },
        { "https://[::1]:65535/", "[::1]", URL_IPV6, 65535, true, "/", "[::1]:65535" },
        { "https://[0:0:0:0:0:FFFF:a9fe:a9fe]/", "[::ffff:169.254.169.254]", URL_IPV6, 443, true,
          "/", "[::ffff:169.254.169.254]" },
        { "https://xn--bcher-kva.example/", "xn--bcher-kva.example", URL_NAME, 443, true, "/",
          "xn--bcher-kva.example" },
        { "https://1a.2b/", "1a.2b", URL_NAME, 443, true, "/", "1a.2b" },
        { "https://h/@x:y", "h", URL_NAME, 443, true, "/@x:y", "h" },
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(cases); i++) {
        struct pullkey_error error;
        char authority[URL_AUTHORITY_SIZE];
        struct url url;

        assert_fine(url_parse(cases[i].text, &url, &error), error);
        assert_string_equal(url.host, cases[i].host);
        assert_int_equal(url.kind, cases[i].kind);
        assert_int_equal(url.port, cases[i].port);
        assert_int_equal(url.https, cases[i].https);
        assert_string_equal(url.target, cases[i].target);
        url_authority(&url, authority);
        assert_string_equal(authority, cases[i].authority);
    }
}

static void expect_refused(const char *text)
{
    struct pullkey_error error = { 0 };
    struct url url;

    if (url_parse(text, &url, &error) == 0)
        fail_msg("accepted: %s", text);
    assert_int_equal(error.code, PULLKEY_INVALID);
}

static void test_refuses(void **state)
{
    static const char *const texts[] = {
        "",
        "good",
        "//good",
        "https:good",
        "https:/good",
        "https://",
        "https:///good/",
        "https://:443/",
        "ftp://good/",
        "httpss://good/",
        "https://u:p@good/",
        "https://good@evil/",
        "https://good\\@evil/",
        "https://good%00.evil/",
        "https://good%2eevil/",
        "https://good./",
        "https://good:/",
        "https://good:0443/",
        "https://good:0/",
        "https://good:99999/",
        "https://good:65536/",
        "https://good:443x/",
        "https://good:-1/",
        "https://127.1/",
        "https://0x7f000001/",
        "https://2130706433/",
        "https://127.0.0.0x1/",
        "https://1.2.3.4.5/",
        "https://256.1.1.1/",
        "https://127.0.0.01/",
        "https://[fe80::1%25eth0]/",
        "https://[fe80::1%eth0]/",
        "https://[::1/",
        "https://::1/",
        "https://[]/",
        "https://[::1]x/",
        "https://[127.0.0.1]/",
        "https://[::1]:/",
        "https://\xef\xbc\x91/",
        "https://\xd0\xbe.example/",
        "https://a..b/",
        "https://.a/",
        "https://-a/",
        "https://a-/",
        "https://a_b/",
        "https://a b/",
        " https://a/",
        "https://a/ ",
        "https://a/\r\nX:",
        "https://a/\t",
        "https://a/#b",
        "https://a#b",
        "https://a/%",
        "https://a/%2",
        "https://a/%zz",
        "https://a/\"",
        "https://a/<",
        "https://a/\\b",
        "https://a/\x7f",
        "https://a;b/",
        "https://a,b/",
        "https://*/",
        "https://*.a/",
        "https://a&b/",
        "https://a=b/",
        "https://a+b/",
    };
    char longer[URL_TARGET_MAX + 64] = "https://a/";

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(texts); i++)
        expect_refused(texts[i]);
    memset(longer + strlen(longer), 'x', URL_TARGET_MAX);
    expect_refused(longer);
    (void)snprintf(longer, sizeof(longer), "https://%0*d.com/", 64, 0);
    expect_refused(longer);
    (void)snprintf(longer, sizeof(longer), "https://%0*d", 300, 0);
    expect_refused(longer);
}

/* Every byte at the beginning, in the middle and at the end of a host. */
static void test_every_byte(void **state)
{
    (void)state;
    for (int byte = 1; byte < 256; byte++) {
        for (int place = 0; place < 3; place++) {
            char text[] = "https://abc/";
            struct pullkey_error error;
            struct url url;
            bool letter = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
            bool digit = byte >= '0' && byte <= '9';
            bool inside = byte == '-' || byte == '.';
            bool ends = byte == '/' || byte == '?';

            text[8 + place] = (char)byte;
            if (url_parse(text, &url, &error) == 0)
                assert_true(letter || digit || (inside && place == 1) || (ends && place > 0));
            else
                assert_false(letter || digit || (inside && place == 1) || (ends && place > 0));
        }
    }
}

static void expect_part(CURLU *parsed, CURLUPart part, const char *expected)
{
    char *text = NULL;

    assert_int_equal(curl_url_get(parsed, part, &text, CURLU_DEFAULT_PORT), CURLUE_OK);
    assert_string_equal(text, expected);
    curl_free(text);
}

/* What we accept, libcurl understands in the same way. */
static void test_agrees_with_libcurl(void **state)
{
    static const char *const texts[] = {
        "https://Auth.Example.com:5000/a?b",
        "https://[::1]:65535/x",
        "https://127.0.0.1/",
        "https://a.b",
        "http://h?x=@y",
        "https://h/@x:y",
        "https://h//a/../b",
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(texts); i++) {
        CURLU *parsed = curl_url();
        struct pullkey_error error;
        struct url url;
        char rebuilt[4096], port[8];

        assert_fine(url_parse(texts[i], &url, &error), error);
        (void)snprintf(port, sizeof(port), "%u", (unsigned int)url.port);
        (void)snprintf(rebuilt, sizeof(rebuilt), "%s://%s:%s%s", url.https ? "https" : "http",
                       url.host, port, url.target);
        for (int round = 0; round < 2; round++) {
            assert_int_equal(curl_url_set(parsed, CURLUPART_URL, round == 0 ? rebuilt : texts[i],
                                          CURLU_PATH_AS_IS),
                             CURLUE_OK);
            if (round == 0)
                expect_part(parsed, CURLUPART_HOST, url.host);
            expect_part(parsed, CURLUPART_PORT, port);
        }
        curl_url_cleanup(parsed);
    }
}

static void test_authority(void **state)
{
    struct pullkey_error error;
    struct url a, b;

    (void)state;
    assert_fine(url_parse_authority("Auth.Example.com", &a, &error), error);
    assert_fine(url_parse("https://auth.example.com:443/token", &b, &error), error);
    assert_true(url_same_server(&a, &b));
    assert_fine(url_parse_authority("auth.example.com:444", &a, &error), error);
    assert_false(url_same_server(&a, &b));
    assert_int_equal(url_parse_authority("auth.example.com/x", &a, &error), -PULLKEY_INVALID);
    assert_int_equal(url_parse_authority("", &a, &error), -PULLKEY_INVALID);
    assert_int_equal(url_parse_authority("u@a", &a, &error), -PULLKEY_INVALID);
}

static void test_loopback(void **state)
{
    static const struct {
        const char *text;
        bool expected;
    } cases[] = {
        { "http://localhost", true },
        { "http://127.0.0.1", true },
        { "http://127.255.1.2", true },
        { "http://[::1]", true },
        { "http://[::ffff:127.0.0.1]", false },
        { "http://x.localhost", false },
        { "http://localhost.com", false },
        { "http://128.0.0.1", false },
        { "http://[::]", false },
        { "http://127.example", false },
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(cases); i++) {
        struct pullkey_error error;
        struct url url;

        assert_fine(url_parse(cases[i].text, &url, &error), error);
        assert_int_equal(url_is_loopback(&url), cases[i].expected);
    }
}

static void test_metadata(void **state)
{
    static const struct {
        const char *text;
        bool expected;
    } cases[] = {
        { "http://169.254.169.254/latest", true },
        { "http://[fd00:0ec2::254]:80", true },
        { "http://metadata.google.internal", true },
        { "http://metadata.google.internal.example.com", false },
        { "http://169.254.169.253", false },
        { "http://[::ffff:169.254.169.254]", false },
        { "http://localhost", false },
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(cases); i++) {
        struct pullkey_error error;
        struct url url;

        assert_fine(url_parse(cases[i].text, &url, &error), error);
        if (url_is_metadata(&url) != cases[i].expected)
            fail_msg("%s", cases[i].text);
    }
}

static void test_private(void **state)
{
    static const struct {
        const char *text;
        bool expected;
    } cases[] = {
        { "http://169.254.129.3:8081/msi/token", true },
        { "http://172.16.1.2", true },
        { "http://172.31.255.255", true },
        { "http://172.32.0.0", false },
        { "http://10.0.0.1:80", true },
        { "http://192.168.255.255", true },
        { "http://192.169.0.0", false },
        { "http://127.0.0.1", false },
        { "http://100.64.0.1", false },
        { "http://10.test", false },
        { "http://localhost", false },
        { "http://metadata.google.internal", false },
        { "http://[::ffff:10.0.0.1]", false },
        { "http://[fe80::1]", false },
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(cases); i++) {
        struct pullkey_error error;
        struct url url;

        assert_fine(url_parse(cases[i].text, &url, &error), error);
        if (url_is_private(&url) != cases[i].expected)
            fail_msg("%s", cases[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepts),    cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_every_byte), cmocka_unit_test(test_agrees_with_libcurl),
        cmocka_unit_test(test_authority),  cmocka_unit_test(test_loopback),
        cmocka_unit_test(test_metadata),   cmocka_unit_test(test_private),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
