/* SPDX-License-Identifier: Apache-2.0 */
#include "lifetime.h"

#include <string.h>
#include <time.h>

#include "base/jwt.h"
#include "base/text.h"

#define LATEST 253402300799.0 /* the end of the year 9999 */

static int64_t read_ecr(const struct pullkey_secret *secret)
{
    cleanup_buffer struct buffer plain = BUFFER_INIT(PULLKEY_SECRET_MAX);
    cleanup_json struct json json = { 0 };
    struct pullkey_error ignored;
    const cJSON *value;

    if (secret->length == 0 ||
        text_base64_decode(secret->bytes, secret->length, &plain, &ignored) < 0 ||
        plain.length == 0 || plain.data[0] != '{' ||
        json_parse(&json, "secret", plain.data, plain.length, 0, &ignored) < 0)
        return 0;
    value = json_member(json.root, "expiration");
    if (!cJSON_IsNumber(value) || !(value->valuedouble > 0 && value->valuedouble <= LATEST))
        return 0;
    return (int64_t)value->valuedouble;
}

int64_t lifetime_read(const struct pullkey_secret *secret)
{
    return memchr(secret->bytes, '.', secret->length) ? jwt_expiry(secret) : read_ecr(secret);
}

void lifetime_write(int64_t seconds, char ret[LIFETIME_SIZE])
{
    time_t time = (time_t)seconds;
    struct tm parts;

    if (seconds <= 0 || !gmtime_r(&time, &parts) ||
        strftime(ret, LIFETIME_SIZE, "%Y-%m-%dT%H:%M:%SZ", &parts) == 0)
        memcpy(ret, "-", 2);
}
