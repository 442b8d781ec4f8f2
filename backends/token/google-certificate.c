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

static int read_pair(const struct json *config, const char *name, struct pullkey_secret *ret,
                     struct pullkey_error *error)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(GOOGLE_FILE_MAX);
    const char *path;
    int r = google_certificate_path(config, name, &path, error);

    if (r == 0)
        r = read_named(path, &text, error);
    return r < 0 ? r : secret_set(ret, text.data ? text.data : "", text.length, error);
}

static int read_certificate(struct google *google, const cJSON *certificate, struct buffer *ret,
                            struct pullkey_error *error)
{
    struct exchange *exchange = google->exchange;
    const char *chain_path = settings_text(certificate, "trust_chain_path");
    cleanup_buffer struct buffer text = BUFFER_INIT(GOOGLE_FILE_MAX);
    cleanup_buffer struct buffer chain = BUFFER_INIT(GOOGLE_FILE_MAX);
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
                 : google_certificate_chain(exchange->client_certificate.bytes,
                                            chain.data ? chain.data : "", ret, error);
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
