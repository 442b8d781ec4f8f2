/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Azure's registries: a token of Entra for who this machine or job is, which the registry itself
 * exchanges for a refresh token of its own. Who that is, in this order: the option "identity"
 * (workload identity: a token of somebody else, as the assertion of an application), the token file
 * of AZURE_FEDERATED_TOKEN_FILE or the token of AZURE_FEDERATED_TOKEN, the secret of
 * AZURE_CLIENT_SECRET, and a managed identity: of an App Service (or Container App), Azure Machine
 * Learning, Cloud Shell, a machine of Azure Arc, or a machine or node of Azure's.
 *
 *   "azure": {
 *     "tenant": TENANT,          else AZURE_TENANT_ID
 *     "client_id": ID,           else AZURE_CLIENT_ID; of a managed identity: which of several
 *     "authority": URL,          else AZURE_AUTHORITY_HOST, else that of the registry's cloud
 *     "audience": AUDIENCE,      else https://containerregistry.azure.net
 *     "identity_token": true     emits the refresh token as such, with the user name "<token>"
 *   }
 *
 * Endpoints: azure_metadata. The registry is asked under its own name and no other.
 */
#ifndef PULLKEY_TOKEN_AZURE_H
#define PULLKEY_TOKEN_AZURE_H

#include "identity.h"
#include "oauth.h"

#define AZURE_AUDIENCE "https://containerregistry.azure.net"
#define AZURE_WHAT_SIZE 320

/* NAME.azurecr.io, and regional NAME.REGION.geo.azurecr.io; neither mcr.microsoft.com nor
 * *.data.azurecr.io, which want no credentials. */
#define AZURE_REGISTRIES "^[a-z0-9]+(-[a-z0-9]+)*(\\.[a-z0-9]+\\.geo)?\\.azurecr\\.(io|cn|us)$"

struct azure {
    struct exchange *exchange;
    const cJSON *options;       /* "azure", or NULL */
    const char *registry;       /* its host */
    const char *audience;       /* of the token, without "/.default" */
    const char *tenant;         /* NULL: not known */
    const char *client_id;      /* NULL: none */
    char what[AZURE_WHAT_SIZE]; /* whose token it is, for messages */
};

/* azure-host.c: where Entra is asked for a registry's cloud; the public one's where it is none. */
const char *azure_authority(const char *registry);

/* azure-identity.c: -PULLKEY_NO_IDENTITY where there is none. */
int azure_entra_token(struct azure *azure, struct oauth_reply *ret, struct pullkey_error *error);

/* azure-machine.c: a managed identity; `client_id` NULL: the only one, or that of the system. */
int azure_managed_token(struct exchange *exchange, const char *resource, const char *client_id,
                        struct oauth_reply *ret, struct pullkey_error *error);
/*
 * The source "azure" of identity tokens: of "client_id" in "azure", else AZURE_CLIENT_ID. With
 * "acr", whose "client_id" is the application's, the variable alone says which.
 */
int azure_get_identity(struct exchange *exchange, const cJSON *value, struct identity_token *ret,
                       struct pullkey_error *error);

/* azure-reply.c: answers, without a request. */

/* A refusal of Entra's: its codes and the correlation id, and what to do. */
int azure_read_entra_error(const struct buffer *body, long status, const char *server,
                           const char *who, struct pullkey_error *error);

/* A question to a managed identity that is answered by 400: -PULLKEY_NO_IDENTITY where there is
 * none, and nobody has named one. `client_id` as in azure_managed_token. */
int azure_read_managed_error(const struct buffer *body, const char *server, const char *client_id,
                             struct pullkey_error *error);

/* A managed identity's token: its end is a number of seconds, or a time since 1970. */
int azure_read_managed(const struct buffer *body, int64_t now, struct oauth_reply *ret,
                       struct pullkey_error *error);

/* What a registry answers to an exchange. */
int azure_read_refresh(const struct buffer *body, int64_t now, struct pullkey_secret *ret,
                       int64_t *ret_expiry, struct pullkey_error *error);
int azure_read_refusal(const struct buffer *body, long status, const char *registry,
                       const char *who, const char *correlation, struct pullkey_error *error);

/* Of a correlation id: nothing but hexadecimal digits and '-', else "". */
#define AZURE_CORRELATION_SIZE 65
void azure_take_correlation(const char *text, size_t length, char ret[AZURE_CORRELATION_SIZE]);

#endif
