/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs the contract suite against one backend; prints TAP.
 *
 * usage: contract SETUP [FAKE-HELPER]
 *        contract --module TYPE [--options JSON] [--bad-options JSON] [--exact-names]
 *                 [--clear]
 *
 * The first has a backend of pullkey's own. The second loads TYPE.so from the module directory, as the programs do; docs/BACKENDS.md
 * says more.
 */
#include "contract.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

static bool applies(const struct behaviour *behaviour, const struct setup *setup)
{
    bool writable = setup->flags & SETUP_WRITABLE;
    bool seeded = !(setup->flags & SETUP_WITHOUT_SEEDS);

    switch (behaviour->need) {
    case NEEDS_SEEDS:
        return seeded;
    case NEEDS_LIST:
        return seeded && !(setup->flags & SETUP_WITHOUT_LIST);
    case NEEDS_STORE:
        return writable;
    case NEEDS_SEARCH:
        return writable && !(setup->flags & SETUP_EXACT_NAMES);
    case NEEDS_READ_ONLY:
        return !writable;
    case NEEDS_BLOCK:
        return setup->block;
    case NEEDS_BAD_OPTIONS:
        return setup->bad_options;
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
    failed = _cmocka_run_group_tests(fixture_setup->name, tests, count, NULL, fixture_end_all);
    free(tests);
    return failed > 0;
}

static int usage(void)
{
    (void)fprintf(stderr, "usage: contract SETUP [FAKE-HELPER]\n"
                          "       contract --module TYPE [--options JSON] [--bad-options JSON] "
                          "[--exact-names] [--clear]\n");
    return 2;
}

/* `words` begins behind --module. */
static int use_module(char **words)
{
    struct stranger stranger = { .type = words[0], .options = "{}" };
    struct pullkey_error error;

    for (words++; *words; words++) {
        if (strcmp(*words, "--exact-names") == 0)
            stranger.exact_names = true;
        else if (strcmp(*words, "--clear") == 0)
            stranger.lasting = true;
        else if (strcmp(*words, "--options") == 0 && words[1])
            stranger.options = *++words;
        else if (strcmp(*words, "--bad-options") == 0 && words[1])
            stranger.bad_options = *++words;
        else
            return usage();
    }
    if (fixture_use_module(&stranger, &error) < 0) {
        (void)fprintf(stderr, "contract: %s\n", error.message);
        return 2;
    }
    return 0;
}

static int use_setup(const char *name)
{
    for (size_t i = 0; i < setup_count; i++)
        if (strcmp(setups[i].name, name) == 0)
            fixture_setup = &setups[i];
    if (fixture_setup)
        return 0;
    (void)fprintf(stderr, "contract: there is no setup %s\n", name);
    return 2;
}

int main(int argc, char **argv)
{
    int r;

    json_start();
    /* As every program of pullkey has it. */
    (void)signal(SIGPIPE, SIG_IGN);
    if (argc > 2 && strcmp(argv[1], "--module") == 0) {
        r = use_module(&argv[2]);
    } else if (argc == 2 || argc == 3) {
        fake_helper = argv[2];
        r = use_setup(argv[1]);
    } else {
        r = usage();
    }
    return r == 0 ? run() : r;
}
