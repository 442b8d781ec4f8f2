/* SPDX-License-Identifier: Apache-2.0 */
#include "http-error.h"

#include "base/error.h"
#include "realm.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

/* openssl/x509_vfy.h; numbers that never change. The header would make libcrypto a dependency of
 * the build. */
enum {
    VERIFY_FINE = 0,
    VERIFY_UNSPECIFIED = 1,
    VERIFY_NO_ISSUER = 2,
    VERIFY_NOT_YET_VALID = 9,
    VERIFY_EXPIRED = 10,
    VERIFY_SELF_SIGNED = 18,
    VERIFY_SELF_SIGNED_IN_CHAIN = 19,
    VERIFY_NO_ISSUER_LOCALLY = 20,
    VERIFY_NO_FIRST_SIGNATURE = 21,
    VERIFY_REVOKED = 23,
    VERIFY_HOST_MISMATCH = 62,
    VERIFY_ADDRESS_MISMATCH = 64,
};

static int explain_untrusted(const struct http_failure *failure, struct pullkey_error *error)
{
    const struct http_options *options = failure->options;
    const char *given = options->ca_file ? options->ca_file : options->ca_dir;

    if (given)
        return error_set(
            error, PULLKEY_INVALID,
            "the certificate of %s is not signed by an authority in %s; is that the right file?",
            failure->server, given);
    if (options->ca_data)
        return error_set(error, PULLKEY_INVALID,
                         "the certificate of %s is not signed by the authority that is given; %s",
                         failure->server,
                         options->ca_advice ? options->ca_advice : "is that the right one?");
    return error_set(error, PULLKEY_INVALID,
                     "the certificate of %s is not signed by an authority that this machine "
                     "trusts; %s%sadd it to the system's trusted certificates",
                     failure->server, options->ca_advice ? options->ca_advice : "",
                     options->ca_advice ? ", or " : "");
}

static int explain_proxy_name(const struct http_failure *failure, struct pullkey_error *error)
{
    return error_set(error, PULLKEY_UNREACHABLE,
                     "the proxy for %s has a name that does not exist; check %s", failure->server,
                     failure->options->proxy ? "its URL" : "https_proxy");
}

/* True where TLS failed before there was a way to the server. */
static bool is_of_proxy(const struct http_failure *failure)
{
    return failure->proxy && strncasecmp(failure->proxy, "https:", 6) == 0 &&
           failure->proxy_status == 0;
}

static int explain_client(const struct http_failure *failure, struct pullkey_error *error)
{
    return error_set(error, PULLKEY_DENIED,
                     "%s does not take the client certificate; has it expired, or is it another "
                     "server's?",
                     failure->server);
}

static int explain_certificate(const struct http_failure *failure, struct pullkey_error *error)
{
    if (is_of_proxy(failure))
        return error_set(error, PULLKEY_INVALID,
                         "the certificate of the proxy for %s is not acceptable: expired, for "
                         "another name, or not signed by an authority that is trusted here",
                         failure->server);
    /* libcurl's code for the server's word that the client's certificate has expired, too. */
    if (failure->options->client_certificate && failure->verify_result == VERIFY_UNSPECIFIED &&
        strstr(failure->detail, "certificate verification failed"))
        return explain_client(failure, error);
    switch (failure->verify_result) {
    case VERIFY_EXPIRED:
        return error_set(error, PULLKEY_INVALID,
                         "the certificate of %s has expired; the server needs a new one (or this "
                         "machine's clock is wrong)",
                         failure->server);
    case VERIFY_NOT_YET_VALID:
        return error_set(error, PULLKEY_INVALID,
                         "the certificate of %s is not valid yet; check this machine's clock",
                         failure->server);
    case VERIFY_REVOKED:
        return error_set(error, PULLKEY_INVALID, "the certificate of %s has been revoked",
                         failure->server);
    case VERIFY_NO_ISSUER:
    case VERIFY_SELF_SIGNED:
    case VERIFY_SELF_SIGNED_IN_CHAIN:
    case VERIFY_NO_ISSUER_LOCALLY:
    case VERIFY_NO_FIRST_SIGNATURE: return explain_untrusted(failure, error);
    case VERIFY_FINE: /* libcurl compares the name itself, and has OpenSSL's result before or after
                         that */
    case VERIFY_UNSPECIFIED:
    case VERIFY_HOST_MISMATCH:
    case VERIFY_ADDRESS_MISMATCH:
        return error_set(
            error, PULLKEY_INVALID,
            "the certificate of %s is for another name; use the name that the certificate has",
            failure->server);
    case HTTP_VERIFY_UNKNOWN:
        return error_set(error, PULLKEY_INVALID,
                         "the certificate of %s is not acceptable: expired, for another name, or "
                         "not signed by an "
                         "authority that is trusted here",
                         failure->server);
    default:
        return error_set(
            error, PULLKEY_INVALID,
            "the certificate of %s is not acceptable (verification error %ld of OpenSSL)",
            failure->server, failure->verify_result);
    }
}

static int explain_handshake(const struct http_failure *failure, struct pullkey_error *error)
{
    if (is_of_proxy(failure))
        return error_set(error, PULLKEY_UNREACHABLE,
                         "the TLS handshake with the proxy for %s failed; does it speak TLS?",
                         failure->server);
    if (strstr(failure->detail, "wrong version number") ||
        strstr(failure->detail, "packet length too long"))
        return error_set(
            error, PULLKEY_INVALID, "%s does not speak TLS on this port%s", failure->server,
            failure->loopback ? "; if it is meant to be plain http, use --plain-http" : "");
    if (strstr(failure->detail, "unsupported protocol") ||
        strstr(failure->detail, "protocol version"))
        return error_set(error, PULLKEY_INVALID,
                         "%s offers nothing newer than TLS 1.1, and at least TLS 1.2 is needed",
                         failure->server);
    if (strstr(failure->detail, "certificate required"))
        return error_set(error, PULLKEY_DENIED, "%s wants a client certificate, and none is given",
                         failure->server);
    if (failure->options->client_certificate && strstr(failure->detail, "alert"))
        return explain_client(failure, error);
    return error_set(error, PULLKEY_UNREACHABLE,
                     "the TLS handshake with %s failed; does it speak TLS on this port?",
                     failure->server);
}

/* A proxy that is there and does not do what it is for. */
static int explain_proxy(const struct http_failure *failure, struct pullkey_error *error)
{
    if (failure->proxy_status == 407)
        return error_set(error, PULLKEY_UNREACHABLE,
                         "the proxy for %s wants a user name and password that it knows; they "
                         "belong into the proxy's URL",
                         failure->server);
    if (failure->proxy_status >= 100)
        return error_set(error, PULLKEY_UNREACHABLE,
                         "the proxy refuses a connection to %s: it answers %ld", failure->server,
                         failure->proxy_status);
    return error_set(error, PULLKEY_UNREACHABLE, "the proxy refuses a connection to %s",
                     failure->server);
}

static int explain_connect(const struct http_failure *failure, struct pullkey_error *error)
{
    const char *text = failure->os_errno != 0 ? strerrordesc_np((int)failure->os_errno) : NULL;

    if (failure->forbidden && failure->beyond_link)
        return error_set(error, PULLKEY_DENIED,
                         "%s leads to an address of this link, where clouds have their metadata: "
                         "it is not asked",
                         failure->server);
    if (failure->forbidden)
        return error_set(error, PULLKEY_DENIED,
                         "%s leads to an address that is not public, and it was not you who named "
                         "this server; " REALM_ADVICE,
                         failure->server);
    if (failure->proxy && failure->proxy_status >= 300)
        return explain_proxy(failure, error);
    if (failure->proxy)
        return error_set(error, PULLKEY_UNREACHABLE, "the proxy for %s cannot be reached: %s",
                         failure->server, text ? text : "no connection");
    return error_set(error, PULLKEY_UNREACHABLE, "%s cannot be reached: %s", failure->server,
                     text ? text : "no connection");
}

static int explain_timeout(const struct http_failure *failure, struct pullkey_error *error)
{
    if (!failure->connected)
        return error_set(error, PULLKEY_UNREACHABLE, "%s cannot be reached: no connection in time",
                         failure->server);
    return error_set(error, PULLKEY_UNREACHABLE, "%s did not answer in time", failure->server);
}

static int explain_broken(const struct http_failure *failure, struct pullkey_error *error)
{
    if (failure->too_large || failure->code == CURLE_FILESIZE_EXCEEDED)
        return error_set(error, PULLKEY_INVALID,
                         "the answer of %s is too large (more than %d KiB, or %d KiB of headers)",
                         failure->server, (int)(http_body_max(failure->options) / 1024),
                         HTTP_HEADERS_MAX / 1024);
    return error_set(error, PULLKEY_INVALID, "%s does not answer in proper HTTP", failure->server);
}

int http_explain(const struct http_failure *failure, struct pullkey_error *error)
{
    /* libcurl's other codes are for what is switched off here, so naming them all would help
     * nobody. */
    switch ((int)failure->code) {
    case CURLE_COULDNT_RESOLVE_HOST:
        /* These look the server's name up themselves; libcurl says the same of both names. */
        if (failure->proxy && (strncasecmp(failure->proxy, "socks5h:", 8) == 0 ||
                               strncasecmp(failure->proxy, "socks4a:", 8) == 0))
            return explain_proxy_name(failure, error);
        return error_set(
            error, PULLKEY_UNREACHABLE,
            "there is no host %s; check the name, and that this machine can look up names",
            failure->server);
    case CURLE_COULDNT_RESOLVE_PROXY: return explain_proxy_name(failure, error);
    case CURLE_COULDNT_CONNECT: return explain_connect(failure, error);
    case CURLE_PROXY: return explain_proxy(failure, error);
    case CURLE_OPERATION_TIMEDOUT: return explain_timeout(failure, error);
    case CURLE_PEER_FAILED_VERIFICATION: return explain_certificate(failure, error);
    case CURLE_SSL_CONNECT_ERROR: return explain_handshake(failure, error);
    case CURLE_SSL_CACERT_BADFILE:
        return error_set(error, PULLKEY_INVALID,
                         "%s cannot be read, or holds no certificate in PEM form",
                         failure->options->ca_data   ? "the authority's certificate"
                         : failure->options->ca_file ? failure->options->ca_file
                                                     : "the file of trusted certificates");
    case CURLE_SSL_CERTPROBLEM:
        return error_set(error, PULLKEY_INVALID,
                         "the client certificate for %s cannot be used: it or its key is not in "
                         "PEM form, or they do not belong together",
                         failure->server);
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_PARTIAL_FILE:
    case CURLE_RECV_ERROR:
        if (failure->proxy && strstr(failure->detail, "CONNECT"))
            return explain_proxy(failure, error);
        if (strstr(failure->detail, "alert"))
            return explain_handshake(failure, error);
        if (strstr(failure->detail, "chunk") || strstr(failure->detail, "Malformed"))
            return explain_broken(failure, error);
        return error_set(error, PULLKEY_UNREACHABLE,
                         "%s broke off the connection without a full answer", failure->server);
    case CURLE_WRITE_ERROR:
    case CURLE_FILESIZE_EXCEEDED:
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_BAD_CONTENT_ENCODING: return explain_broken(failure, error);
    case CURLE_OUT_OF_MEMORY:
        return failure->too_large ? explain_broken(failure, error) : error_memory(error);
    default:
        return error_set(error, PULLKEY_UNREACHABLE, "no answer from %s (error %d of libcurl)",
                         failure->server, (int)failure->code);
    }
}

static const char *certificate_cause(long result)
{
    switch (result) {
    case VERIFY_EXPIRED: return "expired-certificate";
    case VERIFY_NOT_YET_VALID: return "certificate-not-yet-valid";
    case VERIFY_NO_ISSUER:
    case VERIFY_SELF_SIGNED:
    case VERIFY_SELF_SIGNED_IN_CHAIN:
    case VERIFY_NO_ISSUER_LOCALLY:
    case VERIFY_NO_FIRST_SIGNATURE: return "unknown-authority";
    case VERIFY_FINE:
    case VERIFY_UNSPECIFIED:
    case VERIFY_HOST_MISMATCH:
    case VERIFY_ADDRESS_MISMATCH: return "wrong-name";
    default: return "certificate";
    }
}

static const char *handshake_cause(const char *detail)
{
    return strstr(detail, "wrong version number") || strstr(detail, "packet length too long")
               ? "no-tls"
               : "tls";
}

const char *http_cause_of(const struct http_failure *failure)
{
    const bool of_proxy = failure->proxy && failure->proxy_status / 100 != 2;

    switch ((int)failure->code) {
    case CURLE_COULDNT_RESOLVE_HOST: return of_proxy ? "proxy" : "unknown-host";
    case CURLE_COULDNT_CONNECT:
        return failure->forbidden                  ? "forbidden-address"
               : of_proxy                          ? "proxy"
               : failure->os_errno == ECONNREFUSED ? "connection-refused"
               : failure->os_errno == ETIMEDOUT    ? "timeout"
                                                   : "unreachable";
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_PROXY: return "proxy";
    case CURLE_OPERATION_TIMEDOUT: return failure->accepted ? "no-answer" : "timeout";
    case CURLE_PEER_FAILED_VERIFICATION:
        return is_of_proxy(failure) ? "proxy" : certificate_cause(failure->verify_result);
    case CURLE_SSL_CACERT_BADFILE: return "ca-file";
    case CURLE_SSL_CONNECT_ERROR:
        return is_of_proxy(failure) ? "proxy" : handshake_cause(failure->detail);
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_PARTIAL_FILE:
    case CURLE_RECV_ERROR: return of_proxy ? "proxy" : "broken-connection";
    default: return "broken-answer";
    }
}

static const char *status_text(long status)
{
    switch (status) {
    case 408: return "it waited too long for the request";
    case 429: return "too many requests";
    case 500: return "an error inside the server";
    case 502:
    case 504: return "the server behind it does not answer";
    default: return "out of service";
    }
}

int http_explain_status(const char *server, long status, int64_t wait_ms,
                        struct pullkey_error *error)
{
    if (wait_ms > 0)
        return error_set(error, PULLKEY_UNREACHABLE, "%s answers %ld (%s) and asks to wait %lld s",
                         server, status, status_text(status), (long long)(wait_ms / 1000));
    return error_set(error, PULLKEY_UNREACHABLE, "%s answers %ld (%s); try again later", server,
                     status, status_text(status));
}
