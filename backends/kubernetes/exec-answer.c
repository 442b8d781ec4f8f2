/* SPDX-License-Identifier: Apache-2.0 */
#include "exec-answer.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "base/secret.h"

static const char *text_of(const cJSON *object, const char *key)
{
    const cJSON *item = json_member(object, key);

    return cJSON_IsString(item) && item->valuestring[0] != '\0' ? item->valuestring : NULL;
}

static int take(const cJSON *status, const char *key, struct pullkey_secret *ret,
                struct pullkey_error *error)
{
    const char *text = text_of(status, key);

    if (!text)
        return 0;
    secret_done(ret);
    return secret_set(ret, text, strlen(text), error);
}

/* True if the text has digits and marks where the form has them. */
static bool has_form(const char *text, const char *form)
{
    for (; *form != '\0'; text++, form++)
        if (*form == '0' ? *text < '0' || *text > '9' : *text != *form)
            return false;
    return true;
}

static int number(const char *text)
{
    return (text[0] - '0') * 10 + text[1] - '0';
}

/* RFC 3339, as Go writes and reads it. */
static bool read_time(const char *text, int64_t *ret)
{
    struct tm parts = { 0 };
    int offset = 0;

    if (!has_form(text, "0000-00-00T00:00:00"))
        return false;
    parts.tm_year = number(text) * 100 + number(text + 2) - 1900;
    parts.tm_mon = number(text + 5) - 1;
    parts.tm_mday = number(text + 8);
    parts.tm_hour = number(text + 11);
    parts.tm_min = number(text + 14);
    parts.tm_sec = number(text + 17);
    text += 19;
    if (*text == '.')
        text += 1 + strspn(text + 1, "0123456789");
    if (strcmp(text, "Z") != 0) {
        if ((!has_form(text, "+00:00") && !has_form(text, "-00:00")) || text[6] != '\0')
            return false;
        offset = (number(text + 1) * 60 + number(text + 4)) * (text[0] == '-' ? -60 : 60);
    }
    *ret = (int64_t)timegm(&parts) - offset;
    return true;
}

static int check_expiry(const char *name, const cJSON *status, int64_t now,
                        struct pullkey_error *error)
{
    const cJSON *item = json_member(status, "expirationTimestamp");
    int64_t expiry;

    if (!item || cJSON_IsNull(item))
        return 0;
    if (!cJSON_IsString(item) || !read_time(item->valuestring, &expiry))
        return error_set(error, PULLKEY_INVALID,
                         "%s answers with an expirationTimestamp that is no time of RFC 3339",
                         name);
    if (expiry > now)
        return 0;
    return error_set(error, PULLKEY_UNREACHABLE,
                     "%s answers with a credential that has expired %lld s ago; does it need a new "
                     "login, or is a clock wrong?",
                     name, (long long)(now - expiry));
}

int exec_answer_read(const char *name, const char *version, int64_t now,
                     const struct buffer *output, struct pullkey_secret *ret_token,
                     struct pullkey_secret *ret_certificate, struct pullkey_secret *ret_key,
                     struct pullkey_error *error)
{
    cleanup_json struct json json = { 0 };
    const char *other, *kind;
    const cJSON *status;
    bool has_token, has_certificate, has_key;
    int r = json_parse(&json, name, output->data ? output->data : "", output->length, 0, error);

    if (r < 0)
        return r;
    other = text_of(json.root, "apiVersion");
    kind = text_of(json.root, "kind");
    status = json_member(json.root, "status");
    if (!other || strcmp(other, version) != 0 || !kind || strcmp(kind, "ExecCredential") != 0)
        return error_set(error, PULLKEY_INVALID, "%s does not answer with an ExecCredential of %s",
                         name, version);
    has_token = text_of(status, "token");
    has_certificate = text_of(status, "clientCertificateData");
    has_key = text_of(status, "clientKeyData");
    if (has_certificate != has_key || (!has_token && !has_certificate))
        return error_set(error, PULLKEY_INVALID,
                         "%s answers neither a token nor a client certificate with its key", name);
    r = check_expiry(name, status, now, error);
    if (r == 0)
        r = take(status, "token", ret_token, error);
    if (r == 0)
        r = take(status, "clientCertificateData", ret_certificate, error);
    return r < 0 ? r : take(status, "clientKeyData", ret_key, error);
}
