/* SPDX-License-Identifier: Apache-2.0 */
#include "azure-place.h"

#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "machine.h"

#define METADATA "Metadata: true"
#define PATH "/metadata/identity/oauth2/token"
#define MACHINE_ADDRESS "http://169.254.169.254"
#define MACHINE_VERSION "2018-02-01"
#define SERVICE_VERSION "2019-08-01"
#define LEARNING_VERSION "2017-09-01"
#define ARC_ADDRESS "http://127.0.0.1:40342" PATH
#define ARC_VERSION "2020-06-01"
#define ARC_PROGRAM "/opt/azcmagent/bin/himds"

void azure_place_done(struct azure_place *place)
{
    buffer_done(&place->header);
}

static void set_header(struct azure_place *place, const char *name, const char *value)
{
    buffer_append_text(&place->header, name);
    buffer_append_text(&place->header, value);
}

/* An address of the environment, which names this machine or its platform: what is sent there is a
 * secret of it. */
static int set_address(struct azure_place *place, const char *variable, const char *address,
                       struct pullkey_error *error)
{
    int r = url_parse(address, &place->url, error);

    place->is_named = true;
    if (r == 0 && !place->url.https && !url_is_loopback(&place->url) &&
        !(place->is_platform ? url_is_private(&place->url) : url_is_metadata(&place->url)))
        r = error_set(error, PULLKEY_INVALID, "it must be of this machine or its platform");
    return r < 0 ? error_wrap(error, "%s", variable) : buffer_check(&place->header, error);
}

static int find_service(struct azure_place *ret, const char *endpoint, const char *header,
                        struct pullkey_error *error)
{
    if (exchange_environment("IDENTITY_SERVER_THUMBPRINT"))
        return error_set(error, PULLKEY_UNSUPPORTED,
                         "managed identities of Service Fabric are not known here: give a workload "
                         "identity or a service principal");
    ret->name = "the App Service";
    ret->is_platform = true;
    ret->version = SERVICE_VERSION;
    ret->client_key = "client_id";
    set_header(ret, "X-IDENTITY-HEADER: ", header);
    return set_address(ret, "IDENTITY_ENDPOINT", endpoint, error);
}

/* Azure Machine Learning where there is a secret, and Cloud Shell where there is none. */
static int find_older(struct azure_place *ret, const char *endpoint, struct pullkey_error *error)
{
    const char *secret = exchange_environment("MSI_SECRET");

    ret->name = secret ? "Azure Machine Learning" : "Cloud Shell";
    if (secret) {
        ret->version = LEARNING_VERSION;
        ret->client_key = "clientid";
        ret->client_id = exchange_environment("DEFAULT_IDENTITY_CLIENT_ID");
        set_header(ret, "secret: ", secret);
    } else {
        set_header(ret, METADATA, "");
    }
    return set_address(ret, "MSI_ENDPOINT", endpoint, error);
}

static int find_arc(struct azure_place *ret, const char *endpoint, struct pullkey_error *error)
{
    ret->name = "Azure Arc";
    ret->version = ARC_VERSION;
    ret->is_arc = true;
    set_header(ret, METADATA, "");
    return set_address(ret, "IDENTITY_ENDPOINT", endpoint, error);
}

static int find_machine(const struct exchange *exchange, struct azure_place *ret,
                        struct pullkey_error *error)
{
    int r;

    ret->name = "the metadata service";
    ret->version = MACHINE_VERSION;
    ret->client_key = "client_id";
    ret->is_named = json_member(exchange->settings->endpoints, "azure_metadata");
    if (!ret->is_named && !machine_is_azure(""))
        return error_set(error, PULLKEY_NO_IDENTITY,
                         "there is no identity of Azure's: neither AZURE_FEDERATED_TOKEN_FILE nor "
                         "AZURE_CLIENT_SECRET is set, and this is no machine of Azure's");
    r = exchange_endpoint(exchange, "azure_metadata", MACHINE_ADDRESS, &ret->url, error);
    if (r < 0)
        return r;
    if (strcmp(ret->url.target, "/") == 0)
        memcpy(ret->url.target, PATH, sizeof(PATH));
    set_header(ret, METADATA, "");
    return buffer_check(&ret->header, error);
}

int azure_place_find(const struct exchange *exchange, struct azure_place *ret,
                     struct pullkey_error *error)
{
    const char *endpoint = exchange_environment("IDENTITY_ENDPOINT");
    const char *header = exchange_environment("IDENTITY_HEADER");
    const char *older = exchange_environment("MSI_ENDPOINT");

    *ret = (struct azure_place){ .header = BUFFER_INIT(8192) };
    if (endpoint && header)
        return find_service(ret, endpoint, header, error);
    if (older)
        return find_older(ret, older, error);
    if (endpoint && exchange_environment("IMDS_ENDPOINT"))
        return find_arc(ret, endpoint, error);
    if (!json_member(exchange->settings->endpoints, "azure_metadata") &&
        access(ARC_PROGRAM, F_OK) == 0)
        return find_arc(ret, ARC_ADDRESS, error);
    return find_machine(exchange, ret, error);
}
