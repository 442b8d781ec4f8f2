/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include "http/address.h"

static void parse(const char *text, struct sockaddr_storage *ret)
{
    struct sockaddr_in *ipv4 = (void *)ret;
    struct sockaddr_in6 *ipv6 = (void *)ret;

    memset(ret, 0, sizeof(*ret));
    if (strchr(text, ':')) {
        ipv6->sin6_family = AF_INET6;
        assert_int_equal(inet_pton(AF_INET6, text, &ipv6->sin6_addr), 1);
    } else {
        ipv4->sin_family = AF_INET;
        assert_int_equal(inet_pton(AF_INET, text, &ipv4->sin_addr), 1);
    }
}

static void expect_public(const char *text, bool expected)
{
    struct sockaddr_storage address;

    parse(text, &address);
    if (address_is_public((const struct sockaddr *)&address) != expected)
        fail_msg("%s is taken for %s", text, expected ? "special" : "public");
}

static void test_public(void **state)
{
    /* Each block's neighbours on both sides. */
    static const char *const texts[] = {
        "1.0.0.0",          "9.255.255.255",   "11.0.0.0",        "100.63.255.255",
        "100.128.0.0",      "126.255.255.255", "128.0.0.0",       "169.253.255.255",
        "169.255.0.0",      "172.15.255.255",  "172.32.0.0",      "191.255.255.255",
        "192.0.1.0",        "192.167.255.255", "192.169.0.0",     "198.17.255.255",
        "198.20.0.0",       "223.255.255.255", "2606:4700::1111", "2001:db8::1",
        "64:ff9b::808:808", "2002:808:808::1", "fe00::1",         "fb00::1",
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(texts); i++)
        expect_public(texts[i], true);
}

static void test_special(void **state)
{
    static const char *const texts[] = {
        "0.0.0.0",
        "0.255.255.255",
        "10.0.0.0",
        "10.255.255.255",
        "100.64.0.0",
        "100.100.100.200",
        "100.127.255.255",
        "127.0.0.0",
        "127.255.255.255",
        "169.254.0.0",
        "169.254.169.254",
        "169.254.255.255",
        "172.16.0.0",
        "172.31.255.255",
        "192.0.0.192",
        "192.168.0.0",
        "192.168.255.255",
        "198.18.0.0",
        "198.19.255.255",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.0",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::8.8.8.8",
        "::ffff:8.8.8.8",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b::7f00:1",
        "64:ff9b:1::808:808",
        "100::1",
        "2002:a9fe:a9fe::1",
        "2002:7f00:1::",
        "fc00::1",
        "fdff::1",
        "fd00:ec2::254",
        "fe80::1",
        "febf::1",
        "fec0::1",
        "feff::1",
        "ff02::1",
    };
    const struct sockaddr_un other = { .sun_family = AF_UNIX };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(texts); i++)
        expect_public(texts[i], false);
    assert_false(address_is_public((const struct sockaddr *)&other));
}

static void test_metadata(void **state)
{
    static const struct {
        const char *text;
        bool expected;
    } cases[] = {
        { "169.254.0.0", true },
        { "169.254.169.254", true },
        { "169.253.255.255", false },
        { "169.255.0.0", false },
        { "127.0.0.1", false },
        { "fd00:ec2::254", true },
        { "fd00:ec1::254", false },
        { "fe80::1", false },
        { "::ffff:169.254.169.254", false },
    };
    const struct sockaddr_un other = { .sun_family = AF_UNIX };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(cases); i++) {
        struct sockaddr_storage address;

        parse(cases[i].text, &address);
        if (address_is_metadata((const struct sockaddr *)&address) != cases[i].expected)
            fail_msg("%s", cases[i].text);
    }
    assert_false(address_is_metadata((const struct sockaddr *)&other));
}

static void test_link_local(void **state)
{
    static const struct {
        const char *text;
        bool expected;
    } cases[] = {
        { "169.254.0.1", true },
        { "169.255.0.1", false },
        { "fd00:ec2::23", true },
        { "fd00:ec3::23", false },
        { "fd20:ce::254", true },
        { "fd20:cf::254", false },
        { "64:ff9b::a9fe:a9fe", true },
        { "64:ff9b::a9ff:a9fe", false },
        { "fe80::1", true },
        { "febf::1", true },
        { "fec0::1", false },
        { "::ffff:169.254.169.254", true },
        { "::ffff:169.255.169.254", false },
        { "::fffe:169.254.169.254", false },
        { "10.0.0.1", false },
        { "::1", false },
    };
    const struct sockaddr_un other = { .sun_family = AF_UNIX };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(cases); i++) {
        struct sockaddr_storage address;

        parse(cases[i].text, &address);
        if (address_is_link_local((const struct sockaddr *)&address) != cases[i].expected)
            fail_msg("%s", cases[i].text);
    }
    assert_false(address_is_link_local((const struct sockaddr *)&other));
}

static void test_loopback(void **state)
{
    static const struct {
        const char *text;
        bool expected;
    } cases[] = {
        { "127.0.0.1", true },  { "127.255.255.255", true },
        { "::1", true },        { "126.255.255.255", false },
        { "128.0.0.1", false }, { "::", false },
        { "::2", false },       { "::ffff:127.0.0.1", false },
        { "0.0.0.0", false },
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(cases); i++) {
        struct sockaddr_storage address;

        parse(cases[i].text, &address);
        assert_int_equal(address_is_loopback((const struct sockaddr *)&address), cases[i].expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_public),     cmocka_unit_test(test_special),
        cmocka_unit_test(test_loopback),   cmocka_unit_test(test_metadata),
        cmocka_unit_test(test_link_local),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
