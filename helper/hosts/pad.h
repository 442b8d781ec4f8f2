/* SPDX-License-Identifier: Apache-2.0 */
/* TOML of a fixed length: a comment of spaces at its end, which containerd does not see. */
#ifndef PULLKEY_HOSTS_PAD_H
#define PULLKEY_HOSTS_PAD_H

#include "base/buffer.h"

/* False: it is longer, or there is no memory. */
bool pad_text(struct buffer *text, size_t size);

/* The length of a text without its padding. */
size_t pad_begin(const struct buffer *text);

#endif
