/* SPDX-License-Identifier: Apache-2.0 */
#include "aws-host.h"

#include <stdio.h>
#include <string.h>

#define PUBLIC_REGION "us-east-1"

/* The regions of a partition begin in one way. The last one takes every other. */
static const struct {
    const char *begin;
    struct aws_partition partition;
} partitions[] = {
    { "us-gov-", { "aws-us-gov", "amazonaws.com", "api.aws", "on.aws" } },
    { "cn-",
      { "aws-cn", "amazonaws.com.cn", "api.amazonwebservices.com.cn",
        "on.amazonwebservices.com.cn" } },
    { "eusc-", { "aws-eusc", "amazonaws.eu", "api.amazonwebservices.eu", NULL } },
    { "us-iso-", { "aws-iso", "c2s.ic.gov", "api.aws.ic.gov", NULL } },
    { "us-isob-", { "aws-iso-b", "sc2s.sgov.gov", "api.aws.scloud", NULL } },
    { "eu-isoe-", { "aws-iso-e", "cloud.adc-e.uk", "api.cloud-aws.adc-e.uk", NULL } },
    { "us-isof-", { "aws-iso-f", "csp.hci.ic.gov", "api.aws.hci.ic.gov", NULL } },
    { "", { "aws", "amazonaws.com", "api.aws", "on.aws" } },
};

static bool is_label_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool aws_is_region(const char *text)
{
    size_t dashes = 0, length = strlen(text);

    if (length == 0 || length >= AWS_REGION_SIZE || text[0] == '-' || text[length - 1] == '-')
        return false;
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '-' && text[i + 1] != '-')
            dashes++;
        else if (!is_label_byte(text[i]))
            return false;
    }
    return dashes > 0;
}

const struct aws_partition *aws_partition_of(const char *region)
{
    size_t i = 0;

    while (strncmp(region, partitions[i].begin, strlen(partitions[i].begin)) != 0)
        i++;
    return &partitions[i].partition;
}

/* Takes `part` from the front. */
static bool skip(const char **at, const char *part)
{
    const size_t length = strlen(part);

    if (strncmp(*at, part, length) != 0)
        return false;
    *at += length;
    return true;
}

/* ACCOUNT.dkr.ecr[-fips].REGION.SUFFIX, or ACCOUNT.dkr-ecr[-fips].REGION.SUFFIX with IPv6. */
static bool parse_private(const char *host, struct aws_registry *ret)
{
    const char *suffix;
    size_t length;

    if (strspn(host, "0123456789") != AWS_ACCOUNT_SIZE - 1)
        return false;
    memcpy(ret->account, host, AWS_ACCOUNT_SIZE - 1);
    host += AWS_ACCOUNT_SIZE - 1;
    ret->dual_stack = skip(&host, ".dkr-ecr");
    if (!ret->dual_stack && !skip(&host, ".dkr.ecr"))
        return false;
    ret->fips = skip(&host, "-fips");
    if (!skip(&host, "."))
        return false;
    length = strcspn(host, ".");
    if (length >= sizeof(ret->region) || host[length] != '.')
        return false;
    memcpy(ret->region, host, length);
    if (!aws_is_region(ret->region))
        return false;
    ret->partition = aws_partition_of(ret->region);
    suffix = ret->dual_stack ? ret->partition->registry_dual : ret->partition->suffix;
    return suffix && strcmp(host + length + 1, suffix) == 0;
}

bool aws_host_parse(const char *host, struct aws_registry *ret)
{
    struct aws_registry registry = { 0 };

    if (strcmp(host, "public.ecr.aws") == 0 || strcmp(host, "ecr-public.aws.com") == 0) {
        registry.is_public = true;
        registry.dual_stack = host[0] == 'e';
        memcpy(registry.region, PUBLIC_REGION, sizeof(PUBLIC_REGION));
        registry.partition = aws_partition_of(PUBLIC_REGION);
    } else if (!parse_private(host, &registry)) {
        return false;
    }
    *ret = registry;
    return true;
}

const char *aws_service_name(enum aws_service service)
{
    static const char *const names[] = {
        [AWS_ECR] = "ecr", [AWS_ECR_PUBLIC] = "ecr-public", [AWS_STS] = "sts",
        [AWS_SSO] = "sso", [AWS_SSO_OIDC] = "sso-oidc",
    };

    return names[service];
}

bool aws_service_address(enum aws_service service, const char *region, bool fips, bool dual_stack,
                         char ret[AWS_ADDRESS_SIZE])
{
    const struct aws_partition *partition = aws_partition_of(region);
    const char *suffix = dual_stack ? partition->dual_suffix : partition->suffix;
    const char *name = NULL;

    switch (service) {
    case AWS_ECR: name = fips ? "ecr-fips" : dual_stack ? "ecr" : "api.ecr"; break;
    case AWS_ECR_PUBLIC: name = fips ? NULL : dual_stack ? "ecr-public" : "api.ecr-public"; break;
    case AWS_STS:
        /* Every one of that partition is. */
        name = fips && strcmp(partition->id, "aws-us-gov") != 0 ? "sts-fips" : "sts";
        break;
    case AWS_SSO: name = "portal.sso"; break;
    case AWS_SSO_OIDC: name = "oidc"; break;
    }
    if (!name)
        return false;
    (void)snprintf(ret, AWS_ADDRESS_SIZE, "https://%s.%s.%s", name, region, suffix);
    return true;
}
