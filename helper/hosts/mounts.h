/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where things are mounted: what --on-open and --overmount ask for. Sources: proc(5) (mountinfo,
 * fdinfo), mount_namespaces(7).
 */
#ifndef PULLKEY_HOSTS_MOUNTS_H
#define PULLKEY_HOSTS_MOUNTS_H

#include <pullkey/backend.h>

/*
 * The target is a whole file system in memory, so that a mark on that concerns no other file: on
 * the file system of / or /run every open of the machine would wait for this program.
 * -PULLKEY_UNSUPPORTED otherwise.
 */
int mounts_check_target(int target, const char *target_path, struct pullkey_error *error);

/*
 * The target is mounted over `visible`, the directory that containerd reads, or will be; and the
 * source is what is below that, and not the target again. -PULLKEY_INVALID otherwise, and
 * -PULLKEY_UNSUPPORTED where k3s or RKE2 own the directory: they remove and write it themselves.
 * `must_be_mounted`: the source is a place that exists to have it mounted there.
 */
int mounts_check_over(const char *source, const char *target, const char *visible,
                      bool must_be_mounted, struct pullkey_error *error);

/* What is written through an open directory may go to the system's swap: it is on a tmpfs without
 * the option noswap. */
bool mounts_may_be_swapped(int fd);

/* True if two paths lead to one directory. */
bool mounts_are_same(const char *path, const char *other);

#endif
