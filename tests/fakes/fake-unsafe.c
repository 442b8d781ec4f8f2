/* SPDX-License-Identifier: Apache-2.0 */
/* A good module, whose file the tests make one that must not be loaded. */
#include "fake.h"

static int get(void *state, const struct pullkey_request *request, struct pullkey_credential *ret,
               struct pullkey_error *error)
{
    (void)state;
    (void)request;
    return fake_answer(8, ret, error);
}

FAKE_BACKEND("fake-unsafe", get);
