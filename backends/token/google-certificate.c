/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine with an X.509 certificate of its own: STS is asked over TLS with it, and the subject
 * token is the same certificate with those between it and what the pool trusts. Which files it is
 * in stands in a file of gcloud's, certificate_config.json.
 */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/secret.h"
#include "google.h"

#define CONFIG_FILE "certificate_config.json"
#define CONFIG_MAX 65536
#define PEM_MAX 65536
#define BEGIN "-----BEGIN CERTIFICATE-----"
#define END "-----END CERTIFICATE-----"
#define CHAIN_MAX 10 /* certificates */

static int find_config(const struct google *google, const cJSON *certificate,
                       char ret[FILE_PATH_MAX], struct pullkey_error *error)
{
    const char *given = settings_text(certificate, "certificate_config_location");
    const char *directory = exchange_environment("CLOUDSDK_CONFIG");
    char home[FILE_PATH_MAX], place[FILE_PATH_MAX];
    int r;

    if (!given)
        given = exchange_environment("GOOGLE_API_CERTIFICATE_CONFIG");
    if (given)
        return snprintf(ret, FILE_PATH_MAX, "%s", given) < FILE_PATH_MAX
                   ? 0
                   : error_set(error, PULLKEY_INVALID, "the path of " CONFIG_FILE " is too long");
    /* A person's file is not the machine's. */
    if (google->exchange->settings->system)
        return error_set(error, PULLKEY_INVALID,
                         "where " CONFIG_FILE " is must be said: as certificate_config_location, "
                         "or in GOOGLE_API_CERTIFICATE_CONFIG");
    if (directory)
        return file_join(ret, directory, CONFIG_FILE, error);
    r = file_home(home, error);
    if (r == 0)
        r = file_join(place, home, ".config/gcloud", error);
    return r < 0 ? r : file_join(ret, place, CONFIG_FILE, error);
}

/* A file that another names must be there. */
static int read_named(const char *path, struct buffer *ret, struct pullkey_error *error)
{
    int r = file_read(path, FILE_INPUT, 0, ret, NULL, error);

    if (r == -PULLKEY_NOT_FOUND)
        return error_set(error, PULLKEY_INVALID, "%s is missing", path);
    return r;
}

/* "cert_configs": { "workload": { "cert_path": PATH, "key_path": PATH } } */
static int read_pair(const struct json *config, const char *name, struct pullkey_secret *ret,
                     struct pullkey_error *error)
{
    const cJSON *workload = json_member(json_member(config->root, "cert_configs"), "workload");
    cleanup_buffer struct buffer text = BUFFER_INIT(PEM_MAX);
    const char *path = settings_text(workload, name);
    int r;

    if (!path || path[0] != '/')
        return error_set(error, PULLKEY_INVALID,
                         "%s has no absolute \"%s\" in \"workload\" of \"cert_configs\"",
                         config->name, name);
    r = read_named(path, &text, error);
    return r < 0 ? r : secret_set(ret, text.data ? text.data : "", text.length, error);
}

/* The DER of the next certificate of a PEM text as base64, which it is inside; false at its end. */
static bool next_certificate(const char **at, struct buffer *ret)
{
    const char *begin = strstr(*at, BEGIN), *end;

    if (!begin)
        return false;
    begin += strlen(BEGIN);
    end = strstr(begin, END);
    if (!end)
        return false;
    for (const char *c = begin; c < end; c++)
        if (!strchr("\r\n\t ", *c))
            buffer_append(ret, c, 1);
    *at = end + strlen(END);
    return ret->length > 0;
}

/* The first of a chain may be the leaf itself, which is there already. */
static int write_chain(const char *leaf_pem, const char *chain_pem, struct buffer *ret,
                       struct pullkey_error *error)
{
    cleanup_buffer struct buffer leaf = BUFFER_INIT(PEM_MAX);
    int count = 0;

    if (!next_certificate(&leaf_pem, &leaf))
        return error_set(error, PULLKEY_INVALID, "its certificate is no PEM");
    buffer_append_text(ret, "[");
    json_write_string(ret, leaf.data, leaf.length);
    for (;; count++) {
        cleanup_buffer struct buffer next = BUFFER_INIT(PEM_MAX);

        if (!next_certificate(&chain_pem, &next))
            break;
        if (count == CHAIN_MAX)
            return error_set(error, PULLKEY_INVALID, "its chain has more than %d certificates",
                             CHAIN_MAX);
        if (next.length == leaf.length && memcmp(next.data, leaf.data, leaf.length) == 0) {
            if (count == 0)
                continue;
            return error_set(error, PULLKEY_INVALID,
                             "its chain has its own certificate, and not as the first");
        }
        buffer_append_text(ret, ",");
        json_write_string(ret, next.data, next.length);
    }
    buffer_append_text(ret, "]");
    return buffer_check(ret, error);
}

static int read_certificate(struct google *google, const cJSON *certificate, struct buffer *ret,
                            struct pullkey_error *error)
{
    struct exchange *exchange = google->exchange;
    const char *chain_path = settings_text(certificate, "trust_chain_path");
    cleanup_buffer struct buffer text = BUFFER_INIT(CONFIG_MAX);
    cleanup_buffer struct buffer chain = BUFFER_INIT(PEM_MAX);
    cleanup_json struct json config = { 0 };
    char path[FILE_PATH_MAX];
    int r = find_config(google, certificate, path, error);

    if (r == 0)
        r = read_named(path, &text, error);
    if (r == 0)
        r = json_parse(&config, path, text.data ? text.data : "", text.length, 0, error);
    if (r == 0)
        r = read_pair(&config, "cert_path", &exchange->client_certificate, error);
    if (r == 0)
        r = read_pair(&config, "key_path", &exchange->client_key, error);
    if (r == 0 && chain_path)
        r = read_named(chain_path, &chain, error);
    return r < 0 ? r
                 : write_chain(exchange->client_certificate.bytes, chain.data ? chain.data : "",
                               ret, error);
}

int google_certificate_subject(struct google *google, const struct google_credentials *credentials,
                               struct pullkey_secret *ret, struct pullkey_error *error)
{
    struct exchange *exchange = google->exchange;
    cleanup_buffer struct buffer chain = BUFFER_INIT(PULLKEY_SECRET_MAX);
    int r = read_certificate(google, credentials->source.certificate, &chain, error);

    if (r < 0)
        return error_wrap(error, "the certificate of %s", google->what);
    exchange->http_options.client_certificate = &exchange->client_certificate;
    exchange->http_options.client_key = &exchange->client_key;
    return secret_set(ret, chain.data, chain.length, error);
}
