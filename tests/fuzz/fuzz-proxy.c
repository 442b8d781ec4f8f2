/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http/proxy: the first line is a server, the rest a list in the form of no_proxy. A list covers
 * what one of its entries covers, a server's own name always covers it, and nothing is covered by
 * accident.
 */
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/secret.h"
#include "http/proxy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

#define BLANKS ", \t"

static bool is_excluded_with(const struct url *url, const char *list, const char *entry)
{
    cleanup_buffer struct buffer longer = BUFFER_INIT(1024 * 1024);
    struct pullkey_error error;

    buffer_append_text(&longer, list);
    buffer_append_text(&longer, ",");
    buffer_append_text(&longer, entry);
    return buffer_check(&longer, &error) < 0 || proxy_is_excluded(url, longer.data);
}

/* The same list, cut behind its first entry. */
static void check_parts(const struct url *url, const char *list, bool excluded)
{
    size_t length = strcspn(list, BLANKS);
    cleanup_release char *first = secret_copy(list, length);

    if (first)
        require(excluded ==
                (proxy_is_excluded(url, first) || proxy_is_excluded(url, list + length)));
}

static void check(const struct url *url, const char *list)
{
    char own[URL_AUTHORITY_SIZE];
    bool excluded = proxy_is_excluded(url, list);

    url_authority(url, own);
    check_parts(url, list, excluded);
    require(is_excluded_with(url, list, own) && is_excluded_with(url, list, "*"));
    /* No host holds such a character. */
    require(is_excluded_with(url, list, "!") == excluded);
}

/* Without `needed` (and without "*" or an address with bits) nothing can cover the server. */
static void check_fixed(const char *server, const char *needed, const char *list)
{
    struct pullkey_error error;
    struct url url;

    require(url_parse_authority(server, &url, &error) == 0);
    check(&url, list);
    if (!strpbrk(list, "*/") && !strcasestr(list, needed))
        require(!proxy_is_excluded(&url, list));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cleanup_release char *text = secret_copy((const char *)data, size);
    struct pullkey_error error;
    struct url url;
    char *list;

    if (!text)
        return 0;
    list = text + strcspn(text, "\n");
    if (*list != '\0')
        *list++ = '\0';
    check_fixed("registry.example.com", "com", list);
    check_fixed("registry.example.com:5000", "com", list);
    check_fixed("192.0.2.7", "192.0.2.7", list);
    check_fixed("[2001:db8::7]", ":", list);
    if (url_parse_authority(text, &url, &error) == 0)
        check(&url, list);
    return 0;
}
