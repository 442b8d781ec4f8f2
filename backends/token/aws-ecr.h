/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The provider "ecr": GetAuthorizationToken of Amazon's registries. The host says which region is
 * asked; "hosts" maps others, as those of VPC endpoints, to one.
 */
#ifndef PULLKEY_TOKEN_AWS_ECR_H
#define PULLKEY_TOKEN_AWS_ECR_H

#include "exchange.h"

extern const struct provider aws_ecr_provider;

#endif
