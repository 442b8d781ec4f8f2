/* SPDX-License-Identifier: Apache-2.0 */
#include "random.h"
#include "error.h"

#include <errno.h>
#include <sys/random.h>

int random_fill(void *bytes, size_t length, struct pullkey_error *error)
{
    char *at = bytes;

    while (length > 0) {
        ssize_t got = getrandom(at, length, 0);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_errno(error, errno, "cannot get random bytes");
        at += got;
        length -= (size_t)got;
    }
    return 0;
}
