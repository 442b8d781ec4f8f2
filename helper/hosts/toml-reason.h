/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why a text is not TOML, without any of it. toml++ quotes what it does not like, which may be a
 * part of a secret, and its columns tell how long a value is that ends there: so only what is known
 * here is said, in words of our own.
 */
#ifndef PULLKEY_HOSTS_TOML_REASON_H
#define PULLKEY_HOSTS_TOML_REASON_H

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

struct toml_reason {
    const char *text; /* a constant; NULL where it is not known */
    bool has_column;  /* only (a part of) a header, or nothing, stands before it in its line */
};

/* `description` is that of an error of toml++. */
struct toml_reason toml_explain(const char *description);

#ifdef __cplusplus
}
#endif

#endif
