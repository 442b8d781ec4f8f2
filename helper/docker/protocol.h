/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The docker credential helper protocol: one verb, a request on standard input, an answer on
 * standard output. The exact strings and codes are those of docker-credential-helpers 0.9
 * (credentials/credentials.go, credentials/error.go), which clients match.
 *
 * Nothing here prints or exits. The answer, which may be an error's text, is bytes for standard
 * output.
 */
#ifndef PULLKEY_DOCKER_PROTOCOL_H
#define PULLKEY_DOCKER_PROTOCOL_H

#include "base/buffer.h"

#define PROTOCOL_NAME "docker-credential-pullkey"
#define PROTOCOL_INPUT_MAX (1024 * 1024)
/* Room for a list of many entries. */
#define PROTOCOL_OUTPUT_MAX (16 * 1024 * 1024)

enum protocol_verb {
    PROTOCOL_USAGE, /* wrong number of arguments */
    PROTOCOL_HELP,
    PROTOCOL_GET,
    PROTOCOL_STORE,
    PROTOCOL_ERASE,
    PROTOCOL_LIST,
    PROTOCOL_VERSION,
    PROTOCOL_UNKNOWN,
};

enum protocol_verb protocol_verb(int argc, char *const argv[]);

/* Verbs that read standard input to its end before they answer. */
bool protocol_reads_input(enum protocol_verb verb);

/*
 * Serves a get, store, erase or list, until a deadline on the monotonic clock. 0 with the answer
 * (empty for store and erase), or an error whose text, on one line, is the answer.
 * -PULLKEY_NOT_FOUND carries the string that clients compare.
 */
int protocol_serve(enum protocol_verb verb, const struct buffer *input, int64_t deadline_ms,
                   struct buffer *ret, struct pullkey_error *error);

#endif
