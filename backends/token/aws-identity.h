/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The source "aws" of identity tokens: STS GetWebIdentityToken, which signs who its caller is for
 * an audience. Inside backends/token.
 */
#ifndef PULLKEY_TOKEN_AWS_IDENTITY_H
#define PULLKEY_TOKEN_AWS_IDENTITY_H

#include "identity.h"

/* An audience. The object "aws" of the options is checked too. */
int aws_check_identity(const struct settings *settings, const cJSON *value,
                       struct pullkey_error *error);
int aws_get_identity(struct exchange *exchange, const cJSON *value, struct identity_token *ret,
                     struct pullkey_error *error);

#endif
