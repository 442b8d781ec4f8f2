/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time that a person takes to answer a prompt, which is nobody's delay: it is added to deadlines,
 * and an alarm(2) that is set goes off later by it.
 */
#ifndef PULLKEY_CORE_PERSON_H
#define PULLKEY_CORE_PERSON_H

#include <stdint.h>

/* As pullkey_host.wait_for_person has it. */
int64_t person_wait(int64_t at_most_ms);

/* All waits of this process so far. */
int64_t person_waited_ms(void);

#endif
