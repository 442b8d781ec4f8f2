/* SPDX-License-Identifier: Apache-2.0 */
/* Which hosts are registries of Azure's, and whose Entra they belong to. */
#include "unit.h"

#include "token/azure.h"
#include "token/registry-host.h"

static void registries(void **state)
{
    static const struct {
        const char *host;
        bool is_known;
    } rows[] = {
        { "team.azurecr.io", true },
        { "team2.azurecr.cn", true },
        { "team.azurecr.us", true },
        { "team-a1b2.azurecr.io", true },
        { "team.westeurope.geo.azurecr.io", true },
        { "Team.azurecr.io", false }, /* whoever asks has lowered it */
        { "x.azurecr.io.evil.test", false },
        { "x.azurecr.io.", false },
        { "evil.test/x.azurecr.io", false },
        { "evil.test\nx.azurecr.io", false },
        { "x.azurecr.io\nevil.test", false },
        { "xazurecr.io", false },
        { "azurecr.io", false },
        { ".azurecr.io", false },
        { "x.azurecrxio", false },
        { "x.azurecr.de", false },
        { "x.azurecr.com", false },
        { "-x.azurecr.io", false },
        { "x-.azurecr.io", false },
        { "a.b.azurecr.io", false },
        { "team.westeurope.data.azurecr.io", false },
        { "team.data.azurecr.io", false },
        { "mcr.microsoft.com", false },
        { "", false },
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(rows); i++)
        if (registry_host_matches(rows[i].host, AZURE_REGISTRIES) != rows[i].is_known)
            fail_msg("%s", rows[i].host);
}

static void clouds(void **state)
{
    (void)state;
    assert_string_equal(azure_authority("team.azurecr.io"), "https://login.microsoftonline.com/");
    assert_string_equal(azure_authority("team.azurecr.us"), "https://login.microsoftonline.us/");
    assert_string_equal(azure_authority("team.azurecr.cn"), "https://login.chinacloudapi.cn/");
    assert_string_equal(azure_authority("evilazurecr.cn"), "https://login.microsoftonline.com/");
    assert_string_equal(azure_authority("registry.corp.test"),
                        "https://login.microsoftonline.com/");
}

static void correlations(void **state)
{
    char id[AZURE_CORRELATION_SIZE], huge[AZURE_CORRELATION_SIZE + 1];

    (void)state;
    azure_take_correlation("0aF-9", 5, id);
    assert_string_equal(id, "0aF-9");
    azure_take_correlation("0aF-9\n", 6, id);
    assert_string_equal(id, "");
    azure_take_correlation("0aF\0x", 5, id);
    assert_string_equal(id, "");
    azure_take_correlation("", 0, id);
    assert_string_equal(id, "");
    memset(huge, 'a', sizeof(huge));
    azure_take_correlation(huge, AZURE_CORRELATION_SIZE - 1, id);
    assert_int_equal(strlen(id), AZURE_CORRELATION_SIZE - 1);
    azure_take_correlation(huge, AZURE_CORRELATION_SIZE, id);
    assert_string_equal(id, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(registries), cmocka_unit_test(clouds),
                                        cmocka_unit_test(correlations) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
