/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of AWS: which registry a host is, and where a service of a region is asked. Everything is
 * anchored and lower case; a host that merely looks like one of AWS is none.
 */
#ifndef PULLKEY_TOKEN_AWS_HOST_H
#define PULLKEY_TOKEN_AWS_HOST_H

#include <stdbool.h>
#include <stddef.h>

#define AWS_REGION_SIZE 32
#define AWS_ACCOUNT_SIZE 13
#define AWS_ADDRESS_SIZE 128

struct aws_partition {
    const char *id;
    const char *suffix;        /* of services, and of registries */
    const char *dual_suffix;   /* of services with IPv6 */
    const char *registry_dual; /* of registries with IPv6; NULL: there are none */
};

struct aws_registry {
    bool is_public, fips, dual_stack;
    char account[AWS_ACCOUNT_SIZE]; /* "" where it is public, or known by option alone */
    char region[AWS_REGION_SIZE];
    const struct aws_partition *partition;
};

enum aws_service { AWS_ECR, AWS_ECR_PUBLIC, AWS_STS, AWS_SSO, AWS_SSO_OIDC };

/* The registry of a host; false for any other. */
bool aws_host_parse(const char *host, struct aws_registry *ret);

/* "us-east-1": lower-case labels, at least two. */
bool aws_is_region(const char *text);

/* Never NULL: a region of no other partition is one of "aws". */
const struct aws_partition *aws_partition_of(const char *region);

/* The https:// address of a service; false where there is none of that kind. */
bool aws_service_address(enum aws_service service, const char *region, bool fips, bool dual_stack,
                         char ret[AWS_ADDRESS_SIZE]);

/* What it is called in a signature. */
const char *aws_service_name(enum aws_service service);

#endif
