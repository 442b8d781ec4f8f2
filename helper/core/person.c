/* SPDX-License-Identifier: Apache-2.0 */
#include "core/person.h"

#include <unistd.h>

#include "base/clock.h"

/* There is one alarm in a process, and one thread that asks. */
static int64_t begun_ms, waited_ms;
static unsigned int alarm_seconds; /* what was left of it when the wait began; 0: none was set */

static int64_t begin(int64_t at_most_ms)
{
    begun_ms = clock_monotonic_ms();
    alarm_seconds = alarm(0);
    if (alarm_seconds > 0)
        (void)alarm(alarm_seconds + (unsigned int)((at_most_ms + 999) / 1000));
    return 0;
}

int64_t person_wait(int64_t at_most_ms)
{
    int64_t taken_ms;

    if (at_most_ms > 0)
        return begin(at_most_ms);
    taken_ms = clock_monotonic_ms() - begun_ms;
    waited_ms += taken_ms;
    if (alarm_seconds > 0)
        (void)alarm(alarm_seconds);
    return taken_ms;
}

int64_t person_waited_ms(void)
{
    return waited_ms;
}
