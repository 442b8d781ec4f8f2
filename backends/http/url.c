/* SPDX-License-Identifier: Apache-2.0 */
#include "url.h"

#include "base/error.h"
#include "base/text.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define NAME_MAX_BYTES 253 /* RFC 1035 section 2.3.4, without the final dot */
#define LABEL_MAX_BYTES 63

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_alphanumeric(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z');
}

static bool is_hex(char c)
{
    return is_digit(c) || (text_lower(c) >= 'a' && text_lower(c) <= 'f');
}

static int refuse(struct pullkey_error *error, const char *what)
{
    return error_set(error, PULLKEY_INVALID, "not a usable address: %s", what);
}

/* RFC 1123 section 2.1 labels. */
static bool label_is_fine(const char *label, size_t length)
{
    if (length == 0 || length > LABEL_MAX_BYTES)
        return false;
    for (size_t i = 0; i < length; i++)
        if (!is_alphanumeric(label[i]) && label[i] != '-')
            return false;
    return label[0] != '-' && label[length - 1] != '-';
}

/* A last label of digits, or one that begins with 0x, is a number to inet_aton() and so to curl. */
static bool looks_like_a_number(const char *label)
{
    if (label[0] == '0' && label[1] == 'x')
        return true;
    return strspn(label, "0123456789") == strlen(label);
}

static int check_name(struct url *url, struct pullkey_error *error)
{
    const char *label = url->host, *last = url->host;
    struct in_addr address;

    if (strlen(url->host) > NAME_MAX_BYTES)
        return refuse(error, "the host name is too long");
    for (;;) {
        size_t length = strcspn(label, ".");

        if (!label_is_fine(label, length))
            return refuse(
                error, "the host may hold letters, digits and '-' only, with single dots between");
        last = label;
        if (label[length] == '\0')
            break;
        label += length + 1;
    }
    url->kind = URL_NAME;
    if (!looks_like_a_number(last))
        return 0;
    if (inet_pton(AF_INET, url->host, &address) != 1)
        return refuse(error, "the host looks like a number and is not a.b.c.d");
    url->kind = URL_IPV4;
    return 0;
}

static int check_ipv6(struct url *url, struct pullkey_error *error)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr address;
    size_t length = strlen(url->host);

    /* The brackets are there: the caller split at them. */
    if (length - 2 >= sizeof(text))
        return refuse(error, "no IPv6 address is that long");
    memcpy(text, url->host + 1, length - 2);
    text[length - 2] = '\0';
    if (inet_pton(AF_INET6, text, &address) != 1 ||
        !inet_ntop(AF_INET6, &address, text, sizeof(text)))
        return refuse(error, "there is no IPv6 address in the brackets");
    (void)snprintf(url->host, sizeof(url->host), "[%s]", text);
    url->kind = URL_IPV6;
    return 0;
}

static int parse_port(const char *text, size_t length, uint16_t *ret, struct pullkey_error *error)
{
    unsigned int port = 0;

    if (length == 0 || length > 5 || text[0] == '0')
        return refuse(error, "the port is not a number from 1 to 65535");
    for (size_t i = 0; i < length; i++) {
        if (!is_digit(text[i]))
            return refuse(error, "the port is not a number from 1 to 65535");
        port = port * 10 + (unsigned int)(text[i] - '0');
    }
    if (port > UINT16_MAX)
        return refuse(error, "the port is not a number from 1 to 65535");
    *ret = (uint16_t)port;
    return 0;
}

static int parse_authority(const char *text, size_t length, struct url *url,
                           struct pullkey_error *error)
{
    const char *bracket = text[0] == '[' ? memchr(text, ']', length) : NULL;
    const char *rest = bracket ? bracket + 1 : memchr(text, ':', length);
    size_t host_length;
    int r;

    if (!rest)
        rest = text + length;
    host_length = (size_t)(rest - text);
    if (host_length == 0)
        return refuse(error, "the host is missing");
    if (host_length > URL_HOST_MAX)
        return refuse(error, "the host name is too long");
    for (size_t i = 0; i < host_length; i++)
        url->host[i] = text_lower(text[i]);
    url->host[host_length] = '\0';
    r = bracket ? check_ipv6(url, error) : check_name(url, error);
    if (r < 0)
        return r;
    url->port = url->https ? 443 : 80;
    if (rest == text + length)
        return 0;
    if (*rest != ':')
        return refuse(error, "there is text between host and port");
    return parse_port(rest + 1, (size_t)(text + length - rest) - 1, &url->port, error);
}

static int parse_target(const char *text, struct url *url, struct pullkey_error *error)
{
    int length =
        snprintf(url->target, sizeof(url->target), "%s%s", text[0] == '/' ? "" : "/", text);

    if (length < 0 || (size_t)length >= sizeof(url->target))
        return refuse(error, "it is too long");
    for (const char *c = url->target; *c != '\0'; c++) {
        if (*c == '%' && (!is_hex(c[1]) || !is_hex(c[2])))
            return refuse(error, "a '%' is not followed by two hexadecimal digits");
        if (strchr("#\"<>\\^`{|}", *c))
            return refuse(error, "it holds a character that must be encoded, or a fragment");
    }
    return 0;
}

static int check_bytes(const char *text, struct pullkey_error *error)
{
    for (const char *c = text; *c != '\0'; c++)
        if (*c <= 0x20 || *c >= 0x7f)
            return refuse(error, "it holds a blank, a control character or a byte outside ASCII");
    return 0;
}

int url_parse(const char *text, struct url *ret, struct pullkey_error *error)
{
    struct url url = { 0 };
    size_t scheme = strcspn(text, ":/"), length;
    int r = check_bytes(text, error);

    if (r < 0)
        return r;
    if (strncmp(text + scheme, "://", 3) != 0)
        return refuse(error, "it does not begin with https://");
    if (scheme == 5 && strncasecmp(text, "https", 5) == 0)
        url.https = true;
    else if (scheme != 4 || strncasecmp(text, "http", 4) != 0)
        return refuse(error, "it does not begin with https://");
    text += scheme + 3;
    length = strcspn(text, "/?#");
    if (memchr(text, '@', length))
        return refuse(error, "it holds a user name");
    r = parse_authority(text, length, &url, error);
    if (r >= 0)
        r = parse_target(text + length, &url, error);
    if (r >= 0)
        *ret = url;
    return r;
}

int url_parse_authority(const char *text, struct url *ret, struct pullkey_error *error)
{
    struct url url = { .https = true, .target = "/" };
    int r = check_bytes(text, error);

    if (r >= 0)
        r = parse_authority(text, strlen(text), &url, error);
    if (r >= 0)
        *ret = url;
    return r;
}

void url_authority(const struct url *url, char ret[URL_AUTHORITY_SIZE])
{
    if (url->port == (url->https ? 443 : 80))
        (void)snprintf(ret, URL_AUTHORITY_SIZE, "%s", url->host);
    else
        (void)snprintf(ret, URL_AUTHORITY_SIZE, "%s:%u", url->host, (unsigned int)url->port);
}

bool url_same_server(const struct url *a, const struct url *b)
{
    return a->port == b->port && strcmp(a->host, b->host) == 0;
}

bool url_is_loopback(const struct url *url)
{
    switch (url->kind) {
    case URL_IPV4: return strncmp(url->host, "127.", 4) == 0;
    case URL_IPV6: return strcmp(url->host, "[::1]") == 0;
    case URL_NAME: break;
    }
    return strcmp(url->host, "localhost") == 0;
}

bool url_is_private(const struct url *url)
{
    struct in_addr address;
    uint32_t number;

    if (url->kind != URL_IPV4 || inet_pton(AF_INET, url->host, &address) != 1)
        return false;
    number = ntohl(address.s_addr);
    return number >> 24 == 10 || number >> 20 == 0xac1 /* 172.16.0.0/12 */ ||
           number >> 16 == 0xa9fe /* 169.254.0.0/16 */ ||
           number >> 16 == 0xc0a8 /* 192.168.0.0/16 */;
}

bool url_is_metadata(const struct url *url)
{
    /* Machines, containers and pods of the clouds; the name leads to the first address. */
    static const char *const hosts[] = {
        "169.254.169.254", "169.254.170.2",  "169.254.170.23",
        "[fd00:ec2::254]", "[fd00:ec2::23]", "metadata.google.internal",
    };

    for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++)
        if (strcmp(url->host, hosts[i]) == 0)
            return true;
    return false;
}
