/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http/url and http/realm: the input is an address that a server chose. What is accepted must mean
 * the same when it is written down from its parts and read again, and a realm that may be anywhere
 * must be the registry's own name.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/secret.h"
#include "http/realm.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void read_again(const struct url *url)
{
    char text[URL_AUTHORITY_SIZE + URL_TARGET_MAX + 16], authority[URL_AUTHORITY_SIZE];
    struct pullkey_error error;
    struct url again;

    url_authority(url, authority);
    (void)snprintf(text, sizeof(text), "%s://%s%s", url->https ? "https" : "http", authority,
                   url->target);
    require(url_parse(text, &again, &error) == 0);
    require(url->https == again.https && url->kind == again.kind && url_same_server(url, &again) &&
            strcmp(url->target, again.target) == 0);
    require(!strpbrk(url->host, "@/\\%?# \t\r\n") && url->port > 0 && url->target[0] == '/');
}

static void judge(const char *text, const char *registry_text)
{
    const struct realm_list none = { 0 };
    struct pullkey_error error;
    struct url registry;
    struct realm realm;

    require(url_parse(registry_text, &registry, &error) == 0);
    if (realm_check(text, &registry, &none, &realm, &error) < 0)
        return;
    require(realm.url.https || (!registry.https && realm.same_server));
    require(realm.public_only || strcmp(realm.url.host, registry.host) == 0);
    require(realm.same_server || realm.url.kind == URL_NAME);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cleanup_release char *text = secret_copy((const char *)data, size);
    struct pullkey_error error = { 0 };
    struct url url;

    if (!text)
        return 0;
    if (url_parse(text, &url, &error) == 0)
        read_again(&url);
    else
        require(error.code == PULLKEY_INVALID);
    judge(text, "https://registry.example.com");
    judge(text, "https://127.0.0.1:5000");
    judge(text, "http://localhost:5000");
    return 0;
}
