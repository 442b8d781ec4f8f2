/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/cache-key: the input is what a module declares as its inputs. What is accepted is understood
 * to the last line, a variable that is declared counts and another does not, and an error is one
 * line without a variable's value.
 */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/secret.h"
#include "core/cache-file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

#define VARIABLE "FUZZ_IDENTITY"
#define VALUE "value-of-the-identity"
#define OTHER_VALUE "another-value"
#define KIND "this"
#define OPTIONS                                                                                    \
    "{\"kind\":\"" KIND "\",\"identity\":{\"env\":\"" VARIABLE                                     \
    "\"},\"list\":[\"OTHER\",\"" VARIABLE "\"]}"

static int make(const char *inputs, const char *value, struct cache_slot *ret,
                struct pullkey_error *error)
{
    const struct cache cache = { .path = "/nowhere/cache" };
    const struct cache_key key = {
        .instance = "name",
        .type = "type",
        .options = OPTIONS,
        .registry = "registry.example.com",
        .path = "",
        .inputs = inputs,
        .subject = "",
    };

    require(setenv(VARIABLE, value, 1) == 0);
    return cache_slot_make(&cache, &key, ret, error);
}

/* The lines that name it: itself, and by way of the options. */
static bool is_variable(const char *line, size_t length)
{
    static const char *const names[] = { ("env " VARIABLE), "env @identity.env", "env @list" };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (length == strlen(names[i]) && strncmp(line, names[i], length) == 0)
            return true;
    return false;
}

/* A condition that the options meet, among words with a space between. */
static bool is_met(const char *words, size_t length)
{
    static const char *const met[] = { "@kind", ("@kind=" KIND), "@identity", "@identity.env",
                                       "@list" };
    const char *end = words + length;

    for (; words < end; words++) {
        const char *space = memchr(words, ' ', (size_t)(end - words));
        const size_t word = (size_t)((space ? space : end) - words);

        for (size_t i = 0; i < sizeof(met) / sizeof(met[0]); i++)
            if (word == strlen(met[i]) && memcmp(words, met[i], word) == 0)
                return true;
        words += word;
    }
    return false;
}

static bool is_hash(const char *text, size_t length)
{
    return length == HASH_TEXT_SIZE - 1 && strspn(text, "0123456789abcdef") >= length;
}

static bool is_known(const char *line, size_t length)
{
    static const char *const kinds[] = { "env ", "file ", "rotated @" };

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (length >= strlen(kinds[i]) && strncmp(line, kinds[i], strlen(kinds[i])) == 0)
            return true;
    /* These two are as long as each other. */
    return length == strlen("workload") &&
           (memcmp(line, "workload", length) == 0 || memcmp(line, "registry", length) == 0);
}

/* Looks at each line that counts; *ret_declared: VARIABLE is among them. */
static void check_lines(const char *inputs, bool *ret_declared)
{
    bool counts = true;
    size_t count = 0;

    *ret_declared = false;
    while (*inputs != '\0') {
        size_t length = strcspn(inputs, "\n");

        if (strncmp(inputs, "for ", 4) == 0)
            counts = is_met(inputs + 4, length - 4);
        else if (strncmp(inputs, "unless ", 7) == 0)
            counts = !is_met(inputs + 7, length - 7);
        else if (counts && length > 0) {
            require(is_known(inputs, length));
            *ret_declared = *ret_declared || is_variable(inputs, length);
        }
        count += length > 0;
        inputs += length + (inputs[length] == '\n');
    }
    require(count > 0 && count <= CACHE_INPUTS_MAX);
}

static void check_slot(const char *inputs, const struct cache_slot *slot)
{
    struct pullkey_error error;
    struct cache_slot other;
    bool declared, same;

    check_lines(inputs, &declared);
    require(is_hash(slot->inputs, strlen(slot->inputs)));
    require(strlen(slot->name) < sizeof(slot->name) && !strchr(slot->name, '/'));
    require(strncmp(slot->lock_path, "/nowhere/cache/", strlen("/nowhere/cache/")) == 0);
    require(make(inputs, OTHER_VALUE, &other, &error) == 0);
    same = strcmp(slot->inputs, other.inputs) == 0;
    require((strcmp(slot->name, other.name) == 0) == same);
    if (declared)
        require(!same);
    /* A file may change meanwhile. */
    else if (!strstr(inputs, "file ") && !strstr(inputs, "rotated "))
        require(same);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cleanup_release char *inputs = secret_copy((const char *)data, size);
    struct pullkey_error error = { 0 };
    struct cache_slot slot;

    json_start();
    if (!inputs)
        return 0;
    if (make(inputs, VALUE, &slot, &error) == 0) {
        check_slot(inputs, &slot);
        return 0;
    }
    require(error.code != PULLKEY_OK && error.message[0] != '\0');
    require(!strchr(error.message, '\n'));
    /* The line itself may be repeated. */
    require(strstr(inputs, VALUE) || !strstr(error.message, VALUE));
    return 0;
}
