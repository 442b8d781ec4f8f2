/* SPDX-License-Identifier: Apache-2.0 */
/* Which registries the machine's identity is tried for where nobody has configured anything. */
#include "unit.h"

#include "base/json.h"
#include "core/cloud.h"

static void hosts(void **state)
{
    static const struct {
        const char *text, *recipe; /* NULL: none */
    } rows[] = {
        { "123456789012.dkr.ecr.eu-west-1.amazonaws.com", "ecr" },
        { "https://123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/v2/", "ecr" },
        { "123456789012.dkr-ecr.eu-west-1.on.aws", "ecr" },
        { "public.ecr.aws", "ecr" },
        { "PUBLIC.ECR.AWS:443", "ecr" },
        { "gcr.io", "gcp" },
        { "eu.gcr.io/project/image", "gcp" },
        { "europe-docker.pkg.dev", "gcp" },
        { "team.azurecr.io", "acr" },
        { "team.azurecr.us", "acr" },
        { "docker.io", NULL },
        { "ghcr.io", NULL },
        { "xgcr.io", NULL },
        { "gcr.io.evil.test", NULL },
        { "x.azurecr.io.evil.test", NULL },
        { "azurecr.io", NULL },
        { "xpublic.ecr.aws", NULL },
        { "x.public.ecr.aws", NULL },
        { "gcr.io:5000", NULL },
        { "http://gcr.io", NULL },
        { "nerdctl-experimental://gcr.io:443/?x", NULL },
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        struct registry_reference reference;
        const struct config_instance *instance;
        struct pullkey_error error;

        assert_fine(registry_parse(rows[i].text, strlen(rows[i].text), &reference, &error), error);
        instance = cloud_instance(&reference);
        if (!instance != !rows[i].recipe)
            fail_msg("%s", rows[i].text);
        if (instance) {
            cleanup_buffer struct buffer options = BUFFER_INIT(256);
            char expected[64];

            assert_string_equal(instance->type, "token");
            assert_true(instance->implicit);
            (void)snprintf(expected, sizeof(expected), "{\"recipe\":\"%s\"}", rows[i].recipe);
            assert_fine(config_instance_options(instance, NULL, &options, &error), error);
            assert_string_equal(options.data, expected);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(hosts) };

    json_start();
    return cmocka_run_group_tests_name("registries of clouds", tests, NULL, NULL);
}
