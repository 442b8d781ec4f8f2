/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/jwt: the input is a token. What is none is refused without a word of it; what is one has an
 * object of claims, and an end that is a time or none.
 */
#include <stdlib.h>
#include <string.h>

#include "base/jwt.h"
#include "base/secret.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

#define LATEST 253402300799 /* the end of the year 9999 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cleanup_secret struct pullkey_secret token = { 0 };
    cleanup_json struct json claims = { 0 };
    struct pullkey_error error = { 0 };
    int64_t expiry;
    int r;

    json_start();
    /* No secret has a NUL inside. */
    if (memchr(data, '\0', size) || secret_set(&token, (const char *)data, size, &error) < 0)
        return 0;
    expiry = jwt_expiry(&token);
    require(expiry >= 0 && expiry <= LATEST);
    r = jwt_claims(&token, &claims, &error);
    if (r < 0) {
        require(expiry == 0 && !claims.root);
        require(error.code == PULLKEY_INVALID || error.code == PULLKEY_INTERNAL);
        require(size < 8 || !strstr(error.message, token.bytes));
        return 0;
    }
    require(cJSON_IsObject(claims.root));
    require((expiry > 0) <= (json_member(claims.root, "exp") != NULL));
    return 0;
}
