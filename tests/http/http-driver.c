/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sends requests with backends/http and prints what came of each as a line of JSON. Stdin is JSON:
 * {"options": {...}, "requests": [{...}]}, with the members of http.h's structures; "deadline" is
 * in milliseconds from now. Names and addresses are tools/routes.c's.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "base/log.h"
#include "base/secret.h"
#include "http/http.h"

#define INPUT_MAX (8 * 1024 * 1024)

static const struct pullkey_host host = {
    .size = sizeof(host),
    .alloc = secret_alloc,
    .release = secret_release,
    .log = log_line,
    .wall_seconds = clock_wall_seconds,
    .monotonic_ms = clock_monotonic_ms,
};

static const char *text_of(const cJSON *object, const char *key)
{
    const cJSON *item = json_member(object, key);

    return cJSON_IsString(item) ? item->valuestring : NULL;
}

static double number_of(const cJSON *object, const char *key, double otherwise)
{
    const cJSON *item = json_member(object, key);

    return cJSON_IsNumber(item) ? item->valuedouble : otherwise;
}

/* A view of a text, with nothing in it for "", as a secret is that holds nothing; NULL where there
 * is none. */
static const struct pullkey_secret *view(const cJSON *object, const char *key,
                                         struct pullkey_secret *ret)
{
    cJSON *item = json_member(object, key);

    if (!cJSON_IsString(item))
        return NULL;
    *ret = (struct pullkey_secret){ item->valuestring, strlen(item->valuestring) };
    if (ret->length == 0)
        ret->bytes = NULL;
    return ret;
}

/* The place of a text in a list, 0 if it is not there. */
static unsigned int choose(const char *text, const char *const names[], unsigned int count)
{
    for (unsigned int i = 0; text && i < count; i++)
        if (strcmp(text, names[i]) == 0)
            return i;
    return 0;
}

static void print_reply(const struct http_response *response, struct buffer *out)
{
    buffer_printf(out, "{\"status\": %ld, \"length\": %zu, \"headers\": ", response->status,
                  response->body.length);
    json_write_name(out, response->headers.data ? response->headers.data : "");
    buffer_append_text(out, ", \"body\": ");
    json_write_name(out, response->body.data && response->body.length < 10000 ? response->body.data
                                                                              : "");
}

static void print_error(int r, const struct pullkey_error *error, struct buffer *out)
{
    buffer_printf(out, "{\"error\": \"%s\", \"returned\": %d, \"message\": ",
                  error_class_name(error->code), r);
    json_write_string(out, error->message, strlen(error->message));
}

#define LINES_MAX 8

static const char *const *lines_of(const cJSON *list, const char *lines[LINES_MAX + 1])
{
    const cJSON *item;
    size_t count = 0;

    cJSON_ArrayForEach(item, list) {
        if (count < LINES_MAX)
            lines[count++] = item->valuestring;
    }
    lines[count] = NULL;
    return lines;
}

static int ask(struct http *http, const cJSON *item, struct buffer *out)
{
    static const char *const methods[] = { "GET", "POST", "PUT" };
    static const char *const schemes[] = { "none", "Basic", "Bearer" };
    cleanup_response struct http_response response = { 0 };
    const char *lines[LINES_MAX + 1];
    struct pullkey_secret secret, body;
    struct pullkey_error error = { 0 };
    struct url url;
    struct http_request request = {
        .url = &url,
        .query = text_of(item, "query"),
        .scheme = (enum http_scheme)choose(text_of(item, "scheme"), schemes, 3),
        .username = text_of(item, "username"),
        .secret = view(item, "secret", &secret),
        .method = (enum http_method)choose(text_of(item, "method"), methods, 3),
        .headers = lines_of(json_member(item, "headers"), lines),
        .body = view(item, "body", &body),
        .attempts = (unsigned int)number_of(item, "attempts", 0),
        .is_once = cJSON_IsTrue(json_member(item, "is_once")),
        .attempt_ms = (int64_t)number_of(item, "attempt_ms", 0),
        .content_type = text_of(item, "content_type"),
        .allow_http = cJSON_IsTrue(json_member(item, "allow_http")),
        .allow_metadata = cJSON_IsTrue(json_member(item, "allow_metadata")),
        .allow_private = cJSON_IsTrue(json_member(item, "allow_private")),
        .public_only = cJSON_IsTrue(json_member(item, "public_only")),
        .beyond_link = cJSON_IsTrue(json_member(item, "beyond_link")),
    };
    int r = url_parse(text_of(item, "url"), &url, &error);

    if (r == 0)
        r = http_send(http, &request, &response, &error);
    if (r < 0)
        print_error(r, &error, out);
    else
        print_reply(&response, out);
    buffer_append_text(out, "}\n");
    return r;
}

static int run(const struct json *input, struct buffer *out, struct pullkey_error *error)
{
    const cJSON *given = json_member(input->root, "options"), *item;
    struct pullkey_secret authority, certificate, key;
    struct http_options options = {
        .source = "http-driver",
        .ca_file = text_of(given, "ca_file"),
        .ca_dir = text_of(given, "ca_dir"),
        .ca_data = view(given, "ca_data", &authority),
        .client_certificate = view(given, "client_certificate", &certificate),
        .client_key = view(given, "client_key", &key),
        .insecure = cJSON_IsTrue(json_member(given, "insecure")),
        .server_name = text_of(given, "server_name"),
        .proxy = text_of(given, "proxy"),
        .body_max = (size_t)number_of(given, "body_max", 0),
        .deadline_ms = clock_monotonic_ms() + (int64_t)number_of(given, "deadline", 10000),
    };
    struct http *http;
    int r = http_open(&host, &options, &http, error);

    if (r < 0)
        return r;
    cJSON_ArrayForEach(item, json_member(input->root, "requests")) {
        (void)ask(http, item, out);
    }
    http_close(http);
    return buffer_check(out, error);
}

int main(void)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(INPUT_MAX), out = BUFFER_INIT(INPUT_MAX);
    cleanup_json struct json input = { 0 };
    struct pullkey_error error = { 0 };
    int r;

    json_start();
    log_start("http-driver", secure_getenv("PULLKEY_LOG"));
    r = buffer_read(&text, STDIN_FILENO, &error);
    if (r == 0)
        r = json_parse(&input, "input", text.data, text.length, JSON_LARGE, &error);
    if (r == 0)
        r = run(&input, &out, &error);
    if (r < 0) {
        (void)fprintf(stderr, "http-driver: %s\n", error.message);
        return 1;
    }
    return fwrite(out.data, 1, out.length, stdout) == out.length && fflush(stdout) == 0 ? 0 : 1;
}
