/* SPDX-License-Identifier: Apache-2.0 */
#include "machine.h"

#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/file.h"

#define PROBES 2
#define PROBE_MS 1000 /* of one, and between two */
#define DMI "/sys/class/dmi/id/"
/* https://learn.microsoft.com/azure: the tag of every chassis of Azure's. */
#define AZURE_TAG "7783-7084-3265-9085-8269-3286-77"

static bool begins(const char *root, const char *file, const char *text)
{
    cleanup_buffer struct buffer value = BUFFER_INIT(4096);
    struct pullkey_error ignored;
    char path[FILE_PATH_MAX];
    int length = snprintf(path, sizeof(path), "%s%s", root, file);

    return length > 0 && length < (int)sizeof(path) &&
           file_read(path, FILE_INPUT, 0, &value, NULL, &ignored) == 0 && value.data &&
           strncmp(value.data, text, strlen(text)) == 0;
}

bool machine_is_google(const char *root)
{
    return begins(root, DMI "product_name", "Google");
}

bool machine_is_azure(const char *root)
{
    return begins(root, DMI "chassis_asset_tag", AZURE_TAG);
}

/* Nitro machines, bare metal, and Xen. */
bool machine_is_amazon(const char *root)
{
    return begins(root, DMI "sys_vendor", "Amazon EC2") ||
           begins(root, DMI "board_vendor", "Amazon") ||
           begins(root, "/sys/hypervisor/uuid", "ec2") ||
           begins(root, "/sys/hypervisor/uuid", "EC2");
}

int machine_probe(struct exchange *exchange, const struct url *url, const char *const *headers,
                  struct pullkey_error *error)
{
    struct http_request request = {
        .url = url, .headers = headers, .attempts = 1, .attempt_ms = PROBE_MS
    };
    struct pullkey_error cause;

    for (unsigned int probe = 1;; probe++) {
        cleanup_response struct http_response response = { 0 };

        if (exchange_send(exchange, &request, &response, &cause) != -PULLKEY_UNREACHABLE ||
            response.status != 0)
            return 0;
        if (probe == PROBES ||
            exchange->host->monotonic_ms() + PROBE_MS >= exchange->request->deadline_ms)
            break;
        http_wait(exchange->http, PROBE_MS);
    }
    return error_set(error, PULLKEY_UNREACHABLE,
                     "the metadata service of this machine does not answer, which is starting, or "
                     "out of reach of this container (let it reach 169.254.169.254): %s",
                     cause.message);
}
