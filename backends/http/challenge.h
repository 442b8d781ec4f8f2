/* SPDX-License-Identifier: Apache-2.0 */
/*
 * WWW-Authenticate (RFC 9110 section 11.6.1): a list of challenges, in one header or several.
 * Scheme and parameter names are read without case; quoted values may hold commas and escapes; a
 * challenge may carry a token68 in place of parameters.
 */
#ifndef PULLKEY_HTTP_CHALLENGE_H
#define PULLKEY_HTTP_CHALLENGE_H

#include <pullkey/backend.h>

#define CHALLENGES_MAX 8            /* over all headers of a reply */
#define CHALLENGE_PARAMETERS_MAX 16 /* in one challenge */
#define CHALLENGE_HEADER_MAX 8192   /* bytes of one header's value */

struct challenge {
    const char *scheme;  /* lower case */
    const char *token68; /* NULL if there is none */
    struct {
        const char *name; /* lower case */
        const char *value;
    } parameters[CHALLENGE_PARAMETERS_MAX];
    size_t parameter_count;
};

struct challenges {
    struct challenge items[CHALLENGES_MAX];
    size_t count;
    char *texts[CHALLENGES_MAX]; /* what the items point into, one a header */
    size_t text_count;
};

/*
 * Adds the challenges of one header's value to *list, which begins zeroed. -PULLKEY_INVALID for a
 * value that is malformed or over a limit; the list is then as it was.
 */
int challenges_add(struct challenges *list, const char *value, size_t length,
                   struct pullkey_error *error);

void challenges_done(struct challenges *list);

/* The first challenge of a scheme (lower case), or NULL. */
const struct challenge *challenges_find(const struct challenges *list, const char *scheme);

/* The value of a parameter (lower case), or NULL. */
const char *challenge_parameter(const struct challenge *challenge, const char *name);

#define cleanup_challenges __attribute__((cleanup(challenges_done)))

#endif
