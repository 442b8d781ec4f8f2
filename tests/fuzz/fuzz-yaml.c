/* SPDX-License-Identifier: Apache-2.0 */
/*
 * backends/yaml: whatever it takes is JSON to the host, but for duplicate keys, and each value of
 * that has a place in the text.
 */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/secret.h"

extern const struct pullkey_reader yaml_reader;

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
};

static size_t count_values(const cJSON *item)
{
    size_t count = 1;

    for (const cJSON *child = item->child; child; child = child->next)
        count += count_values(child);
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pullkey_secret text = { 0 };
    struct pullkey_place *places = NULL;
    size_t count = 0;
    cleanup_json struct json json = { 0 };
    struct pullkey_error error = { 0 };

    json_start();
    if (yaml_reader.read(&host, "input", (const char *)data, size, &text, &places, &count, &error) <
        0) {
        require(error.code == PULLKEY_INVALID && !strchr(error.message, '\n'));
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        require(places[i].key_begin <= places[i].key_end && places[i].key_end <= size);
        require(places[i].begin <= places[i].end && places[i].end <= size);
        require(places[i].line >= 1);
    }
    if (json_parse(&json, "input", text.bytes, text.length, 0, &error) < 0)
        require(strstr(error.message, "twice"));
    else
        require(count_values(json.root) == count);
    secret_release(text.bytes);
    secret_release(places);
    return 0;
}
