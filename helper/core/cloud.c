/* SPDX-License-Identifier: Apache-2.0 */
#include "cloud.h"

#include <string.h>

enum recipe { ECR, GCP, ACR };

/* Whole names, and ends that follow a label. */
static const struct {
    const char *end;
    enum recipe recipe;
} hosts[] = {
    { "public.ecr.aws", ECR },    { "ecr-public.aws.com", ECR },
    { ".amazonaws.com", ECR },    { ".on.aws", ECR },
    { ".amazonaws.com.cn", ECR }, { ".on.amazonwebservices.com.cn", ECR },
    { ".amazonaws.eu", ECR },     { ".c2s.ic.gov", ECR },
    { ".sc2s.sgov.gov", ECR },    { ".cloud.adc-e.uk", ECR },
    { ".csp.hci.ic.gov", ECR },   { "gcr.io", GCP },
    { ".gcr.io", GCP },           { ".pkg.dev", GCP },
    { ".azurecr.io", ACR },       { ".azurecr.us", ACR },
    { ".azurecr.cn", ACR },
};

/* The options {"recipe": NAME}, as if a file had them. */
static char ecr[] = "ecr", gcp[] = "gcp", acr[] = "acr", key[] = "recipe", type[] = "token";
static cJSON members[] = {
    [ECR] = { .type = cJSON_String, .valuestring = ecr, .string = key },
    [GCP] = { .type = cJSON_String, .valuestring = gcp, .string = key },
    [ACR] = { .type = cJSON_String, .valuestring = acr, .string = key },
};
static const cJSON options[] = {
    [ECR] = { .type = cJSON_Object, .child = &members[ECR] },
    [GCP] = { .type = cJSON_Object, .child = &members[GCP] },
    [ACR] = { .type = cJSON_Object, .child = &members[ACR] },
};
static const struct config_instance instances[] = {
    [ECR] = { .name = ecr, .type = type, .options = &options[ECR], .implicit = true },
    [GCP] = { .name = gcp, .type = type, .options = &options[GCP], .implicit = true },
    [ACR] = { .name = acr, .type = type, .options = &options[ACR], .implicit = true },
};

static bool ends_in(const char *host, const char *end)
{
    const size_t length = strlen(host), end_length = strlen(end);

    if (end[0] != '.')
        return strcmp(host, end) == 0;
    return length > end_length && strcmp(host + length - end_length, end) == 0;
}

const struct config_instance *cloud_instance(const struct registry_reference *reference)
{
    if (reference->http || reference->port != 0)
        return NULL;
    for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++)
        if (ends_in(reference->host, hosts[i].end))
            return &instances[hosts[i].recipe];
    return NULL;
}
