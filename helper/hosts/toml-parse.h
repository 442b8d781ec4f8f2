/* SPDX-License-Identifier: Apache-2.0 */
/* Between toml.c and the C++ that calls toml++. */
#ifndef PULLKEY_HOSTS_TOML_PARSE_H
#define PULLKEY_HOSTS_TOML_PARSE_H

#include "toml.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Fills ret->root from the text and name in it. What was made of it before an error stays there. */
int toml_parse_text(struct toml_document *ret, struct pullkey_error *error);

#ifdef __cplusplus
}
#endif

#endif
