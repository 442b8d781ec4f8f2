/* SPDX-License-Identifier: Apache-2.0 */
/* Azure's clouds: each has an Entra of its own, and tells its registries by their ends. */
#include "azure.h"

#include "registry-host.h"

static const struct {
    const char *domain, *authority;
} clouds[] = {
    { "azurecr.io", "https://login.microsoftonline.com/" },
    { "azurecr.us", "https://login.microsoftonline.us/" },
    { "azurecr.cn", "https://login.chinacloudapi.cn/" },
};

const char *azure_authority(const char *registry)
{
    for (size_t i = 0; i < sizeof(clouds) / sizeof(clouds[0]); i++)
        if (registry_host_is_below(registry, clouds[i].domain))
            return clouds[i].authority;
    return clouds[0].authority;
}
