/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the managed identity of this machine or job is asked for, and how: each kind of host of
 * Azure's has a service of its own for that.
 */
#ifndef PULLKEY_TOKEN_AZURE_PLACE_H
#define PULLKEY_TOKEN_AZURE_PLACE_H

#include "exchange.h"

struct azure_place {
    const char *name; /* for messages: "the metadata service" */
    struct url url;
    struct buffer header;   /* "Name: value", which shows that it is no forged request */
    const char *version;    /* of the interface; NULL: the question is a form */
    const char *client_key; /* the parameter that chooses one of several; NULL: there is but one */
    const char *client_id;  /* where nobody chooses; NULL: the service does */
    bool is_named;          /* by the options or the environment: it is there */
    bool is_platform;       /* the platform has named it, perhaps by a private address */
    bool is_arc;            /* who asks must show that it can read a file */
};

/* -PULLKEY_NO_IDENTITY where nothing says that there is one. Release with azure_place_done. */
int azure_place_find(const struct exchange *exchange, struct azure_place *ret,
                     struct pullkey_error *error);
void azure_place_done(struct azure_place *place);

/*
 * azure-reply.c: Azure Arc's proof is the file that a challenge names. It must be
 * DIRECTORY/NAME.key and nothing else, as whoever answers chooses it.
 */
#define AZURE_ARC_DIRECTORY "/var/opt/azcmagent/tokens"
#define AZURE_ARC_KEY_MAX 4096
#define AZURE_ARC_PATH_SIZE 256
int azure_arc_path(const char *challenge, size_t length, char ret[AZURE_ARC_PATH_SIZE],
                   struct pullkey_error *error);

#define cleanup_azure_place __attribute__((cleanup(azure_place_done)))

#endif
