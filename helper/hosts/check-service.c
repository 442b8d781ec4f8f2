/* SPDX-License-Identifier: Apache-2.0 */
/* Whether systemd starts the daemon before containerd, as files say it: systemd.unit(5). */
#include "check.h"

#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

#define UNIT_MAX (1024u * 1024)
#define SERVICE "pullkey-hosts.service"
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The first one that has a unit is the one. */
static const char *const places[] = {
    "/etc/systemd/system",     "/run/systemd/system", "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system", "/lib/systemd/system",
};

/* -- Units ------------------------------------------------------------------------------------ */

/* The link itself: what it leads to means nothing to systemd, unless that is /dev/null. */
static bool find_entry(const struct check *check, const char *inner, bool *ret_masked)
{
    struct pullkey_error ignored;
    struct stat status;
    char link[16];
    ssize_t length;
    int fd = node_open_at(&check->node, inner, O_PATH | O_NOFOLLOW, &ignored);

    if (fd < 0)
        return false;
    length = readlinkat(fd, "", link, sizeof(link));
    *ret_masked = (length == 9 && memcmp(link, "/dev/null", 9) == 0) ||
                  (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size == 0);
    (void)close(fd);
    return true;
}

enum check_unit check_unit_state(const struct check *check, const char *unit)
{
    char inner[FILE_PATH_MAX];
    bool is_masked;

    for (size_t i = 0; i < COUNT(places); i++) {
        (void)snprintf(inner, sizeof(inner), "%s/%s", places[i], unit);
        if (find_entry(check, inner, &is_masked))
            return is_masked ? CHECK_UNIT_MASKED : CHECK_UNIT_THERE;
    }
    return CHECK_UNIT_MISSING;
}

/* A link in a directory like multi-user.target.wants. */
static bool is_wanted(const struct check *check, const char *unit)
{
    for (size_t i = 0; i < COUNT(places); i++) {
        cleanup_names struct node_names names = { 0 };
        struct pullkey_error ignored;
        char inner[FILE_PATH_MAX];
        bool is_masked;

        if (node_list(&check->node, places[i], &names, &ignored) < 0)
            continue;
        for (size_t j = 0; j < names.count; j++) {
            if (!node_name_ends(names.items[j], ".wants") &&
                !node_name_ends(names.items[j], ".requires"))
                continue;
            (void)snprintf(inner, sizeof(inner), "%s/%s/%s", places[i], names.items[j], unit);
            if (find_entry(check, inner, &is_masked))
                return true;
        }
    }
    return false;
}

static bool file_says(const struct check *check, const char *inner, const char *key,
                      const char *word)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(UNIT_MAX);
    struct pullkey_error ignored;
    size_t length = strlen(key);

    if (node_read(&check->node, inner, &text, &ignored) < 0 || !text.data)
        return false;
    for (const char *line = text.data; *line != '\0';) {
        size_t blank = strspn(line, " \t"), end = strcspn(line, "\n");

        /* A backslash is the end of no line, but of a comment. */
        while (end > 0 && line[end] == '\n' && line[end - 1] == '\\' && !strchr("#;", line[blank]))
            end += 1 + strcspn(line + end + 1, "\n");
        if (strncmp(line + blank, key, length) == 0 && strchr(" =", line[blank + length]) &&
            memmem(line + blank + length, end - blank - length, word, strlen(word)))
            return true;
        line += end + (line[end] == '\n');
    }
    return false;
}

bool check_unit_says(const struct check *check, const char *unit, const char *key, const char *word)
{
    for (size_t i = 0; i < COUNT(places); i++) {
        cleanup_names struct node_names names = { 0 };
        struct pullkey_error ignored;
        char inner[FILE_PATH_MAX], file[FILE_PATH_MAX];

        (void)snprintf(inner, sizeof(inner), "%s/%s", places[i], unit);
        if (file_says(check, inner, key, word))
            return true;
        (void)snprintf(inner, sizeof(inner), "%s/%s.d", places[i], unit);
        if (node_list(&check->node, inner, &names, &ignored) < 0)
            continue;
        for (size_t j = 0; j < names.count; j++)
            if (node_name_ends(names.items[j], ".conf") &&
                file_join(file, inner, names.items[j], &ignored) == 0 &&
                file_says(check, file, key, word))
                return true;
    }
    return false;
}

/* -- Presets ---------------------------------------------------------------------------------- */

/* systemd.preset(5): of all directories in the order of the files' names; of one name the first
 * directory counts, and of the lines the first one that fits. */
static const char *const preset_places[] = {
    "/etc/systemd/system-preset",           "/run/systemd/system-preset",
    "/usr/local/lib/systemd/system-preset", "/usr/lib/systemd/system-preset",
    "/lib/systemd/system-preset",
};

enum preset { PRESET_SILENT, PRESET_ENABLES, PRESET_OTHER };

static enum preset read_preset(const struct check *check, const char *inner, const char *unit)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(UNIT_MAX);
    struct pullkey_error ignored;

    if (node_read(&check->node, inner, &text, &ignored) < 0 || !text.data)
        return PRESET_SILENT;
    for (const char *line = text.data; *line != '\0';) {
        char copy[512], word[16], pattern[256];
        size_t end = strcspn(line, "\n");

        (void)snprintf(copy, sizeof(copy), "%.*s", (int)(end < 511 ? end : 511), line);
        if (sscanf(copy, " %15s %255s", word, pattern) == 2 && strchr("#;", word[0]) == NULL &&
            fnmatch(pattern, unit, FNM_NOESCAPE) == 0)
            return strcmp(word, "enable") == 0 ? PRESET_ENABLES : PRESET_OTHER;
        line += end + (line[end] == '\n');
    }
    return PRESET_SILENT;
}

static bool is_hidden(const struct check *check, size_t place, const char *name)
{
    char inner[FILE_PATH_MAX];
    bool is_masked;

    for (size_t i = 0; i < place; i++) {
        (void)snprintf(inner, sizeof(inner), "%s/%s", preset_places[i], name);
        if (find_entry(check, inner, &is_masked))
            return true;
    }
    return false;
}

/* Of an image, where the first boot may make the link. */
static bool is_preset(const struct check *check, const char *unit)
{
    char first[NAME_MAX + 1] = "";
    enum preset found = PRESET_SILENT;

    for (size_t i = 0; check->node.root[0] != '\0' && i < COUNT(preset_places); i++) {
        cleanup_names struct node_names names = { 0 };
        struct pullkey_error ignored;
        char inner[FILE_PATH_MAX];

        if (node_list(&check->node, preset_places[i], &names, &ignored) < 0)
            continue;
        for (size_t j = 0; j < names.count; j++) {
            const char *name = names.items[j];
            enum preset preset;

            if (!node_name_ends(name, ".preset") || is_hidden(check, i, name) ||
                (found != PRESET_SILENT && strcmp(first, name) < 0))
                continue;
            (void)snprintf(inner, sizeof(inner), "%s/%s", preset_places[i], name);
            preset = read_preset(check, inner, unit);
            if (preset == PRESET_SILENT)
                continue;
            found = preset;
            (void)snprintf(first, sizeof(first), "%s", name);
        }
    }
    return found == PRESET_ENABLES;
}

/* -- The service ------------------------------------------------------------------------------ */

static const char *const services[NODE_OWNER_MAX][2] = {
    [NODE_CONTAINERD] = { "containerd.service", "containerd.service" },
    [NODE_K3S] = { "k3s.service", "k3s-agent.service" },
    [NODE_RKE2] = { "rke2-server.service", "rke2-agent.service" },
};

static bool service_says(const struct check *check, enum node_owner owner, const char *key)
{
    return check_unit_says(check, services[owner][0], key, SERVICE) ||
           check_unit_says(check, services[owner][1], key, SERVICE);
}

/* This machine was started by systemd, or another one may be. */
static bool has_systemd(const struct check *check)
{
    if (check->node.root[0] == '\0')
        return node_exists(&check->node, "/run/systemd/system");
    return node_exists(&check->node, "/usr/lib/systemd/systemd") ||
           node_exists(&check->node, "/lib/systemd/systemd") ||
           check_unit_state(check, SERVICE) != CHECK_UNIT_MISSING;
}

void check_service(struct check *check, const struct node_config *config,
                   const struct node_setting *setting)
{
    enum node_owner owner = config->owner;
    enum check_unit state = check_unit_state(check, SERVICE);

    if (!has_systemd(check) || (state == CHECK_UNIT_MISSING && check->is_running))
        return;
    if (state == CHECK_UNIT_MISSING)
        check_at(check, OUTPUT_WARNING, "service-missing", setting->file->path, setting->item,
                 "install pullkey's unit, or start the daemon in another way",
                 "there is no " SERVICE ", which writes this directory at boot");
    else if (state == CHECK_UNIT_MASKED)
        check_at(check, OUTPUT_ERROR, "service-not-enabled", setting->file->path, setting->item,
                 "run \"systemctl unmask " SERVICE "\", and enable it",
                 SERVICE " is masked: nobody writes this directory at boot");
    else if (!is_wanted(check, SERVICE) && !is_preset(check, SERVICE) &&
             !service_says(check, owner, "Wants") && !service_says(check, owner, "Requires"))
        check_at(check, OUTPUT_ERROR, "service-not-enabled", setting->file->path, setting->item,
                 "run \"systemctl enable " SERVICE "\"",
                 SERVICE " is not enabled: nobody writes this directory at boot");
    else if (!check_unit_says(check, SERVICE, "Before", services[owner][0]) &&
             !check_unit_says(check, SERVICE, "Before", services[owner][1]) &&
             !service_says(check, owner, "After"))
        check_at(check, OUTPUT_WARNING, "service-not-ordered", setting->file->path, setting->item,
                 "write Before= with the service of containerd into a drop-in of " SERVICE,
                 SERVICE " is not ordered before %s: what is pulled at boot may be pulled without "
                         "a credential",
                 services[owner][0]);
}
