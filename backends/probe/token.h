/* SPDX-License-Identifier: Apache-2.0 */
/* The token server of a registry: trades a credential for a bearer token. */
#ifndef PULLKEY_PROBE_TOKEN_H
#define PULLKEY_PROBE_TOKEN_H

#include "http/challenge.h"
#include "http/http.h"
#include "http/realm.h"

/*
 * Asks for a token, with a `scope` as "repository:NAME:pull" or (NULL) without any, which proves
 * who asks and nothing else (distribution's token and OAuth 2 specifications). Without a credential
 * (NULL) it is the one that anybody gets. A password goes with GET, and with POST where the server
 * has no GET or the user name holds a colon; an identity token goes with POST only. -PULLKEY_DENIED
 * where the server refuses the credential.
 */
int token_fetch(struct http *http, const struct challenge *challenge, const struct realm *realm,
                const struct pullkey_credential *credential, const char *scope,
                struct pullkey_secret *ret, struct pullkey_error *error);

#endif
