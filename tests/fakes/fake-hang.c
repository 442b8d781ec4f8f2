/* SPDX-License-Identifier: Apache-2.0 */
/* Never answers, and takes no notice of the deadline. */
#include "fake.h"

#include <poll.h>

static int get(void *state, const struct pullkey_request *request, struct pullkey_credential *ret,
               struct pullkey_error *error)
{
    (void)state;
    (void)request;
    (void)ret;
    (void)error;
    while (poll(NULL, 0, -1) <= 0)
        continue;
    return -PULLKEY_INTERNAL;
}

FAKE_BACKEND("fake-hang", get);
