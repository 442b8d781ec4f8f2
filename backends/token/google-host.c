/* SPDX-License-Identifier: Apache-2.0 */
/* Which addresses a file with credentials may lead to. */
#include "google.h"

#include <string.h>

#include "base/error.h"
#include "registry-host.h"

bool google_is_own(const struct url *url, const char *universe)
{
    return url->https && url->kind == URL_NAME && registry_host_is_below(url->host, universe);
}

int google_find_url(const struct google *google, const char *name, const char *member,
                    const char *usual, struct url *ret, struct pullkey_error *error)
{
    const char *own = settings_text(google->exchange->settings->endpoints, name);
    struct url url, other;
    int r = url_parse(usual, &url, error);

    if (r == 0 && own) {
        r = url_parse(own, &other, error);
        if (r == 0 && strcmp(other.target, "/") == 0)
            memcpy(other.target, url.target, sizeof(url.target));
        url = other;
    } else if (r == 0 && !google_is_own(&url, google->universe)) {
        r = error_set(error, PULLKEY_DENIED,
                      "it leads to %s, which is not https or not of %s; if that is meant, name it "
                      "as \"%s\" under \"endpoints\"",
                      url.host, google->universe, name);
    }
    if (r < 0)
        return error_wrap(error, "the %s of %s", member, google->what);
    *ret = url;
    return 0;
}
