/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gate before decryption. It knows one form of CMS (profile.h) and yields where its parts are;
 * all else is refused before any cryptographic code sees a byte. CMS does not authenticate its
 * algorithm identifiers, so a reader that follows them can be talked into a short tag or into a
 * cipher without one.
 */
#ifndef PULLKEY_CMS_GATE_H
#define PULLKEY_CMS_GATE_H

#include <pullkey/backend.h>

/* They point into the sealed bytes. The sizes that are fixed stand in profile.h. */
struct gate_parts {
    const unsigned char *wrapped_key;
    const unsigned char *nonce;
    const unsigned char *content;
    size_t content_length;
    const unsigned char *mac;
};

/* A pure function of the bytes. -PULLKEY_INVALID names the first part that is not as it must be. */
int gate_open(const char *bytes, size_t length, struct gate_parts *ret,
              struct pullkey_error *error);

#endif
