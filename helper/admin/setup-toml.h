/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One key of containerd's config.toml, found and put in line by line: this program has no TOML
 * parser (pullkey-hosts does). What is written in a way that lines do not tell is refused, with its
 * line. Source of the names: containerd, docs/cri/config.md, schemas 1 to 4.
 */
#ifndef PULLKEY_ADMIN_SETUP_TOML_H
#define PULLKEY_ADMIN_SETUP_TOML_H

#include "base/buffer.h"

struct setup_toml {
    size_t begin, end;  /* bytes that go; both 0 with no text: it is there already */
    struct buffer text; /* what comes in their place */
    size_t imports;     /* the line on which the file names others, which go before it; or 0 */
};

/*
 * Where `config_path = VALUE` of the registry's table goes; `name` is for messages. One that is
 * empty, or is one of containerd's own directories, is replaced.
 */
int setup_toml(const char *name, const char *text, size_t length, const char *value,
               struct setup_toml *ret, struct pullkey_error *error);

#endif
