/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "core/registry.h"

static struct registry_reference parse(const char *text)
{
    struct registry_reference reference;
    struct pullkey_error error = { 0 };

    if (registry_parse(text, strlen(text), &reference, &error) < 0)
        fail_msg("%s: %s", text, error.message);
    return reference;
}

static void refused(const char *text, size_t length)
{
    struct registry_reference reference;
    struct pullkey_error error = { 0 };

    if (registry_parse(text, length, &reference, &error) != -PULLKEY_INVALID)
        fail_msg("accepted: %s", text);
    assert_int_equal(error.code, PULLKEY_INVALID);
    assert_non_null(strstr(error.message, "the server name is refused"));
    assert_null(strchr(error.message, '\n'));
}

static void canonical_forms(void **state)
{
    static const struct {
        const char *text, *canonical;
    } vectors[] = {
        { "registry.example.com", "registry.example.com" },
        { "https://registry.example.com", "registry.example.com" },
        { "HTTPS://Registry.Example.COM/", "registry.example.com" },
        { "registry.example.com:443", "registry.example.com" },
        { "https://registry.example.com:443/v2/", "registry.example.com" },
        { "registry.example.com/v1", "registry.example.com" },
        { "registry.example.com/v2/team/app/", "registry.example.com/team/app" },
        { "registry.example.com/v2x/team", "registry.example.com/v2x/team" },
        { "registry.example.com/v1/v2/x", "registry.example.com/v2/v2/x" },
        { "registry.example.com:5000", "registry.example.com:5000" },
        { "http://registry.example.com", "http://registry.example.com" },
        { "http://registry.example.com:443", "http://registry.example.com:443" },
        { "localhost:5000", "localhost:5000" },
        { "127.0.0.1:5000", "127.0.0.1:5000" },
        { "[::1]:5000", "[::1]:5000" },
        { "[0:0:0:0:0:0:0:1]:443", "[::1]" },
        { "https://[FE80::1]/x", "[fe80::1]/x" },
        { "[::ffff:169.254.169.254]", "[::ffff:169.254.169.254]" },
        { "xn--e1afmkfd.example", "xn--e1afmkfd.example" },
        { "https://index.docker.io/v1/", "docker.io" },
        { "https://index.docker.io/v1", "docker.io" },
        { "index.docker.io", "docker.io" },
        { "docker.io", "docker.io" },
        { "registry-1.docker.io:443", "docker.io" },
        { "https://registry.hub.docker.com", "docker.io" },
        { "index.docker.io/library/alpine", "docker.io/library/alpine" },
        { "docker.io:5000", "docker.io:5000" },
        { "http://docker.io", "http://docker.io" },
        { "hub.docker.com", "hub.docker.com" },
        { " \t\r\nregistry.example.com\r\n", "registry.example.com" },
        { "nerdctl-experimental://ns/host/h/p", "nerdctl-experimental://ns/host/h/p" },
        { "https://index.docker.io/v1/access-token", "https://index.docker.io/v1/access-token" },
        { "https://index.docker.io/v1/refresh-token", "https://index.docker.io/v1/refresh-token" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        struct registry_reference reference = parse(vectors[i].text);
        char canonical[REGISTRY_CANONICAL_MAX];

        registry_canonical(&reference, canonical);
        assert_string_equal(canonical, vectors[i].canonical);
    }
}

static void refusals(void **state)
{
    static const char *const vectors[] = {
        "", " ", "\n", "https://", "https:///good/", "//good", "/good", ":5000", "https:good",
        "https://u:p@good/", "https://good@evil/", "https://good\\@evil/", "good@evil",
        "https://good%00.evil/", "https://good%2eevil/", "[fe80::1%25eth0]", "good.", "good..evil",
        ".good", "good:", "good:0", "good:0443", "good:65536", "good:99999", "good:123456", "good:5000x",
        "good:-1", "good:5000:1", "::1", "[::1", "[::1]x", "[::g]", "[]", "127.1", "127.0.0.1.5", "0x7f000001",
        "2130706433", "0177.0.0.1", "256.1.1.1", "good.0x7f", "good.123", "-good", "good-", "go_od", "go*od",
        "good evil", "good\nevil", "good\revil", "good\tevil", "good\x7f", "g\xc3\xb6od",
        "\xef\xbc\x91\xef\xbc\x92.example", "\xd0\xb5xample.com", "\xef\xbb\xbfgood", "ftp://good",
        "oci://good", "good/../evil", "good/./x", "good//x", "good?x", "good#x",
    };
    char longest[PULLKEY_KEY_MAX + 2];
    char label[80];

    (void)state;
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++)
        refused(vectors[i], strlen(vectors[i]));
    refused("good\0.evil", 10);
    memset(longest, 'a', sizeof(longest));
    memcpy(longest, "good/", 5);
    refused(longest, PULLKEY_KEY_MAX + 1);
    longest[PULLKEY_KEY_MAX] = '\0';
    (void)parse(longest);
    memset(label, 'a', 64);
    label[64] = '\0';
    refused(label, 64);
    label[63] = '\0';
    (void)parse(label);
}

/* Every byte at three positions: at the ends only blanks are trimmed, inside only visible ASCII stays. */
static void every_byte(void **state)
{
    (void)state;
    for (int byte = 0; byte < 256; byte++) {
        struct registry_reference reference;
        struct pullkey_error error;
        bool blank = byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
        bool alphanumeric = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
                            (byte >= '0' && byte <= '9');
        char first[] = "?good.example", middle[] = "go?d.example", last[] = "good.example?";

        first[0] = middle[2] = last[12] = (char)byte;
        assert_int_equal(registry_parse(first, 13, &reference, &error) == 0, blank || alphanumeric);
        assert_int_equal(registry_parse(middle, 12, &reference, &error) == 0,
                         alphanumeric || byte == '-' || byte == '.' || byte == '/');
        assert_int_equal(registry_parse(last, 13, &reference, &error) == 0,
                         blank || alphanumeric || byte == '/');
    }
}

static int match(const char *asked, const char *stored, bool shorten)
{
    static struct registry_request request;
    static struct registry_reference reference;

    reference = parse(asked);
    registry_request(&reference, 0, &request);
    return registry_match(&request.request, stored, shorten);
}

static void aliases(void **state)
{
    static const struct {
        const char *asked, *stored;
        bool expected;
    } vectors[] = {
        { "docker.io", "https://index.docker.io/v1/", true },
        { "registry-1.docker.io:443", "https://index.docker.io/v1/", true },
        { "https://index.docker.io/v1/", "docker.io", true },
        { "registry.hub.docker.com", "index.docker.io", true },
        { "https://index.docker.io/v1/", "https://index.docker.io/v1/refresh-token", false },
        { "https://index.docker.io/v1/refresh-token", "https://index.docker.io/v1/", false },
        { "https://index.docker.io/v1/refresh-token", "https://index.docker.io/v1/refresh-token", true },
        { "index.docker.io/v1/refresh-token", "https://index.docker.io/v1/refresh-token", false },
        { "host.example", "https://host.example", true },
        { "host.example:443", "host.example", true },
        { "host.example/v2/", "HOST.example/", true },
        { "host.example", "http://host.example", false },
        { "http://host.example", "host.example", false },
        { "http://host.example", "http://host.example/", true },
        { "host.example:5000", "host.example", false },
        { "host.example", "host.example:5000", false },
        { "registry.example.com.evil", "registry.example.com", false },
        { "registry.example.com-x", "registry.example.com", false },
        { "sub.registry.example.com", "registry.example.com", false },
        { "example.com", "registry.example.com", false },
        { "host.example/team", "host.example/team/", true },
        { "host.example/team", "host.example/team-x", false },
        { "host.example", "nonsense key", false },
        { "nerdctl-experimental://a", "nerdctl-experimental://a", true },
        { "nerdctl-experimental://a", "nerdctl-experimental://b", false },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++)
        if ((match(vectors[i].asked, vectors[i].stored, false) > 0) != vectors[i].expected)
            fail_msg("%s and %s", vectors[i].asked, vectors[i].stored);
}

static void shorter_paths(void **state)
{
    (void)state;
    assert_int_equal(match("host/team/app", "host", false), 0);
    assert_true(match("host/team/app", "host", true) > 0);
    assert_true(match("host/team/app", "host/team", true) > match("host/team/app", "host", true));
    assert_true(match("host/team/app", "https://host/team/app", true) >
                match("host/team/app", "host/team", true));
    assert_true(match("host/team/app", "host/team/app", true) >
                match("host/team/app", "https://host/team/app", true));
    assert_int_equal(match("host/team-x", "host/team", true), 0);
    assert_int_equal(match("host/team", "host/team/app", true), 0);
    assert_int_equal(match("host", "host/team", true), 0);
    assert_int_equal(match("host:5000/team", "host/team", true), 0);
    assert_true(match("index.docker.io/library/alpine", "https://index.docker.io/v1/", true) > 0);
    assert_int_equal(match("nerdctl-experimental://a/b", "nerdctl-experimental://a", true), 0);
}

static void names(void **state)
{
    static const struct {
        const char *text;
        size_t aliases;
        const char *names[8];
    } vectors[] = {
        { "host.example", 2, { "host.example", "https://host.example" } },
        { "https://host.example:443/", 3,
          { "https://host.example:443/", "host.example", "https://host.example" } },
        { "docker.io", 4,
          { "docker.io", "https://index.docker.io/v1/", "index.docker.io", "registry-1.docker.io" } },
        { "host/v1/v1", 3,
          { "host/v1/v1", "host/v2/v1", "https://host/v2/v1", "host", "https://host" } },
        { "docker.io:5000", 2, { "docker.io:5000", "https://docker.io:5000" } },
        { "docker.io/access-token/x", 2,
          { "docker.io/access-token/x", "index.docker.io/access-token/x",
            "https://index.docker.io/v1/", "index.docker.io", "docker.io", "registry-1.docker.io" } },
        { "http://host.example:80", 1, { "http://host.example:80" } },
        { "host/a/b", 2,
          { "host/a/b", "https://host/a/b", "host/a", "https://host/a", "host", "https://host" } },
        { "nerdctl-experimental://a/b", 1, { "nerdctl-experimental://a/b" } },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        static struct registry_request request;
        struct registry_reference reference = parse(vectors[i].text);
        size_t count = 0;

        registry_request(&reference, 7, &request);
        while (count < 8 && vectors[i].names[count])
            count++;
        assert_int_equal(request.request.name_count, count);
        assert_int_equal(request.request.alias_count, vectors[i].aliases);
        for (size_t j = 0; j < count; j++)
            assert_string_equal(request.request.names[j], vectors[i].names[j]);
        assert_int_equal(request.request.deadline_ms, 7);
    }
}

/* However deep the path is, the registry's own names have room. */
static void many_names(void **state)
{
    static struct registry_request request;
    struct registry_reference reference = parse("host/a/b/c/d/e/f/g/h/i/j/k/l/m");

    (void)state;
    registry_request(&reference, 0, &request);
    assert_int_equal(request.request.name_count, 2 + 13 * 2);
    assert_string_equal(request.request.names[4], "host/a/b/c/d/e/f/g/h/i/j/k");
    assert_string_equal(request.request.names[request.request.name_count - 4], "host/a");
    assert_string_equal(request.request.names[request.request.name_count - 2], "host");
    assert_string_equal(request.request.names[request.request.name_count - 1], "https://host");
}

/* The longest repository of the longest host has room for all; of more, the registry's own have. */
static void names_have_room(void **state)
{
    static struct registry_request request;
    struct registry_reference reference;
    char text[PULLKEY_KEY_MAX + 1] = "", *at = text;

    (void)state;
    for (int i = 0; i < 4; i++)
        at = mempcpy(at, "a23456789-123456789-123456789-123456789-123456789-123456789-12.",
                     i < 3 ? 63 : 61);
    *at = '\0';
    for (int i = 0; i < 28; i++)
        at = stpcpy(at, "/12345678");
    reference = parse(text);
    registry_request(&reference, 0, &request);
    assert_int_equal(request.request.name_count, 2 + 28 * 2);
    while (strlen(text) < PULLKEY_KEY_MAX - 9)
        at = stpcpy(at, "/12345678");
    reference = parse(text);
    registry_request(&reference, 0, &request);
    assert_true(request.request.name_count > 10 && request.used <= sizeof(request.storage));
    assert_memory_equal(request.request.names[request.request.name_count - 1], "https://a23", 11);
    assert_null(strchr(request.request.names[request.request.name_count - 2], '/'));
}

static void patterns(void **state)
{
    static const struct {
        const char *pattern, *text;
        bool expected;
    } vectors[] = {
        { "inde*.docker.io", "dockAr.io", false },
        { "inde*.docker.io", "index.docker.io", false },
        { "inde*.docker.io", "indeed.docker.io", true },
        { "**", "anything.example:5000/x", true },
        { "**", "nerdctl-experimental://a", true },
        { "host.example", "https://host.example/", true },
        { "HOST.example", "host.example", true },
        { "10.*.0.1", "10.2.0.1", true },
        { "10.*.0.1", "10.2.0.2", false },
        { "*.*.*.*", "192.0.2.7", true },
        { "HTTP://*.example", "http://host.example", true },
        { "HTTP://*.example", "host.example", false },
        { "host.example", "host.example/team/app", true },
        { "host.example", "host.example:5000", false },
        { "host.example:5000", "host.example:5000", true },
        { "host.example:5000", "host.example", false },
        { "host.example", "http://host.example", false },
        { "http://host.example", "http://host.example", true },
        { "*.example", "host.example", true },
        { "*.example", "a.b.example", false },
        { "*.example", "example", false },
        { "*.example", "host.example.evil", false },
        { "host*.example", "host-7.example", true },
        { "*-7.*", "host-7.example", true },
        { "a*b*c.example", "axxbyybc.example", true },
        { "a*b*c.example", "axxbyyb.example", false },
        { "*.dkr.ecr.*.amazonaws.com", "123456789012.dkr.ecr.eu-west-1.amazonaws.com", true },
        { "*.dkr.ecr.*.amazonaws.com", "1.dkr.ecr.eu-west-1.amazonaws.com.evil.example", false },
        { "*.dkr.ecr.*.amazonaws.com", "1.dkr.ecr.a.b.amazonaws.com", false },
        { "*", "localhost", true },
        { "*", "host.example", false },
        { "*", "[::1]", false },
        { "[::1]:5000", "[0::1]:5000", true },
        { "docker.io", "https://index.docker.io/v1/", true },
        { "index.docker.io", "registry-1.docker.io:443", true },
        { "docker.io", "https://index.docker.io/v1/refresh-token", true },
        { "host.example/team", "host.example/team", true },
        { "host.example/team", "host.example/v2/team/app", true },
        { "host.example/team", "host.example/team-x", false },
        { "host.example/team", "host.example", false },
        { "docker.io", "nerdctl-experimental://docker.io", false },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        struct registry_reference reference = parse(vectors[i].text);
        struct pullkey_error error = { 0 };

        if (registry_pattern_check(vectors[i].pattern, &error) < 0)
            fail_msg("%s: %s", vectors[i].pattern, error.message);
        if (registry_pattern_matches(vectors[i].pattern, &reference) != vectors[i].expected)
            fail_msg("%s and %s", vectors[i].pattern, vectors[i].text);
    }
}

static void bad_patterns(void **state)
{
    static const char *const vectors[] = {
        "", "*:*", "host/*", "host/**", "https://host", "ftp://host", "host:0", " host", "host ",
        "a b", "host..x", "h%st", "user@host", "[*]", "host.", "nerdctl-experimental://x",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        struct pullkey_error error = { 0 };

        if (registry_pattern_check(vectors[i], &error) != -PULLKEY_INVALID)
            fail_msg("accepted: %s", vectors[i]);
        assert_true(error.message[0] != '\0');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(canonical_forms), cmocka_unit_test(refusals),
        cmocka_unit_test(every_byte),      cmocka_unit_test(aliases),
        cmocka_unit_test(shorter_paths),   cmocka_unit_test(names),
        cmocka_unit_test(many_names),      cmocka_unit_test(patterns),
        cmocka_unit_test(bad_patterns),    cmocka_unit_test(names_have_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
