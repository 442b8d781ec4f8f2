/* SPDX-License-Identifier: Apache-2.0 */
#include "walk.h"

#include <netdb.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

#include <curl/curl.h>

#include "base/error.h"
#include "base/no-proxy.h"

#define SKEW_SECONDS 60
#define SOON_SECONDS (7 * 24 * 3600)
#define LIST_MAX 512

/* -- Telling ---------------------------------------------------------------------------------- */

bool walk_tell(struct walk *walk, const char *name, enum pullkey_step_state state, int64_t took_ms,
               const char *cause, const char *format, ...)
{
    const int64_t now = walk->check.host->monotonic_ms();
    struct pullkey_error text;
    va_list arguments;

    va_start(arguments, format);
    (void)error_set_list(&text, PULLKEY_INTERNAL, format, arguments);
    va_end(arguments);
    walk->wanted->step(walk->wanted->context,
                       &(struct pullkey_step){
                           .size = sizeof(struct pullkey_step),
                           .name = name,
                           .state = state,
                           .took_ms = took_ms == WALK_SINCE ? now - walk->began : took_ms,
                           .text = text.message,
                           .cause = cause,
                       });
    walk->began = now;
    return state != PULLKEY_STEP_FAILED;
}

bool walk_fail(struct walk *walk, const char *name, const char *cause,
               const struct pullkey_error *error)
{
    return walk_tell(walk, name, PULLKEY_STEP_FAILED, WALK_SINCE,
                     error->code == PULLKEY_INTERNAL ? "internal" : cause, "%s", error->message);
}

const char *walk_cause(const struct walk *walk, const char *other)
{
    const char *cause = http_cause(walk->check.http);

    return cause[0] != '\0' ? cause : other;
}

/* -- The connection --------------------------------------------------------------------------- */

static void tell_proxy(struct walk *walk, const char *proxy)
{
    const char *host = proxy ? strstr(proxy, "://") : NULL, *at;

    if (!proxy) {
        (void)walk_tell(walk, "proxy", PULLKEY_STEP_FINE, -1, "", "none");
        return;
    }
    host = host ? host + 3 : proxy;
    at = strrchr(host, '@');
    (void)walk_tell(walk, "proxy", PULLKEY_STEP_FINE, -1, "", "%.*s%s%.*s, from the environment",
                    (int)(host - proxy), proxy, at ? "***@" : "",
                    (int)no_proxy_shown(at ? at + 1 : host), at ? at + 1 : host);
}

/* libcurl has looked the name up in time, so the answer is near. */
static void tell_addresses(struct walk *walk, int64_t took_ms)
{
    const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
    cleanup_buffer struct buffer list = BUFFER_INIT(LIST_MAX);
    struct addrinfo *found = NULL;
    char text[NI_MAXHOST];

    if (getaddrinfo(walk->check.registry.host, NULL, &hints, &found) != 0)
        return;
    for (const struct addrinfo *item = found; item; item = item->ai_next)
        if (getnameinfo(item->ai_addr, item->ai_addrlen, text, sizeof(text), NULL, 0,
                        NI_NUMERICHOST) == 0)
            buffer_printf(&list, "%s%s", list.length > 0 ? ", " : "", text);
    freeaddrinfo(found);
    (void)walk_tell(walk, "dns", PULLKEY_STEP_FINE, took_ms, "", "%s is %s",
                    walk->check.registry.host, list.data ? list.data : "?");
}

static void write_time(int64_t seconds, char ret[24])
{
    const time_t time = (time_t)seconds;
    struct tm parts;

    if (!gmtime_r(&time, &parts) || strftime(ret, 24, "%Y-%m-%d %H:%M", &parts) == 0)
        ret[0] = '\0';
}

/* True if all are valid at that time, also where there are none. */
static bool tell_certificates(struct walk *walk, const struct http *http, int64_t at)
{
    struct http_certificate certificate;
    bool are_valid = true;

    for (int i = 0; http_certificate(http, &walk->check.registry, i, &certificate); i++) {
        const int64_t now = walk->check.host->wall_seconds();
        const bool over = certificate.end <= now, early = certificate.begin > now;
        char time[24];

        write_time(early ? certificate.begin : certificate.end, time);
        are_valid = are_valid && certificate.begin <= at && at < certificate.end;
        (void)walk_tell(walk, "certificate",
                        over || early || certificate.end < now + SOON_SECONDS ? PULLKEY_STEP_NOTE
                                                                              : PULLKEY_STEP_FINE,
                        -1, "", "%s, issued by %s, %s %s UTC", certificate.subject,
                        certificate.issuer,
                        over    ? "expired"
                        : early ? "not valid before"
                                : "good until",
                        time);
    }
    return are_valid;
}

/* How far this machine's clock is ahead of the server's, in seconds; 0 where it is as good as that,
 * or nobody knows. */
static int64_t tell_clock(struct walk *walk, const struct http_response *response)
{
    const char *value;
    size_t at = 0, length;
    char text[64];
    int64_t ahead;

    if (!http_header(response, "date", &at, &value, &length) || length >= sizeof(text))
        return 0;
    memcpy(mempcpy(text, value, length), "", 1);
    ahead = curl_getdate(text, NULL);
    if (ahead < 0)
        return 0;
    ahead = walk->check.host->wall_seconds() - ahead;
    if (ahead >= -SKEW_SECONDS && ahead <= SKEW_SECONDS) {
        (void)walk_tell(walk, "clock", PULLKEY_STEP_FINE, -1, "", "as that of %s",
                        walk->check.server);
        return 0;
    }
    (void)walk_tell(walk, "clock", PULLKEY_STEP_NOTE, -1, "clock",
                    "this machine's clock is %lld s %s that of %s: set it right",
                    (long long)(ahead < 0 ? -ahead : ahead), ahead < 0 ? "behind" : "ahead of",
                    walk->check.server);
    return ahead;
}

/*
 * Whose certificate it is that cannot be trusted; nothing but this is asked. How far this machine's
 * clock is ahead, if the certificates would be valid without that.
 */
static int64_t look_unverified(struct walk *walk)
{
    cleanup_response struct http_response response = { 0 };
    struct http_options options = walk->options;
    struct pullkey_error ignored;
    struct http *http;
    int64_t ahead;
    bool are_valid;

    options.insecure = true;
    if (http_open(walk->check.host, &options, &http, &ignored) < 0)
        return 0;
    (void)http_send(
        http,
        &(struct http_request){ .url = &walk->check.registry, .method = HTTP_HEAD, .attempts = 1 },
        &response, &ignored);
    ahead = tell_clock(walk, &response);
    are_valid = tell_certificates(walk, http, walk->check.host->wall_seconds() - ahead);
    http_close(http);
    return are_valid ? ahead : 0;
}

/* Which step it was, as far as the cause tells. */
static const char *failed_step(const char *cause)
{
    static const char *const steps[][2] = {
        { "proxy", "proxy" },
        { "unknown-host", "dns" },
        { "name-server", "dns" },
        { "connection-refused", "tcp" },
        { "timeout", "tcp" },
        { "unreachable", "tcp" },
        { "no-tls", "tls" },
        { "tls", "tls" },
        { "ca-file", "tls" },
        { "wrong-name", "tls" },
        { "unknown-authority", "tls" },
        { "expired-certificate", "tls" },
        { "certificate-not-yet-valid", "tls" },
        { "certificate", "tls" },
    };

    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
        if (strcmp(cause, steps[i][0]) == 0)
            return steps[i][1];
    return "registry";
}

static bool tell_failed(struct walk *walk, const char *name, const char *cause,
                        const struct pullkey_error *error)
{
    const int64_t ahead = strcmp(name, "tls") == 0 ? look_unverified(walk) : 0;

    /* With the clock of the server they would be valid. */
    if (ahead != 0 && (strcmp(cause, "expired-certificate") == 0 ||
                       strcmp(cause, "certificate-not-yet-valid") == 0))
        return walk_tell(
            walk, name, PULLKEY_STEP_FAILED, WALK_SINCE, "clock",
            "the certificate of %s is good, and this machine's clock is %lld s %s: set it "
            "right",
            walk->check.server, (long long)(ahead < 0 ? -ahead : ahead),
            ahead < 0 ? "behind" : "ahead");
    return walk_fail(walk, name, cause, error);
}

/* What libcurl did, part by part; `error` if it ended in one. */
bool walk_tell_connection(struct walk *walk, const struct http_response *response,
                          const struct pullkey_error *error)
{
    const struct check *check = &walk->check;
    const char *cause = error ? walk_cause(walk, "unreachable") : "";
    const char *file = walk->options.ca_file, *system = http_system_authorities();
    struct http_seen seen;

    http_see(check->http, &check->registry, &seen);
    tell_proxy(walk, seen.proxy);
    if (seen.lookup_ms < 0 && strcmp(cause, "timeout") == 0)
        cause = "name-server";
    if (seen.lookup_ms >= 0 && check->registry.kind == URL_NAME && !seen.proxy)
        tell_addresses(walk, seen.lookup_ms);
    if (strcmp(failed_step(cause), "tls") == 0 || strcmp(cause, "no-answer") == 0 ||
        seen.connect_ms >= 0)
        (void)walk_tell(walk, "tcp", PULLKEY_STEP_FINE, seen.connect_ms, "", "connected to %s%s",
                        seen.proxy ? "the proxy at " : "", seen.address);
    if (seen.tls_ms >= 0) {
        (void)walk_tell(walk, "tls", PULLKEY_STEP_FINE, seen.tls_ms, "",
                        "the certificate is good for %s, by the authorities of %s%s%s",
                        check->registry.host, file ? file : "", file && system ? " and " : "",
                        system ? system
                        : file ? ""
                               : "libcurl");
        (void)tell_certificates(walk, check->http, 0);
    }
    (void)tell_clock(walk, response);
    if (strcmp(cause, "no-answer") == 0 && !seen.proxy) {
        const bool is_tls = check->registry.https && seen.tls_ms < 0;

        return walk_tell(walk, is_tls ? "tls" : "http", PULLKEY_STEP_FAILED, WALK_SINCE, cause,
                         "%s accepted the connection and did not %s in time", check->server,
                         is_tls ? "begin TLS" : "answer");
    }
    return !error || tell_failed(walk, failed_step(cause), cause, error);
}
