/* SPDX-License-Identifier: Apache-2.0 */
#include "record.h"

#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "base/secret.h"
#include "base/text.h"

#define SCHEME "Basic "
#define EXPIRY_MAX 253402300799 /* the end of the year 9999 */

int record_header(const struct pullkey_credential *credential, struct pullkey_secret *ret,
                  struct pullkey_error *error)
{
    cleanup_buffer struct buffer plain = BUFFER_INIT(PULLKEY_USERNAME_MAX + PULLKEY_SECRET_MAX + 1);
    cleanup_buffer struct buffer header = BUFFER_INIT(RECORD_HEADER_MAX);
    int r;

    if (credential->kind == PULLKEY_IDENTITY_TOKEN || strcmp(credential->username, "<token>") == 0)
        return error_set(error, PULLKEY_UNSUPPORTED,
                         "the credential is an identity token, which no header can carry; log in "
                         "with a user name and a password or access token");
    if (strchr(credential->username, ':'))
        return error_set(error, PULLKEY_INVALID,
                         "the user name has a colon, which HTTP Basic authentication cannot carry");
    buffer_append_text(&plain, credential->username);
    buffer_append_text(&plain, ":");
    buffer_append(&plain, credential->secret.bytes, credential->secret.length);
    r = buffer_check(&plain, error);
    if (r < 0)
        return r;
    buffer_append_text(&header, SCHEME);
    text_base64_encode(&header, plain.data, plain.length);
    return buffer_steal(&header, ret, error);
}

bool record_is_header(const char *text, size_t length)
{
    const size_t scheme = strlen(SCHEME);
    cleanup_buffer struct buffer plain = BUFFER_INIT(RECORD_HEADER_MAX);
    cleanup_buffer struct buffer again = BUFFER_INIT(RECORD_HEADER_MAX);
    struct pullkey_error ignored;

    if (length <= scheme || length > RECORD_HEADER_MAX || memcmp(text, SCHEME, scheme) != 0 ||
        text_base64_decode(text + scheme, length - scheme, &plain, &ignored) < 0 ||
        plain.length == 0 || !memchr(plain.data, ':', plain.length))
        return false;
    text_base64_encode(&again, plain.data, plain.length);
    return again.length == length - scheme && memcmp(again.data, text + scheme, again.length) == 0;
}

void record_write(const struct record *record, struct buffer *ret)
{
    if (record->error.code != PULLKEY_OK) {
        buffer_printf(ret, "{\"class\":%d,\"message\":", (int)record->error.code);
        json_write_string(ret, record->error.message, strlen(record->error.message));
    } else {
        buffer_printf(ret, "{\"expiry\":%lld,\"header\":", (long long)record->expiry);
        json_write_string(ret, record->header.bytes, record->header.length);
    }
    buffer_append_text(ret, "}");
}

static bool is_whole(const cJSON *item, double least, double most)
{
    return cJSON_IsNumber(item) && item->valuedouble >= least && item->valuedouble <= most &&
           item->valuedouble == (double)(int64_t)item->valuedouble;
}

static int read_error(const cJSON *root, struct record *ret, struct pullkey_error *error)
{
    const cJSON *code = json_member(root, "class"), *message = json_member(root, "message");

    if (!is_whole(code, PULLKEY_NOT_FOUND, PULLKEY_ERROR_CLASS_MAX - 1) || !cJSON_IsString(message))
        return error_set(error, PULLKEY_INVALID, "the answer of the asking process is malformed");
    (void)error_set(&ret->error, (enum pullkey_error_class)code->valueint, "%s",
                    message->valuestring);
    return 0;
}

int record_read(const char *text, size_t length, struct record *ret, struct pullkey_error *error)
{
    cleanup_json struct json json = { 0 };
    struct record record = { 0 };
    const cJSON *header, *expiry;
    int r = json_parse(&json, "answer", text, length, 0, error);

    if (r < 0)
        return r;
    header = json_member(json.root, "header");
    expiry = json_member(json.root, "expiry");
    if (!header) {
        r = read_error(json.root, &record, error);
    } else if (!cJSON_IsString(header) || !is_whole(expiry, 0, EXPIRY_MAX) ||
               !record_is_header(header->valuestring, strlen(header->valuestring))) {
        r = error_set(error, PULLKEY_INVALID, "the answer of the asking process is malformed");
    } else {
        record.expiry = (int64_t)expiry->valuedouble;
        r = secret_set(&record.header, header->valuestring, strlen(header->valuestring), error);
    }
    if (r == 0)
        *ret = record;
    return r;
}

void record_done(struct record *record)
{
    secret_done(&record->header);
    *record = (struct record){ 0 };
}
