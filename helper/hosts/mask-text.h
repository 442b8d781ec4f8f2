/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Secrets of a TOML document, by where they stand: one that is short, escaped or wrapped is not
 * found by its value (mask.h). What stands in a comment is told by the words before it.
 */
#ifndef PULLKEY_HOSTS_MASK_TEXT_H
#define PULLKEY_HOSTS_MASK_TEXT_H

#include "edit.h"
#include "toml.h"

bool mask_means_secret(const char *key);
bool mask_is_headers(const char *key);

/* The values under keys that mean a secret, and those of headers. */
int mask_places(const struct toml_item *item, bool (*means_secret)(const char *key), bool is_secret,
                struct edits *edits, struct pullkey_error *error);

/* Appends the text; in comments what follows a word that means a secret and '=' or ':' goes, what
 * follows a scheme of Authorization, and user, password and query of a URL. */
int mask_comments(const struct buffer *text, struct buffer *ret, struct pullkey_error *error);

#endif
