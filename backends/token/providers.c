/* SPDX-License-Identifier: Apache-2.0 */
#include "providers.h"

#include <stddef.h>

#include "aws-ecr.h"

const struct provider *const providers[] = {
    &aws_ecr_provider,
    &azure_provider,
    &google_provider,
    &oauth_provider,
    NULL,
};
