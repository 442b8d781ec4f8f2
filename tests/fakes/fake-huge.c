/* SPDX-License-Identifier: Apache-2.0 */
/* A secret of one byte more than the contract allows. */
#include "fake.h"

static int get(void *state, const struct pullkey_request *request, struct pullkey_credential *ret,
               struct pullkey_error *error)
{
    (void)state;
    (void)request;
    return fake_answer(PULLKEY_SECRET_MAX + 1, ret, error);
}

FAKE_BACKEND("fake-huge", get);
