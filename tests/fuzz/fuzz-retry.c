/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http/retry: the input is both the value of Retry-After and the body of an error. The wait stays
 * in its range and shrinks with the time that passes; a body that asks for another attempt says so.
 */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/secret.h"
#include "http/retry.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

#define NOW 784111777 /* in 1994, as the dates of the corpus */
#define LATER 10

static void check_after(const char *value)
{
    int64_t wait = retry_after_ms(value, NOW);
    int64_t rest = retry_after_ms(value, NOW + LATER);
    bool number = value[0] != '\0' && strspn(value, "0123456789") == strlen(value);

    require((wait == -1) == (rest == -1));
    if (wait == -1) {
        require(!number);
        return;
    }
    require(wait >= 0 && wait <= RETRY_AFTER_MAX_S * INT64_C(1000) && wait % 1000 == 0);
    require(rest >= 0 && rest <= wait && wait - rest <= LATER * 1000);
    if (number)
        require(wait == rest && (wait == RETRY_AFTER_MAX_S * INT64_C(1000) ||
                                 wait == strtoll(value, NULL, 10) * 1000));
}

static bool holds(const struct buffer *body, const char *text)
{
    return memmem(body->data, body->length, text, strlen(text)) != NULL;
}

static void check_body(const struct buffer *body)
{
    if (!retry_body(body))
        return;
    require(body->length > 0 && body->data[strspn(body->data, " \t\r\n")] == '{');
    /* A letter may be written as an escape. */
    require(holds(body, "\\u") || holds(body, "\"error\""));
    require(holds(body, "\\u") || holds(body, "\"server_error\"") ||
            holds(body, "\"temporarily_unavailable\"") || holds(body, "\"internal_failure\""));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cleanup_release char *value = secret_copy((const char *)data, size);
    cleanup_buffer struct buffer body = BUFFER_INIT(JSON_SIZE_MAX);
    struct pullkey_error error = { 0 };

    json_start();
    buffer_append(&body, (const char *)data, size);
    if (!value || buffer_check(&body, &error) < 0)
        return 0;
    check_after(value);
    check_body(&body);
    return 0;
}
