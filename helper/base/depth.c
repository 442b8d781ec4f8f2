/* SPDX-License-Identifier: Apache-2.0 */
#include "depth.h"

#include <stdlib.h>

#include "error.h"

int depth_read(uint32_t *ret, struct pullkey_error *error)
{
    const char *text = secure_getenv(DEPTH_VARIABLE);

    if (!text || text[0] == '\0')
        text = "0";
    if (text[0] < '0' || text[0] > '0' + DEPTH_MAX || text[1] != '\0')
        return error_set(error, PULLKEY_INVALID, DEPTH_LOOP);
    *ret = (uint32_t)(text[0] - '0');
    return 0;
}
