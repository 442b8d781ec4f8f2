/* SPDX-License-Identifier: Apache-2.0 */
/* Another program, run for what it says about itself. */
#ifndef PULLKEY_BASE_CHILD_H
#define PULLKEY_BASE_CHILD_H

#include <pullkey/backend.h>

/*
 * Runs it with this environment, or with NULL one of a PATH alone, and waits for its end; `words`
 * are its arguments, its name first, and end with NULL. With `ret_text`, what it prints (the first
 * `size` - 1 bytes) is all that counts, and what it says is not waited for longer than `wait_ms`.
 * Without, nothing is read: -PULLKEY_INVALID if it fails, -PULLKEY_UNREACHABLE if it does not end
 * in time.
 */
int child_run(const char *program, const char *const *words, char *const *environment,
              int64_t wait_ms, char *ret_text, size_t size, struct pullkey_error *error);

#endif
