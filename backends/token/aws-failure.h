/* SPDX-License-Identifier: Apache-2.0 */
/* What AWS answers in place of what it was asked for, and what that means. */
#ifndef PULLKEY_TOKEN_AWS_FAILURE_H
#define PULLKEY_TOKEN_AWS_FAILURE_H

#include "base/buffer.h"

/* The code of an error of AWS, "" where the reply has none, and its text, printable. */
struct aws_failure {
    char code[64];
    char message[240];
};

/* From JSON, XML or the JSON of OAuth. */
void aws_read_failure(const struct buffer *body, struct aws_failure *ret);

/* Letters, digits, '.' and '_'; anything else is no code, and leaves what is there. */
void aws_failure_set_code(const char *code, size_t length, struct aws_failure *failure);

/* Whether the code begins so. */
bool aws_failure_is(const struct aws_failure *failure, const char *begin);

/* Trouble that may be over in a second. */
bool aws_failure_passes(const struct aws_failure *failure);

/* The time of the request is not that of AWS. */
bool aws_failure_is_skew(const struct aws_failure *failure);

/* What a person does about it; NULL where AWS does not refuse but fails. */
const char *aws_failure_advice(const struct aws_failure *failure);

#endif
