/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A 128-bit hash for names of files: SipHash-2-4 with 128 bits of output and a fixed key (Aumasson
 * and Bernstein, 2012). It is small and spreads well. No claim of secrecy rests on it: the key is
 * in this program, so a value that can be guessed can be confirmed. It was taken over FNV because a
 * short value can be computed back from FNV, and what is hashed may be a secret.
 */
#ifndef PULLKEY_CORE_HASH_H
#define PULLKEY_CORE_HASH_H

#include <stddef.h>

#define HASH_TEXT_SIZE 33 /* 32 hexadecimal digits and a NUL */

void hash_text(const char *bytes, size_t length, char ret[HASH_TEXT_SIZE]);

#endif
