/* SPDX-License-Identifier: Apache-2.0 */
/*
 * token/azure-reply: the input is what Entra, a registry or a metadata service answers. A token
 * keeps the limits and has not ended; an error is one line, with nothing of the answer but codes.
 */
#include <stdlib.h>
#include <string.h>

#include "base/secret.h"
#include "token/azure-place.h"
#include "token/azure.h"
#include "token/expiry.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

#define NOW 1700000000

static void check_error(int r, const struct pullkey_error *error)
{
    require(r < 0 && (error->code == PULLKEY_INVALID || error->code == PULLKEY_DENIED));
    require(error->message[0] != '\0' && strlen(error->message) < 500);
    for (const char *c = error->message; *c != '\0'; c++)
        require(*c >= 0x20 && *c < 0x7f);
}

static void check_managed(const struct buffer *body)
{
    struct oauth_reply reply = { 0 };
    struct pullkey_error error = { 0 };
    int r = azure_read_managed(body, NOW, &reply, &error);

    if (r < 0) {
        require(!reply.access_token.bytes && reply.expiry == 0);
        check_error(r, &error);
        return;
    }
    require(reply.access_token.length > 0 && reply.access_token.length <= PULLKEY_SECRET_MAX);
    require(reply.expiry > 0 && reply.expiry <= NOW + EXPIRY_MAX_SECONDS);
    secret_done(&reply.access_token);
}

/* A path that Arc chooses never leaves its directory. */
static void check_path(const char *challenge, size_t length)
{
    const size_t directory = strlen(AZURE_ARC_DIRECTORY "/");
    char path[AZURE_ARC_PATH_SIZE] = "";
    struct pullkey_error error = { 0 };
    int r = azure_arc_path(challenge, length, path, &error);

    if (r < 0) {
        require(path[0] == '\0');
        check_error(r, &error);
        return;
    }
    require(strncmp(path, AZURE_ARC_DIRECTORY "/", directory) == 0);
    require(!strchr(path + directory, '/') && strlen(path + directory) > strlen(".key"));
    require(strcmp(path + strlen(path) - strlen(".key"), ".key") == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cleanup_buffer struct buffer body = BUFFER_INIT(JSON_SIZE_MAX);
    cleanup_secret struct pullkey_secret token = { 0 };
    char correlation[AZURE_CORRELATION_SIZE];
    struct pullkey_error error = { 0 };
    int64_t expiry = 0;
    int r;

    json_start();
    buffer_append(&body, (const char *)data, size);
    if (buffer_check(&body, &error) < 0)
        return 0;
    azure_take_correlation((const char *)data, size, correlation);
    check_managed(&body);
    check_path((const char *)data, size);
    check_error(azure_read_entra_error(&body, 401, "entra.test", "somebody", &error), &error);
    check_error(azure_read_refusal(&body, 403, "r.test", "somebody", correlation, &error), &error);
    check_error(azure_read_managed_error(&body, "169.254.169.254", "id", &error), &error);
    r = azure_read_refresh(&body, NOW, &token, &expiry, &error);
    if (r < 0) {
        require(!token.bytes && token.length == 0 && expiry == 0);
        check_error(r, &error);
        return 0;
    }
    require(token.length > 0 && token.length <= PULLKEY_SECRET_MAX);
    require(strlen(token.bytes) == token.length);
    require(expiry > NOW && expiry <= NOW + EXPIRY_MAX_SECONDS);
    return 0;
}
