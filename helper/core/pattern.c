/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/error.h"
#include "base/text.h"
#include "registry.h"

/* A pattern, parsed: a reference whose host may hold '*'. */
struct pattern {
    struct registry_reference reference;
    bool glob;
};

/* The pattern with `stand_in` for each star. */
static int parse_with(const char *text, char stand_in, struct pattern *ret,
                      struct pullkey_error *error)
{
    char plain[PULLKEY_KEY_MAX + 1];
    size_t length = strnlen(text, sizeof(plain));
    const char *authority = strncasecmp(text, "http://", 7) == 0 ? text + 7 : text;
    size_t from = (size_t)(authority - text);
    size_t host_end = from + strcspn(authority, "/:");
    int r;

    if (length == sizeof(plain))
        return error_set(error, PULLKEY_INVALID, "the pattern is longer than %d bytes",
                         PULLKEY_KEY_MAX);
    memcpy(plain, text, length + 1);
    ret->glob = false;
    for (size_t i = from; i < host_end; i++) {
        if (plain[i] != '*')
            continue;
        plain[i] = stand_in;
        ret->glob = true;
    }
    if (strchr(plain, '*'))
        return error_set(error, PULLKEY_INVALID,
                         "'*' stands for a part of one label of the host, not of a port or path");
    r = registry_parse(plain, length, &ret->reference, error);
    if (r < 0)
        return error_wrap(error, "not a pattern");
    if (ret->reference.opaque || strncasecmp(text, "https:", 6) == 0)
        return error_set(error, PULLKEY_INVALID,
                         "a pattern is host[:port][/path], without a scheme");
    if (strcmp(ret->reference.text, plain) != 0)
        return error_set(error, PULLKEY_INVALID, "a pattern has no blanks around it");
    if (ret->glob) {
        /* Put the stars back; the host has as many characters as before, in lower case. */
        for (size_t i = from; i < host_end; i++)
            if (text[i] == '*')
                ret->reference.host[i - from] = '*';
    }
    return 0;
}

/*
 * A letter stands in for a star that makes no name of Docker Hub ("inde*.docker.io"), as those
 * become docker.io; then a digit, for addresses ("10.*.0.1").
 */
static int parse(const char *text, struct pattern *ret, struct pullkey_error *error)
{
    struct pullkey_error ignored;
    int r = parse_with(text, 'q', ret, error);

    return r < 0 && parse_with(text, '1', ret, &ignored) == 0 ? 0 : r;
}

int registry_pattern_check(const char *pattern, struct pullkey_error *error)
{
    struct pattern ignored;

    if (strcmp(pattern, "**") == 0)
        return 0;
    return parse(pattern, &ignored, error);
}

/* '*' takes any characters but dots. Patterns are short, so trying again from the last star is
 * cheap enough. */
static bool glob_matches(const char *pattern, const char *host)
{
    const char *star = NULL, *resume = NULL;

    while (*host != '\0') {
        if (*pattern == '*') {
            star = pattern++;
            resume = host;
        } else if (*pattern == *host) {
            pattern++;
            host++;
        } else if (star && *resume != '.') {
            pattern = star + 1;
            host = ++resume;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == '\0';
}

/* Of the registry alone: never that the path is another. */
static enum registry_fit fit_registry(const struct pattern *pattern,
                                      const struct registry_reference *reference)
{
    const struct registry_reference *own = &pattern->reference;

    if (pattern->glob ? reference->host[0] == '[' || !glob_matches(own->host, reference->host)
                      : strcmp(own->host, reference->host) != 0)
        return REGISTRY_OTHER_HOST;
    if (own->http != reference->http)
        return REGISTRY_OTHER_SCHEME;
    return own->port == reference->port ? REGISTRY_FITS : REGISTRY_OTHER_PORT;
}

bool registry_pattern_divides(const char *pattern, const struct registry_reference *reference)
{
    struct pattern parsed;
    struct pullkey_error ignored;

    return strcmp(pattern, "**") != 0 && parse(pattern, &parsed, &ignored) == 0 &&
           parsed.reference.path[0] != '\0' && fit_registry(&parsed, reference) == REGISTRY_FITS;
}

enum registry_fit registry_pattern_fit(const char *pattern,
                                       const struct registry_reference *reference)
{
    struct pattern parsed;
    struct pullkey_error ignored;
    enum registry_fit fit;
    size_t length;

    if (strcmp(pattern, "**") == 0)
        return REGISTRY_FITS;
    if (reference->host[0] == '\0' || parse(pattern, &parsed, &ignored) < 0)
        return REGISTRY_OTHER_HOST;
    fit = fit_registry(&parsed, reference);
    length = strlen(parsed.reference.path);
    if (fit != REGISTRY_FITS || length == 0)
        return fit;
    return strncmp(reference->path, parsed.reference.path, length) == 0 &&
                   (reference->path[length] == '\0' || reference->path[length] == '/')
               ? REGISTRY_FITS
               : REGISTRY_OTHER_PATH;
}

bool registry_pattern_matches(const char *pattern, const struct registry_reference *reference)
{
    return registry_pattern_fit(pattern, reference) == REGISTRY_FITS;
}
