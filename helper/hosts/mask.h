/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Secrets that must not be shown, and texts without them. A secret is looked for as it is, as TOML
 * and JSON write it in a string, and in base64, wherever in the encoded text it begins. What is
 * short is looked for as a whole word: "pull" is no secret in "pullkey".
 */
#ifndef PULLKEY_HOSTS_MASK_H
#define PULLKEY_HOSTS_MASK_H

#include "base/buffer.h"

#define MASK_TEXT "********"

#define MASK_CHAINS 4096

struct mask_form {
    char *bytes;
    size_t length;
    bool whole_word;
    uint32_t next; /* of those whose first bytes are as these: its number from 1, or 0 */
};

struct mask {
    struct mask_form *forms;
    size_t count;
    size_t capacity;
    uint32_t chains[MASK_CHAINS]; /* the last one of each: there may be thousands */
};

/* Nothing is added for an empty one. */
int mask_add(struct mask *mask, const char *secret, size_t length, struct pullkey_error *error);

/* Appends the text with MASK_TEXT for each secret. */
int mask_apply(const struct mask *mask, const char *text, size_t length, struct buffer *ret,
               struct pullkey_error *error);

/* Any of the secrets is in the text. */
bool mask_finds(const struct mask *mask, const char *text, size_t length);

void mask_done(struct mask *mask);

#define cleanup_mask __attribute__((cleanup(mask_done)))

#endif
