/* SPDX-License-Identifier: Apache-2.0 */
/* Which hosts are registries of AWS, what only looks like one, and where services are asked. */
#include "unit.h"

#include "token/aws-host.h"

#define A "123456789012"

static void registries(void **state)
{
    static const struct {
        const char *host, *region, *partition;
        bool fips, dual;
    } rows[] = {
        { A ".dkr.ecr.us-east-1.amazonaws.com", "us-east-1", "aws", false, false },
        { A ".dkr.ecr-fips.us-east-1.amazonaws.com", "us-east-1", "aws", true, false },
        { A ".dkr-ecr.eu-west-1.on.aws", "eu-west-1", "aws", false, true },
        { A ".dkr-ecr-fips.us-gov-west-1.on.aws", "us-gov-west-1", "aws-us-gov", true, true },
        { A ".dkr.ecr.cn-north-1.amazonaws.com.cn", "cn-north-1", "aws-cn", false, false },
        { A ".dkr-ecr.cn-north-1.on.amazonwebservices.com.cn", "cn-north-1", "aws-cn", false,
          true },
        { A ".dkr.ecr.eusc-de-east-1.amazonaws.eu", "eusc-de-east-1", "aws-eusc", false, false },
        { A ".dkr.ecr.us-iso-east-1.c2s.ic.gov", "us-iso-east-1", "aws-iso", false, false },
        { A ".dkr.ecr.us-isob-east-1.sc2s.sgov.gov", "us-isob-east-1", "aws-iso-b", false, false },
        { A ".dkr.ecr.eu-isoe-west-1.cloud.adc-e.uk", "eu-isoe-west-1", "aws-iso-e", false, false },
        { A ".dkr.ecr.us-isof-south-1.csp.hci.ic.gov", "us-isof-south-1", "aws-iso-f", false,
          false },
    };
    struct aws_registry registry;

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        if (!aws_host_parse(rows[i].host, &registry))
            fail_msg("%s is no registry", rows[i].host);
        assert_false(registry.is_public);
        assert_string_equal(registry.account, A);
        assert_string_equal(registry.region, rows[i].region);
        assert_string_equal(registry.partition->id, rows[i].partition);
        assert_int_equal(registry.fips, rows[i].fips);
        assert_int_equal(registry.dual_stack, rows[i].dual);
    }
    assert_true(aws_host_parse("public.ecr.aws", &registry));
    assert_true(registry.is_public && !registry.dual_stack);
    assert_string_equal(registry.region, "us-east-1");
    assert_true(aws_host_parse("ecr-public.aws.com", &registry));
    assert_true(registry.is_public && registry.dual_stack);
}

static void look_alikes(void **state)
{
    static const char *const hosts[] = {
        "",
        "12345678901.dkr.ecr.us-east-1.amazonaws.com",
        "1" A ".dkr.ecr.us-east-1.amazonaws.com",
        "a" A ".dkr.ecr.us-east-1.amazonaws.com",
        "x." A ".dkr.ecr.us-east-1.amazonaws.com",
        A ".dkr.ecr.us-east-1.amazonaws.com.evil.test",
        A ".dkr.ecr.us-east-1.amazonaws.com.",
        A ".dkr.ecr.us-east-1.amazonaws.comx",
        A ".dkr.ecr.us-east-1.amazonaws.com.cn",
        A ".dkr.ecr.cn-north-1.amazonaws.com",
        A ".dkr.ecr.us-east-1.evil.amazonaws.com",
        A ".dkr.ecr..amazonaws.com",
        A ".dkr.ecr.us.amazonaws.com",
        A ".dkr.ecr.-us-1.amazonaws.com",
        A ".dkr.ecr.us--1.amazonaws.com",
        A ".dkr.ecr.us-east-1-.amazonaws.com",
        A ".dkr.ecr.US-EAST-1.amazonaws.com",
        A ".DKR.ecr.us-east-1.amazonaws.com",
        A ".dkr.ecr-fipsx.us-east-1.amazonaws.com",
        A ".dkr-ecr.us-east-1.amazonaws.com",
        A ".dkr.ecr.us-east-1.on.aws",
        A ".dkr.ecr.us-east-1",
        A ".dkr.ecr.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-1.amazonaws.com",
        "public.ecr.aws.evil.test",
        "xpublic.ecr.aws",
        "ecr-public.aws.com.evil.test",
        "Public.ecr.aws",
        "s3.amazonaws.com",
    };
    struct aws_registry registry;

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(hosts); i++)
        if (aws_host_parse(hosts[i], &registry))
            fail_msg("%s is taken for a registry", hosts[i]);
}

static void addresses(void **state)
{
    static const struct {
        enum aws_service service;
        const char *region;
        bool fips, dual;
        const char *address; /* NULL: there is none */
    } rows[] = {
        { AWS_ECR, "us-east-1", false, false, "https://api.ecr.us-east-1.amazonaws.com" },
        { AWS_ECR, "us-east-1", true, false, "https://ecr-fips.us-east-1.amazonaws.com" },
        { AWS_ECR, "us-east-1", false, true, "https://ecr.us-east-1.api.aws" },
        { AWS_ECR, "us-east-1", true, true, "https://ecr-fips.us-east-1.api.aws" },
        { AWS_ECR, "cn-north-1", false, false, "https://api.ecr.cn-north-1.amazonaws.com.cn" },
        { AWS_ECR, "cn-north-1", false, true,
          "https://ecr.cn-north-1.api.amazonwebservices.com.cn" },
        { AWS_ECR_PUBLIC, "us-east-1", false, false,
          "https://api.ecr-public.us-east-1.amazonaws.com" },
        { AWS_ECR_PUBLIC, "us-east-1", false, true, "https://ecr-public.us-east-1.api.aws" },
        { AWS_ECR_PUBLIC, "us-east-1", true, false, NULL },
        { AWS_STS, "eu-west-1", false, false, "https://sts.eu-west-1.amazonaws.com" },
        { AWS_STS, "us-east-1", true, false, "https://sts-fips.us-east-1.amazonaws.com" },
        { AWS_STS, "us-gov-west-1", true, false, "https://sts.us-gov-west-1.amazonaws.com" },
        { AWS_SSO, "us-east-1", false, false, "https://portal.sso.us-east-1.amazonaws.com" },
    };
    char address[AWS_ADDRESS_SIZE];

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        assert_int_equal(aws_service_address(rows[i].service, rows[i].region, rows[i].fips,
                                             rows[i].dual, address),
                         rows[i].address != NULL);
        if (rows[i].address)
            assert_string_equal(address, rows[i].address);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(registries), cmocka_unit_test(look_alikes),
                                        cmocka_unit_test(addresses) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
