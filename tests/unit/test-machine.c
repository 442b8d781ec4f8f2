/* SPDX-License-Identifier: Apache-2.0 */
/* Whose machine this is, by what the kernel shows of its firmware. */
#include "unit.h"

#include "token/machine.h"

#define DMI "/sys/class/dmi/id"

static char root[512];

static void put(const char *name, const char *text)
{
    char path[600];

    (void)snprintf(path, sizeof(path), "%s" DMI "/%s", root, name);
    (void)unlink(path);
    unit_write(path, text, strlen(text), 0444);
}

static int make_root(void **state)
{
    static const char *const parts[] = { "/sys", "/sys/class", "/sys/class/dmi", DMI };
    char path[600];

    (void)state;
    unit_make_directory(root);
    for (size_t i = 0; i < UNIT_COUNT(parts); i++) {
        (void)snprintf(path, sizeof(path), "%s%s", root, parts[i]);
        assert_int_equal(mkdir(path, 0755), 0);
    }
    return 0;
}

static int remove_root(void **state)
{
    (void)state;
    unit_remove_directory(root);
    return 0;
}

static void firmware(void **state)
{
    static const struct {
        const char *product, *tag, *vendor, *board;
        bool is_google, is_azure, is_amazon;
    } rows[] = {
        { "Google Compute Engine\n", "\n", "Google\n", "Google\n", true, false, false },
        { "Google\n", "\n", "", "", true, false, false },
        { "Not Google\n", "\n", "Not Amazon EC2\n", "Not Amazon\n", false, false, false },
        { "Virtual Machine\n", "7783-7084-3265-9085-8269-3286-77\n", "", "", false, true, false },
        { "Virtual Machine\n", "7783-7084-3265-9085-8269-3286-7\n", "", "", false, false, false },
        { "7783-7084-3265-9085-8269-3286-77\n", "Google\n", "", "", false, false, false },
        { "t3.micro\n", "Amazon EC2\n", "Amazon EC2\n", "", false, false, true },
        { "Amazon EC2\n", "Amazon EC2\n", "Xen\n", "Amazon Corporate LLC\n", false, false, true },
        { "Amazon EC2\n", "Amazon EC2\n", "Amazon\n", "Xen\n", false, false, false },
        { "", "", "", "", false, false, false },
    };

    (void)state;
    assert_false(machine_is_google(root) || machine_is_azure(root) || machine_is_amazon(root));
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        put("product_name", rows[i].product);
        put("chassis_asset_tag", rows[i].tag);
        put("sys_vendor", rows[i].vendor);
        put("board_vendor", rows[i].board);
        assert_int_equal(machine_is_google(root), rows[i].is_google);
        assert_int_equal(machine_is_azure(root), rows[i].is_azure);
        assert_int_equal(machine_is_amazon(root), rows[i].is_amazon);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(firmware, make_root,
                                                                        remove_root) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
