/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel asks: fanotify(7). Every open of a file of the target, under any name and through
 * any mount, waits for an answer; directories do not. The descriptors that come with the questions
 * are for reading: the kernel opens each on the mount that the reader uses, which may be read-only,
 * and refuses the reader where it cannot.
 */
#ifndef PULLKEY_HOSTS_OPEN_GROUP_H
#define PULLKEY_HOSTS_OPEN_GROUP_H

#include <pullkey/backend.h>

/* Events name threads: equal ones of several threads are not merged into one. -PULLKEY_DENIED or
 * -PULLKEY_UNSUPPORTED, with what is missing. */
int open_group(int target, const char *target_path, int *ret, struct pullkey_error *error);

#endif
