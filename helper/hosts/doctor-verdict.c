/* SPDX-License-Identifier: Apache-2.0 */
#include "doctor.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "lifetime.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* In the order in which they keep a pull from its credential: a later one cannot be the cause where
 * an earlier one is there. */
static const struct {
    const char *id, *step;
    bool only_unread; /* matters only where containerd reads no directory */
} causes[] = {
    { "import-missing", "containerd", false },
    { "config-refused", "containerd", false },
    { "config-version", "containerd", false },
    { "import-version", "containerd", false },
    { "config-path-and-mirrors", "containerd", false },
    { "config-path-and-tls", "containerd", false },
    { "config-path-list", "containerd", false },
    { "config-path-default-list", "containerd", false },
    { "table-not-read", "containerd", true },
    { "table-replaced", "containerd", true },
    { "config-path-unset", "containerd", false },
    { "target-missing", "daemon", false },
    { "target-is-source", "daemon", false },
    { "target-other", "daemon", false },
    { "config-path-unreadable", "containerd", false },
    { "directory-unreadable", "containerd", false },
    { "config-path-missing", "containerd", true },
    { "config-path-not-target", "containerd", false },
    { "directory-is-file", "directory", false },
    { "default-hides-directory", "directory", false },
    { "directory-unread", "directory", false },
    { "directory-elsewhere", "directory", false },
    { "directory-shadowed", "directory", false },
    { "default-shadowed", "directory", false },
    { "hosts-file-unreadable", "file", false },
    { "hosts-file-refused", "file", false },
    { "host-no-table", "file", false },
    { "referrers-before-2.2", "file", false },
    { "server-only", "file", false },
    { "inline-host", "file", false },
    { "url-scheme", "file", false },
    { "certificate-missing", "file", false },
    { "helper-misplaced", "file", false },
    { "helper-problem", "file", false },
    { "bearer-before-2.1", "file", false },
    { "header-not-expanded", "file", false },
    { "header-line-break", "file", false },
    { "header-malformed", "file", false },
    { "header-identity-token", "file", false },
    { "configuration", "daemon", false },
    { "source-problem", "daemon", false },
    { "daemon-without-header", "daemon", false },
    { "not-rendered", "daemon", false },
    { "environment-not-in-daemon", "environment", false },
    { "ask-failed", "ask", false },
    { "proxy-not-in-daemon", "proxy", false },
    { "helper-waits", "host", false },
    { "credential-missing", "host", false },
    { "credential-expired", "host", false },
    { "helper-failed", "host", false },
    { "plaintext-ignored", "file", false },
    { "plaintext-header", "file", false },
    { "plaintext-config", "containerd", false },
    { "renewal-failed", "host", false },
    { "daemon-not-running", "daemon", false },
    { "restart-due", "containerd", false },
    { "mirror-without-credential", "host", false },
    { "proxy-not-in-containerd", "proxy", false },
    { "credential-in-unit", "environment", false },
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

    return rank < COUNT(causes) ? causes[rank].step : NULL;
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
        (void)snprintf(fine, sizeof(fine),
                       "containerd asks %s without a credential, and no file names one for it",
                       hosts[0].url);
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
