/* SPDX-License-Identifier: Apache-2.0 */
/* Reads what docker-credential-* programs answer (protocol of docker-credential-helpers 0.9). */
#ifndef PULLKEY_EXEC_REPLY_H
#define PULLKEY_EXEC_REPLY_H

#include "base/buffer.h"

/*
 * The error behind an exit status that is not 0: PULLKEY_NOT_FOUND for the text that stands for it,
 * PULLKEY_UNSUPPORTED for "not implemented" (of other verbs than get), else PULLKEY_DENIED. Nothing
 * that the helper said is in the message.
 */
int reply_error(const struct buffer *output, const char *verb, int status,
                struct pullkey_error *error);

/* The credential in a successful answer to get. Both fields empty: -PULLKEY_NOT_FOUND. */
int reply_credential(const struct pullkey_host *host, const struct buffer *output,
                     struct pullkey_credential *ret, struct pullkey_error *error);

/* The entries in a successful answer to list; null and nothing are an empty list. */
int reply_list(const struct pullkey_host *host, const struct buffer *output,
               struct pullkey_list *ret, struct pullkey_error *error);

#endif
