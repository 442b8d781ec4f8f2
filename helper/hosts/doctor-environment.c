/* SPDX-License-Identifier: Apache-2.0 */
/* What the daemon, containerd and the shell have in their environment. Who asks for a credential is
 * the daemon, and who pulls is containerd: what a shell has helps neither. */
#include "doctor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/no-proxy.h"
#include "ask.h"
#include "running.h"

#define SERVICE "pullkey-hosts.service"
#define HUB_HOST "registry-1.docker.io"
#define FIX_UNIT                                                                                   \
    "set it by Environment=, EnvironmentFile= or LoadCredential= in a drop-in of " SERVICE         \
    ", and restart that"
#define FIX_PROXY                                                                                  \
    "set it by Environment= in a drop-in of " SERVICE ", with NO_PROXY, and restart that"

/* A process, or the shell that this was started from. */
struct place {
    const char *name;
    char process[NAME_MAX + 1]; /* "": there is none */
    bool is_own;
    struct buffer text; /* its environment: NAME=VALUE and a NUL for each; empty: not known */
};

enum { DAEMON, CONTAINERD, SHELL, PLACE_MAX };

static bool is_known(const struct place *place)
{
    return place->is_own || place->text.length > 0;
}

static const char *value_of(const struct place *place, const char *name)
{
    const char *text = place->text.data, *end = text ? text + place->text.length : NULL;
    size_t length = strlen(name);

    if (place->is_own)
        return secure_getenv(name);
    for (; text && text < end; text += strlen(text) + 1)
        if (strncmp(text, name, length) == 0 && text[length] == '=')
            return text + length + 1;
    return NULL;
}

static void find_places(struct doctor *doctor, struct place places[PLACE_MAX])
{
    const cJSON *pid = json_member(doctor->status.root, "pid");
    DIR *processes = opendir("/proc");

    if (doctor->is_running && cJSON_IsNumber(pid))
        (void)snprintf(places[DAEMON].process, sizeof(places[0].process), "%d", pid->valueint);
    if (doctor->check.node.root[0] != '\0' ||
        !running_next(processes, doctor->config->inner, places[CONTAINERD].process))
        places[CONTAINERD].process[0] = '\0';
    if (processes)
        (void)closedir(processes);
    for (size_t i = 0; i < PLACE_MAX; i++) {
        struct place *place = &places[i];

        if (place->process[0] == '\0' || running_read(place->process, "environ", &place->text))
            continue;
        doctor_step(doctor, DOCTOR_NOTE, "environment",
                    "the environment of %s (process %s) is for root to read", place->name,
                    place->process);
    }
}

/* What a unit sets, and a shell does not have, or the other way round. */
static void look_at_configuration(struct doctor *doctor, const struct place places[PLACE_MAX])
{
    const char *own = value_of(&places[SHELL], "PULLKEY_CONFIG");
    const char *other = value_of(&places[DAEMON], "PULLKEY_CONFIG");

    if (is_known(&places[DAEMON]) && strcmp(own ? own : "", other ? other : "") != 0)
        doctor_step(doctor, DOCTOR_NOTE, "environment",
                    "the daemon has %s as its configuration, and this shell %s: what is said of "
                    "backends is that of the shell",
                    other ? other : "the system's files", own ? own : "the system's files");
}

/* -- Credentials ------------------------------------------------------------------------------ */

/* A file of systemd.exec(5), or the variable itself. */
static bool has(const struct place *place, const char *name, bool is_file)
{
    const char *directory = is_file ? value_of(place, "CREDENTIALS_DIRECTORY") : NULL;
    char path[FILE_PATH_MAX], root[32 + NAME_MAX] = "";

    if (!is_file)
        return value_of(place, name) && value_of(place, name)[0] != '\0';
    if (place->process[0] != '\0')
        (void)snprintf(root, sizeof(root), "/proc/%s/root", place->process);
    return directory &&
           snprintf(path, sizeof(path), "%s%s/%s", root, directory, name) < (int)sizeof(path) &&
           access(path, F_OK) == 0;
}

static bool is_in_unit(const struct doctor *doctor, const char *name, bool is_file)
{
    static const char *const keys[2][3] = {
        { "Environment", "PassEnvironment", NULL },
        { "LoadCredential", "LoadCredentialEncrypted", "SetCredential" },
    };

    for (size_t i = 0; i < 3 && keys[is_file][i]; i++)
        if (check_unit_says(&doctor->check, SERVICE, keys[is_file][i], name))
            return true;
    return false;
}

/* The host whose helper needs it. */
static void look_for(struct doctor *doctor, const struct place places[PLACE_MAX],
                     const struct hosts_host *host, const char *name, bool is_file)
{
    const char *kind = is_file ? "the credential file" : "the variable";
    const char *elsewhere = "nowhere that can be seen";
    const struct doctor_host *read = doctor_find_host(doctor, host->name);

    if (!is_known(&places[DAEMON]))
        return;
    if (has(&places[DAEMON], name, is_file)) {
        doctor_step(doctor, DOCTOR_OK, "environment", "the daemon has %s %s", kind, name);
        if (!has(&places[SHELL], name, is_file))
            findings_add(&doctor->check.findings, OUTPUT_NOTE, "credential-in-unit", NULL, 0,
                         "ask as the daemon does, with --ask",
                         "%s %s is in the environment of the daemon only, and a shell finds no "
                         "credential",
                         kind, name);
        return;
    }
    /* Another backend of the chain has it, or is what failed. */
    if (read &&
        (read->has_header || (read->last_answer && strcmp(read->last_answer, "not found") != 0 &&
                              strcmp(read->last_answer, "no identity") != 0)))
        return;
    if (is_in_unit(doctor, name, is_file))
        elsewhere = "in its unit, which was changed after it was started";
    else if (has(&places[SHELL], name, is_file))
        elsewhere = "in this shell, which the daemon was not started from";
    else if (has(&places[CONTAINERD], name, is_file))
        elsewhere = "in the unit of containerd, which asks no helper";
    else if (!is_file && check_unit_says(&doctor->check, SERVICE, "EnvironmentFile", "/"))
        elsewhere = "in the EnvironmentFile= of its unit at most, which is read when it is started";
    doctor_find(doctor, OUTPUT_ERROR, "environment-not-in-daemon", host, FIX_UNIT,
                "the daemon does not have %s %s, which its configuration names; it is %s", kind,
                name, elsewhere);
}

/* What the backends of pullkey that serve the host take from the environment. */
static void look_for_credentials(struct doctor *doctor, const struct place places[PLACE_MAX],
                                 const struct hosts_host *host)
{
    const struct ask_chain chain = ask_chain(doctor->check.config, host->reference);

    for (size_t i = 0; i < chain.count; i++) {
        const struct config_instance *one = &chain.items[i];

        if (strcmp(one->type, "file") == 0 && json_text(one->options, "credential")) {
            look_for(doctor, places, host, json_text(one->options, "credential"), true);
        } else if (strcmp(one->type, "env") == 0 && json_text(one->options, "password")) {
            look_for(doctor, places, host, json_text(one->options, "password"), false);
            if (json_text(one->options, "username"))
                look_for(doctor, places, host, json_text(one->options, "username"), false);
        } else if (strcmp(one->type, "env") == 0) {
            look_for(doctor, places, host, "DOCKER_AUTH_CONFIG", false);
        }
    }
}

/* -- Proxies ---------------------------------------------------------------------------------- */

static const char *first_of(const struct place *place, const char *upper, const char *lower)
{
    const char *value = value_of(place, upper);

    return value ? value : value_of(place, lower);
}

/* The proxy for a host as Go reads the environment (golang.org/x/net/http/httpproxy), or NULL. */
static const char *proxy_of(const struct place *place, const struct registry_reference *reference,
                            const char **ret_except)
{
    unsigned int port = reference->port != 0 ? reference->port : reference->http ? 80 : 443;
    const char *proxy = reference->http ? first_of(place, "HTTP_PROXY", "http_proxy")
                                        : first_of(place, "HTTPS_PROXY", "https_proxy");
    const char *except = first_of(place, "NO_PROXY", "no_proxy");

    *ret_except = "";
    if (!proxy || proxy[0] == '\0' ||
        no_proxy_covers("localhost 127.0.0.0/8 [::1]", reference->host, (uint16_t)port))
        return NULL;
    if (!except || !no_proxy_covers(except, reference->host, (uint16_t)port))
        return proxy;
    *ret_except = ", which NO_PROXY covers";
    return NULL;
}

/* Where its host begins: without a scheme, and a user name and password. */
static const char *proxy_name(const char *proxy)
{
    const char *at = strrchr(proxy, '@'), *name = at ? at + 1 : proxy;
    const char *scheme = strstr(name, "://");

    return scheme ? scheme + strlen("://") : name;
}

/* Another helper gets no environment of the daemon's, and a failure of the network alone may be the
 * proxy's. */
static bool may_be_proxy(const struct doctor_host *host)
{
    return host->host && host->host->helper && strcmp(host->host->helper, ASK_PULLKEY) == 0 &&
           !host->has_header && host->last_answer && strcmp(host->last_answer, "unreachable") == 0;
}

static void look_at_proxies(struct doctor *doctor, const struct place places[PLACE_MAX])
{
    struct registry_reference reference = doctor->reference;
    const char *proxies[PLACE_MAX] = { NULL }, *except, *name;
    const struct doctor_host *failed = NULL;
    size_t other = PLACE_MAX;

    if (doctor->hosts[0].host && doctor->hosts[0].host->reference)
        reference = *doctor->hosts[0].host->reference;
    /* All names of Docker Hub are one to us; this is the one that is connected to. */
    if (strcmp(reference.host, "docker.io") == 0)
        memcpy(reference.host, HUB_HOST, sizeof(HUB_HOST));
    for (size_t i = 0; i < PLACE_MAX; i++) {
        if (!is_known(&places[i]))
            continue;
        proxies[i] = proxy_of(&places[i], &reference, &except);
        name = proxies[i] ? proxy_name(proxies[i]) : "";
        doctor_step(doctor, DOCTOR_OK, "proxy", "%s %s asks %s %s%.*s%s", places[i].name,
                    places[i].process, reference.host, proxies[i] ? "through " : "without a proxy",
                    (int)no_proxy_shown(name), name, except);
        if (proxies[i] && i != DAEMON && other == PLACE_MAX)
            other = i;
    }
    for (size_t i = 0; !failed && i < doctor->host_count; i++)
        if (may_be_proxy(&doctor->hosts[i]))
            failed = &doctor->hosts[i];
    if (failed && is_known(&places[DAEMON]) && !proxies[DAEMON] && other < PLACE_MAX)
        findings_add(&doctor->check.findings, OUTPUT_ERROR, "proxy-not-in-daemon", NULL, 0,
                     FIX_PROXY,
                     "%s has a proxy, and the daemon, which asks for the credential of %s, has "
                     "none: %s",
                     places[other].name, failed->url, failed->message);
    if (is_known(&places[CONTAINERD]) && !proxies[CONTAINERD] &&
        (proxies[DAEMON] || proxies[SHELL]))
        findings_add(&doctor->check.findings, OUTPUT_NOTE, "proxy-not-in-containerd", NULL, 0,
                     "if the registry is behind the proxy, set it in a drop-in of containerd's "
                     "unit, and restart that",
                     "%s has a proxy for %s, and containerd has none",
                     places[proxies[DAEMON] ? DAEMON : SHELL].name, reference.host);
}

void doctor_environment(struct doctor *doctor)
{
    struct place places[PLACE_MAX] = {
        [DAEMON] = { .name = "the daemon", .text = BUFFER_INIT(RUNNING_TEXT_MAX) },
        [CONTAINERD] = { .name = "containerd", .text = BUFFER_INIT(RUNNING_TEXT_MAX) },
        [SHELL] = { .name = "this shell", .is_own = true },
    };

    find_places(doctor, places);
    look_at_configuration(doctor, places);
    for (size_t i = 0; doctor->source && i < doctor->source->file.host_count; i++) {
        const struct hosts_host *host = &doctor->source->file.hosts[i];

        if (doctor->check.config && hosts_host_is_managed(host) &&
            strcmp(host->helper, ASK_PULLKEY) == 0)
            look_for_credentials(doctor, places, host);
    }
    look_at_proxies(doctor, places);
    doctor->environment = places[DAEMON].text;
    buffer_done(&places[CONTAINERD].text);
}
