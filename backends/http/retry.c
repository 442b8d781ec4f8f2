/* SPDX-License-Identifier: Apache-2.0 */
#include "retry.h"

#include "base/json.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

#define BODY_MAX 16384 /* an OAuth error is short */

bool retry_status(long status)
{
    return status == 408 || status == 429 || status == 500 || status == 502 || status == 503 ||
           status == 504;
}

bool retry_body(const struct buffer *body)
{
    /* The last one is what one cloud's token service says. */
    static const char *const passing[] = { "server_error", "temporarily_unavailable",
                                           "internal_failure" };
    cleanup_json struct json json = { 0 };
    struct pullkey_error ignored;
    const cJSON *code;

    if (body->length == 0 || body->length > BODY_MAX ||
        json_parse(&json, "reply", body->data, body->length, 0, &ignored) < 0)
        return false;
    code = json_member(json.root, "error");
    if (!cJSON_IsString(code))
        return false;
    for (size_t i = 0; i < sizeof(passing) / sizeof(passing[0]); i++)
        if (strcmp(code->valuestring, passing[i]) == 0)
            return true;
    return false;
}

int64_t retry_after_ms(const char *value, int64_t wall_seconds)
{
    size_t digits = strspn(value, "0123456789");
    int64_t seconds;

    if (digits > 0 && value[digits] == '\0') {
        seconds = digits > 9 ? RETRY_AFTER_MAX_S : strtol(value, NULL, 10);
    } else {
        time_t date = curl_getdate(value, NULL);

        if (date == -1)
            return -1;
        seconds = date - wall_seconds;
    }
    if (seconds < 0)
        seconds = 0;
    if (seconds > RETRY_AFTER_MAX_S)
        seconds = RETRY_AFTER_MAX_S;
    return seconds * 1000;
}

int64_t retry_delay_ms(unsigned int attempt, unsigned int random)
{
    int64_t delay = (int64_t)RETRY_FIRST_MS << attempt;
    int64_t span = delay / 5;

    return delay - span / 2 + (int64_t)(random % (unsigned int)(span + 1));
}
