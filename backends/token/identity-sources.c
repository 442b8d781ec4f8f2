/* SPDX-License-Identifier: Apache-2.0 */
#include "identity-sources.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/secret.h"
#include "program.h"
#include "token-request.h"

#define ARGUMENTS_MAX 32

int identity_check_command(const struct settings *settings, const cJSON *value,
                           struct pullkey_error *error)
{
    const cJSON *item;
    int count = cJSON_GetArraySize(value);

    if (!cJSON_IsArray(value) || count < 1 || count > ARGUMENTS_MAX)
        return json_error(&settings->json, value, error,
                          "must be a list of 1 to %d texts: the program and its arguments",
                          ARGUMENTS_MAX);
    cJSON_ArrayForEach(item, value) {
        if (!cJSON_IsString(item))
            return json_error(&settings->json, item, error, "must be text");
    }
    if (value->child->valuestring[0] != '/')
        return json_error(&settings->json, value->child, error, "must be an absolute path");
    return 0;
}

int identity_get_command(struct exchange *exchange, const cJSON *value, struct identity_token *ret,
                         struct pullkey_error *error)
{
    cleanup_buffer struct buffer output = BUFFER_INIT(PULLKEY_SECRET_MAX);
    char *arguments[ARGUMENTS_MAX + 1] = { 0 };
    const char *path = value->child->valuestring;
    const cJSON *item;
    size_t count = 0;
    int status, r;

    cJSON_ArrayForEach(item, value) {
        if (count < ARGUMENTS_MAX)
            arguments[count++] = item->valuestring;
    }
    (void)snprintf(ret->what, sizeof(ret->what), "the token that %s prints", path);
    r = file_check(path, FILE_LINKED, error);
    if (r == -PULLKEY_NOT_FOUND)
        return error_set(error, PULLKEY_INVALID, "there is no program %s", path);
    if (r == 0)
        r = program_run(exchange, &(struct program){ .path = path, .arguments = arguments },
                        &output, &status, error);
    if (r < 0)
        return error_wrap(error, "the identity token of %s", path);
    if (status != 0)
        return error_set(error, PULLKEY_DENIED,
                         "%s ends with status %d and gives no identity token; run it by hand to "
                         "see why",
                         path, status);
    while (output.length > 0 && strchr("\r\n", output.data[output.length - 1]))
        output.length--;
    /* Not that there is no identity, which would be remembered: the next time it may print one. */
    if (output.length == 0)
        return error_set(error, PULLKEY_DENIED, "%s prints no identity token", path);
    return secret_set(&ret->token, output.data ? output.data : "", output.length, error);
}

static int ask_github(struct exchange *exchange, const char *address, const char *token,
                      const char *audience, struct http_response *ret, struct pullkey_error *error)
{
    cleanup_buffer struct buffer query = BUFFER_INIT(HTTP_QUERY_MAX);
    cleanup_secret struct pullkey_secret secret = { 0 };
    struct http_request request = { .scheme = HTTP_BEARER, .secret = &secret };
    struct url url;
    int r = url_parse(address, &url, error);

    if (r == 0)
        r = secret_set(&secret, token, strlen(token), error);
    if (r == 0) {
        http_query_add(&query, "audience", audience, strlen(audience));
        r = buffer_check(&query, error);
    }
    if (r < 0)
        return r;
    request.url = &url;
    request.query = query.data;
    return exchange_send(exchange, &request, ret, error);
}

int identity_get_github(struct exchange *exchange, const cJSON *value, struct identity_token *ret,
                        struct pullkey_error *error)
{
    const char *address = exchange_environment("ACTIONS_ID_TOKEN_REQUEST_URL");
    const char *token = exchange_environment("ACTIONS_ID_TOKEN_REQUEST_TOKEN");
    cleanup_response struct http_response response = { 0 };
    int r;

    if (!address || !token)
        return error_set(error, PULLKEY_NO_IDENTITY,
                         "%s: give the job \"permissions: id-token: write\"",
                         exchange_environment("GITHUB_ACTIONS")
                             ? "this GitHub Actions job may not request an identity token"
                             : "this is no GitHub Actions job that may request an identity token");
    (void)snprintf(ret->what, sizeof(ret->what), "the GitHub Actions job");
    r = ask_github(exchange, address, token, value->valuestring, &response, error);
    if (r == 0 && response.status != 200)
        r = error_set(error, PULLKEY_DENIED,
                      "GitHub Actions refuses an identity token for the audience \"%s\" (%ld): may "
                      "the job still request one?",
                      value->valuestring, response.status);
    if (r == 0)
        r = token_request_read_github(&response.body, &ret->token, error);
    return r < 0 ? error_wrap(error, "the identity of the job") : 0;
}
