/* SPDX-License-Identifier: Apache-2.0 */
/* The providers that are code: those whose requests no recipe file can describe. */
#ifndef PULLKEY_TOKEN_PROVIDERS_H
#define PULLKEY_TOKEN_PROVIDERS_H

#include "exchange.h"

extern const struct provider azure_provider;  /* registries of Azure */
extern const struct provider google_provider; /* registries of Google */
extern const struct provider oauth_provider;  /* any token server of RFC 6749, 7523, 8693 */

/* Ends with NULL. */
extern const struct provider *const providers[];

#endif
