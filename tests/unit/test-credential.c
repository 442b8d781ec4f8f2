/* SPDX-License-Identifier: Apache-2.0 */
#include "unit-free.h"

#include "base/secret.h"
#include "core/credential.h"

static void credentials_are_wiped(void **state)
{
    struct pullkey_credential credential = { .kind = PULLKEY_IDENTITY_TOKEN, .expiry = 7 };
    struct pullkey_error error;

    (void)state;
    credential.username = secret_copy(MARKER, strlen(MARKER));
    assert_fine(secret_set(&credential.secret, MARKER, strlen(MARKER), &error), error);
    assert_wiped(credential_done(&credential));
    assert_null(credential.username);
    assert_null(credential.secret.bytes);
    assert_int_equal(credential.kind, PULLKEY_PASSWORD);
    assert_int_equal(credential.expiry, 0);
    credential_done(&credential);
}

static void lists_grow(void **state)
{
    struct pullkey_list list = { 0 };
    struct pullkey_error error;
    char server[32];

    (void)state;
    for (size_t i = 0; i < 1000; i++) {
        (void)snprintf(server, sizeof(server), "host%zu", i);
        assert_fine(list_add(&list, server, "user", &error), error);
        assert_int_equal(list.count, i + 1);
    }
    for (size_t i = 0; i < 1000; i++) {
        (void)snprintf(server, sizeof(server), "host%zu", i);
        assert_string_equal(list.entries[i].server, server);
        assert_string_equal(list.entries[i].username, "user");
    }
    list_done(&list);
    assert_null(list.entries);
    assert_int_equal(list.count, 0);
}

static void lists_are_wiped(void **state)
{
    struct pullkey_list list = { 0 };
    struct pullkey_error error;

    (void)state;
    assert_wiped({
        for (unsigned int i = 0; i < 100; i++)
            assert_fine(list_add(&list, MARKER, MARKER, &error), error);
        list_done(&list);
    });
}

/* At every size, and at every allocation of one more entry. */
static void want_of_memory_leaves_the_list(void **state)
{
    struct pullkey_list list = { 0 };
    struct pullkey_error error;

    (void)state;
    for (size_t size = 0; size < 40; size++) {
        for (int left = 0; left < 2; left++) {
            allocations_left = left;
            assert_int_equal(list_add(&list, "a", "b", &error), -PULLKEY_INTERNAL);
            allocations_left = -1;
            assert_int_equal(list.count, size);
        }
        allocations_left = 2;
        if (list_add(&list, "a", "b", &error) < 0) {
            allocations_left = -1;
            assert_int_equal(list.count, size);
            assert_fine(list_add(&list, "a", "b", &error), error);
        }
        allocations_left = -1;
        assert_int_equal(list.count, size + 1);
        assert_string_equal(list.entries[size].server, "a");
    }
    list_done(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counting_works),
        cmocka_unit_test(credentials_are_wiped),
        cmocka_unit_test(lists_grow),
        cmocka_unit_test(lists_are_wiped),
        cmocka_unit_test(want_of_memory_leaves_the_list),
    };

    return cmocka_run_group_tests_name("credential", tests, NULL, NULL);
}
