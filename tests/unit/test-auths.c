/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "auths/auths.h"
#include "core/module.h"
#include "core/registry.h"

/* Of a map with these keys, for what is asked. */
static enum pullkey_scope scope_of(const char *map, const char *text)
{
    struct registry_reference reference;
    struct registry_request request;
    cleanup_json struct json json = { 0 };
    struct pullkey_error error;

    assert_fine(json_parse(&json, "map", map, strlen(map), 0, &error), error);
    assert_fine(registry_parse(text, strlen(text), &reference, &error), error);
    registry_request(&reference, INT64_MAX, &request);
    return auths_scope(&module_host, json.root, &request.request);
}

static void one_key_of_a_path_is_enough(void **state)
{
    static const struct {
        const char *map, *text;
        enum pullkey_scope expected;
    } cases[] = {
        { "{}", "a.example/team", PULLKEY_SCOPE_REGISTRY },
        { "{\"a.example\":{}}", "a.example/team", PULLKEY_SCOPE_REGISTRY },
        { "{\"https://A.example/v2/\":{}}", "a.example/team", PULLKEY_SCOPE_REGISTRY },
        { "{\"a.example\":{},\"a.example/other\":{}}", "a.example/team", PULLKEY_SCOPE_IMAGE },
        { "{\"A.example/other\":{}}", "a.example", PULLKEY_SCOPE_IMAGE },
        { "{\"b.example/team\":{}}", "a.example/team", PULLKEY_SCOPE_REGISTRY },
        { "{\"*.example/team\":{}}", "a.example/other", PULLKEY_SCOPE_IMAGE },
        { "{\"docker.com/team\":{}}", "a.example/team", PULLKEY_SCOPE_REGISTRY },
        { "{\"[::1]:5000\":{}}", "[::1]:5000/team", PULLKEY_SCOPE_REGISTRY },
        { "{\"[::1]:5000/other\":{}}", "[::1]:5000/team", PULLKEY_SCOPE_IMAGE },
        { "{\"[0:0::1]:5000/other\":{}}", "[::1]:5000/team", PULLKEY_SCOPE_IMAGE },
        { "{\"[0:0::1]:5000\":{}}", "[::1]:5000/team", PULLKEY_SCOPE_REGISTRY },
        { "{\"[::1]:5000/other\":{}}", "a.example/team", PULLKEY_SCOPE_REGISTRY },
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(cases); i++)
        if (scope_of(cases[i].map, cases[i].text) != cases[i].expected)
            fail_msg("%s for %s", cases[i].text, cases[i].map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_key_of_a_path_is_enough),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
