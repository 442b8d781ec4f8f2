/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kubernetes/status: the first byte chooses the status, the rest is the body that somebody answers.
 * Only a Status of the right reason says that something is not there or was changed by another, and
 * a body that is none is never taken for a word of the API server.
 */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "kubernetes/status.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static const struct api_object object = {
    .verb = "get", .resource = "secrets", .namespace_name = "team", .name = "pull"
};
static const struct status_parties parties = { "api.example.com:6443", "/etc/kubeconfig", &object };

static bool holds(const struct buffer *body, const char *text)
{
    return body->length > 0 && (memmem(body->data, body->length, text, strlen(text)) ||
                                /* A letter may be written as an escape. */
                                memmem(body->data, body->length, "\\u", 2));
}

static void check(long status, const struct buffer *body)
{
    struct pullkey_error error = { 0 };
    int r = status_explain(&parties, status, body, &error);

    if (r == API_CONFLICT) {
        require(status == 409 && (holds(body, "Conflict") || holds(body, "AlreadyExists")));
        return;
    }
    require(r < 0 && r == -(int)error.code && error.message[0] != '\0');
    for (const char *c = error.message; *c != '\0'; c++)
        require((unsigned char)*c >= 0x20 && *c != 0x7f);
    require(strstr(error.message, "api.example.com") || error.code != PULLKEY_INVALID);
    if (!holds(body, "\"Status\""))
        require(error.code == PULLKEY_INVALID && strstr(error.message, "not as an API server"));
    if (error.code == PULLKEY_NOT_FOUND)
        require(status == 404 && holds(body, "\"NotFound\""));
    if (error.code == PULLKEY_DENIED)
        require(status == 401 || status == 403);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const long statuses[] = { 400, 401, 403, 404, 405, 409, 410, 413, 415, 422 };
    cleanup_buffer struct buffer body = BUFFER_INIT(JSON_SIZE_MAX);
    struct pullkey_error error = { 0 };

    json_start();
    if (size == 0)
        return 0;
    buffer_append(&body, (const char *)data + 1, size - 1);
    if (buffer_check(&body, &error) < 0)
        return 0;
    check(statuses[data[0] % (sizeof(statuses) / sizeof(statuses[0]))], &body);
    return 0;
}
