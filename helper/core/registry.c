/* SPDX-License-Identifier: Apache-2.0 */
#include "registry.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"

#define HUB "docker.io"
#define HUB_SERVER "https://index.docker.io/v1/"
#define DNS_NAME_MAX 253 /* RFC 1035 section 2.3.4, without the final dot */
#define LABEL_MAX 63
/* Names of a registry without a path, and the size of one: "https://host:port". */
#define HOST_NAMES_MAX 6
#define HOST_NAME_SIZE (REGISTRY_HOST_MAX + 16)

enum { RANK_SHORTER = 1, RANK_ALIAS = 1 << 16, RANK_EXACT = 1 << 17 };

static int refuse(struct pullkey_error *error, const char *what)
{
    return error_set(error, PULLKEY_INVALID, "the server name is refused: %s", what);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static int copy_text(const char *bytes, size_t length, char *ret, struct pullkey_error *error)
{
    while (length > 0 && is_blank(bytes[0])) {
        bytes++;
        length--;
    }
    while (length > 0 && is_blank(bytes[length - 1]))
        length--;
    if (length == 0)
        return refuse(error, "it is empty");
    if (length > PULLKEY_KEY_MAX)
        return refuse(error, "it is longer than 2048 bytes");
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)bytes[i];

        if (c <= 0x20 || c == 0x7f)
            return refuse(error, "it holds a blank or a control character");
        if (c >= 0x80)
            return refuse(error, "it is not ASCII; write international host names as xn--...");
        if (c == '%' || c == '\\')
            return refuse(error, "it holds '%' or '\\'");
    }
    memcpy(ret, bytes, length);
    ret[length] = '\0';
    return 0;
}

static int parse_port(const char *text, uint16_t *ret, struct pullkey_error *error)
{
    unsigned int value = 0;
    size_t length = strlen(text);

    if (length == 0 || length > 5 || text[0] == '0')
        return refuse(error, "the port is not a number from 1 to 65535");
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9')
            return refuse(error, "the port is not a number from 1 to 65535");
        value = value * 10 + (unsigned int)(text[i] - '0');
    }
    if (value > 65535)
        return refuse(error, "the port is not a number from 1 to 65535");
    *ret = (uint16_t)value;
    return 0;
}

static bool is_label(const char *label, size_t length)
{
    if (length == 0 || length > LABEL_MAX || label[0] == '-' || label[length - 1] == '-')
        return false;
    for (size_t i = 0; i < length; i++) {
        char c = label[i];

        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'))
            return false;
    }
    return true;
}

/* True if some resolver takes the label for a number: decimal, octal or hexadecimal. */
static bool looks_numeric(const char *label)
{
    if (label[0] == '0' && label[1] == 'x')
        return label[2 + strspn(label + 2, "0123456789abcdef")] == '\0';
    return label[strspn(label, "0123456789")] == '\0';
}

/* Checks a name that is already in lower case. */
static int check_name(const char *host, struct pullkey_error *error)
{
    const char *label = host;
    struct in_addr address;

    if (strlen(host) > DNS_NAME_MAX)
        return refuse(error, "the host name is longer than 253 bytes");
    for (;;) {
        size_t length = strcspn(label, ".");

        if (length == 0)
            return refuse(error, host[0] == '\0'
                                     ? "it has no host"
                                     : "the host name has an empty label or ends in a dot");
        if (!is_label(label, length))
            return refuse(error, "the host name has a character or label that DNS does not allow");
        if (label[length] == '\0')
            break;
        label += length + 1;
    }
    /* "127.1", "0x7f000001" and "2130706433" are addresses to some and names to others. */
    if (looks_numeric(label) && inet_pton(AF_INET, host, &address) != 1)
        return refuse(error, "the host is a number, but not an IPv4 address of four decimal parts");
    return 0;
}

/* "[v6]" and what follows it. */
static int parse_ipv6(const char *authority, char *ret_host, const char **ret_rest,
                      struct pullkey_error *error)
{
    const char *end = strchr(authority, ']');
    char literal[INET6_ADDRSTRLEN];
    struct in6_addr address;
    size_t length = end ? (size_t)(end - authority) - 1 : 0;

    if (!end || length >= sizeof(literal))
        return refuse(error, "the IPv6 address in brackets is not well-formed");
    memcpy(mempcpy(literal, authority + 1, length), "", 1);
    if (inet_pton(AF_INET6, literal, &address) != 1 ||
        !inet_ntop(AF_INET6, &address, literal, sizeof(literal)))
        return refuse(error, "the IPv6 address in brackets is not well-formed");
    (void)snprintf(ret_host, REGISTRY_HOST_MAX + 1, "[%s]", literal);
    *ret_rest = end + 1;
    return 0;
}

static int parse_authority(const char *authority, struct registry_reference *ret,
                           struct pullkey_error *error)
{
    const char *rest = NULL;
    size_t length;
    int r;

    if (strchr(authority, '@'))
        return refuse(error, "it holds a user name or password before the host");
    if (authority[0] == '[') {
        r = parse_ipv6(authority, ret->host, &rest, error);
        if (r < 0)
            return r;
    } else {
        length = strcspn(authority, ":");
        if (length > DNS_NAME_MAX)
            return refuse(error, "the host name is longer than 253 bytes");
        for (size_t i = 0; i < length; i++)
            ret->host[i] = text_lower(authority[i]);
        ret->host[length] = '\0';
        rest = authority + length;
        r = check_name(ret->host, error);
        if (r < 0)
            return r;
    }
    ret->port = 0;
    if (rest[0] == '\0')
        return 0;
    if (rest[0] != ':')
        return refuse(error, "text follows the IPv6 address");
    if (strchr(rest + 1, ':'))
        return refuse(error, "it has two ports, or an IPv6 address without brackets");
    r = parse_port(rest + 1, &ret->port, error);
    if (r == 0 && !ret->http && ret->port == 443)
        ret->port = 0;
    return r;
}

static int parse_path(const char *path, char *ret, struct pullkey_error *error)
{
    size_t length;

    if (path[0] == '/')
        path++;
    if (strncmp(path, "v1", 2) == 0 || strncmp(path, "v2", 2) == 0) {
        if (path[2] == '/')
            path += 3;
        else if (path[2] == '\0')
            path += 2;
    }
    length = strlen(path);
    while (length > 0 && path[length - 1] == '/')
        length--;
    memcpy(mempcpy(ret, path, length), "", 1);
    for (const char *segment = ret; length > 0;) {
        size_t end = strcspn(segment, "/");

        if (end == 0 || (end == 1 && segment[0] == '.') ||
            (end == 2 && segment[0] == '.' && segment[1] == '.'))
            return refuse(error, "its path has an empty segment, '.' or '..'");
        if (segment[end] == '\0')
            break;
        segment += end + 1;
    }
    return 0;
}

static bool is_hub(const char *host)
{
    static const char *const names[] = { HUB, "index.docker.io", "registry-1.docker.io",
                                         "registry.hub.docker.com" };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(host, names[i]) == 0)
            return true;
    return false;
}

/* The paths of Docker Hub that are keys of tokens. */
static bool is_token_path(const char *path, size_t length)
{
    return (length == 12 && memcmp(path, "access-token", length) == 0) ||
           (length == 13 && memcmp(path, "refresh-token", length) == 0);
}

static void set_opaque(struct registry_reference *ret)
{
    ret->opaque = true;
    ret->host[0] = '\0';
    ret->path[0] = '\0';
    ret->port = 0;
}

/* The length of "scheme://", 0 without one. */
static int parse_scheme(const char *text, size_t *ret_length, bool *ret_http,
                        struct pullkey_error *error)
{
    size_t length = strcspn(text, ":/");

    *ret_length = 0;
    *ret_http = false;
    if (strncmp(text + length, "://", 3) != 0)
        return 0;
    *ret_length = length + 3;
    if (length == 5 && strncasecmp(text, "https", 5) == 0)
        return 0;
    if (length == 4 && strncasecmp(text, "http", 4) == 0) {
        *ret_http = true;
        return 0;
    }
    return refuse(error, "its scheme is neither https nor http");
}

/* Fills *ret also where it fails. */
static int parse_into(const char *bytes, size_t length, struct registry_reference *ret,
                      struct pullkey_error *error)
{
    char authority[PULLKEY_KEY_MAX + 1];
    const char *rest;
    size_t scheme, size;
    int r = copy_text(bytes, length, ret->text, error);

    if (r < 0)
        return r;
    ret->opaque = false;
    ret->http = false;
    if (strncmp(ret->text, "nerdctl-experimental://", 23) == 0) {
        set_opaque(ret);
        return 0;
    }
    r = parse_scheme(ret->text, &scheme, &ret->http, error);
    if (r < 0)
        return r;
    rest = ret->text + scheme;
    size = strcspn(rest, "/");
    memcpy(mempcpy(authority, rest, size), "", 1);
    r = parse_authority(authority, ret, error);
    if (r == 0)
        r = parse_path(rest + size, ret->path, error);
    if (r < 0)
        return r;
    if (!ret->http && ret->port == 0 && is_hub(ret->host)) {
        memcpy(ret->host, HUB, sizeof(HUB));
        /* Docker's web login keeps its OAuth tokens beside the Hub credential, under these keys.
         * The host stays for rules. */
        ret->opaque = is_token_path(ret->path, strlen(ret->path));
    }
    return 0;
}

int registry_parse(const char *bytes, size_t length, struct registry_reference *ret,
                   struct pullkey_error *error)
{
    struct registry_reference reference;
    int r = parse_into(bytes, length, &reference, error);

    if (r == 0)
        *ret = reference;
    return r;
}

/* True for "v1", "v2" and what is below them: reading such a path takes the segment off. */
static bool has_version(const char *path, size_t length)
{
    return length >= 2 && path[0] == 'v' && (path[1] == '1' || path[1] == '2') &&
           (length == 2 || path[2] == '/');
}

/* A path that begins with a version of its own gets one more in front, so that it is read back as
 * it is. */
static void write_canonical(char ret[REGISTRY_CANONICAL_MAX], const char *scheme, const char *host,
                            uint16_t port, const char *path, size_t path_length)
{
    char port_text[8] = "";

    if (port != 0)
        (void)snprintf(port_text, sizeof(port_text), ":%u", port);
    (void)snprintf(ret, REGISTRY_CANONICAL_MAX, "%s%s%s%s%.*s", scheme, host, port_text,
                   has_version(path, path_length) ? "/v2/"
                   : path_length > 0              ? "/"
                                                  : "",
                   (int)path_length, path);
}

void registry_canonical(const struct registry_reference *reference,
                        char ret[REGISTRY_CANONICAL_MAX])
{
    if (reference->opaque)
        (void)snprintf(ret, REGISTRY_CANONICAL_MAX, "%s", reference->text);
    else
        write_canonical(ret, reference->http ? "http://" : "", reference->host, reference->port,
                        reference->path, strlen(reference->path));
}

/* True if `path` is `shorter` or lies below it. */
static bool is_below(const char *path, const char *shorter)
{
    size_t length = strlen(shorter);

    if (length == 0)
        return true;
    return strncmp(path, shorter, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

int registry_match(const struct pullkey_request *request, const char *stored_key, bool shorten)
{
    struct registry_reference stored;
    struct pullkey_error ignored;

    if (strcmp(request->text, stored_key) == 0)
        return RANK_EXACT;
    if (request->host[0] == '\0')
        return 0;
    if (parse_into(stored_key, strlen(stored_key), &stored, &ignored) < 0 || stored.opaque)
        return 0;
    if (stored.http != request->http || stored.port != request->port ||
        strcmp(stored.host, request->host) != 0)
        return 0;
    if (strcmp(stored.path, request->path) == 0)
        return RANK_ALIAS;
    if (shorten && is_below(request->path, stored.path))
        return RANK_SHORTER + (int)strlen(stored.path);
    return 0;
}

bool registry_is_alias(const struct pullkey_request *request, const char *stored_key)
{
    return registry_match(request, stored_key, false) > 0;
}

static void add_name(struct registry_request *request, const char *scheme, const char *host,
                     size_t path_length)
{
    size_t at = request->request.name_count;
    const struct pullkey_request *r = &request->request;
    char *name = request->storage + request->used;
    char text[REGISTRY_CANONICAL_MAX];
    size_t size;

    write_canonical(text, scheme, host, r->port, r->path, path_length);
    size = strlen(text) + 1;
    if (at == REGISTRY_NAMES_MAX || size > sizeof(request->storage) - request->used)
        return;
    for (size_t i = 0; i < at; i++)
        if (strcmp(request->names[i], text) == 0)
            return;
    request->names[at] = memcpy(name, text, size);
    request->used += size;
    request->request.name_count++;
}

/* The names of one path: the first path_length bytes of the request's. */
static void add_names(struct registry_request *request, size_t path_length)
{
    const char *host = request->request.host;

    if (request->request.http) {
        add_name(request, "http://", host, path_length);
    } else if (strcmp(host, HUB) == 0 && request->request.port == 0) {
        if (is_token_path(request->request.path, path_length))
            return;
        if (path_length == 0)
            add_name(request, HUB_SERVER, "", 0);
        add_name(request, "", "index.docker.io", path_length);
        add_name(request, "", HUB, path_length);
        if (path_length == 0)
            add_name(request, "", "registry-1.docker.io", 0);
    } else {
        add_name(request, "", host, path_length);
        add_name(request, "https://", host, path_length);
    }
}

void registry_request(const struct registry_reference *reference, int64_t deadline_ms,
                      struct registry_request *ret)
{
    size_t length = strlen(reference->path);

    ret->request = (struct pullkey_request){
        .size = sizeof(ret->request),
        .text = reference->text,
        .host = reference->opaque ? "" : reference->host,
        .port = reference->port,
        .path = reference->opaque ? "" : reference->path,
        .names = ret->names,
        .name_count = 1,
        .alias_count = 1,
        .deadline_ms = deadline_ms,
        .http = reference->http,
    };
    ret->used = 0;
    ret->names[0] = reference->text;
    if (reference->opaque)
        return;
    add_names(ret, length);
    ret->request.alias_count = ret->request.name_count;
    while (length > 0) {
        do
            length--;
        while (length > 0 && reference->path[length] != '/');
        /* Room for the registry's own names, which matter most, is kept. */
        if (length == 0 ||
            (ret->request.name_count + HOST_NAMES_MAX <= REGISTRY_NAMES_MAX &&
             ret->used + 2 * (HOST_NAME_SIZE + length) + HOST_NAMES_MAX * HOST_NAME_SIZE <=
                 sizeof(ret->storage)))
            add_names(ret, length);
    }
}
