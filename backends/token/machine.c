/* SPDX-License-Identifier: Apache-2.0 */
#include "machine.h"

#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "base/file.h"

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
