/* SPDX-License-Identifier: Apache-2.0 */
#include "doctor.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/secret.h"

#define HUB_HOST "registry-1.docker.io"
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define FIX_RENDER                                                                                 \
    "see what \"pullkey hosts status\" says, and whether this is in the daemon's source"
#define FIX_START "start pullkey-hosts.service"
#define FIX_HELPER                                                                                 \
    "mend that; the daemon asks again by itself, and at once after \"systemctl reload "            \
    "pullkey-hosts\""

static const char *const capabilities[] = { "pull", "resolve", "push" };

static bool has_capability(const struct doctor_host *host, const char *name)
{
    return !host->host || !hosts_member(host->host->table, "capabilities") ||
           hosts_has_capability(host->host, name);
}

/* It has the key, and not as false. */
static bool has_key(const struct hosts_host *host, const char *key)
{
    const struct toml_item *item = host ? hosts_member(host->table, key) : NULL;

    return item && (item->kind != TOML_BOOLEAN || item->boolean);
}

/* -- What the daemon says -----------------------------------------------------------------------
 */

static const cJSON *find_named(const cJSON *list, const char *key, const char *name)
{
    for (const cJSON *item = list ? list->child : NULL; item; item = item->next)
        if (json_text(item, key) && strcmp(json_text(item, key), name) == 0)
            return item;
    return NULL;
}

static const cJSON *entry_of(const struct doctor *doctor)
{
    return doctor->status.root && doctor->source
               ? find_named(json_member(doctor->status.root, "entries"), "registry",
                            doctor->source->name)
               : NULL;
}

/* NULL: it does not know the host. */
static const cJSON *answer_for(const struct doctor *doctor, const struct hosts_host *host)
{
    const cJSON *entry = entry_of(doctor);

    return entry && host->name ? find_named(json_member(entry, "hosts"), "host", host->name) : NULL;
}

/* -- Hosts ------------------------------------------------------------------------------------ */

/* What the registry is called where it is connected to. */
static const char *network_name(const struct doctor *doctor)
{
    return strcmp(doctor->registry, "docker.io") == 0 ? HUB_HOST : doctor->registry;
}

static void add_host(struct doctor *doctor, const struct hosts_host *host)
{
    struct doctor_host *ret = &doctor->hosts[doctor->host_count++];
    const cJSON *answer = host ? answer_for(doctor, host) : NULL;

    ret->host = host;
    ret->is_mirror = host && !host->is_server;
    if (host && host->name)
        ret->url = check_host_name(host->name);
    else
        ret->url = network_name(doctor);
    ret->has_header = host && host->authorization;
    if (!answer)
        return;
    ret->last_success = (int64_t)json_number(answer, "last_success");
    ret->expires = (int64_t)json_number(answer, "expires");
    ret->last_answer = json_text(answer, "class");
    ret->message = json_text(answer, "message");
}

/* A credential of registry.configs, which every release still takes. */
static bool has_config(struct doctor *doctor, const char *host)
{
    const struct node_config *config = doctor->config;

    for (size_t i = 0; i < config->auth_count; i++) {
        const struct node_auth *auth = &config->auths[i];

        if (auth->is_url || !auth->in->is_read || strcmp(auth->table->key, host) != 0 ||
            !(auth->password || auth->encoded || auth->identity_token))
            continue;
        findings_add(&doctor->check.findings, OUTPUT_ERROR, "credential-in-config",
                     auth->in->file->path, auth->table->line, "run \"pullkey hosts migrate\"",
                     "containerd has the credential of %s from here, in plain text", host);
        return true;
    }
    return false;
}

/* Where no config_path is set, registry.mirrors says it: that of the registry, or of "*". */
static int add_mirrors(struct doctor *doctor, struct pullkey_error *error)
{
    const struct node_config *config = doctor->config;
    const struct node_mirror *found = NULL;
    struct pullkey_error ignored;

    if (doctor->paths.text)
        return 0;
    for (size_t i = 0; i < config->mirror_count; i++)
        if (strcmp(config->mirrors[i].table->key, doctor->registry) == 0 ||
            (!found && strcmp(config->mirrors[i].table->key, "*") == 0))
            found = &config->mirrors[i];
    if (!found)
        return 0;
    doctor->mirrors = secret_alloc(sizeof(*doctor->mirrors));
    if (!doctor->mirrors)
        return error_memory(error);
    if (mirrors_find(doctor->registry, found->endpoint, doctor->mirrors, &ignored) < 0)
        return 0;
    for (size_t i = 0; i < doctor->mirrors->count; i++)
        doctor->hosts[doctor->host_count++] = (struct doctor_host){
            .url = doctor->mirrors->items[i].url,
            .is_mirror = i + 1 < doctor->mirrors->count,
            .has_header = has_config(doctor, doctor->mirrors->items[i].host),
        };
    return 0;
}

static void describe(struct doctor *doctor, const struct doctor_host *host)
{
    const struct hosts_host *file = host->host;
    char until[DOCTOR_TIME_SIZE], words[256];
    size_t length = 0;

    words[0] = '\0';
    for (size_t i = 0; i < COUNT(capabilities); i++)
        if (has_capability(host, capabilities[i]))
            length += (size_t)snprintf(words + length, sizeof(words) - length, "%s%s",
                                       length > 0 ? ", " : "", capabilities[i]);
    doctor_until(host->expires, until);
    doctor_step(
        doctor, DOCTOR_OK, "host", "%zu. %s (%s; %s%s%s%s%s%s%s): %s%s",
        (size_t)(host - doctor->hosts) + 1, host->url, host->is_mirror ? "mirror" : "server", words,
        has_key(file, "ca") ? "; ca" : "", has_key(file, "client") ? "; client" : "",
        file && file->skip_verify ? "; skip_verify" : "",
        has_key(file, "override_path") ? "; override_path" : "",
        file && file->helper ? "; credHelper " : "", file && file->helper ? file->helper : "",
        host->has_header ? "a credential, good " : "no credential", host->has_header ? until : "");
}

const struct doctor_host *doctor_find_host(const struct doctor *doctor, const char *name)
{
    for (size_t i = 0; i < doctor->host_count; i++)
        if (doctor->hosts[i].host && doctor->hosts[i].host->name &&
            strcmp(doctor->hosts[i].host->name, name) == 0)
            return &doctor->hosts[i];
    return NULL;
}

/* -- What is wrong ---------------------------------------------------------------------------- */

/* The daemon knows the host, and has no header for it. */
static void judge_answer(struct doctor *doctor, const struct hosts_host *host, const cJSON *answer)
{
    const char *message = json_text(answer, "message"), *class_name = json_text(answer, "class");
    const char *url = check_host_name(host->name);
    bool is_missing = class_name && strcmp(class_name, "not found") == 0;
    double failures = json_number(answer, "failures");

    if (!message)
        doctor_find(doctor, OUTPUT_ERROR, "helper-waits", host,
                    "wait for it, or see what it waits for", "\"%s\" has not answered yet for %s",
                    host->helper, url);
    else if (is_missing)
        doctor_find(doctor, OUTPUT_ERROR, "credential-missing", host,
                    "log in as said, or name the helper that has it",
                    "\"%s\" has no credential for %s: %s", host->helper, url, message);
    else if (json_number(answer, "last_success") > 0 || strstr(message, "that has expired"))
        doctor_find(doctor, OUTPUT_ERROR, "credential-expired", host, FIX_HELPER,
                    "the credential of %s has expired, and \"%s\" has no new one: %s", url,
                    host->helper, message);
    else
        doctor_find(doctor, OUTPUT_ERROR, "helper-failed", host, FIX_HELPER,
                    "\"%s\" failed for %s (%s, %.0f times in a row): %s", host->helper, url,
                    class_name ? class_name : "", failures, message);
}

/* What is left of a daemon that has ended, or could not renew it. */
static void judge_header(struct doctor *doctor, const struct hosts_host *host,
                         const struct doctor_host *read)
{
    char until[DOCTOR_TIME_SIZE];

    doctor_until(read->expires, until);
    if (!doctor->is_running && read->expires > 0 && read->expires <= clock_wall_seconds())
        doctor_find(doctor, OUTPUT_ERROR, "credential-expired", host, FIX_START,
                    "the credential of %s was good %s, and the daemon, which renews it, does not "
                    "run",
                    read->url, until);
    else if (doctor->is_running && read->message)
        doctor_find(doctor, OUTPUT_WARNING, "renewal-failed", host, FIX_HELPER,
                    "the credential of %s is good %s, and \"%s\" has no new one: %s", read->url,
                    until, host->helper, read->message);
}

static void judge_host(struct doctor *doctor, const struct hosts_host *host)
{
    const struct doctor_host *read = doctor_find_host(doctor, host->name);
    const cJSON *answer = answer_for(doctor, host);
    const char *url = check_host_name(host->name);

    if (!doctor->read_root->hosts.exists && doctor->check.node.root[0] == '\0')
        return;
    if (read && read->has_header) {
        judge_header(doctor, host, read);
    } else if (!doctor->read_root->hosts.exists) {
        doctor_find(doctor, OUTPUT_NOTE, "node-not-running", host, "run this on the node itself",
                    "this node does not run: when it does, the daemon asks \"%s\" for %s",
                    host->helper, url);
    } else if (!doctor->is_running) {
        doctor_find(doctor, OUTPUT_ERROR, "daemon-without-header", host, FIX_START,
                    "%s has no credential in what containerd reads, and the daemon does not run",
                    url);
    } else if (!answer && !host->helper) {
        doctor_find(doctor, OUTPUT_ERROR, "not-rendered", host, FIX_RENDER,
                    "the header of %s is in the source only, and not in what containerd reads",
                    url);
    } else if (!answer) {
        doctor_find(doctor, OUTPUT_ERROR, "not-rendered", host, FIX_RENDER,
                    "the daemon knows nothing of a credHelper for %s", url);
    } else {
        judge_answer(doctor, host, answer);
    }
}

/* What containerd asks first has no credential, and something else has. */
static void judge_order(struct doctor *doctor)
{
    const struct doctor_host *first = doctor->hosts, *with = NULL;

    while (first < doctor->hosts + doctor->host_count &&
           (!has_capability(first, "pull") || !has_capability(first, "resolve")))
        first++;
    for (size_t i = 0; !with && i < doctor->host_count; i++)
        if (doctor->hosts[i].has_header)
            with = &doctor->hosts[i];
    if (with && first < with && !(first->host && first->host->helper))
        findings_add(&doctor->check.findings, OUTPUT_NOTE, "mirror-without-credential",
                     first->host ? (doctor->read ? doctor->read : doctor->source)->path
                                 : doctor->config->path,
                     first->host ? first->host->table->line : 0,
                     "name a credHelper for it if it wants a credential",
                     "containerd asks %s first, and has no credential for it", first->url);
}

/* Of a node that does not run, what it will be made from. */
static const struct hosts_file *file_of(const struct doctor *doctor)
{
    if (doctor->read || !doctor->source || doctor->check.node.root[0] == '\0' ||
        !doctor->read_root || doctor->read_root->hosts.exists)
        return doctor->read ? &doctor->read->file : NULL;
    return &doctor->source->file;
}

int doctor_hosts(struct doctor *doctor, struct pullkey_error *error)
{
    const struct hosts_file *file = file_of(doctor);
    const cJSON *entry = entry_of(doctor);
    size_t count = file ? file->host_count : 0;

    doctor->hosts = secret_alloc((count + MIRRORS_ENDPOINTS_MAX) * sizeof(*doctor->hosts));
    if (!doctor->hosts || add_mirrors(doctor, error) < 0)
        return error_memory(error);
    for (size_t i = 0; i < count; i++)
        add_host(doctor, &file->hosts[i]);
    if (doctor->host_count == 0)
        add_host(doctor, NULL);
    if (!doctor->mirrors && has_config(doctor, network_name(doctor)))
        doctor->hosts[doctor->host_count - 1].has_header = true;
    for (size_t i = 0; i < doctor->host_count; i++)
        describe(doctor, &doctor->hosts[i]);
    judge_order(doctor);
    if (doctor->is_running && json_text(entry, "problem"))
        findings_add(&doctor->check.findings, OUTPUT_ERROR, "source-problem", doctor->source->path,
                     0, "mend that; the daemon sees it by itself",
                     "the daemon does not serve it: %s", json_text(entry, "problem"));
    if (!doctor->read_root || !doctor->read_root->is_target || !doctor->source)
        return 0;
    for (size_t i = 0; i < doctor->source->file.host_count; i++)
        if (doctor->source->file.hosts[i].name &&
            (hosts_host_is_managed(&doctor->source->file.hosts[i]) ||
             doctor->source->file.hosts[i].authorization))
            judge_host(doctor, &doctor->source->file.hosts[i]);
    return 0;
}

/* -- JSON ------------------------------------------------------------------------------------- */

/* The one file of authorities; NULL: there are more, or none. */
static const char *ca_file(const struct doctor *doctor, const struct hosts_host *host,
                           char ret[FILE_PATH_MAX])
{
    const struct toml_item *item = host ? hosts_member(host->table, "ca") : NULL;
    const struct node_host_directory *in = doctor->read ? doctor->read : doctor->source;
    const char *end = in ? strrchr(in->path, '/') : NULL;

    if (!item || item->kind != TOML_STRING || !end)
        return NULL;
    /* What is relative is so to the directory of the file. */
    (void)snprintf(ret, FILE_PATH_MAX, "%.*s%s",
                   item->string[0] == '/' ? 0 : (int)(end + 1 - in->path), in->path, item->string);
    return ret;
}

/* What is rendered may have a host twice, and its helper once. */
static const char *helper_of(const struct doctor *doctor, const struct doctor_host *host)
{
    for (size_t i = 0; host->host && i < doctor->host_count; i++)
        if (doctor->hosts[i].host && doctor->hosts[i].host->helper &&
            strcmp(doctor->hosts[i].url, host->url) == 0)
            return doctor->hosts[i].host->helper;
    return NULL;
}

/* Where whoever wants another order changes it. */
static const char *file_to_edit(const struct doctor *doctor, const struct doctor_host *host)
{
    if (!host->host)
        return host->is_mirror ? doctor->config->path : NULL;
    return doctor->source ? doctor->source->path : doctor->read ? doctor->read->path : NULL;
}

static void write_host(const struct doctor *doctor, const struct doctor_host *host,
                       struct buffer *json)
{
    static const char *const keys[] = { "ca", "client", "override_path" };
    const struct hosts_host *file = host->host;
    const bool has_certificates =
        doctor->read && !doctor->read->has_file && doctor->read->has_certificates;
    char path[FILE_PATH_MAX];
    const char *comma = "";

    buffer_printf(json, "{\"role\":\"%s\"", host->is_mirror ? "mirror" : "server");
    json_write_member(json, "url", host->url);
    buffer_append_text(json, ",\"capabilities\":[");
    for (size_t i = 0; i < COUNT(capabilities); i++)
        if (has_capability(host, capabilities[i])) {
            buffer_printf(json, "%s\"%s\"", comma, capabilities[i]);
            comma = ",";
        }
    buffer_append_text(json, "]");
    for (size_t i = 0; i < COUNT(keys); i++)
        buffer_printf(json, ",\"%s\":%s", keys[i],
                      has_key(file, keys[i]) || (i == 0 && has_certificates) ? "true" : "false");
    buffer_printf(json,
                  ",\"skip_verify\":%s,\"credential\":%s,\"expires\":%lld,\"last_success\":%lld",
                  file && file->skip_verify ? "true" : "false", host->has_header ? "true" : "false",
                  (long long)host->expires, (long long)host->last_success);
    json_write_member(json, "ca_file", ca_file(doctor, file, path));
    json_write_member(json, "file", file_to_edit(doctor, host));
    json_write_member(json, "helper", helper_of(doctor, host));
    json_write_member(json, "class", host->last_answer);
    json_write_member(json, "message", host->message);
    buffer_append_text(json, "}");
}

void doctor_write_hosts(const struct doctor *doctor, struct buffer *json)
{
    buffer_append_text(json, "[");
    for (size_t i = 0; i < doctor->host_count; i++) {
        buffer_append_text(json, i > 0 ? ",\n " : "");
        write_host(doctor, &doctor->hosts[i], json);
    }
    buffer_append_text(json, "]");
}
