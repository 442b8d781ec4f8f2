/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How deep this process stands below other pullkey processes. The exec backend hands
 * DEPTH_VARIABLE, one higher, to the helper it runs, so that two helpers that call each other come
 * to an end.
 */
#ifndef PULLKEY_BASE_DEPTH_H
#define PULLKEY_BASE_DEPTH_H

#include <pullkey/backend.h>

#define DEPTH_VARIABLE "PULLKEY_DEPTH"
#define DEPTH_LOOP "helpers call each other in a loop: an exec backend leads back to pullkey"
/*
 * One pullkey below another has a use, with another configuration. With more of them the reason
 * would be cut out of the error that comes up.
 */
#define DEPTH_MAX 1

/* 0 where nothing is set; -PULLKEY_INVALID at more than DEPTH_MAX or for a value that is no number.
 */
int depth_read(uint32_t *ret, struct pullkey_error *error);

#endif
