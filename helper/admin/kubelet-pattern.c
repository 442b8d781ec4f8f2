/* SPDX-License-Identifier: Apache-2.0 */
/* Patterns of images: what the kubelet sees of one, and what is wrong with it. */
#include "kubelet-text.h"

#include <stdio.h>
#include <string.h>

#include "base/go-url.h"

#define HUB "docker.io"

/* -- Parts ------------------------------------------------------------------------------------ */

static void copy(char ret[KUBELET_PATTERN_SIZE], const char *text, size_t length)
{
    memcpy(ret, text, length);
    ret[length] = '\0';
}

/* As net.SplitHostPort: brackets go where there is a port, and stay where there is none. */
static void split_host(const char *text, size_t length, struct kubelet_pattern *ret)
{
    const char *colon = memrchr(text, ':', length);
    size_t host = colon ? (size_t)(colon - text) : length;

    if (length > 0 && text[0] == '[') {
        bool has_port = colon && colon > text && colon[-1] == ']';

        copy(ret->host, has_port ? text + 1 : text, has_port ? host - 2 : length);
        copy(ret->port, has_port ? colon + 1 : "", has_port ? length - host - 1 : 0);
        return;
    }
    copy(ret->host, text, host);
    copy(ret->port, colon ? colon + 1 : "", colon ? length - host - 1 : 0);
}

static bool is_hub_name(const char *host)
{
    static const char *const names[] = { "index.docker.io",         "registry-1.docker.io",
                                         "registry.hub.docker.com", "hub.docker.com",
                                         "www.docker.io",           "registry.docker.io" };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(names[i], host) == 0)
            return true;
    return false;
}

/* -- Flaws ------------------------------------------------------------------------------------ */

static enum kubelet_flaw judge_host(const struct kubelet_pattern *pattern)
{
    if (pattern->host[0] == '\0')
        return KUBELET_NO_HOST;
    if (pattern->host[0] == '[' && strchr(pattern->host, ':'))
        return KUBELET_ADDRESS;
    return KUBELET_FINE;
}

static enum kubelet_flaw judge_path(const char *path)
{
    const char *last = strrchr(path, '/');

    if (strchr(path, '*'))
        return KUBELET_PATH_GLOB;
    if (strchr(path, '@'))
        return KUBELET_DIGEST;
    if (last && strchr(last, ':'))
        return KUBELET_TAG;
    for (; *path != '\0'; path++)
        if (*path >= 'A' && *path <= 'Z')
            return KUBELET_CASE;
    return KUBELET_FINE;
}

/* What works, and is hardly what was meant. */
static enum kubelet_flaw judge_meaning(const struct kubelet_pattern *pattern)
{
    size_t length = strlen(pattern->path);

    if (strcmp(pattern->host, "*") == 0)
        return KUBELET_LONE_STAR;
    if (is_hub_name(pattern->host))
        return KUBELET_HUB_NAME;
    if (strcmp(pattern->host, HUB) == 0 && length > 1 && !strchr(pattern->path + 1, '/') &&
        strcmp(pattern->path, "/library") != 0)
        return KUBELET_HUB_SHORT;
    if (strcmp(pattern->port, "443") == 0)
        return KUBELET_HTTPS;
    return length > 0 && pattern->path[length - 1] != '/' ? KUBELET_PREFIX : KUBELET_FINE;
}

enum kubelet_flaw kubelet_pattern_read(const char *text, struct kubelet_pattern *ret)
{
    char url[KUBELET_PATTERN_SIZE + 8];
    size_t length = strcspn(text, "?#"), host = strcspn(text, "/?#");
    const char *at = memrchr(text, '@', host);
    size_t user = at ? (size_t)(at - text) + 1 : 0;
    enum kubelet_flaw flaw;

    *ret = (struct kubelet_pattern){ 0 };
    if (strlen(text) >= KUBELET_PATTERN_SIZE)
        return KUBELET_LONG;
    if (snprintf(url, sizeof(url), "https://%s", text) >= (int)sizeof(url) ||
        !go_url_is_read(url, strlen(url)))
        return KUBELET_REFUSED;
    split_host(text + user, host - user, ret);
    copy(ret->path, text + host, length - host);
    if (strncmp(text + host, "//", 2) == 0 && host > 0 && text[host - 1] == ':')
        return KUBELET_SCHEME;
    flaw = judge_host(ret);
    if (flaw == KUBELET_FINE && text[length] != '\0')
        flaw = KUBELET_QUERY;
    if (flaw == KUBELET_FINE && at)
        flaw = KUBELET_USER;
    if (flaw == KUBELET_FINE)
        flaw = judge_path(ret->path);
    return flaw == KUBELET_FINE ? judge_meaning(ret) : flaw;
}

/* -- Globs ------------------------------------------------------------------------------------ */

/* Column by column: which beginnings of `b` can meet what was read of `a`. */
bool kubelet_globs_meet(const char *a, size_t a_length, const char *b, size_t b_length)
{
    bool meets[KUBELET_PATTERN_SIZE + 1] = { true };

    if (b_length > KUBELET_PATTERN_SIZE)
        return false;
    for (size_t j = 0; j < b_length && b[j] == '*'; j++)
        meets[j + 1] = true;
    for (size_t i = 0; i < a_length; i++) {
        bool before = meets[0];

        meets[0] = before && a[i] == '*';
        for (size_t j = 0; j < b_length; j++) {
            bool above = meets[j + 1];

            if (a[i] == '*' || b[j] == '*')
                meets[j + 1] = above || meets[j];
            else
                meets[j + 1] = before && a[i] == b[j];
            before = above;
        }
    }
    return meets[b_length];
}
