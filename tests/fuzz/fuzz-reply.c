/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exec/reply: the input is what another credential helper printed, read as the answer to each verb.
 * What comes out keeps the contract, and an error repeats nothing of it.
 */
#include <stdlib.h>
#include <string.h>

#include "base/depth.h"
#include "base/json.h"
#include "base/secret.h"
#include "core/credential.h"
#include "exec/reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static const struct pullkey_host host = {
    .size = sizeof(host),
    .alloc = secret_alloc,
    .release = secret_release,
    .list_add = list_add,
};

static const char *const verbs[] = { "get", "store", "erase", "list" };
static const char *const messages[] = {
    "it has none",
    "it cannot do that",
    "it failed with status 1; run it by hand to see why",
    DEPTH_LOOP,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cleanup_buffer struct buffer output = BUFFER_INIT(JSON_SIZE_MAX);
    cleanup_credential struct pullkey_credential credential = { 0 };
    cleanup_list struct pullkey_list list = { 0 };
    struct pullkey_error error = { 0 };

    json_start();
    buffer_append(&output, (const char *)data, size);
    if (buffer_check(&output, &error) < 0)
        return 0;
    if (reply_credential(&host, &output, &credential, &error) == 0) {
        require(credential.username[0] != '\0' && credential.secret.length > 0);
        require(strlen(credential.secret.bytes) == credential.secret.length);
    } else {
        require(!credential.username && !credential.secret.bytes && error.message[0] != '\0');
    }
    if (reply_list(&host, &output, &list, &error) < 0)
        require(error.message[0] != '\0');
    for (size_t i = 0; i < list.count; i++)
        require(list.entries[i].server[0] != '\0');
    /* Of what the helper printed nothing is in the message. */
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        bool known = false;

        require(reply_error(&output, verbs[i], 1, &error) < 0);
        for (size_t j = 0; j < sizeof(messages) / sizeof(messages[0]); j++)
            known = known || strcmp(error.message, messages[j]) == 0;
        require(known);
    }
    return 0;
}
