/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shows that secrets are wiped: the test is linked with --wrap=free, so that every block passes here before it is released, and
 * one that still holds the marker is counted. With --wrap=calloc, allocations fail on demand.
 */
#ifndef PULLKEY_TESTS_UNIT_FREE_H
#define PULLKEY_TESTS_UNIT_FREE_H

#include "unit.h"

#include <malloc.h>

#define MARKER "marker-6b1c9e-secret"

void __real_free(void *memory);
void __wrap_free(void *memory);
void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);

static volatile unsigned int freed_blocks;
static volatile unsigned int freed_markers;
static volatile int allocations_left = -1; /* -1: any number */

void __wrap_free(void *memory)
{
    freed_blocks++;
    if (memory && memmem(memory, malloc_usable_size(memory), MARKER, strlen(MARKER)))
        freed_markers++;
    __real_free(memory);
}

void *__wrap_calloc(size_t count, size_t size)
{
    if (allocations_left == 0)
        return NULL;
    if (allocations_left > 0)
        allocations_left--;
    return __real_calloc(count, size);
}

/* Nothing with the marker was released since; and something was released at all. */
#define assert_wiped(block)                                                                        \
    do {                                                                                           \
        freed_blocks = freed_markers = 0;                                                          \
        block;                                                                                     \
        assert_int_not_equal(freed_blocks, 0);                                                     \
        assert_int_equal(freed_markers, 0);                                                        \
    } while (0)

/* The counting itself is seen to work. */
static inline void counting_works(void **state)
{
    char *block = malloc(100);

    (void)state;
    assert_non_null(block);
    memcpy(block + 50, MARKER, strlen(MARKER));
    /* The compiler knows that nobody reads freed memory, and would leave the copy out. */
    __asm__ volatile("" : : "r"(block) : "memory");
    freed_markers = 0;
    free(block);
    assert_int_equal(freed_markers, 1);
}

#endif
