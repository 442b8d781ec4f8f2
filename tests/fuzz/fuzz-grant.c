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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char name[] = "\"" REPOSITORY "\"", claim[] = "\"access\"";
    cleanup_buffer struct buffer text = BUFFER_INIT(PULLKEY_SECRET_MAX);
    struct pullkey_error error;
    struct pullkey_secret token;
    int grant;

    json_start();
    /* The input is JSON, so that what is changed of it is not base64. */
    buffer_append_text(&text, "e30.");
    text_base64url_encode(&text, (const char *)data, size);
    buffer_append_text(&text, ".e30");
    if (buffer_check(&text, &error) < 0)
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
