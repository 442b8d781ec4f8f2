/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probe/grant: the input is the claims of a token. Whatever they are, the result is known bits or
 * "unknown", and nothing is granted for a repository that they do not name.
 */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "probe/grant.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

#define REPOSITORY "team/app"

/* The claims as they stand in a token, so that what is changed is JSON and not base64. */
static int write_token(const uint8_t *data, size_t size, struct buffer *token,
                       struct pullkey_error *error)
{
    buffer_append_text(token, "e30.");
    text_base64_encode(token, (const char *)data, size);
    while (token->length > 0 && token->data[token->length - 1] == '=')
        token->data[--token->length] = '\0';
    for (size_t i = 0; i < token->length; i++) {
        char c = token->data[i];

        token->data[i] = (char)(c == '+' ? '-' : c == '/' ? '_' : c);
    }
    buffer_append_text(token, ".e30");
    return buffer_check(token, error);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char name[] = "\"" REPOSITORY "\"", claim[] = "\"access\"";
    cleanup_buffer struct buffer text = BUFFER_INIT(PULLKEY_SECRET_MAX);
    struct pullkey_error error;
    struct pullkey_secret token;
    int grant;

    json_start();
    if (write_token(data, size, &text, &error) < 0)
        return 0;
    token = (struct pullkey_secret){ text.data, text.length };
    grant = grant_read(&token, REPOSITORY);
    require(grant >= GRANT_UNKNOWN && grant <= (GRANT_PULL | GRANT_PUSH | GRANT_DELETE));
    /* What is written with escapes has the same meaning. */
    if (size == 0 || memchr(data, '\\', size))
        return 0;
    require(grant <= 0 || memmem(data, size, name, sizeof(name) - 1));
    require(grant == GRANT_UNKNOWN || memmem(data, size, claim, sizeof(claim) - 1));
    return 0;
}
