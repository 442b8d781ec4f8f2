/* SPDX-License-Identifier: Apache-2.0 */
#include "aws-login.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "aws-reply.h"
#include "base/error.h"
#include "expiry.h"

#define REQUEST_MAX (4 * PULLKEY_SECRET_MAX)

static const char *const needed[] = { "clientId", "clientSecret", "refreshToken" };

/* Text that can be in a header; NULL. */
static const char *text_of(const cJSON *object, const char *name)
{
    const cJSON *item = json_member(object, name);

    if (!cJSON_IsString(item) || item->valuestring[0] == '\0' ||
        strlen(item->valuestring) > PULLKEY_SECRET_MAX / 2)
        return NULL;
    for (const char *c = item->valuestring; *c != '\0'; c++)
        if (*c <= 0x20 || *c >= 0x7f)
            return NULL;
    return item->valuestring;
}

/* Older programs wrote UTC for Z. */
static bool read_date(const cJSON *object, const char *name, int64_t now, int64_t *ret)
{
    const char *text = text_of(object, name);
    char date[AWS_EXPIRATION_SIZE], *zone;
    struct pullkey_error ignored;

    if (!text || strlen(text) >= sizeof(date))
        return false;
    memcpy(date, text, strlen(text) + 1);
    zone = strstr(date, "UTC");
    if (zone)
        memcpy(zone, "Z", 2);
    return expiry_date(date, now, ret, &ignored) == 0;
}

static bool is_renewable(const cJSON *root, int64_t now)
{
    int64_t end;

    for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
        if (!text_of(root, needed[i]))
            return false;
    return read_date(root, "registrationExpiresAt", now, &end) && end > now;
}

int aws_login_read(const struct buffer *text, int64_t now, struct aws_login *ret,
                   struct pullkey_error *error)
{
    struct aws_login login = { 0 };
    struct pullkey_error ignored;

    if (text->length == 0 ||
        json_parse(&login.json, "file", text->data, text->length, 0, &ignored) < 0)
        return error_set(error, PULLKEY_INVALID, "it is not a proper JSON object");
    login.token = text_of(login.json.root, "accessToken");
    if (!login.token || !read_date(login.json.root, "expiresAt", now, &login.end)) {
        aws_login_done(&login);
        return error_set(error, PULLKEY_INVALID, "it has no accessToken and expiresAt");
    }
    login.is_renewable = is_renewable(login.json.root, now);
    if (json_keep_numbers(&login.json, error) < 0) {
        aws_login_done(&login);
        return -(int)error->code;
    }
    *ret = login;
    return 0;
}

void aws_login_done(struct aws_login *login)
{
    json_done(&login->json);
    *login = (struct aws_login){ 0 };
}

int aws_login_ask(const struct aws_login *login, struct pullkey_secret *ret,
                  struct pullkey_error *error)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(REQUEST_MAX);

    buffer_append_text(&text, "{\"grantType\":\"refresh_token\"");
    for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
        const char *value = text_of(login->json.root, needed[i]);

        buffer_printf(&text, ",\"%s\":", needed[i]);
        json_write_string(&text, value, strlen(value));
    }
    buffer_append_text(&text, "}");
    return buffer_steal(&text, ret, error);
}

/* Replaces a member, or adds it. */
static bool set_member(cJSON *object, const char *name, const char *value)
{
    cJSON *item = cJSON_CreateString(value);

    if (item && json_member(object, name)
            ? cJSON_ReplaceItemInObjectCaseSensitive(object, name, item)
            : cJSON_AddItemToObject(object, name, item))
        return true;
    cJSON_Delete(item);
    return false;
}

int aws_login_renew(struct aws_login *login, const struct buffer *reply, int64_t now,
                    struct pullkey_error *error)
{
    cleanup_json struct json json = { 0 };
    struct pullkey_error ignored;
    const char *token, *refresh;
    char date[AWS_EXPIRATION_SIZE];
    int64_t end_seconds;
    struct tm tm;
    time_t end;

    if (reply->length == 0 ||
        json_parse(&json, "reply", reply->data, reply->length, 0, &ignored) < 0)
        return error_set(error, PULLKEY_INVALID, "it is not a proper JSON object");
    token = text_of(json.root, "accessToken");
    refresh = text_of(json.root, "refreshToken");
    if (!token || (!refresh && json_member(json.root, "refreshToken")) ||
        expiry_in(json_member(json.root, "expiresIn"), now, &end_seconds, &ignored) < 0 ||
        end_seconds == 0)
        return error_set(error, PULLKEY_INVALID, "it has no accessToken and expiresIn");
    end = (time_t)end_seconds;
    login->token = NULL; /* what it points to is replaced */
    if (!gmtime_r(&end, &tm) || strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%SZ", &tm) == 0 ||
        !set_member(login->json.root, "accessToken", token) ||
        !set_member(login->json.root, "expiresAt", date) ||
        (refresh && !set_member(login->json.root, "refreshToken", refresh)))
        return error_memory(error);
    login->token = text_of(login->json.root, "accessToken");
    login->end = end_seconds;
    login->is_renewable = is_renewable(login->json.root, now);
    return 0;
}

int aws_login_write(const struct aws_login *login, struct buffer *ret, struct pullkey_error *error)
{
    return json_write_tree(ret, login->json.root, false, error);
}
