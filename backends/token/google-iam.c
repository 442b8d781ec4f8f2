/* SPDX-License-Identifier: Apache-2.0 */
/* A token of a service account, for who may act as it: IAM's generateAccessToken. */
#include "google.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/secret.h"

#define ADDRESS "https://iamcredentials.%s/v1/projects/-/serviceAccounts/%s:generateAccessToken"

/* One text for each scope, of a list with blanks between. */
static void write_scopes(struct buffer *body, const char *scopes)
{
    const char *between = "";

    while (*scopes != '\0') {
        const size_t length = strcspn(scopes, " ");

        buffer_append_text(body, between);
        json_write_string(body, scopes, length);
        between = ",";
        scopes += length + (scopes[length] == ' ');
    }
}

static int write_body(struct buffer *body, const char *scopes, const cJSON *delegates, int lifetime,
                      struct pullkey_error *error)
{
    int r;

    buffer_append_text(body, "{\"scope\":[");
    write_scopes(body, scopes);
    buffer_printf(body, "],\"lifetime\":\"%ds\"", lifetime);
    if (delegates && delegates->child) {
        buffer_append_text(body, ",\"delegates\":");
        r = json_write_tree(body, delegates, false, error);
        if (r < 0)
            return r;
    }
    buffer_append_text(body, "}");
    return buffer_check(body, error);
}

static int send(struct google *google, const struct url *url, const struct buffer *text,
                const char *account, const char *server, struct oauth_reply *token,
                struct pullkey_error *error)
{
    cleanup_response struct http_response response = { 0 };
    struct oauth_reply reply = { 0 };
    const struct pullkey_secret body = { text->data, text->length };
    struct http_request request = {
        .url = url,
        .method = HTTP_POST,
        .scheme = HTTP_BEARER,
        .secret = &token->access_token,
        .body = &body,
        .content_type = "application/json",
    };
    int r = exchange_send(google->exchange, &request, &response, error);

    if (r < 0)
        return error_wrap(error, "%s", google->what);
    if (response.status != 200)
        return google_read_iam_error(&response.body, response.status, server, google->what, account,
                                     error);
    r = google_read_iam(&response.body, google->exchange->host->wall_seconds(), &reply, error);
    if (r < 0)
        return error_wrap(error, "the answer of %s", server);
    oauth_reply_done(token);
    *token = reply;
    return 0;
}

/* The e-mail address in such a URL, for messages. */
static void find_account(const struct url *url, char *ret, size_t size)
{
    const char *begin = strrchr(url->target, '/') + 1;

    (void)snprintf(ret, size, "%.*s", (int)strcspn(begin, ":?"), begin);
}

int google_impersonate(struct google *google, const char *url, const char *email,
                       const cJSON *delegates, int lifetime, const char *scopes,
                       struct oauth_reply *token, struct pullkey_error *error)
{
    cleanup_buffer struct buffer body = BUFFER_INIT(HTTP_QUERY_MAX);
    char usual[URL_TARGET_MAX], account[128], server[URL_AUTHORITY_SIZE];
    struct url address;
    int r;

    if (!url &&
        snprintf(usual, sizeof(usual), ADDRESS, google->universe, email) >= (int)sizeof(usual))
        return error_set(error, PULLKEY_INVALID, "\"impersonate\" is too long");
    r = google_find_url(google, "iam", "service_account_impersonation_url", url ? url : usual,
                        &address, error);
    if (r == 0)
        r = write_body(&body, scopes, delegates, lifetime, error);
    if (r < 0)
        return r;
    url_authority(&address, server);
    find_account(&address, account, sizeof(account));
    r = send(google, &address, &body, account, server, token, error);
    if (r == 0)
        (void)snprintf(google->what, sizeof(google->what), "the service account %s", account);
    return r;
}
