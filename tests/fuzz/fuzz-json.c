/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/json: the first byte of the input is the flags, the rest a document. What is accepted must come back the same when it is
 * written and read again, and positions must go up with the document.
 */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LINES_MAX 64 /* items whose line is asked for; each question scans the document */

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void check_lines(const struct json *json, const cJSON *item, size_t *line, size_t *asked)
{
    for (; item && *asked < LINES_MAX; item = item->next) {
        size_t next = json_line(json, item);

        require(next >= *line);
        *line = next;
        ++*asked;
        check_lines(json, item->child, line, asked);
    }
}

static void write_and_read_again(const struct json *json)
{
    cleanup_buffer struct buffer first = BUFFER_INIT(JSON_SIZE_MAX);
    cleanup_buffer struct buffer second = BUFFER_INIT(JSON_SIZE_MAX);
    cleanup_json struct json again = { 0 };
    struct pullkey_error error;

    require(json_write_tree(&first, json->root, false, &error) == 0);
    require(json_parse(&again, "again", first.data, first.length, 0, &error) == 0);
    require(json_write_tree(&second, again.root, false, &error) == 0);
    require(strcmp(first.data, second.data) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cleanup_json struct json json = { 0 };
    struct pullkey_error error = { 0 };
    size_t line = 1, asked = 0;

    if (size == 0)
        return 0;
    json_start();
    if (json_parse(&json, "input", (const char *)data + 1, size - 1, data[0] & 3, &error) < 0) {
        require(error.code != PULLKEY_OK && error.message[0] != '\0' &&
                !strchr(error.message, '\n'));
        return 0;
    }
    check_lines(&json, json.root, &line, &asked);
    write_and_read_again(&json);
    return 0;
}
