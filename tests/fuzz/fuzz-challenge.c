/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http/challenge: the input is a reply's WWW-Authenticate headers, one a line. What comes out has
 * only names in lower case, stays inside the limits, and a header that is refused leaves nothing.
 */
#include <stdlib.h>
#include <string.h>

#include "http/challenge.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void check_name(const char *name)
{
    require(name[0] != '\0' && strlen(name) <= CHALLENGE_HEADER_MAX);
    for (; *name != '\0'; name++)
        require(*name > 0x20 && *name < 0x7f && !(*name >= 'A' && *name <= 'Z') && *name != '"');
}

static void check_challenge(const struct challenge *challenge)
{
    check_name(challenge->scheme);
    require(challenge->parameter_count <= CHALLENGE_PARAMETERS_MAX);
    require(!challenge->token68 ||
            (challenge->parameter_count == 0 && challenge->token68[0] != '\0'));
    for (size_t i = 0; i < challenge->parameter_count; i++) {
        const char *value = challenge->parameters[i].value;

        check_name(challenge->parameters[i].name);
        require(challenge_parameter(challenge, challenge->parameters[i].name) == value);
        for (; *value != '\0'; value++)
            require(*value == '\t' || (unsigned char)*value >= 0x20);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct challenges list = { 0 };
    const char *text = (const char *)data, *end = text + size;

    while (text < end) {
        const char *line_end = memchr(text, '\n', (size_t)(end - text));
        size_t length = line_end ? (size_t)(line_end - text) : (size_t)(end - text);
        size_t count = list.count, texts = list.text_count;
        struct pullkey_error error = { 0 };

        if (challenges_add(&list, text, length, &error) < 0)
            require(list.count == count && list.text_count == texts && error.message[0] != '\0');
        text += length + 1;
    }
    require(list.count <= CHALLENGES_MAX);
    for (size_t i = 0; i < list.count; i++)
        check_challenge(&list.items[i]);
    challenges_done(&list);
    return 0;
}
