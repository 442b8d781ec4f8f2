/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hosts.toml with a credHelper in place of a header: text is put in and taken out, nothing is
 * written anew, so that order, comments and unknown keys stay.
 */
#ifndef PULLKEY_HOSTS_HELPER_TEXT_H
#define PULLKEY_HOSTS_HELPER_TEXT_H

#include "hosts-file.h"

#define HELPER_TEXT_NAME "pullkey"
#define HELPER_TEXT_SIZE_MAX (2 * TOML_SIZE_MAX)

/*
 * Each host of which `wanted` (one for each of file->hosts) is true gets
 *
 *     [host."URL".auth]
 *     credHelper = "pullkey"
 *
 * with allowInsecure = true where containerd sent the header over http:// or with skip_verify, and
 * loses its Authorization headers. A table of headers that becomes empty goes. The result is parsed
 * again: containerd sees the same as in the file, but for these headers. -PULLKEY_INVALID where
 * that cannot be had; `ret` is not to be used then. A host with another helper is the caller's to
 * leave out.
 */
int helper_text(const struct hosts_file *file, const char *registry, const bool *wanted,
                struct buffer *ret, struct pullkey_error *error);

#endif
