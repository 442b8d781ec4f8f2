/* SPDX-License-Identifier: Apache-2.0 */
/* The way of a pull as far as the file that containerd reads, and the report. */
#include "doctor.h"

#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/secret.h"
#include "hosts.h"
#include "running.h"

#define JSON_TEXT_MAX (4u * 1024 * 1024)
#define LINE_SIZE_MAX 16384

static void doctor_done(struct doctor *doctor)
{
    secret_release(doctor->hosts);
    if (doctor->mirrors)
        mirrors_done(doctor->mirrors);
    secret_release(doctor->mirrors);
    node_hosts_done(&doctor->other.hosts);
    check_paths_done(&doctor->paths);
    json_done(&doctor->status);
    buffer_done(&doctor->status_text);
    buffer_done(&doctor->environment);
    findings_done(&doctor->steps);
    check_done(&doctor->check);
}

#define cleanup_doctor __attribute__((cleanup(doctor_done)))

/* -- containerd ------------------------------------------------------------------------------- */

/* It reads config.toml when it starts, and hosts.toml at every pull. */
static void check_restart(struct doctor *doctor)
{
    if (doctor->check.node.root[0] == '\0' &&
        running_is_restart_due(&doctor->check.node, doctor->config))
        findings_add(&doctor->check.findings, OUTPUT_WARNING, "restart-due", doctor->config->path,
                     0, "restart containerd",
                     "it was changed after containerd was started, which may not have read it");
}

static void find_containerd(struct doctor *doctor)
{
    const struct node *node = &doctor->check.node;
    const struct node_config *config = doctor->config;
    const struct check_paths *paths = &doctor->paths;
    char release[48] = "of an unknown release", line[32] = "";

    if (config->version.is_known)
        (void)snprintf(release, sizeof(release), "%d.%d.%d", config->version.major,
                       config->version.minor, config->version.patch);
    if (paths->setting.item)
        (void)snprintf(line, sizeof(line), ":%zu", paths->setting.item->line);
    doctor_step(doctor, DOCTOR_OK, "containerd", "containerd %s, %s%s%s: %s%s%s", release,
                paths->setting.item ? paths->setting.file->path : config->path, line,
                config->file_count > 0 ? "" : " (which is not there)",
                paths->text ? "config_path " : "no config_path, so no hosts.toml is read",
                paths->text ? paths->text : "", paths->is_default ? ", its default" : "");
    for (size_t i = 1; i < node->config_count; i++)
        doctor_step(doctor, DOCTOR_NOTE, "containerd",
                    "this node has another containerd, %s, which is not looked at",
                    node->configs[i].path);
    check_restart(doctor);
}

/* -- Directories ------------------------------------------------------------------------------ */

struct names {
    char items[HOSTS_NAMES_MAX][HOSTS_NAME_SIZE];
    size_t count;
};

/* In the first `count` of the names. */
static const struct node_host_directory *find_directory(const struct check_root *root,
                                                        const struct names *names, size_t count)
{
    const struct node_host_directory *found = NULL;

    for (size_t i = 0; !found && i < count; i++)
        found = check_find_directory(root, names->items[i]);
    return found;
}

static const struct check_root *find_root(const struct doctor *doctor, const char *inner)
{
    for (size_t i = 0; i < doctor->check.root_count; i++)
        if (strcmp(doctor->check.roots[i].hosts.inner, inner) == 0)
            return &doctor->check.roots[i];
    return NULL;
}

/* It reads a directory that is there. */
static bool reads(const struct doctor *doctor)
{
    return doctor->read_root && doctor->read_root->hosts.exists;
}

/* The first directory of config_path that has one; without any, one that is there. */
static void find_read(struct doctor *doctor, const struct names *names)
{
    const struct check_paths *paths = &doctor->paths;

    for (size_t i = 0; !(paths->is_one && paths->count > 1) && i < paths->count; i++) {
        const struct check_root *root = find_root(doctor, paths->items[i]);
        const struct node_host_directory *found =
            root ? find_directory(root, names, names->count) : NULL;

        if (!root)
            continue;
        if (doctor->read && !found)
            continue;
        if (doctor->read) {
            const struct node_host_directory *own = find_directory(root, names, names->count - 1);

            if (own && strcmp(doctor->read->name, "_default") == 0)
                findings_add(&doctor->check.findings, OUTPUT_ERROR, "default-hides-directory",
                             own->path, 0, "have everything in one directory",
                             "it is never looked at: %s/_default comes first",
                             doctor->read_root->hosts.path);
        } else if (found || !reads(doctor)) {
            doctor->read_root = root;
            doctor->read = found;
        }
    }
}

/* What the daemon says is its source; else where it looks by itself. */
static const struct check_root *root_of_source(struct doctor *doctor)
{
    const struct node *node = &doctor->check.node;
    const char *source = json_text(doctor->status.root, "source");
    size_t length = strlen(node->root);
    const struct check_root *root;
    struct pullkey_error ignored;

    if (!source || strncmp(source, node->root, length) != 0)
        return find_root(doctor, check_source(&doctor->check));
    root = find_root(doctor, source + length);
    if (!root && node_hosts_read(node, source + length, doctor->check.settings,
                                 &doctor->other.hosts, &ignored) == 0)
        root = &doctor->other;
    return root;
}

/* Where the daemon has it from. */
static void find_source(struct doctor *doctor, const struct names *names)
{
    doctor->source_root = doctor->read_root;
    doctor->source = doctor->read;
    if (doctor->read_root && !doctor->read_root->is_target)
        return;
    doctor->source_root = root_of_source(doctor);
    doctor->source = doctor->source_root && doctor->read
                         ? check_find_directory(doctor->source_root, doctor->read->name)
                         : NULL;
    if (!doctor->source && doctor->source_root)
        doctor->source = find_directory(doctor->source_root, names, names->count);
}

/* "*.example.com", "registry.example.com:443", "registry_5000", "index.docker.io": what somebody
 * may have written for this registry, and containerd does not look for. */
static bool is_meant(const struct doctor *doctor, const char *name)
{
    const struct registry_reference *own = &doctor->reference;
    struct registry_reference other;
    struct pullkey_error ignored;
    char plain[DOCTOR_NAME_MAX], port[16] = "";
    size_t length = strlen(own->host);

    if (strpbrk(name, "*?[") && name[0] != '[')
        return fnmatch(name, doctor->registry, FNM_NOESCAPE) == 0;
    hosts_directory_registry(name, plain);
    if (registry_parse(plain, strlen(plain), &other, &ignored) == 0 &&
        strcmp(other.host, own->host) == 0 && (other.port == own->port || other.port == 0))
        return true;
    (void)snprintf(port, sizeof(port), "_%u", own->port != 0 ? (unsigned int)own->port : 443);
    return strncmp(name, own->host, length) == 0 && strcmp(name + length, port) == 0;
}

static bool is_looked_for(const struct names *names, const char *name)
{
    for (size_t i = 0; i < names->count; i++)
        if (strcmp(names->items[i], name) == 0)
            return true;
    return false;
}

/* Why it is none, or only _default. */
static void check_missing(struct doctor *doctor, const struct names *names)
{
    const struct check_root *root = doctor->source_root;
    const char *registry = doctor->registry;

    for (size_t i = 0; root && i < root->hosts.count; i++) {
        const struct node_host_directory *directory = &root->hosts.directories[i];

        if (!is_looked_for(names, directory->name) && is_meant(doctor, directory->name))
            findings_add(&doctor->check.findings, OUTPUT_ERROR, "directory-unread", directory->path,
                         0, "rename its directory to the registry as an image names it",
                         "containerd never looks there for %s, but in %s%s%s and _default, and a "
                         "name is no pattern",
                         registry, names->items[0], names->count > 2 ? ", " : "",
                         names->count > 2 ? names->items[1] : "");
    }
    for (size_t i = 0; i < doctor->check.root_count; i++) {
        const struct check_root *other = &doctor->check.roots[i];
        const struct node_host_directory *own = find_directory(other, names, names->count - 1);

        if (other != root && other != doctor->read_root && !other->is_target && own &&
            own->has_file)
            findings_add(&doctor->check.findings, OUTPUT_ERROR, "directory-elsewhere", own->path, 0,
                         "move it to the directory that containerd reads",
                         "this is for %s, and containerd reads %s", registry,
                         root ? root->hosts.path : "no such directory");
    }
}

static void find_directories(struct doctor *doctor)
{
    struct pullkey_error ignored;
    struct names names;

    names.count = hosts_registry_names(doctor->registry, names.items);
    find_read(doctor, &names);
    if (doctor->read_root && doctor->read_root->is_target)
        (void)hosts_read_status(doctor->read_root->hosts.path, &doctor->status,
                                &doctor->status_text, &ignored);
    find_source(doctor, &names);
    if (doctor->read)
        doctor_step(doctor, DOCTOR_OK, "directory", "%s of %s is for %s%s", doctor->read->name,
                    doctor->read_root->hosts.path, doctor->registry,
                    strcmp(doctor->read->name, "_default") == 0
                        ? ", which has no directory of its own"
                        : "");
    else if (doctor->read_root)
        doctor_step(doctor, DOCTOR_OK, "directory",
                    "%s has none for %s: neither %s%s%s nor _default",
                    doctor->read_root->hosts.path, doctor->registry, names.items[0],
                    names.count > 2 ? ", " : "", names.count > 2 ? names.items[1] : "");
    if (!doctor->source || strcmp(doctor->source->name, "_default") == 0)
        check_missing(doctor, &names);
}

static void find_files(struct doctor *doctor)
{
    const struct node_host_directory *source = doctor->source;

    if (doctor->read && doctor->read->has_file)
        doctor_step(doctor, DOCTOR_OK, "file", "containerd reads %s%s%s", doctor->read->path,
                    source && source != doctor->read ? ", made from " : "",
                    source && source != doctor->read ? source->path : "");
    else if (doctor->read)
        doctor_step(doctor, DOCTOR_OK, "file", "there is no hosts.toml%s",
                    doctor->read->has_certificates ? "; containerd uses the certificates beside it"
                                                   : "");
    if (!source)
        return;
    check_shadows(&doctor->check, doctor->source_root, source);
    check_host_files(&doctor->check, doctor->source_root, source);
}

/* -- Report ----------------------------------------------------------------------------------- */

/* One step of one part after the other: those of the list, then the findings that belong there. */
typedef void visit_step(void *context, const char *part, enum doctor_state state,
                        const struct finding *item);

static void visit(const struct doctor *doctor, visit_step *each, void *context)
{
    const struct findings *findings = &doctor->check.findings;

    for (size_t i = 0; i < DOCTOR_PARTS; i++) {
        for (size_t j = 0; j < doctor->steps.count; j++)
            if (strcmp(doctor->steps.items[j].id, doctor_parts[i]) == 0)
                each(context, doctor_parts[i], (enum doctor_state)doctor->steps.items[j].level,
                     &doctor->steps.items[j]);
        for (size_t j = 0; j < findings->count; j++) {
            const struct finding *finding = &findings->items[j];
            const char *part = doctor_step_of(finding->id, reads(doctor));

            if (part && strcmp(part, doctor_parts[i]) == 0)
                each(context, part, finding->level == OUTPUT_NOTE ? DOCTOR_NOTE : DOCTOR_PROBLEM,
                     finding);
        }
    }
}

static const char *const state_names[] = {
    [DOCTOR_PROBLEM] = "problem", [DOCTOR_OK] = "ok", [DOCTOR_NOTE] = "note"
};

static void print_step(void *context, const char *part, enum doctor_state state,
                       const struct finding *item)
{
    char line[32] = "";

    (void)context;
    if (item->line > 0)
        (void)snprintf(line, sizeof(line), ":%zu", item->line);
    output_line("%-8s %-12s %s%s%s%s", state_names[state], part, item->file ? item->file : "", line,
                item->file ? ": " : "", item->text);
}

static void write_step(void *context, const char *part, enum doctor_state state,
                       const struct finding *item)
{
    struct buffer *json = context;

    buffer_printf(json, "%s{\"step\":\"%s\",\"state\":\"%s\",\"line\":%zu",
                  json->data[json->length - 1] == '[' ? "" : ",\n ", part, state_names[state],
                  item->line);
    json_write_member(json, "cause", item->fix ? item->id : NULL);
    json_write_member(json, "file", item->file);
    json_write_member(json, "text", item->text);
    json_write_member(json, "fix", item->fix);
    buffer_append_text(json, "}");
}

static int report(const struct doctor *doctor, bool wants_json, struct pullkey_error *error)
{
    cleanup_buffer struct buffer json = BUFFER_INIT(JSON_TEXT_MAX);
    struct doctor_verdict verdict;
    int r = 0;

    doctor_judge(&doctor->check.findings, doctor->hosts, doctor->host_count, reads(doctor),
                 &verdict);
    if (wants_json) {
        buffer_append_text(&json, "{\"caller\":\"hosts\",\n\"steps\":[");
        visit(doctor, write_step, &json);
        buffer_append_text(&json, "],\n\"hosts\":");
        doctor_write_hosts(doctor, &json);
        buffer_printf(&json, ",\n\"works\":%s", verdict.is_problem ? "false" : "true");
        json_write_member(&json, "cause", verdict.cause);
        json_write_member(&json, "verdict", verdict.sentence);
        buffer_append_text(&json, "}\n");
        r = output_buffer(&json, error);
    } else {
        visit(doctor, print_step, NULL);
        output_line("%s%s", verdict.is_problem ? "problem: " : "", verdict.sentence);
    }
    return r < 0 ? r : verdict.is_problem ? HOSTS_PROBLEM : 0;
}

static int examine(struct doctor *doctor, bool wants_ask, struct pullkey_error *error)
{
    struct check *check = &doctor->check;
    int r;

    doctor->config = &check->node.configs[0];
    r = check_paths_read(doctor->config, &doctor->paths, error);
    if (r < 0)
        return r;
    for (size_t i = 0; file_caller() != 0 && i < doctor->paths.count; i++)
        if (!find_root(doctor, doctor->paths.items[i]))
            return error_set(error, PULLKEY_DENIED, "%s is for root to read: run this as root",
                             doctor->paths.items[i]);
    doctor_step(doctor, DOCTOR_OK, "image", "the registry is %s", doctor->registry);
    find_directories(doctor);
    find_files(doctor);
    find_containerd(doctor);
    check_config(check, doctor->config);
    check_config_path(check, doctor->config, &doctor->paths);
    doctor_daemon(doctor);
    r = doctor_hosts(doctor, error);
    if (r < 0)
        return r;
    doctor_environment(doctor);
    if (wants_ask)
        r = doctor_ask(doctor, error);
    if (r == 0 && doctor->steps.has_failed)
        r = error_memory(error);
    return r < 0 ? r : findings_sort(&check->findings, error);
}

int hosts_doctor(const struct hosts_call *call, struct pullkey_error *error)
{
    cleanup_config struct config config = { 0 };
    cleanup_settings struct settings settings = { 0 };
    cleanup_doctor struct doctor doctor = {
        .check = CHECK_INIT,
        .status_text = BUFFER_INIT(JSON_LARGE_MAX),
    };
    int r = doctor_registry(call->argument, doctor.registry, error);

    if (r == 0)
        r = registry_parse(doctor.registry, strlen(doctor.registry), &doctor.reference, error);
    if (r < 0)
        return hosts_usage(error, "IMAGE: %s", error->message);
    r = check_open(call, &config, &settings, &doctor.check, error);
    if (r == 0)
        r = examine(&doctor, call->values[HOSTS_ASK] != NULL, error);
    return r < 0 ? r : report(&doctor, call->values[HOSTS_JSON] != NULL, error);
}
