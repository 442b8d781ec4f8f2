/* SPDX-License-Identifier: Apache-2.0 */
#include "hosts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/output.h"
#include "base/secret.h"
#include "base/text.h"
#include "core/credential.h"
#include "migrate.h"
#include "pullkey-build.h"

#define TEXT_MAX ((size_t)64 * 1024 * 1024)

/* Everything that is shown, made before anything is changed. */
struct shown {
    struct buffer *diffs; /* one for each file */
    char **cells;         /* of the summary: three for each row, and the heads */
    size_t cell_count;
};

static void shown_done(struct shown *shown, size_t files)
{
    for (size_t i = 0; shown->diffs && i < files; i++)
        buffer_done(&shown->diffs[i]);
    for (size_t i = 0; shown->cells && i < shown->cell_count; i++)
        secret_release(shown->cells[i]);
    secret_release(shown->diffs);
    secret_release(shown->cells);
}

/* Of those that are about to change. */
static const struct migrate_file *find_config(const struct migrate *migrate)
{
    for (size_t i = 0; i < migrate->file_count; i++)
        if (migrate->files[i].order == MIGRATE_CONFIG)
            return &migrate->files[i];
    return NULL;
}

static int add_notes(struct migrate *migrate, struct pullkey_error *error)
{
    const struct migrate_file *config = find_config(migrate);
    int r = 0;

    if (!migrate->is_live && migrate->credential_count > 0)
        r = migrate_row(migrate, MIGRATE_NOTE, PULLKEY_STATEDIR "/store.key", 0,
                        "whoever has the image can read the credentials", error,
                        "the key of the store travels with this image");
    if (r == 0 && !migrate->is_live && (migrate->credential_count > 0 || config))
        r = migrate_row(migrate, MIGRATE_NOTE, HOSTS_CONFIG_PATH, 0,
                        "have pullkey-hosts.service start with the node", error,
                        "containerd gets credentials only where pullkey-hosts runs, which cannot "
                        "be known here");
    if (r == 0 && migrate->is_live && config && !migrate_containerd())
        r = migrate_row(migrate, MIGRATE_NOTE, config->inner, 0,
                        "run it with the containerd of this node before that is restarted", error,
                        "no containerd was found, and so \"containerd config dump\" does not look "
                        "at the new text");
    return r;
}

static int plan(struct migrate *migrate, struct pullkey_error *error)
{
    cleanup_node_hosts struct node_hosts hosts = { 0 };
    const struct migrate_wait wait = migrate_wait_for_reader(migrate);
    bool moves = false;
    int r = node_hosts_read(migrate->node, migrate_source(migrate), NULL, &hosts, error);

    if (r == 0)
        r = migrate_hosts(migrate, &hosts, &wait, &moves, error);
    if (r == 0)
        r = migrate_config(migrate, &hosts, moves, error);
    for (size_t i = 0; r == 0 && i < migrate->node->yaml_count; i++)
        r = migrate_yaml(migrate, &migrate->node->yamls[i], error);
    return r < 0 ? r : add_notes(migrate, error);
}

/* -- What is shown -- */

static const char *level_name(enum migrate_level level)
{
    switch (level) {
    case MIGRATE_NOTE: return "note";
    case MIGRATE_PROBLEM: return "problem";
    case MIGRATE_DONE:
    default: return "change";
    }
}

static char *masked(const struct migrate *migrate, const char *text, struct pullkey_error *error)
{
    cleanup_buffer struct buffer clean = BUFFER_INIT(65536);
    char *copy;

    if (mask_apply(&migrate->mask, text, strlen(text), &clean, error) < 0)
        return NULL;
    copy = secret_copy(clean.data ? clean.data : "", clean.length);
    if (!copy)
        (void)error_memory(error);
    return copy;
}

static int add_cell(const struct migrate *migrate, struct shown *shown, const char *text,
                    struct pullkey_error *error)
{
    char *cell = masked(migrate, text, error);

    if (!cell)
        return -(int)error->code;
    shown->cells[shown->cell_count++] = cell;
    return 0;
}

static int add_row(const struct migrate *migrate, struct shown *shown,
                   const struct migrate_row *row, struct pullkey_error *error)
{
    char place[FILE_PATH_MAX + 32];
    int r;

    if (row->line > 0)
        (void)snprintf(place, sizeof(place), "%s:%zu", row->file, row->line);
    else
        (void)snprintf(place, sizeof(place), "%s", row->file);
    r = add_cell(migrate, shown, place, error);
    if (r == 0)
        r = add_cell(migrate, shown, row->what, error);
    return r < 0 ? r : add_cell(migrate, shown, row->where, error);
}

static int prepare(const struct migrate *migrate, struct shown *shown, struct pullkey_error *error)
{
    int r = 0;

    shown->diffs = secret_alloc((migrate->file_count + 1) * sizeof(*shown->diffs));
    shown->cells = secret_alloc((3 * migrate->row_count + 3) * sizeof(*shown->cells));
    if (!shown->diffs || !shown->cells)
        return error_memory(error);
    for (size_t i = 0; r == 0 && i < migrate->file_count; i++) {
        shown->diffs[i] = (struct buffer)BUFFER_INIT(TEXT_MAX);
        r = migrate_show_diff(migrate, &migrate->files[i], &shown->diffs[i], error);
    }
    for (size_t i = 0; r == 0 && i < migrate->row_count; i++)
        r = add_row(migrate, shown, &migrate->rows[i], error);
    return r;
}

/* What moves as a table, and the rest as lines, which may be long. */
static int print_rows(const struct migrate *migrate, const struct shown *shown,
                      struct pullkey_error *error)
{
    cleanup_release const char **cells =
        secret_alloc((3 * migrate->row_count + 3) * sizeof(*cells));
    size_t count = 3;
    int r = 0;

    if (!cells)
        return error_memory(error);
    cells[0] = "FILE";
    cells[1] = "WHAT";
    cells[2] = "WHERE IT GOES";
    for (size_t i = 0; i < migrate->row_count; i++)
        for (size_t j = 0; migrate->rows[i].level == MIGRATE_DONE && j < 3; j++)
            cells[count++] = shown->cells[3 * i + j];
    if (count > 3)
        r = output_table(cells, 3, count / 3, error);
    for (size_t i = 0; r == 0 && i < migrate->row_count; i++) {
        cleanup_buffer struct buffer line = BUFFER_INIT(65536);
        char *const *row = &shown->cells[3 * i];

        if (migrate->rows[i].level == MIGRATE_DONE)
            continue;
        buffer_printf(&line, "%s: %s%s%s", row[0], row[1], row[2][0] != '\0' ? ": " : "", row[2]);
        r = buffer_check(&line, error);
        if (r == 0)
            output_finding(migrate->rows[i].level == MIGRATE_NOTE ? OUTPUT_NOTE : OUTPUT_WARNING,
                           line.data);
    }
    return r;
}

static const struct {
    unsigned int bit;
    const char *name;
} services[] = {
    { MIGRATE_RESTART_CONTAINERD, "containerd" },
    { MIGRATE_RESTART_K3S, "k3s" },
    { MIGRATE_RESTART_RKE2, "rke2" },
};

static unsigned int restarts(const struct migrate *migrate)
{
    unsigned int bits = 0;

    for (size_t i = 0; i < migrate->file_count; i++)
        bits |= migrate->files[i].restart;
    return bits;
}

static int print_text(const struct migrate *migrate, const struct shown *shown, bool written,
                      struct pullkey_error *error)
{
    int r;

    for (size_t i = 0; i < migrate->file_count; i++)
        output_lines(&shown->diffs[i]);
    if (migrate->file_count > 0)
        output_line("%s", "");
    r = print_rows(migrate, shown, error);
    if (r < 0)
        return r;
    if (migrate->file_count == 0)
        output_line("Nothing to do");
    else if (!written)
        output_line("Nothing is changed yet: run this again with --write");
    for (size_t i = 0; written && i < sizeof(services) / sizeof(services[0]); i++)
        if (restarts(migrate) & services[i].bit)
            output_line("Restart %s now: what it runs with is the old file", services[i].name);
    if (written && restarts(migrate) == 0)
        output_line("No restart is needed");
    return 0;
}

static void write_member(struct buffer *json, const char *name, const char *value)
{
    buffer_printf(json, ",\"%s\":", name);
    json_write_name(json, value);
}

static void write_rows(const struct migrate *migrate, const struct shown *shown,
                       struct buffer *json)
{
    buffer_append_text(json, ",\"items\":[");
    for (size_t i = 0; i < migrate->row_count; i++) {
        const struct migrate_row *row = &migrate->rows[i];

        buffer_printf(json, "%s{\"level\":\"%s\"", i > 0 ? "," : "", level_name(row->level));
        write_member(json, "file", row->file);
        if (row->line > 0)
            buffer_printf(json, ",\"line\":%zu", row->line);
        write_member(json, "what", shown->cells[3 * i + 1]);
        if (row->where[0] != '\0')
            write_member(json, row->level == MIGRATE_DONE ? "where" : "hint",
                         shown->cells[3 * i + 2]);
        buffer_append_text(json, "}");
    }
    buffer_append_text(json, "]");
}

static int print_json(const struct migrate *migrate, const struct shown *shown, bool written,
                      struct pullkey_error *error)
{
    cleanup_buffer struct buffer json = BUFFER_INIT(TEXT_MAX);
    const char *separator = "";

    buffer_printf(&json, "{\"written\":%s,\"files\":[", written ? "true" : "false");
    for (size_t i = 0; i < migrate->file_count; i++) {
        const struct migrate_file *file = &migrate->files[i];

        buffer_printf(&json, "%s{\"new\":%s", i > 0 ? "," : "", file->is_new ? "true" : "false");
        write_member(&json, "file", file->inner);
        write_member(&json, "diff", shown->diffs[i].data ? shown->diffs[i].data : "");
        buffer_append_text(&json, "}");
    }
    buffer_append_text(&json, "]");
    write_rows(migrate, shown, &json);
    buffer_append_text(&json, ",\"restart\":[");
    for (size_t i = 0; i < sizeof(services) / sizeof(services[0]); i++) {
        if (!(restarts(migrate) & services[i].bit))
            continue;
        buffer_printf(&json, "%s\"%s\"", separator, services[i].name);
        separator = ",";
    }
    buffer_append_text(&json, "]}\n");
    return output_buffer(&json, error);
}

/* -- What is done -- */

static int write_files(const struct migrate *migrate, struct pullkey_error *error)
{
    size_t count = 0;
    int r = 0;

    for (int order = 0; order < MIGRATE_ORDER_MAX; order++)
        for (size_t i = 0; r == 0 && i < migrate->file_count; i++) {
            const struct migrate_file *file = &migrate->files[i];

            if ((int)file->order != order)
                continue;
            r = migrate_write_file(
                migrate->node, file,
                order == MIGRATE_CONFIG && migrate->is_live ? migrate_check_config : NULL, error);
            count += r == 0;
        }
    return r < 0 ? error_wrap(error, "%zu of %zu files were changed", count, migrate->file_count)
                 : 0;
}

/* A credential is in the store, and comes back from it, before a file loses it. */
static int carry_out(struct migrate *migrate, struct pullkey_error *error)
{
    for (size_t i = 0; i < migrate->credential_count; i++)
        if (migrate_store_put(migrate, &migrate->credentials[i], error) < 0)
            return error_wrap(error, "no file was changed");
    return write_files(migrate, error);
}

static int run(struct migrate *migrate, const struct hosts_call *call, struct shown *shown,
               struct pullkey_error *error)
{
    bool write = call->values[HOSTS_WRITE] != NULL;
    int r = migrate_store_open(migrate, error);

    if (r == 0)
        r = plan(migrate, error);
    if (r == 0)
        r = prepare(migrate, shown, error);
    if (r == 0 && write && migrate->file_count > 0)
        r = carry_out(migrate, error);
    if (r == 0)
        r = call->values[HOSTS_JSON]
                ? print_json(migrate, shown, write && migrate->file_count > 0, error)
                : print_text(migrate, shown, write && migrate->file_count > 0, error);
    if (r == 0 && migrate_has_problem(migrate))
        r = HOSTS_PROBLEM;
    return r;
}

int hosts_migrate(const struct hosts_call *call, struct pullkey_error *error)
{
    const char *root = call->values[HOSTS_ROOT] ? call->values[HOSTS_ROOT] : "/";
    cleanup_node struct node node = { .root_fd = -1 };
    cleanup_migrate struct migrate migrate = { 0 };
    struct shown shown = { 0 };
    char real[FILE_PATH_MAX];
    size_t files;
    int r;

    if (!realpath(root, real))
        return hosts_usage(error, "--root: there is no directory %s", root);
    r = node_open(real, &node, error);
    if (r < 0)
        return r;
    migrate.node = &node;
    migrate.is_live = strcmp(real, "/") == 0;
    r = run(&migrate, call, &shown, error);
    files = migrate.file_count;
    shown_done(&shown, files);
    return r;
}
