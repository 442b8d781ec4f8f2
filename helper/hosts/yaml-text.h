/* SPDX-License-Identifier: Apache-2.0 */
/* Members of block mappings that are taken out of the text of a YAML document. */
#ifndef PULLKEY_HOSTS_YAML_TEXT_H
#define PULLKEY_HOSTS_YAML_TEXT_H

#include "base/buffer.h"

/*
 * Appends the text without some members, each with its whole lines, comments in them and behind
 * them included; their `places` do not overlap, and are sorted. -PULLKEY_INVALID where one shares a
 * line with something else, as in { ... }. Whoever calls this reads the result again.
 */
int yaml_text_remove(const char *text, size_t length, const struct pullkey_place *const *places,
                     size_t count, struct buffer *ret, struct pullkey_error *error);

#endif
