/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses of servers, taken apart strictly (RFC 3986, and less than it allows). What is connected
 * to is always the parsed parts, never the text: two parsers that disagree about a text send a
 * secret to the wrong place.
 *
 * Refused: schemes other than https and http, user info, '%' and '\' in the host, bytes outside
 * printable ASCII, an empty host or label, a trailing dot, hosts that some parsers read as a number
 * (127.1, 0x7f000001), IPv6 zones, ports outside 1 to 65535 or with leading zeros, fragments.
 */
#ifndef PULLKEY_HTTP_URL_H
#define PULLKEY_HTTP_URL_H

#include <pullkey/backend.h>

#define URL_HOST_MAX 255
#define URL_TARGET_MAX 2048
#define URL_AUTHORITY_SIZE (URL_HOST_MAX + 8) /* "host:65535" and a NUL */

enum url_host { URL_NAME, URL_IPV4, URL_IPV6 };

struct url {
    bool https;
    enum url_host kind;
    char host[URL_HOST_MAX + 1];     /* lower case; IPv6 in brackets, in its canonical form */
    uint16_t port;                   /* never 0 */
    char target[URL_TARGET_MAX + 1]; /* path and query; begins with '/' */
};

/* -PULLKEY_INVALID with what is wrong. The message never repeats the text. */
int url_parse(const char *text, struct url *ret, struct pullkey_error *error);

/* The same for "host[:port]"; https is assumed, and "/" as target. */
int url_parse_authority(const char *text, struct url *ret, struct pullkey_error *error);

/* "host", or "host:port" where the port is not the scheme's own. */
void url_authority(const struct url *url, char ret[URL_AUTHORITY_SIZE]);

/* Host and port are equal; the scheme is the caller's to compare. */
bool url_same_server(const struct url *a, const struct url *b);

/* "localhost", 127.0.0.0/8 or [::1]. Other names that lead to such an address do not count. */
bool url_is_loopback(const struct url *url);

/* The fixed addresses where clouds tell a machine who it is, which know plain http only. */
bool url_is_metadata(const struct url *url);

/* An address itself, and no name: of IPv4, private (RFC 1918) or link-local (169.254.0.0/16). */
bool url_is_private(const struct url *url);

#endif
