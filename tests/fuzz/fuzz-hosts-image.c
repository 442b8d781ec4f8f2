/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hosts/doctor-verdict: the registry of what a person calls an image. What is found is a host and
 * nothing else, and is found again by itself.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/secret.h"
#include "hosts/doctor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cleanup_release char *text = secret_copy((const char *)data, size);
    char registry[DOCTOR_NAME_MAX], again[DOCTOR_NAME_MAX], image[DOCTOR_NAME_MAX + 16];
    struct registry_reference reference;
    struct pullkey_error error;

    if (!text || doctor_registry(text, registry, &error) < 0)
        return 0;
    require(registry[0] != '\0' && !strpbrk(registry, "/@ \t\r\n"));
    require(registry_parse(registry, strlen(registry), &reference, &error) == 0);
    require(!reference.http && !reference.opaque && reference.path[0] == '\0');
    (void)snprintf(image, sizeof(image), "https://%s/x", registry);
    require(doctor_registry(image, again, &error) == 0);
    require(strcmp(registry, again) == 0);
    return 0;
}
