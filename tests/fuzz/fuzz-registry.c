/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/registry: the first line of the input is a server name as a client sends it, the second a stored key and a pattern. The
 * canonical form of a reference must name the same registry, and a request must match its own names.
 */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "core/registry.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SECOND_MAX 4096

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void check_canonical(const struct registry_reference *reference)
{
    char canonical[REGISTRY_CANONICAL_MAX];
    struct registry_reference again;
    struct pullkey_error error;

    registry_canonical(reference, canonical);
    /* The limit of keys holds for the text as given. */
    if (strlen(canonical) > PULLKEY_KEY_MAX)
        return;
    require(registry_parse(canonical, strlen(canonical), &again, &error) == 0);
    require(strcmp(again.host, reference->host) == 0 && again.port == reference->port &&
            again.http == reference->http && again.opaque == reference->opaque &&
            strcmp(again.path, reference->path) == 0);
}

/* A scheme in front can make a name longer than a key may be; then no store holds it. */
static bool is_long(const char *name)
{
    return strlen(name) > PULLKEY_KEY_MAX;
}

static void check_request(const struct registry_reference *reference, const char *second)
{
    static struct registry_request asked;
    const struct pullkey_request *request = &asked.request;

    registry_request(reference, 0, &asked);
    require(request->name_count > 0 && request->name_count <= REGISTRY_NAMES_MAX &&
            request->alias_count <= request->name_count);
    require(registry_match(request, reference->text, false) > 0);
    for (size_t i = 0; i < request->alias_count; i++)
        require(is_long(request->names[i]) || registry_is_alias(request, request->names[i]));
    for (size_t i = request->alias_count; i < request->name_count; i++)
        require(is_long(request->names[i]) || registry_match(request, request->names[i], true) > 0);
    /* Shorter paths only add to what matches. */
    require(registry_match(request, second, true) >= registry_match(request, second, false));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *line = size > 0 ? memchr(data, '\n', size) : NULL;
    size_t length = line ? (size_t)(line - (const char *)data) : size;
    size_t rest = line ? size - length - 1 : 0;
    struct registry_reference reference;
    struct pullkey_error error = { 0 };
    char second[SECOND_MAX] = "";

    if (rest >= sizeof(second))
        return 0;
    if (rest > 0)
        memcpy(second, line + 1, rest);
    if (registry_parse((const char *)data, length, &reference, &error) < 0) {
        require(error.code == PULLKEY_INVALID && error.message[0] != '\0');
        return 0;
    }
    check_canonical(&reference);
    check_request(&reference, second);
    if (registry_pattern_check(second, &error) < 0)
        require(!registry_pattern_matches(second, &reference));
    else
        (void)registry_pattern_matches(second, &reference);
    return 0;
}
