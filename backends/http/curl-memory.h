/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libcurl's own buffers hold what it sends and receives, so it gets memory that is wiped when it is
 * released. This is a setting of the process: the first module that speaks HTTP makes it for all of
 * them.
 */
#ifndef PULLKEY_HTTP_CURL_MEMORY_H
#define PULLKEY_HTTP_CURL_MEMORY_H

#include <pullkey/backend.h>

/* Initialises libcurl, once in a process. */
int curl_memory_start(struct pullkey_error *error);

/* True if an allocation of libcurl's has failed since the last call. Tells "out of memory" from
 * "too long". */
bool curl_memory_ran_out(void);

#endif
