/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hosts/check-value: the input is the value of an Authorization header. One that is well-formed is
 * base64 of USER:PASSWORD, in one word; what is said about a URL is the end of it.
 */
#include <stdlib.h>
#include <string.h>

#include "base/secret.h"
#include "hosts/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = secret_copy((const char *)data, size);
    const char *name;
    size_t length;

    require(text != NULL);
    length = strlen(text);
    switch (check_authorization(text, size)) {
    case CHECK_VALUE_BASIC:
    case CHECK_VALUE_IDENTITY:
        require(size >= strlen("Basic Og") && !memchr(text, '\n', size) &&
                !memchr(text, '$', size));
        break;
    case CHECK_VALUE_EMPTY: require(strspn(text, " \t") == size); break;
    case CHECK_VALUE_TOKEN:
    case CHECK_VALUE_EXPRESSION:
    case CHECK_VALUE_BROKEN:
    case CHECK_VALUE_MALFORMED:
    case CHECK_VALUE_NO_SCHEME:
    default: break;
    }
    name = check_host_name(text);
    require(text[strcspn(text, "?#")] != '\0' || (name >= text && name <= text + length));
    require(!strpbrk(name, "@?#"));
    if (check_has_user(text))
        require(name != text);
    (void)check_is_secret_name(text);
    secret_release(text);
    return 0;
}
