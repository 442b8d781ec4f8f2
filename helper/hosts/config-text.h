/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.toml of containerd with other settings of registries: tables are taken out and config_path
 * is put in, as changes of the text, so that order, comments and unknown keys stay.
 */
#ifndef PULLKEY_HOSTS_CONFIG_TEXT_H
#define PULLKEY_HOSTS_CONFIG_TEXT_H

#include "toml.h"

#define CONFIG_TEXT_SIZE_MAX (2 * TOML_SIZE_MAX)

struct config_text {
    const struct toml_document *toml;
    int64_t version;                     /* of its schema: it decides where config_path stands */
    const struct toml_item *const *gone; /* what is taken out: tables with all that is in them */
    size_t gone_count;
    const char *config_path; /* NULL: it is not touched */
};

/*
 * Appends the new text. It is parsed again, and differs in nothing else: -PULLKEY_INVALID where
 * that cannot be had; `ret` is not to be used then.
 */
int config_text(const struct config_text *change, struct buffer *ret, struct pullkey_error *error);

#endif
