/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kubernetes/exec-answer: the input is what an exec plugin printed. What comes out is in it and
 * whole; what is refused leaves nothing behind.
 */
#include <stdlib.h>
#include <string.h>

#include "base/secret.h"
#include "kubernetes/exec-answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

#define NAME "/usr/bin/plugin"
#define VERSION "client.authentication.k8s.io/v1"
#define NOW 1000000000 /* in 2001, as the times of the corpus */

static void check_part(const struct buffer *output, const struct pullkey_secret *part)
{
    if (part->length == 0)
        return;
    require(strlen(part->bytes) == part->length);
    if (!memchr(output->data, '\\', output->length))
        require(memmem(output->data, output->length, part->bytes, part->length));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cleanup_buffer struct buffer output = BUFFER_INIT(JSON_SIZE_MAX);
    cleanup_secret struct pullkey_secret token = { 0 }, certificate = { 0 }, key = { 0 };
    struct pullkey_error error = { 0 };

    json_start();
    buffer_append(&output, (const char *)data, size);
    if (buffer_check(&output, &error) < 0)
        return 0;
    if (exec_answer_read(NAME, VERSION, NOW, &output, &token, &certificate, &key, &error) < 0) {
        require(!token.bytes && !certificate.bytes && !key.bytes);
        require(error.code == PULLKEY_INVALID || error.code == PULLKEY_UNREACHABLE);
        require(strncmp(error.message, NAME, strlen(NAME)) == 0 && !strchr(error.message, '\n'));
        return 0;
    }
    require((certificate.length > 0) == (key.length > 0));
    require(token.length > 0 || key.length > 0);
    check_part(&output, &token);
    check_part(&output, &certificate);
    check_part(&output, &key);
    /* At the end of time it has expired, if it ever does. */
    if (exec_answer_read(NAME, VERSION, INT64_MAX, &output, &token, &certificate, &key, &error) < 0)
        require(error.code == PULLKEY_UNREACHABLE && strstr(error.message, "has expired"));
    return 0;
}
