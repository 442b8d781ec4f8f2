/* SPDX-License-Identifier: Apache-2.0 */
/* What is known of a connection, for people who look for what is wrong with it. */
#include "server.h"

#include <string.h>

/* Of one part, which ends at `end` after it began at `begin` (libcurl's, in microseconds). */
static int64_t part_ms(CURL *easy, CURLINFO begin, CURLINFO end)
{
    curl_off_t from = 0, to = 0;

    if (begin != CURLINFO_NONE)
        (void)curl_easy_getinfo(easy, begin, &from);
    (void)curl_easy_getinfo(easy, end, &to);
    return to <= 0 ? -1 : to > from ? (to - from) / 1000 : 0;
}

void http_see(const struct http *http, const struct url *url, struct http_seen *ret)
{
    const struct server *server = http_server(http, url);

    *ret = (struct http_seen){ -1, -1, -1, -1, "", NULL };
    if (!server)
        return;
    ret->proxy = server->proxy;
    ret->lookup_ms = part_ms(server->easy, CURLINFO_NONE, CURLINFO_NAMELOOKUP_TIME_T);
    ret->connect_ms = part_ms(server->easy, CURLINFO_NAMELOOKUP_TIME_T, CURLINFO_CONNECT_TIME_T);
    ret->tls_ms = part_ms(server->easy, CURLINFO_CONNECT_TIME_T, CURLINFO_APPCONNECT_TIME_T);
    ret->answer_ms =
        part_ms(server->easy, CURLINFO_PRETRANSFER_TIME_T, CURLINFO_STARTTRANSFER_TIME_T);
    (void)curl_easy_getinfo(server->easy, CURLINFO_PRIMARY_IP, &ret->address);
    if (!ret->address)
        ret->address = "";
}

static const char *field(const struct curl_slist *list, const char *name)
{
    const size_t length = strlen(name);

    for (; list; list = list->next)
        if (strncmp(list->data, name, length) == 0 && list->data[length] == ':')
            return list->data + length + 1;
    return "";
}

bool http_certificate(const struct http *http, const struct url *url, int number,
                      struct http_certificate *ret)
{
    const struct server *server = http_server(http, url);
    struct curl_certinfo *chain = NULL;
    const struct curl_slist *list;

    if (!server || curl_easy_getinfo(server->easy, CURLINFO_CERTINFO, &chain) != CURLE_OK ||
        !chain || number >= chain->num_of_certs)
        return false;
    list = chain->certinfo[number];
    *ret = (struct http_certificate){
        .subject = field(list, "Subject"),
        .issuer = field(list, "Issuer"),
        .begin = curl_getdate(field(list, "Start date"), NULL),
        .end = curl_getdate(field(list, "Expire date"), NULL),
    };
    return true;
}
