/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "http/realm.h"

static const char *const listed[] = { "auth.corp.example", "10.0.0.5:8443", "localhost:5001" };

static int judge(const char *registry_text, const char *realm_text, struct realm *ret,
                 struct pullkey_error *error)
{
    struct realm_list list = { 0 };
    struct url registry;

    for (size_t i = 0; i < UNIT_COUNT(listed); i++)
        assert_fine(realm_list_add(&list, listed[i], error), *error);
    assert_fine(url_parse(registry_text, &registry, error), *error);
    return realm_check(realm_text, &registry, &list, ret, error);
}

static void test_allowed(void **state)
{
    static const struct {
        const char *registry, *realm;
        bool same_server, public_only;
    } cases[] = {
        { "https://r.example", "https://r.example/token", true, false },
        { "https://r.example", "https://R.Example:443/token", true, false },
        { "https://r.example:5000", "https://r.example:5000/token", true, false },
        { "https://10.0.0.1", "https://10.0.0.1/token", true, false },
        { "https://[fd00::1]", "https://[FD00:0::1]/token", true, false },
        { "https://127.0.0.1:5000", "https://127.0.0.1:5000/token", true, false },
        { "https://r.example", "https://auth.r.example/token", false, true },
        { "https://r.example:5000", "https://r.example/token", false, false },
        { "https://r.example", "https://x.localhost/token", false, true }, /* the address decides */
        { "https://r.example", "https://auth.corp.example/", false, false },
        { "https://r.example", "https://10.0.0.5:8443/", false, false },
        { "http://localhost:5000", "http://localhost:5000/token", true, false },
        { "http://localhost:5000", "http://localhost:5001/token", false, false },
        { "http://localhost:5000", "https://localhost:5000/token", true, false },
        { "http://localhost:5000", "https://auth.example/token", false, true },
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(cases); i++) {
        struct pullkey_error error;
        struct realm realm;

        assert_fine(judge(cases[i].registry, cases[i].realm, &realm, &error), error);
        assert_int_equal(realm.same_server, cases[i].same_server);
        assert_int_equal(realm.public_only, cases[i].public_only);
    }
}

static void test_refused(void **state)
{
    static const struct {
        const char *registry, *realm;
        enum pullkey_error_class code;
        const char *part;
    } cases[] = {
        { "https://r.example", "http://r.example/token", PULLKEY_DENIED, "http://r.example" },
        { "https://r.example", "http://r.example:443/token", PULLKEY_DENIED, "plain http" },
        { "https://r.example", "http://auth.corp.example/", PULLKEY_DENIED, "plain http" },
        { "https://localhost:5000", "http://localhost:5000/", PULLKEY_DENIED, "plain http" },
        { "http://localhost:5000", "http://localhost:5002/", PULLKEY_DENIED, "plain http" },
        { "http://localhost:5000", "http://127.0.0.1:5000/", PULLKEY_DENIED, "plain http" },
        { "http://localhost:5000", "http://r.example/", PULLKEY_DENIED, "plain http" },
        { "https://r.example", "https://10.0.0.5/", PULLKEY_DENIED, "10.0.0.5" },
        { "https://r.example", "https://169.254.169.254/", PULLKEY_DENIED, "registry's own port" },
        { "https://r.example", "https://[::ffff:169.254.169.254]/", PULLKEY_DENIED,
          "registry's own port" },
        { "https://r.example", "https://198.51.100.1/", PULLKEY_DENIED, "registry's own port" },
        { "https://r.example", "https://localhost/", PULLKEY_DENIED, "registry's own port" },
        { "https://localhost:5000", "https://localhost:5002/", PULLKEY_DENIED,
          "registry's own port" },
        { "https://127.0.0.1:5000", "https://127.0.0.1:5001/", PULLKEY_DENIED,
          "registry's own port" },
        { "https://127.0.0.1:5000", "https://[::1]:5000/", PULLKEY_DENIED, "registry's own port" },
        { "https://r.example", "https://r.example@evil/", PULLKEY_INVALID, "user name" },
        { "https://r.example", "/token", PULLKEY_INVALID, "https://" },
        { "https://r.example", "", PULLKEY_INVALID, "https://" },
        { "https://r.example", "https://auth.corp.example./", PULLKEY_INVALID, "the token server" },
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(cases); i++) {
        struct pullkey_error error = { 0 };
        struct realm realm;

        assert_refused(judge(cases[i].registry, cases[i].realm, &realm, &error), cases[i].code,
                       cases[i].part, error);
    }
}

static void test_list(void **state)
{
    struct realm_list list = { 0 };
    struct pullkey_error error;

    (void)state;
    assert_int_equal(realm_list_add(&list, "https://a/", &error), -PULLKEY_INVALID);
    assert_int_equal(list.count, 0);
    for (int i = 0; i < REALM_LIST_MAX; i++)
        assert_fine(realm_list_add(&list, "a", &error), error);
    assert_refused(realm_list_add(&list, "a", &error), PULLKEY_INVALID, "more than 32", error);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_allowed),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_list),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
