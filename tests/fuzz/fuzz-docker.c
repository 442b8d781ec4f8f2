/* SPDX-License-Identifier: Apache-2.0 */
/*
 * helper/docker: the first byte of the input chooses get, store or erase, the rest is standard input. There is no backend here, so that
 * every request ends in an error of one line, except erase of what is not there.
 */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "docker/protocol.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

extern const struct pullkey_module *const module_builtin_table[];
const struct pullkey_module *const module_builtin_table[] = { NULL };

static void require(bool condition)
{
    if (!condition)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum protocol_verb verbs[] = { PROTOCOL_GET, PROTOCOL_STORE, PROTOCOL_ERASE };
    cleanup_buffer struct buffer input = BUFFER_INIT(PROTOCOL_INPUT_MAX);
    cleanup_buffer struct buffer output = BUFFER_INIT(PROTOCOL_OUTPUT_MAX);
    struct pullkey_error error = { 0 };

    if (size == 0 || size > PROTOCOL_INPUT_MAX)
        return 0;
    require(setenv("PULLKEY_CONFIG_JSON", "{\"version\":1,\"backends\":{\"none\":{\"type\":\"none\"}},\"default\":[\"none\"]}", 1) == 0);
    json_start();
    buffer_append(&input, (const char *)data + 1, size - 1);
    require(protocol_serve(verbs[data[0] % 3], &input, INT64_MAX, &output, &error) < 0);
    require(output.length == 0 && error.code != PULLKEY_OK);
    require(error.message[0] != '\0' && !strpbrk(error.message, "\r\n"));
    return 0;
}
