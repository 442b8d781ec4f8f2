/* SPDX-License-Identifier: Apache-2.0 */
#include "realm.h"

#include "base/error.h"

#include <string.h>

int realm_list_add(struct realm_list *list, const char *text, struct pullkey_error *error)
{
    int r;

    if (list->count == REALM_LIST_MAX)
        return error_set(error, PULLKEY_INVALID, "more than %d token servers", REALM_LIST_MAX);
    r = url_parse_authority(text, &list->items[list->count], error);
    if (r < 0)
        return r;
    list->count++;
    return 0;
}

static bool is_listed(const struct url *url, const struct realm_list *allowed)
{
    for (size_t i = 0; i < allowed->count; i++)
        if (url_same_server(url, &allowed->items[i]))
            return true;
    return false;
}

int realm_check(const char *text, const struct url *registry, const struct realm_list *allowed,
                struct realm *ret, struct pullkey_error *error)
{
    char authority[URL_AUTHORITY_SIZE];
    struct realm realm = { 0 };
    bool trusted;
    int r = url_parse(text, &realm.url, error);

    if (r < 0)
        return error_wrap(error, "the token server that the registry names");
    url_authority(&realm.url, authority);
    realm.same_server = url_same_server(&realm.url, registry);
    trusted = realm.same_server || is_listed(&realm.url, allowed);
    if (!realm.url.https &&
        !(trusted && !registry->https && url_is_loopback(registry) && url_is_loopback(&realm.url)))
        return error_set(error, PULLKEY_DENIED,
                         "the registry names the token server http://%s: a credential is never "
                         "sent over plain http",
                         authority);
    if (!trusted && (realm.url.kind != URL_NAME || url_is_loopback(&realm.url)))
        return error_set(error, PULLKEY_DENIED,
                         "the registry names the token server %s: an address, or this machine, and "
                         "not the registry's own port; " REALM_ADVICE,
                         authority);
    realm.public_only = !trusted && strcmp(realm.url.host, registry->host) != 0;
    *ret = realm;
    return 0;
}
