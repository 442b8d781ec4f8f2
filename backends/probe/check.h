/* SPDX-License-Identifier: Apache-2.0 */
/* What the check of a credential and the walk to an image share. Inside backends/probe. */
#ifndef PULLKEY_PROBE_CHECK_H
#define PULLKEY_PROBE_CHECK_H

#include "http/challenge.h"
#include "http/http.h"
#include "settings.h"

#define CHECK_SOURCE "probe"
#define CHECK_TARGET "/v2/" /* the API's root */

struct check {
    const struct pullkey_host *host;
    const struct pullkey_credential *credential;
    struct settings settings;
    struct http *http;
    struct url registry; /* the target is the API's root */
    char server[URL_AUTHORITY_SIZE];
    struct pullkey_probe_result result;
};

/* Fills `registry` and `server`. */
int check_find_registry(struct check *check, const struct pullkey_request *request,
                        struct pullkey_error *error);

/* The error of a status of the API's root that is no answer. */
int check_explain_status(const struct check *check, long status, struct pullkey_error *error);

/* Of a reply with status 401. -PULLKEY_INVALID if there are none. */
int check_read_challenges(const struct check *check, const struct http_response *response,
                          struct challenges *ret, struct pullkey_error *error);

int probe_walk(const struct pullkey_host *host, const struct pullkey_walk *wanted,
               struct pullkey_error *error);

#endif
