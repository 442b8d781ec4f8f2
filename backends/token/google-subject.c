/* SPDX-License-Identifier: Apache-2.0 */
/* The token of another issuer, which Google exchanges: from a file, a URL, a program or elsewhere.
 */
#include "google.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/secret.h"
#include "program.h"

#define HEADERS_MAX 16
#define WORDS_MAX 32
#define ALLOW "GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES"

static int from_file(const struct google_source *source, struct pullkey_secret *ret,
                     struct pullkey_error *error)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(2 * PULLKEY_SECRET_MAX);
    int r = file_read(source->file, FILE_INPUT, 0, &text, NULL, error);

    /* Who is named and not there is no reason to be somebody else, or nobody. */
    if (r == -PULLKEY_NOT_FOUND)
        return error_set(error, PULLKEY_INVALID, "there is no identity token: %s is missing",
                         source->file);
    if (r < 0)
        return r;
    r = google_subject_read(source, &text, ret, error);
    return r < 0 ? error_wrap(error, "the token in %s", source->file) : 0;
}

/*
 * The issuer is none of Google's, so its address is not of the universe domain. What a file may
 * name without the options is the machine itself, its metadata, and the GitHub job that it is for.
 */
static int find_url(const struct google *google, const char *text, struct url *ret,
                    struct pullkey_error *error)
{
    const char *own = settings_text(google->exchange->settings->endpoints, "credential_source");
    const char *job = exchange_environment("ACTIONS_ID_TOKEN_REQUEST_URL");
    struct pullkey_error ignored;
    struct url job_url;
    int r = url_parse(own ? own : text, ret, error);

    if (r < 0 || own || google_is_own(ret, google->universe) || url_is_loopback(ret) ||
        url_is_metadata(ret))
        return r;
    if (job && ret->https && url_parse(job, &job_url, &ignored) == 0 && job_url.https &&
        url_same_server(&job_url, ret))
        return 0;
    return error_set(error, PULLKEY_DENIED,
                     "it leads to %s, which the configuration does not name; if that is meant, "
                     "name it as \"credential_source\" under \"endpoints\"",
                     ret->host);
}

static int make_headers(const cJSON *headers, struct buffer *text, size_t ends[], size_t *count,
                        struct pullkey_error *error)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, headers) {
        if (*count == HEADERS_MAX)
            return error_set(error, PULLKEY_INVALID, "it has more than %d headers", HEADERS_MAX);
        ends[(*count)++] = text->length;
        buffer_append_text(text, item->string);
        buffer_append_text(text, ": ");
        buffer_append(text, item->valuestring, strlen(item->valuestring) + 1);
    }
    return buffer_check(text, error);
}

static int from_url(struct google *google, const struct google_source *source,
                    struct pullkey_secret *ret, struct pullkey_error *error)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(PULLKEY_SECRET_MAX);
    cleanup_response struct http_response response = { 0 };
    const char *lines[HEADERS_MAX + 1] = { NULL };
    size_t begins[HEADERS_MAX], count = 0;
    char server[URL_AUTHORITY_SIZE];
    struct url url;
    struct http_request request = { .url = &url, .headers = lines };
    int r = find_url(google, source->url, &url, error);

    if (r == 0)
        r = make_headers(source->headers, &text, begins, &count, error);
    if (r < 0)
        return error_wrap(error, "the url of the credential_source of %s", google->what);
    for (size_t i = 0; i < count; i++)
        lines[i] = text.data + begins[i];
    url_authority(&url, server);
    r = exchange_send(google->exchange, &request, &response, error);
    if (r == 0 && response.status != 200)
        return error_set(error, PULLKEY_DENIED,
                         "%s gives no identity token for %s: it answers %ld; is what its "
                         "credential_source says still right?",
                         server, google->what, response.status);
    if (r == 0)
        r = google_subject_read(source, &response.body, ret, error);
    return r < 0 ? error_wrap(error, "the identity token of %s", server) : 0;
}

/* Words with blanks between, as Google's own libraries take the command. */
static int split(char *command, char *words[WORDS_MAX + 1], struct pullkey_error *error)
{
    size_t count = 0;
    char *rest = command, *word;

    while ((word = strsep(&rest, " \t"))) {
        if (*word == '\0')
            continue;
        if (count == WORDS_MAX)
            return error_set(error, PULLKEY_INVALID, "its command has more than %d words",
                             WORDS_MAX);
        words[count++] = word;
    }
    words[count] = NULL;
    return 0;
}

/* AIP-4117: what such a program is told. */
static int tell(const struct google_credentials *credentials, struct buffer *text,
                char *ret[PROGRAM_MORE_MAX], struct pullkey_error *error)
{
    const char *const pairs[][2] = {
        { "GOOGLE_EXTERNAL_ACCOUNT_AUDIENCE", credentials->audience },
        { "GOOGLE_EXTERNAL_ACCOUNT_TOKEN_TYPE", credentials->subject_token_type },
        { "GOOGLE_EXTERNAL_ACCOUNT_INTERACTIVE", "0" },
    };
    const size_t count = sizeof(pairs) / sizeof(pairs[0]);
    size_t begins[sizeof(pairs) / sizeof(pairs[0])];
    int r;

    for (size_t i = 0; i < count; i++) {
        begins[i] = text->length;
        buffer_printf(text, "%s=%s", pairs[i][0], pairs[i][1]);
        buffer_append(text, "", 1);
    }
    r = buffer_check(text, error);
    if (r < 0)
        return r;
    for (size_t i = 0; i < count; i++)
        ret[i] = text->data + begins[i];
    ret[count] = NULL;
    return 0;
}

static int run_command(struct google *google, const struct google_credentials *credentials,
                       char *words[], struct buffer *output, struct pullkey_error *error)
{
    const struct pullkey_host *host = google->exchange->host;
    const int64_t deadline = google->exchange->request->deadline_ms;
    const int64_t end = host->monotonic_ms() + credentials->source.timeout_ms;
    cleanup_buffer struct buffer text = BUFFER_INIT(8192);
    char *more[PROGRAM_MORE_MAX];
    const struct program program = {
        .path = words[0],
        .arguments = words,
        .more = more,
        .deadline_ms = end < deadline ? end : deadline,
    };
    int status, r = tell(credentials, &text, more, error);

    if (r == 0)
        r = file_check(words[0], FILE_LINKED, error);
    if (r == -PULLKEY_NOT_FOUND)
        return error_set(error, PULLKEY_INVALID, "there is no such program");
    if (r == 0)
        r = program_run(google->exchange, &program, output, &status, error);
    if (r == 0 && status != 0 && output->length == 0)
        r = error_set(error, PULLKEY_DENIED,
                      "it ends with status %d and gives no token; run it by hand to see why",
                      status);
    return r;
}

static int from_executable(struct google *google, const struct google_credentials *credentials,
                           struct pullkey_secret *ret, struct pullkey_error *error)
{
    cleanup_buffer struct buffer output = BUFFER_INIT(2 * PULLKEY_SECRET_MAX);
    const char *allowed = exchange_environment(ALLOW), *command = credentials->source.command;
    cleanup_release char *copy = secret_copy(command, strlen(command));
    char *words[WORDS_MAX + 1];
    int r;

    if (!copy)
        return error_memory(error);
    if (!allowed || strcmp(allowed, "1") != 0)
        return error_set(error, PULLKEY_DENIED,
                         "%s wants a program to be run, which is only done where the environment "
                         "has " ALLOW "=1",
                         google->what);
    r = split(copy, words, error);
    if (r == 0)
        r = run_command(google, credentials, words, &output, error);
    if (r == 0)
        r = google_executable_read(&output, google->exchange->host->wall_seconds(), ret, error);
    return r < 0 ? error_wrap(error, "%s", copy) : 0;
}

int google_get_subject(struct google *google, const struct google_credentials *credentials,
                       struct pullkey_secret *ret, struct pullkey_error *error)
{
    if (credentials->source.file)
        return from_file(&credentials->source, ret, error);
    if (credentials->source.url)
        return from_url(google, &credentials->source, ret, error);
    if (credentials->source.verification_url)
        return google_aws_subject(google, credentials, ret, error);
    if (credentials->source.certificate)
        return google_certificate_subject(google, credentials, ret, error);
    return from_executable(google, credentials, ret, error);
}
