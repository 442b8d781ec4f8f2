/* SPDX-License-Identifier: Apache-2.0 */
#include "doctor.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "lifetime.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum {
    IN_CONTAINERD = 1,
    IN_DIRECTORY,
    IN_FILE,
    IN_DAEMON,
    IN_ENVIRONMENT,
    IN_HOST,
    IN_ASK,
    IN_PROXY
};

const char *const doctor_parts[DOCTOR_PARTS] = {
    "image",
    [IN_CONTAINERD] = "containerd",
    [IN_DIRECTORY] = "directory",
    [IN_FILE] = "file",
    [IN_DAEMON] = "daemon",
    [IN_ENVIRONMENT] = "environment",
    [IN_HOST] = "host",
    [IN_ASK] = "ask",
    [IN_PROXY] = "proxy",
};

/* In the order in which they keep a pull from its credential: a later one cannot be the cause where
 * an earlier one is there. */
static const struct {
    const char *id;
    unsigned char part;
    bool only_unread; /* matters only where containerd reads no directory */
} causes[] = {
    { "import-missing", IN_CONTAINERD },
    { "config-refused", IN_CONTAINERD },
    { "config-version", IN_CONTAINERD },
    { "import-version", IN_CONTAINERD },
    { "config-path-and-mirrors", IN_CONTAINERD },
    { "config-path-and-tls", IN_CONTAINERD },
    { "config-path-list", IN_CONTAINERD },
    { "config-path-default-list", IN_CONTAINERD },
    { "table-not-read", IN_CONTAINERD, true },
    { "table-replaced", IN_CONTAINERD, true },
    { "config-path-unset", IN_CONTAINERD },
    { "target-missing", IN_DAEMON },
    { "target-is-source", IN_DAEMON },
    { "target-other", IN_DAEMON },
    { "config-path-unreadable", IN_CONTAINERD },
    { "directory-unreadable", IN_CONTAINERD },
    { "config-path-missing", IN_CONTAINERD, true },
    { "config-path-not-target", IN_CONTAINERD },
    { "default-hides-directory", IN_DIRECTORY },
    { "directory-unread", IN_DIRECTORY },
    { "directory-elsewhere", IN_DIRECTORY },
    { "directory-shadowed", IN_DIRECTORY },
    { "default-shadowed", IN_DIRECTORY },
    { "hosts-file-unreadable", IN_FILE },
    { "hosts-file-refused", IN_FILE },
    { "host-no-table", IN_FILE },
    { "referrers-before-2.2", IN_FILE },
    { "server-only", IN_FILE },
    { "inline-host", IN_FILE },
    { "url-scheme", IN_FILE },
    { "certificate-missing", IN_FILE },
    { "helper-misplaced", IN_FILE },
    { "helper-problem", IN_FILE },
    { "bearer-before-2.1", IN_FILE },
    { "header-not-expanded", IN_FILE },
    { "header-line-break", IN_FILE },
    { "header-malformed", IN_FILE },
    { "header-identity-token", IN_FILE },
    { "configuration", IN_DAEMON },
    { "source-problem", IN_DAEMON },
    { "daemon-without-header", IN_DAEMON },
    { "not-rendered", IN_DAEMON },
    { "environment-not-in-daemon", IN_ENVIRONMENT },
    { "ask-failed", IN_ASK },
    { "proxy-not-in-daemon", IN_PROXY },
    { "helper-waits", IN_HOST },
    { "credential-missing", IN_HOST },
    { "credential-expired", IN_HOST },
    { "helper-failed", IN_HOST },
    { "plaintext-ignored", IN_FILE },
    { "plaintext-header", IN_FILE },
    { "credential-in-config", IN_HOST },
    { "renewal-failed", IN_HOST },
    { "daemon-not-running", IN_DAEMON },
    { "restart-due", IN_CONTAINERD },
    { "node-not-running", IN_DAEMON },
    { "mirror-without-credential", IN_HOST },
    { "proxy-not-in-containerd", IN_PROXY },
    { "credential-in-unit", IN_ENVIRONMENT },
};

static size_t rank_of(const char *id, bool is_read)
{
    size_t i = 0;

    while (i < COUNT(causes) &&
           (strcmp(causes[i].id, id) != 0 || (causes[i].only_unread && is_read)))
        i++;
    return i;
}

const char *doctor_step_of(const char *id, bool is_read)
{
    size_t rank = rank_of(id, is_read);

    return rank < COUNT(causes) ? doctor_parts[causes[rank].part] : NULL;
}

void doctor_until(int64_t expires, char ret[DOCTOR_TIME_SIZE])
{
    char time[LIFETIME_SIZE];

    lifetime_write(expires, time);
    (void)snprintf(ret, DOCTOR_TIME_SIZE, "%s%s",
                   time[0] == '-' ? "for a time that is not known" : "until ",
                   time[0] == '-' ? "" : time);
}

static const struct finding *find_cause(const struct findings *findings, bool is_read)
{
    const struct finding *found = NULL;
    size_t first = COUNT(causes);

    for (size_t i = 0; i < findings->count; i++) {
        size_t rank = rank_of(findings->items[i].id, is_read);

        if (rank < first) {
            first = rank;
            found = &findings->items[i];
        }
    }
    return found;
}

/* The first host that has one, or NULL. */
static const struct doctor_host *find_credential(const struct doctor_host *hosts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (hosts[i].has_header)
            return &hosts[i];
    return NULL;
}

void doctor_judge(const struct findings *findings, const struct doctor_host *hosts, size_t count,
                  bool is_read, struct doctor_verdict *ret)
{
    const struct finding *cause = find_cause(findings, is_read);
    const struct doctor_host *host = find_credential(hosts, count);
    char until[DOCTOR_TIME_SIZE], line[32] = "", fine[DOCTOR_SENTENCE_MAX / 2];

    *ret = (struct doctor_verdict){ .cause = host ? "credential" : "none" };
    doctor_until(host ? host->expires : 0, until);
    if (host)
        (void)snprintf(fine, sizeof(fine), "containerd has a credential for %s, good %s", host->url,
                       until);
    else
        (void)snprintf(
            fine, sizeof(fine), "containerd asks %s without a credential%s", hosts[0].url,
            cause ? ""
                  : ", and no file names one for it; if it needs one, run \"pullkey setup "
                    "containerd\", then set credHelper in its hosts.toml");
    if (!cause) {
        (void)snprintf(ret->sentence, sizeof(ret->sentence), "%s", fine);
        return;
    }
    ret->cause = cause->id;
    ret->is_problem = cause->level != OUTPUT_NOTE;
    if (cause->line > 0)
        (void)snprintf(line, sizeof(line), ":%zu", cause->line);
    (void)snprintf(ret->sentence, sizeof(ret->sentence), "%s%s%s%s%s%s; %s",
                   ret->is_problem ? "" : fine, ret->is_problem ? "" : "; but ",
                   cause->file ? cause->file : "", line, cause->file ? ": " : "", cause->text,
                   cause->fix);
}

/* -- Names ------------------------------------------------------------------------------------ */

/* As github.com/distribution/reference tells a host from the first part of a path. */
static bool is_host(const char *text, size_t length, bool has_slash)
{
    if (length == strlen("localhost") && strncmp(text, "localhost", length) == 0)
        return true;
    return memchr(text, '.', has_slash ? length : strcspn(text, ":@")) || text[0] == '[' ||
           (has_slash && memchr(text, ':', length));
}

int doctor_registry(const char *text, char ret[DOCTOR_NAME_MAX], struct pullkey_error *error)
{
    struct registry_reference reference;
    const char *scheme = strstr(text, "://");
    size_t length;
    int r;

    if (scheme)
        text = scheme + strlen("://");
    length = strcspn(text, "/");
    /* Outer blanks, which are trimmed otherwise, would stay in the name. */
    if (length == 0 || length >= DOCTOR_NAME_MAX || strpbrk(text, " \t\r\n"))
        return error_set(error, PULLKEY_INVALID, "this is no image and no registry");
    if (scheme || is_host(text, length, text[length] == '/')) {
        memcpy(mempcpy(ret, text, length), "", 1);
        r = registry_parse(ret, length, &reference, error);
        if (r < 0)
            return r;
    } else {
        r = registry_parse(text, strcspn(text, ":@"), &reference, error);
        if (r < 0)
            return r;
        memcpy(ret, "docker.io", sizeof("docker.io"));
    }
    if (strcmp(ret, "index.docker.io") == 0)
        memcpy(ret, "docker.io", sizeof("docker.io"));
    return 0;
}

/* -- Steps ------------------------------------------------------------------------------------ */

void doctor_step(struct doctor *doctor, enum doctor_state state, const char *part,
                 const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    findings_add_list(&doctor->steps, (enum output_level)state, part, NULL, 0, NULL, format,
                      arguments);
    va_end(arguments);
}

void doctor_find(struct doctor *doctor, enum output_level level, const char *id,
                 const struct hosts_host *host, const char *fix, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    findings_add_list(&doctor->check.findings, level, id, doctor->source->path,
                      (host->helper_item ? host->helper_item : host->table)->line, fix, format,
                      arguments);
    va_end(arguments);
}
