/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of a walk share: walk.c asks the registry, walk-connection.c tells what is seen of
 * the connection. Inside backends/probe. */
#ifndef PULLKEY_PROBE_WALK_H
#define PULLKEY_PROBE_WALK_H

#include "check.h"

struct walk {
    struct check check;
    const struct pullkey_walk *wanted;
    struct http_options options;
    char advice[URL_AUTHORITY_SIZE + 96];
    int64_t began; /* the step that is being done */
    enum http_scheme scheme;
    struct pullkey_secret token;
};

/* `took_ms`: since the last step was told. */
#define WALK_SINCE (-2)

/* Hands over a step. False where it failed: nothing follows. */
__attribute__((format(printf, 6, 7))) bool walk_tell(struct walk *walk, const char *name,
                                                     enum pullkey_step_state state, int64_t took_ms,
                                                     const char *cause, const char *format, ...);
/* The same for an error. */
bool walk_fail(struct walk *walk, const char *name, const char *cause,
               const struct pullkey_error *error);

/* Why http_send failed, or another cause where it did not. */
const char *walk_cause(const struct walk *walk, const char *other);

/* How libcurl came to the registry, part by part; `error` if it did not. False: nothing follows. */
bool walk_tell_connection(struct walk *walk, const struct http_response *response,
                          const struct pullkey_error *error);

#endif
