/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kubelet: the file of its credential providers, and its two flags in a drop-in of
 * kubelet.service, where KUBELET_EXTRA_ARGS are kubeadm's. A kubelet that runs with these flags
 * keeps them, and its file with the providers of others gets ours in front of them.
 */
#include "setup.h"

#include <ctype.h>
#include <dirent.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/json-edit.h"
#include "core/convert.h"
#include "kubelet.h"
#include "pullkey-build.h"

#define CONFIG "/etc/kubernetes/credential-provider.yaml"
#define NAME "pullkey.conf"
#define UNIT "/etc/systemd/system/kubelet.service.d/" NAME
#define FLAG "--image-credential-provider-"
#define FLAGS FLAG "config=" CONFIG " " FLAG "bin-dir=" PULLKEY_LIBEXECDIR

#define VARIABLE "KUBELET_EXTRA_ARGS="

/* Files of kubeadm's unit that set the variable again, after the drop-in. */
static const char *const variables[] = { "/etc/default/kubelet", "/etc/sysconfig/kubelet" };

/* Drop-ins of one name are those of the first. */
static const char *const directories[] = { "/etc/systemd/system/kubelet.service.d",
                                           "/run/systemd/system/kubelet.service.d",
                                           "/usr/lib/systemd/system/kubelet.service.d",
                                           "/lib/systemd/system/kubelet.service.d" };

/* Of the line, at the variable: what is quoted is the value, or in a unit the whole assignment. */
static bool is_set(const char *line, const char *at)
{
    const char *value = at + sizeof(VARIABLE) - 1;
    const char before = at > line ? at[-1] : ' ';

    if (before == '_' || isalnum((unsigned char)before) ||
        (strchr("\"'", before) && *value == before))
        return false;
    value += strspn(value, " \t");
    if (strchr("\"'", *value) && value[0] != '\0' && value[1] == value[0])
        value += 2;
    return value[strspn(value, " \t\r")] != '\n' && value[strspn(value, " \t\r")] != '\0';
}

static int check_file(const char *path, struct pullkey_error *error)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(JSON_SIZE_MAX);
    struct pullkey_error ignored;

    if (file_read(path, FILE_GIVEN, 0, &text, NULL, &ignored) < 0 || !text.data)
        return 0;
    for (const char *line = text.data, *next; *line != '\0'; line = next) {
        const char *at = strstr(line, VARIABLE);

        if (!at)
            break;
        next = line + strcspn(line, "\n");
        next += *next == '\n';
        line += strspn(line, " \t");
        for (; *line != '#' && *line != ';' && at && at < next; at = strstr(at + 1, VARIABLE))
            if (is_set(line, at))
                return error_set(error, PULLKEY_INVALID,
                                 "%s sets KUBELET_EXTRA_ARGS, which only one file can: add " FLAGS
                                 " there, and write the first with \"pullkey kubelet config\"",
                                 path);
    }
    return 0;
}

static int check_directory(const char *directory, struct pullkey_error *error)
{
    DIR *entries = opendir(directory);
    char path[FILE_PATH_MAX];
    int r = 0;

    for (const struct dirent *entry; r == 0 && entries && (entry = readdir(entries));) {
        const size_t length = strlen(entry->d_name);

        if (length < 6 || strcmp(entry->d_name + length - 5, ".conf") != 0 ||
            strcmp(entry->d_name, NAME) == 0)
            continue;
        r = file_join(path, directory, entry->d_name, error);
        if (r == 0)
            r = check_file(path, error);
    }
    if (entries)
        (void)closedir(entries);
    return r;
}

static int check_unit(struct pullkey_error *error)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < sizeof(variables) / sizeof(variables[0]); i++)
        r = check_file(variables[i], error);
    for (size_t i = 0; r == 0 && i < sizeof(directories) / sizeof(directories[0]); i++)
        r = check_directory(directories[i], error);
    return r;
}

/* -- The providers ---------------------------------------------------------------------------- */

static const cJSON *providers_of(const struct kubelet_file *file)
{
    return kubelet_member(file, file->json.root, "providers", KUBELET_TYPE_LIST);
}

/* pullkey's, or NULL. *ret_is_alone: there is no other. */
static const cJSON *find_ours(const struct kubelet_file *file, bool *ret_is_alone)
{
    const cJSON *list = providers_of(file), *ours = NULL;

    *ret_is_alone = list && list->child;
    for (const cJSON *item = list ? list->child : NULL; item; item = item->next) {
        const char *name = kubelet_string(file, item, "name");
        const bool is_ours = name && strcmp(name, KUBELET_PROGRAM) == 0;

        *ret_is_alone = *ret_is_alone && is_ours;
        ours = is_ours ? item : ours;
    }
    return ours;
}

/* That has been written by somebody else, or for other rules: it is theirs to change. */
static int check_ours(const struct kubelet_file *file, const cJSON *ours,
                      const struct kubelet_file *fresh, struct pullkey_error *error)
{
    const cJSON *has = json_member(ours, "matchImages"), *item, *old;

    cJSON_ArrayForEach(item, json_member(providers_of(fresh)->child, "matchImages")) {
        cJSON_ArrayForEach(old, has)
            if (cJSON_IsString(old) && strcmp(old->valuestring, item->valuestring) == 0)
                break;
        if (!old)
            return json_error(&file->json, ours, error, "add \"%s\" to its matchImages",
                              item->valuestring);
    }
    return 0;
}

/* Its lines stand as far to the right as those of the one that was the first. */
static int put_yaml(struct setup *setup, struct change *file, const struct kubelet_file *parsed,
                    const char *lines, struct pullkey_error *error)
{
    const cJSON *list = providers_of(parsed);
    const struct pullkey_place *place =
        convert_place(&parsed->json, parsed->places, parsed->place_count, list);
    cleanup_buffer struct buffer text = BUFFER_INIT(JSON_SIZE_MAX);
    size_t at = place->key_end, indent = 0;
    bool has_colon;

    at += strspn(parsed->text + at, " \t");
    has_colon = parsed->text[at] == ':';
    at += has_colon;
    at += strspn(parsed->text + at, " \t\r");
    if (parsed->text[at] == '#')
        at += strcspn(parsed->text + at, "\n");
    while (parsed->text[place->begin - indent - 1] == ' ')
        indent++;
    if (!has_colon || parsed->text[at] != '\n' || parsed->text[place->begin] != '-' ||
        parsed->text[place->begin - indent - 1] != '\n')
        return json_error(&parsed->json, list, error,
                          "what is on this line is not changed here: write each provider on lines "
                          "of its own, or add what \"pullkey kubelet config\" prints");
    for (size_t length; *lines != '\0'; lines += length) {
        lines += 2;
        length = strcspn(lines, "\n") + 1;
        buffer_printf(&text, "%*s%.*s", (int)indent, "", (int)length, lines);
    }
    return buffer_check(&text, error) < 0
               ? -(int)error->code
               : setup_edit(setup, file, at + 1, at + 1, text.data, text.length, NULL, NULL, error);
}

static int put_json(struct setup *setup, struct change *file, const struct kubelet_file *parsed,
                    char *value, struct pullkey_error *error)
{
    cleanup_json_edit struct json_edit edit = JSON_EDIT_INIT;
    int r;

    value[strlen(value) - 3] = '\0'; /* of "]}\n" */
    r = json_edit_insert(&parsed->json, providers_of(parsed), NULL, value, &edit, error);
    if (r < 0)
        return r;
    /* What stands on the same line is shown, and may be anything. */
    setup->is_masked = !strchr("\r\n", parsed->json.text[edit.begin]);
    return setup_edit(setup, file, edit.begin, edit.end, edit.text.data, edit.text.length, NULL,
                      NULL, error);
}

/* The next line that is none of the patterns. */
static const char *skip_patterns(const char *text)
{
    static const char start[] = "      - \"";

    while (strncmp(text, start, strlen(start)) == 0) {
        text += strcspn(text, "\n");
        text += *text == '\n';
    }
    return text;
}

/* What pullkey has written itself, for other rules: nothing is lost if it is written anew. */
static bool is_generated(const char *old, const char *new)
{
    for (;;) {
        size_t length;

        old = skip_patterns(old);
        new = skip_patterns(new);
        length = strcspn(new, "\n");
        if (strncmp(old, new, length) != 0 || old[length] != new[length])
            return false;
        if (new[length] == '\0')
            return true;
        old += length + 1;
        new += length + 1;
    }
}

/* The kubelet has one directory for all, and does not start where one is missing. */
static void note_others(struct setup *setup, const struct kubelet_file *file)
{
    for (const cJSON *item = providers_of(file)->child; item; item = item->next) {
        const char *name = kubelet_string(file, item, "name");
        struct pullkey_error ignored;
        char path[FILE_PATH_MAX];

        if (name && file_join(path, PULLKEY_LIBEXECDIR, name, &ignored) == 0 &&
            access(path, X_OK) < 0)
            setup_note(setup,
                       "First: link \"%s\" into " PULLKEY_LIBEXECDIR
                       ", or the kubelet does not start",
                       name);
    }
}

/* Into a file that is there. */
static int merge(struct setup *setup, struct change *file, bool has_bin_dir,
                 struct pullkey_error *error)
{
    static const char head[][16] = { "\"providers\":[", "providers:\n" };
    cleanup_buffer struct buffer text = BUFFER_INIT(4u * JSON_SIZE_MAX);
    cleanup_kubelet_file struct kubelet_file parsed = { 0 }, fresh = { 0 };
    struct admin_call call = *setup->call;
    const cJSON *ours = NULL;
    bool is_alone = false;
    char *item;
    int r = kubelet_file_parse(file->path, file->old.data ? file->old.data : "", file->old.length,
                               &parsed, error);

    if (r == 0 && !providers_of(&parsed))
        r = json_error(&parsed.json, parsed.json.root, error,
                       "there is no list \"providers\": begin one, or remove the file");
    if (r == 0)
        ours = find_ours(&parsed, &is_alone);
    call.values[ADMIN_JSON] = parsed.is_yaml || is_alone ? NULL : "";
    if (r == 0)
        r = kubelet_config_text(&call, &text, error);
    if (r < 0 ||
        (file->old.length == text.length && memcmp(file->old.data, text.data, text.length) == 0))
        return r;
    if (is_alone && is_generated(file->old.data, text.data))
        return setup_edit(setup, file, 0, file->old.length, text.data, text.length, NULL, NULL,
                          error);
    if (ours) {
        r = kubelet_file_parse(KUBELET_PROGRAM, text.data, text.length, &fresh, error);
        return r < 0 ? r : check_ours(&parsed, ours, &fresh, error);
    }
    if (!has_bin_dir)
        note_others(setup, &parsed);
    item = strstr(text.data, head[parsed.is_yaml]) + strlen(head[parsed.is_yaml]);
    return parsed.is_yaml ? put_yaml(setup, file, &parsed, item, error)
                          : put_json(setup, file, &parsed, item, error);
}

static int put_providers(struct setup *setup, const char *path, bool has_bin_dir,
                         struct pullkey_error *error)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(4u * JSON_SIZE_MAX);
    struct admin_call call = *setup->call;
    struct change *file;
    int r = setup_open(setup, path, 0644, &file, error);

    if (r < 0 || !change_is_new(file))
        return r < 0 ? r : merge(setup, file, has_bin_dir, error);
    call.values[ADMIN_JSON] = NULL;
    r = kubelet_config_text(&call, &text, error);
    return r < 0 ? r : setup_edit(setup, file, 0, 0, text.data, text.length, NULL, NULL, error);
}

/* A kubelet of 1.34 may have a directory, whose files are one. */
static int find_providers(const struct kubelet_node *node, char ret[FILE_PATH_MAX],
                          struct pullkey_error *error)
{
    const char *path = node->has_config ? node->config : CONFIG;
    struct stat status;

    if (path[0] == '\0')
        return error_set(error, PULLKEY_INVALID,
                         "it cannot be seen which file of providers the kubelet that runs has: add "
                         "to it what \"pullkey kubelet config\" prints");
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode)
               ? file_join(ret, path, "pullkey.yaml", error)
               : file_join(ret, "", path + 1, error);
}

static int put_unit(struct setup *setup, struct pullkey_error *error)
{
    static const char unit[] = "[Service]\nEnvironment=\"" VARIABLE FLAGS "\"\n";
    struct change *file;
    int r = check_unit(error);

    if (r == 0)
        r = setup_open(setup, UNIT, 0644, &file, error);
    if (r < 0 || (file->old.data && strcmp(file->old.data, unit) == 0))
        return r;
    return change_is_new(file)
               ? setup_edit(setup, file, 0, 0, unit, sizeof(unit) - 1, NULL, NULL, error)
               : error_set(error, PULLKEY_INVALID,
                           "%s is there, and somebody's: it stays as it is; add to it " FLAGS,
                           file->path);
}

/* The kubelet looks for the program nowhere else. */
static void note_program(struct setup *setup, const char *bin_dir)
{
    char path[FILE_PATH_MAX];
    struct pullkey_error ignored;

    if (file_join(path, bin_dir, KUBELET_PROGRAM, &ignored) == 0 && access(path, X_OK) < 0)
        setup_note(setup, "First: ln -s " PULLKEY_LIBEXECDIR "/" KUBELET_PROGRAM " %s", bin_dir);
}

int setup_kubelet(struct setup *setup, struct pullkey_error *error)
{
    struct kubelet_node node;
    char path[FILE_PATH_MAX];
    int r = kubelet_node_find(setup->call, &node, error);

    if (r == 0)
        r = find_providers(&node, path, error);
    if (r == 0)
        r = put_providers(setup, path, node.has_config, error);
    if (r == 0 && !node.has_config)
        r = put_unit(setup, error);
    if (r < 0)
        return r;
    if (node.has_config)
        note_program(setup, node.bin_dir);
    setup_note(setup, "Then: systemctl daemon-reload && systemctl restart kubelet; before that, "
                      "\"pullkey kubelet check\" tells whether it will start");
    return 0;
}
