/* SPDX-License-Identifier: Apache-2.0 */
/* usage: contract SETUP [FAKE-HELPER]   Runs the contract suite against one backend; prints TAP. */
#include "contract.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

static bool applies(const struct behaviour *behaviour, const struct setup *setup)
{
    bool writable = setup->flags & SETUP_WRITABLE;

    switch (behaviour->need) {
    case NEEDS_STORE:
        return writable;
    case NEEDS_SEARCH:
        return writable && !(setup->flags & SETUP_EXACT_NAMES);
    case NEEDS_READ_ONLY:
        return !writable;
    case NEEDS_BLOCK:
        return setup->block;
    case ALWAYS:
    default:
        return true;
    }
}

static int run(void)
{
    struct CMUnitTest *tests = calloc(behaviour_count, sizeof(*tests));
    size_t count = 0;
    int failed;

    if (!tests)
        return 1;
    for (size_t i = 0; i < behaviour_count; i++)
        if (applies(&behaviours[i], fixture_setup))
            tests[count++] = (struct CMUnitTest){ behaviours[i].name, behaviours[i].function,
                                                  fixture_begin, fixture_end, NULL };
    /* The macro of cmocka wants an array whose size it can see. */
    failed = _cmocka_run_group_tests(fixture_setup->name, tests, count, NULL, NULL);
    free(tests);
    return failed > 0;
}

int main(int argc, char **argv)
{
    json_start();
    /* As every program of pullkey has it. */
    (void)signal(SIGPIPE, SIG_IGN);
    if (argc < 2)
        return 2;
    if (argc > 2)
        fake_helper = argv[2];
    for (size_t i = 0; i < setup_count; i++)
        if (strcmp(setups[i].name, argv[1]) == 0)
            fixture_setup = &setups[i];
    if (!fixture_setup) {
        (void)fprintf(stderr, "contract: there is no setup %s\n", argv[1]);
        return 2;
    }
    return run();
}
