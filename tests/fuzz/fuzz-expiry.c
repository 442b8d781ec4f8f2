/* SPDX-License-Identifier: Apache-2.0 */
/*
 * token/expiry: the first byte chooses what the rest is, a date or a JSON value. What is taken is a
 * time within the limits; a date, written anew, is the same time again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/secret.h"
#include "token/expiry.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

#define NOW 1700000000
#define MOST (NOW + EXPIRY_MAX_SECONDS)

static void check(int r, int64_t end, int64_t least, const struct pullkey_error *error)
{
    if (r < 0)
        require(error->code == PULLKEY_INVALID && error->message[0] != '\0');
    else
        require(end >= least && end <= MOST);
}

static void try_date(const char *text)
{
    struct pullkey_error error = { 0 };
    int64_t end = 0, again = 0;
    char written[64];
    struct tm time;
    time_t seconds;
    int r = expiry_date(text, NOW, &end, &error);

    check(r, end, 1, &error);
    if (r < 0)
        return;
    seconds = (time_t)end;
    require(gmtime_r(&seconds, &time) &&
            strftime(written, sizeof(written), "%Y-%m-%dT%H:%M:%SZ", &time) == 20);
    require(expiry_date(written, NOW, &again, &error) == 0 && again == end);
}

static void try_value(const char *text)
{
    cleanup_json struct json json = { 0 };
    struct pullkey_error error = { 0 };
    int64_t end = 0;
    int r;

    if (json_parse(&json, "value", text, strlen(text), 0, &error) < 0)
        return;
    r = expiry_in(json.root, NOW, &end, &error);
    check(r, end, cJSON_IsNull(json.root) ? 0 : NOW + 1, &error);
    r = expiry_epoch(json.root, NOW, &end, &error);
    check(r, end, 1, &error);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cleanup_release char *text = size > 0 ? secret_copy((const char *)data + 1, size - 1) : NULL;

    json_start();
    if (!text)
        return 0;
    if (data[0] == 'd')
        try_date(text);
    else
        try_value(text);
    return 0;
}
