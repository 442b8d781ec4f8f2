/* SPDX-License-Identifier: Apache-2.0 */
#include "server.h"

#include <arpa/inet.h>
#include <string.h>
#include <unistd.h>

#include "address.h"
#include "base/error.h"
#include "base/secret.h"
#include "base/text.h"
#include "curl-memory.h"
#include "proxy.h"
#include "pullkey-build.h"

#define CONNECT_TO_MAX (2 * URL_AUTHORITY_SIZE + 16)

static bool is_where_http_may_go(const struct server *server, const struct sockaddr *address)
{
    const struct sockaddr_in *ipv4 = (const void *)address;
    char text[INET_ADDRSTRLEN];

    if (url_is_metadata(&server->url))
        return address_is_metadata(address);
    if (!url_is_private(&server->url))
        return address_is_loopback(address);
    return address->sa_family == AF_INET &&
           inet_ntop(AF_INET, &ipv4->sin_addr, text, sizeof(text)) &&
           strcmp(text, server->url.host) == 0;
}

/* The one place where a connection is made: the last look at where it goes. A proxy's address is
 * the user's own choice. */
static curl_socket_t open_socket(void *data, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct server *server = data;

    (void)purpose;
    if (!server->proxy && ((!server->url.https && !is_where_http_may_go(server, &address->addr)) ||
                           (server->public_only && !address_is_public(&address->addr)) ||
                           (server->beyond_link && address_is_link_local(&address->addr)))) {
        server->forbidden = true;
        return CURL_SOCKET_BAD;
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* There only what is needed is read. */
const char *http_system_authorities(void)
{
    const curl_version_info_data *info = curl_version_info(CURLVERSION_NOW);

    if (info->age < CURLVERSION_SEVENTH || !info->capath || access(info->capath, R_OK | X_OK) != 0)
        return NULL;
    return info->capath;
}

/* Lent to libcurl: it must live as long as the handle. */
static bool set_pem(CURL *easy, CURLoption option, const struct pullkey_secret *pem)
{
    struct curl_blob blob = { .data = pem->bytes, .len = pem->length, .flags = CURL_BLOB_NOCOPY };

    return curl_easy_setopt(easy, option, &blob) == CURLE_OK;
}

static bool set_trust(CURL *easy, const struct http_options *options)
{
    const char *file = options->ca_file, *dir = options->ca_dir;
    bool fine = true;

    if (options->ca_data && !set_pem(easy, CURLOPT_CAINFO_BLOB, options->ca_data))
        return false;
    if (!options->ca_data && !file && !dir) {
        dir = http_system_authorities();
        if (!dir)
            return true;
    }
    /* Also where there are none: else libcurl adds the system's. */
    fine &= curl_easy_setopt(easy, CURLOPT_CAINFO, file) == CURLE_OK;
    fine &= curl_easy_setopt(easy, CURLOPT_CAPATH, dir) == CURLE_OK;
    return fine;
}

static bool set_client(CURL *easy, const struct http_options *options)
{
    if (!options->client_certificate)
        return true;
    return curl_easy_setopt(easy, CURLOPT_SSLCERTTYPE, "PEM") == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_SSLKEYTYPE, "PEM") == CURLE_OK &&
           /* Else a key that is encrypted makes OpenSSL ask at the terminal, or ends us. */
           curl_easy_setopt(easy, CURLOPT_KEYPASSWD, "") == CURLE_OK &&
           set_pem(easy, CURLOPT_SSLCERT_BLOB, options->client_certificate) &&
           set_pem(easy, CURLOPT_SSLKEY_BLOB, options->client_key);
}

/* One that the caller names may have a certificate of the caller's authorities, as Go has it; one
 * of the environment has the system's. */
static bool set_proxy(const struct server *server, const struct http_options *options)
{
    CURL *easy = server->easy;
    bool fine = true;

    fine &= curl_easy_setopt(easy, CURLOPT_PROXY, server->proxy ? server->proxy : "") == CURLE_OK;
    fine &= curl_easy_setopt(easy, CURLOPT_NOPROXY, "") == CURLE_OK;
    if (!server->proxy)
        return fine;
    fine &=
        curl_easy_setopt(easy, CURLOPT_PROXY_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) == CURLE_OK;
    fine &= curl_easy_setopt(easy, CURLOPT_PROXY_SSL_VERIFYPEER, 1L) == CURLE_OK;
    fine &= curl_easy_setopt(easy, CURLOPT_PROXY_SSL_VERIFYHOST, 2L) == CURLE_OK;
    if (!options->proxy)
        return fine;
    if (options->ca_data)
        fine &= set_pem(easy, CURLOPT_PROXY_CAINFO_BLOB, options->ca_data);
    if (options->ca_file)
        fine &= curl_easy_setopt(easy, CURLOPT_PROXY_CAINFO, options->ca_file) == CURLE_OK;
    return fine;
}

/* The URL has the name that the certificate must have, and this says where that is. */
static bool set_path(struct server *server, const struct http_options *options)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(CONNECT_TO_MAX);
    struct pullkey_error ignored;

    if (!options->server_name)
        return true;
    buffer_printf(&text, "%s:%u:%s:%u", options->server_name, (unsigned int)server->url.port,
                  server->url.host, (unsigned int)server->url.port);
    if (buffer_check(&text, &ignored) < 0)
        return false;
    server->path = curl_slist_append(NULL, text.data);
    return server->path &&
           curl_easy_setopt(server->easy, CURLOPT_CONNECT_TO, server->path) == CURLE_OK;
}

static bool set_up(struct server *server, const struct http_options *options)
{
    CURL *easy = server->easy;
    bool fine = true;

#define SET(option, value) (fine &= curl_easy_setopt(easy, option, value) == CURLE_OK)
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_QUICK_EXIT, 1L); /* else the end waits for a name server that does not answer */
    SET(CURLOPT_PROTOCOLS_STR, server->url.https ? "https" : "http");
    SET(CURLOPT_REDIR_PROTOCOLS_STR, "https");
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_UNRESTRICTED_AUTH, 0L);
    SET(CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
    SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    SET(CURLOPT_PATH_AS_IS, 1L);
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_HTTP09_ALLOWED, 0L);
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(CURLOPT_SSL_VERIFYPEER, options->insecure ? 0L : 1L);
    SET(CURLOPT_SSL_VERIFYHOST, options->insecure ? 0L : 2L);
    SET(CURLOPT_HEADEROPT, (long)CURLHEADER_SEPARATE);
    SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    SET(CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)http_body_max(options));
    SET(CURLOPT_USERAGENT, "pullkey/" PULLKEY_VERSION);
    SET(CURLOPT_OPENSOCKETFUNCTION, open_socket);
    SET(CURLOPT_OPENSOCKETDATA, server);
#undef SET
    if (options->certificates)
        fine &= curl_easy_setopt(easy, CURLOPT_CERTINFO, 1L) == CURLE_OK;
    return set_trust(easy, options) && set_client(easy, options) && set_proxy(server, options) &&
           set_path(server, options) && fine;
}

/* What the caller names, but never for an address that only this link knows; else the environment
 * decides. */
static int choose_proxy(const struct http_options *options, struct server *server,
                        struct pullkey_error *error)
{
    static const char plain[] = "socks5://", remote[] = "socks5h://";
    const char *given = options->proxy;
    size_t length;

    server->proxy = given ? given : proxy_for(&server->url);
    if (!server->proxy || server->proxy[0] == '\0' || proxy_is_forbidden(&server->url)) {
        server->proxy = NULL;
        return 0;
    }
    if (!server->url.https)
        return error_set(error, PULLKEY_DENIED,
                         "%s is not asked over plain http through a proxy: whoever is on the way "
                         "could read the credential",
                         server->authority);
    if (!proxy_is_supported(server->proxy))
        return error_set(error, PULLKEY_INVALID,
                         "the proxy for %s is no URL of http, https or socks5", server->authority);
    if (!given || strncmp(given, plain, strlen(plain)) != 0)
        return 0;
    /* libcurl would look the name up itself; Go, whose configuration this is, lets the proxy. */
    length = strlen(given + strlen(plain));
    server->proxy_copy = secret_alloc(strlen(remote) + length + 1);
    if (!server->proxy_copy)
        return error_memory(error);
    memcpy(mempcpy(server->proxy_copy, remote, strlen(remote)), given + strlen(plain), length + 1);
    server->proxy = server->proxy_copy;
    return 0;
}

/* It becomes a part of the URL. */
static int check_server_name(const struct http_options *options, struct pullkey_error *error)
{
    const char *name = options->server_name;
    struct url url;

    if (name &&
        (url_parse_authority(name, &url, error) < 0 || !text_equal_any_case(name, url.host)))
        return error_set(error, PULLKEY_INVALID, "the server's name for TLS is no name of a host");
    return 0;
}

int server_open(const struct http_options *options, const struct http_request *request,
                struct server *ret, struct pullkey_error *error)
{
    int r;

    *ret = (struct server){
        .url = *request->url,
        .public_only = request->public_only,
        .beyond_link = request->beyond_link,
    };
    url_authority(&ret->url, ret->authority);
    r = check_server_name(options, error);
    if (r == 0)
        r = choose_proxy(options, ret, error);
    if (r < 0)
        return r;
    ret->easy = curl_easy_init();
    if (!ret->easy) {
        server_close(ret);
        return error_memory(error);
    }
    if (set_up(ret, options))
        return 0;
    server_close(ret);
    return curl_memory_ran_out()
               ? error_memory(error)
               : error_set(error, PULLKEY_INTERNAL,
                           "this libcurl lacks an option that keeps credentials safe");
}

void server_close(struct server *server)
{
    if (server->easy)
        curl_easy_cleanup(server->easy);
    curl_slist_free_all(server->path);
    secret_release(server->proxy_copy);
    *server = (struct server){ 0 };
}
