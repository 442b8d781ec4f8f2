/* SPDX-License-Identifier: Apache-2.0 */
/* What an exec plugin prints: an ExecCredential with a token, or a client certificate and its key.
 */
#ifndef PULLKEY_KUBERNETES_EXEC_ANSWER_H
#define PULLKEY_KUBERNETES_EXEC_ANSWER_H

#include "base/buffer.h"
#include "base/json.h"

/*
 * `name` is the program's, for messages; `version` what the answer must say; `now` in wall seconds.
 * What is not in the answer stays as it is. -PULLKEY_INVALID, or -PULLKEY_UNREACHABLE for a
 * credential that has expired.
 */
int exec_answer_read(const char *name, const char *version, int64_t now,
                     const struct buffer *output, struct pullkey_secret *ret_token,
                     struct pullkey_secret *ret_certificate, struct pullkey_secret *ret_key,
                     struct pullkey_error *error);

#endif
