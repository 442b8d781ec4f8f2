/* SPDX-License-Identifier: Apache-2.0 */
#include "fake.h"

#include <stdlib.h>

static int get(void *state, const struct pullkey_request *request, struct pullkey_credential *ret,
               struct pullkey_error *error)
{
    (void)state;
    (void)request;
    (void)ret;
    (void)error;
    abort();
}

FAKE_BACKEND("fake-crash", get);
