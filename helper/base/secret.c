/* SPDX-License-Identifier: Apache-2.0 */
#include "secret.h"
#include "error.h"

#include <stdlib.h>
#include <string.h>

/* Precedes each block. The alignment of the block itself must suit any type. */
struct header {
    _Alignas(max_align_t) size_t size;
};

void *secret_alloc(size_t size)
{
    struct header *header;

    if (size > SIZE_MAX - sizeof(*header))
        return NULL;
    header = calloc(1, sizeof(*header) + size);
    if (!header)
        return NULL;
    header->size = size;
    return header + 1;
}

void secret_release(void *memory)
{
    struct header *header;

    if (!memory)
        return;
    header = (struct header *)memory - 1;
    explicit_bzero(memory, header->size);
    free(header);
}

char *secret_copy(const char *bytes, size_t length)
{
    char *copy = length < SIZE_MAX ? secret_alloc(length + 1) : NULL;

    if (copy && length > 0)
        memcpy(copy, bytes, length);
    return copy;
}

int secret_set(struct pullkey_secret *ret, const char *bytes, size_t length,
               struct pullkey_error *error)
{
    char *copy = secret_copy(bytes, length);

    if (!copy)
        return error_memory(error);
    *ret = (struct pullkey_secret){ .bytes = copy, .length = length };
    return 0;
}

void secret_done(struct pullkey_secret *secret)
{
    secret_release(secret->bytes);
    *secret = (struct pullkey_secret){ 0 };
}

bool secret_equal(const struct pullkey_secret *a, const struct pullkey_secret *b)
{
    unsigned char difference = 0;

    if (a->length != b->length)
        return false;
    for (size_t i = 0; i < a->length; i++)
        difference |= (unsigned char)(a->bytes[i] ^ b->bytes[i]);
    return difference == 0;
}
