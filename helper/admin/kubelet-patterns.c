/* SPDX-License-Identifier: Apache-2.0 */
/* matchImages: patterns that the kubelet refuses, and those that never match. */
#include "kubelet.h"

#include <string.h>

static const struct {
    enum output_level level;
    const char *id, *text, *fix;
} flaws[] = {
    [KUBELET_REFUSED] = { OUTPUT_ERROR, "pattern-invalid",
                          "cannot be read as a URL: the kubelet does not start",
                          "write host[:port][/path/]" },
    [KUBELET_LONG] = { OUTPUT_WARNING, "pattern-long",
                       "never matches: it is longer than the name of an image",
                       "write host[:port][/path/]" },
    [KUBELET_SCHEME] = { OUTPUT_WARNING, "pattern-scheme", "never matches: patterns have no scheme",
                         "remove it with its \"//\"" },
    [KUBELET_NO_HOST] = { OUTPUT_WARNING, "pattern-host", "never matches: it names no host",
                          "write host[:port][/path/]" },
    [KUBELET_ADDRESS] = { OUTPUT_WARNING, "pattern-address",
                          "never matches: an IPv6 address needs a port here",
                          "write the port, or use a name" },
    [KUBELET_QUERY] = { OUTPUT_WARNING, "pattern-query",
                        "means less than it says: '?' or '#' and what follows is not seen",
                        "write '*' for any part of one label of the host" },
    [KUBELET_USER] = { OUTPUT_WARNING, "pattern-user",
                       "means less than it says: what stands before '@' is not seen", "remove it" },
    [KUBELET_PATH_GLOB] = { OUTPUT_WARNING, "pattern-path-glob",
                            "never matches: a '*' in a path is a plain character",
                            "a path matches all that begins with it: end it with a slash" },
    [KUBELET_DIGEST] = { OUTPUT_WARNING, "pattern-digest",
                         "never matches: images are compared without their digest", "remove it" },
    [KUBELET_TAG] = { OUTPUT_WARNING, "pattern-tag",
                      "never matches: images are compared without their tag", "remove it" },
    [KUBELET_CASE] = { OUTPUT_WARNING, "pattern-case",
                       "never matches: paths of images have no capitals", "write it in small" },
    [KUBELET_LONE_STAR] = { OUTPUT_WARNING, "pattern-star",
                            "matches hosts without a dot only: '*' stands for a part of one label",
                            "name the registries, or as many labels as they have: *.*.example" },
    [KUBELET_HUB_NAME] = { OUTPUT_WARNING, "pattern-hub",
                           "never matches: to the kubelet images of Docker Hub are at docker.io",
                           "write docker.io" },
    [KUBELET_HUB_SHORT] = { OUTPUT_NOTE, "pattern-hub-path",
                            "has one part: to the kubelet nginx is docker.io/library/nginx",
                            "write docker.io/library/NAME, or end a user's name with a slash" },
    [KUBELET_HTTPS] = { OUTPUT_WARNING, "pattern-port",
                        "matches only images that are written with \":443\"",
                        "remove the port: the kubelet compares it as text" },
    [KUBELET_PREFIX] = { OUTPUT_NOTE, "pattern-prefix",
                         "matches all that begins so, as \"app\" does \"app-secret/tool\"",
                         "end it with a slash, unless it is meant as the whole name of one image" },
};

const char *kubelet_flaw_text(enum kubelet_flaw flaw)
{
    return flaws[flaw].text;
}

/* Of ours it is asked for too much only: pullkey compares whole segments. */
static bool is_fine(const struct kubelet_provider *provider, enum kubelet_flaw flaw)
{
    return flaw == KUBELET_FINE || (flaw == KUBELET_PREFIX && provider->is_ours);
}

void kubelet_check_patterns(struct kubelet_check *check, const struct kubelet_provider *provider)
{
    for (const cJSON *item = provider->match->child; item; item = item->next) {
        struct kubelet_pattern ignored;
        enum kubelet_flaw flaw;

        if (kubelet_type(provider->file, item) != KUBELET_TYPE_STRING)
            continue;
        flaw = kubelet_pattern_read(item->valuestring, &ignored);
        if (!is_fine(provider, flaw))
            kubelet_find(check, provider->file, item, flaws[flaw].level, flaws[flaw].id,
                         flaws[flaw].fix, "\"%s\" %s", item->valuestring, flaws[flaw].text);
    }
}
