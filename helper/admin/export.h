/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of `export` that decide something by themselves. */
#ifndef PULLKEY_ADMIN_EXPORT_H
#define PULLKEY_ADMIN_EXPORT_H

#include "base/buffer.h"

/* As one word of a POSIX shell, whatever the bytes are; NUL is not among them. */
void export_quote(struct buffer *ret, const char *bytes, size_t length);

/* A subdomain of RFC 1123 as Kubernetes has it: labels with dots between; up to 63 bytes a label
 * without a dot. */
bool export_is_name(const char *text, size_t limit);

#endif
