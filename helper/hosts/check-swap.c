/* SPDX-License-Identifier: Apache-2.0 */
/* Whether memory with credentials may be written to a disk. Sources: proc(5) (swaps), fstab(5),
 * crypttab(5), tmpfs(5). */
#include "check.h"

#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "base/file.h"
#include "base/secret.h"
#include "hosts.h"

#define TABLE_MAX (1024u * 1024)
#define FIELD_SIZE 512
#define BLOCK_LEVELS 8 /* of devices that are made of others */
#define MOUNT_UNIT "run-pullkey-hosts.mount"
#define FIX_SWAP                                                                                   \
    "mount it with noswap, which Linux has from 6.4 on; or encrypt the swap, or do without"

/* The fields of a line of a table, which blanks part. */
struct fields {
    char items[4][FIELD_SIZE];
};

/* A blank of sscanf is the end of a line too, so that it gets one alone. */
static bool read_fields(const char *line, struct fields *ret)
{
    size_t length = strcspn(line, "\n");
    char copy[sizeof(*ret)];

    *ret = (struct fields){ 0 };
    (void)snprintf(copy, sizeof(copy), "%.*s", (int)length, line);
    return sscanf(copy, " %511s %511s %511s %511s", ret->items[0], ret->items[1], ret->items[2],
                  ret->items[3]) >= 1 &&
           ret->items[0][0] != '#';
}

static const char *next_line(const char *line)
{
    line = strchr(line, '\n');
    return line ? line + 1 : "";
}

static int read_table(const struct check *check, const char *inner, struct buffer *text)
{
    struct pullkey_error ignored;
    int r = node_read(&check->node, inner, text, &ignored);

    return r < 0 || !text->data ? -PULLKEY_NOT_FOUND : 0;
}

static const char *name_of(const char *device)
{
    const char *slash = strrchr(device, '/');

    return slash ? slash + 1 : device;
}

/* "noswap" of "size=1m,noswap". */
static bool has_option(const char *options, const char *name)
{
    size_t length = strlen(name);

    for (const char *at = options; *at != '\0'; at += strcspn(at, ","), at += *at == ',')
        if (strcspn(at, ",") == length && strncmp(at, name, length) == 0)
            return true;
    return false;
}

/* -- The machine ------------------------------------------------------------------------------ */

/* Where a device is made by dm-crypt, or all that it is made of, as a volume on encrypted disks. */
static bool is_encrypted(const struct check *check, const char *inner, int levels)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(TABLE_MAX);
    cleanup_names struct node_names names = { 0 };
    struct pullkey_error ignored;
    char path[FILE_PATH_MAX];

    (void)snprintf(path, sizeof(path), "%s/dm/uuid", inner);
    if (read_table(check, path, &text) == 0 && strncmp(text.data, "CRYPT-", 6) == 0)
        return true;
    (void)snprintf(path, sizeof(path), "%s/slaves", inner);
    if (levels == 0 || node_list(&check->node, path, &names, &ignored) < 0)
        return false;
    for (size_t i = 0; i < names.count; i++) {
        (void)snprintf(path, sizeof(path), "%s/slaves/%s", inner, names.items[i]);
        if (!is_encrypted(check, path, levels - 1))
            return false;
    }
    return names.count > 0;
}

/* A device, or a file, whose device counts. */
static bool is_swap_encrypted(const struct check *check, const char *name)
{
    char inner[FILE_PATH_MAX];
    struct pullkey_error ignored;
    struct stat status;

    (void)snprintf(inner, sizeof(inner), "/sys/class/block/%s", name_of(name));
    if (node_stat(&check->node, name, &status, &ignored) == 0 && S_ISREG(status.st_mode))
        (void)snprintf(inner, sizeof(inner), "/sys/dev/block/%u:%u", major(status.st_dev),
                       minor(status.st_dev));
    return is_encrypted(check, inner, BLOCK_LEVELS);
}

void check_swap_of_machine(struct check *check, const char *path)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(TABLE_MAX);
    struct fields fields;

    if (read_table(check, "/proc/swaps", &text) < 0)
        return;
    for (const char *line = next_line(text.data); *line != '\0'; line = next_line(line)) {
        /* zram is memory. */
        if (!read_fields(line, &fields) || strncmp(name_of(fields.items[0]), "zram", 4) == 0 ||
            is_swap_encrypted(check, fields.items[0]))
            continue;
        findings_add(&check->findings, OUTPUT_WARNING, "target-swappable", path, 0, FIX_SWAP,
                     "it is a tmpfs without noswap, and may be written to the swap %s",
                     fields.items[0]);
        return;
    }
}

/* -- A template ------------------------------------------------------------------------------- */

static bool is_in_crypttab(const struct check *check, const char *device)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(TABLE_MAX);
    struct fields fields;

    if (strncmp(device, "/dev/mapper/", 12) != 0 || read_table(check, "/etc/crypttab", &text) < 0)
        return false;
    for (const char *line = text.data; *line != '\0'; line = next_line(line))
        if (read_fields(line, &fields) && strcmp(fields.items[0], name_of(device)) == 0)
            return true;
    return false;
}

static bool is_swap(const struct check *check, const struct fields *fields)
{
    return strcmp(fields->items[2], "swap") == 0 && !has_option(fields->items[3], "noauto") &&
           strncmp(name_of(fields->items[0]), "zram", 4) != 0 &&
           !is_in_crypttab(check, fields->items[0]);
}

/* The generator adds the option where the kernel knows it; without a kernel nobody knows. */
static bool has_kernel_with_noswap(const struct check *check)
{
    cleanup_names struct node_names names = { 0 };
    struct pullkey_error ignored;
    bool has_kernel = false;

    if (node_list(&check->node, "/lib/modules", &names, &ignored) < 0)
        return true;
    for (size_t i = 0; i < names.count; i++) {
        struct node_version version;

        if (node_version_parse(names.items[i], &version) < 0)
            continue;
        has_kernel = true;
        if (!node_version_may_be_before(&version, 6, 4, 0))
            return true;
    }
    return !has_kernel;
}

static bool has_generator(const struct check *check)
{
    static const char *const places[] = { "/etc", "/usr/local/lib", "/usr/lib", "/lib" };
    char inner[FILE_PATH_MAX];

    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        (void)snprintf(inner, sizeof(inner), "%s/systemd/system-generators/pullkey-hosts-generator",
                       places[i]);
        if (node_exists(&check->node, inner))
            return true;
    }
    return false;
}

/* As the mount unit says; where there is none, nothing is known. */
static bool is_mounted_with_swap(const struct check *check)
{
    return check_unit_state(check, MOUNT_UNIT) == CHECK_UNIT_THERE &&
           !check_unit_says(check, MOUNT_UNIT, "Options", "noswap") &&
           !(has_generator(check) && has_kernel_with_noswap(check));
}

void check_swap_of_template(struct check *check)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(TABLE_MAX);
    cleanup_release char *path = node_path(&check->node, "/etc/fstab");
    bool may_be_swapped = is_mounted_with_swap(check);
    struct fields fields;
    size_t number = 0, swap = 0;

    if (!path)
        check->findings.has_failed = true;
    if (!path || read_table(check, "/etc/fstab", &text) < 0)
        return;
    for (const char *line = text.data; *line != '\0'; line = next_line(line)) {
        number++;
        if (!read_fields(line, &fields))
            continue;
        if (swap == 0 && is_swap(check, &fields))
            swap = number;
        if (strcmp(fields.items[1], HOSTS_TARGET_DEFAULT) != 0)
            continue;
        may_be_swapped =
            strcmp(fields.items[2], "tmpfs") == 0 && !has_option(fields.items[3], "noswap");
        if (strcmp(fields.items[2], "tmpfs") != 0 && strcmp(fields.items[2], "ramfs") != 0)
            findings_add(&check->findings, OUTPUT_WARNING, "target-on-disk", path, number,
                         "mount a tmpfs there", "%s is not a tmpfs: credentials go to a disk",
                         HOSTS_TARGET_DEFAULT);
    }
    if (swap > 0 && may_be_swapped)
        findings_add(&check->findings, OUTPUT_WARNING, "target-swappable", path, swap, FIX_SWAP,
                     "%s is a tmpfs without noswap, and may be written to this swap",
                     HOSTS_TARGET_DEFAULT);
}
