/* SPDX-License-Identifier: Apache-2.0 */
#include "curl-memory.h"

#include "base/error.h"
#include "base/secret.h"

#include <curl/curl.h>
#include <stdatomic.h>
#include <string.h>

/* realloc has to know what it copies, and secret_alloc keeps its size to itself. */
struct block {
    _Alignas(max_align_t) size_t size;
};

/* The resolver of libcurl allocates in a thread of its own. */
static atomic_bool ran_out;

static void *memory_alloc(size_t size)
{
    struct block *block =
        size < SIZE_MAX - sizeof(*block) ? secret_alloc(sizeof(*block) + size) : NULL;

    if (!block) {
        atomic_store(&ran_out, true);
        return NULL;
    }
    block->size = size;
    return block + 1;
}

static void memory_free(void *memory)
{
    if (memory)
        secret_release((struct block *)memory - 1);
}

static void *memory_realloc(void *memory, size_t size)
{
    size_t old = memory ? ((struct block *)memory - 1)->size : 0;
    void *copy = memory_alloc(size);

    if (!copy)
        return NULL;
    if (memory)
        memcpy(copy, memory, old < size ? old : size);
    memory_free(memory);
    return copy;
}

static char *memory_strdup(const char *text)
{
    size_t length = strlen(text);
    char *copy = memory_alloc(length + 1);

    if (copy)
        memcpy(copy, text, length);
    return copy;
}

static void *memory_calloc(size_t count, size_t size)
{
    if (size != 0 && count > SIZE_MAX / size)
        return NULL;
    return memory_alloc(count * size);
}

/*
 * libcurl does not look whether OpenSSL came up, and where memory ran out for its default context
 * (which it tries once), libcurl's next call into it crashes (3.0). Weak, because libcrypto is
 * libcurl's dependency and not ours: with another TLS library the symbol is not there.
 */
extern void *OSSL_LIB_CTX_get0_global_default(void) __attribute__((weak));

static bool tls_is_up(void)
{
    return !OSSL_LIB_CTX_get0_global_default || OSSL_LIB_CTX_get0_global_default();
}

/*
 * The codec of the encrypted store starts libcrypto without its table of digests, for speed, and
 * where that was first nobody can have it filled any more: the signature of no certificate could be
 * checked then. These are what certificates are signed with. Weak, as above.
 */
extern int EVP_add_digest(const void *digest) __attribute__((weak));
extern const void *EVP_sha1(void) __attribute__((weak));
extern const void *EVP_sha256(void) __attribute__((weak));
extern const void *EVP_sha384(void) __attribute__((weak));
extern const void *EVP_sha512(void) __attribute__((weak));

static void add_digests(void)
{
    const void *(*const digests[])(void) = { EVP_sha1, EVP_sha256, EVP_sha384, EVP_sha512 };

    for (size_t i = 0; EVP_add_digest && i < sizeof(digests) / sizeof(digests[0]); i++)
        if (digests[i])
            (void)EVP_add_digest(digests[i]());
}

int curl_memory_start(struct pullkey_error *error)
{
    static bool started;

    if (started)
        return 0;
    if (curl_global_init_mem(CURL_GLOBAL_DEFAULT, memory_alloc, memory_free, memory_realloc,
                             memory_strdup, memory_calloc) != CURLE_OK)
        return curl_memory_ran_out()
                   ? error_memory(error)
                   : error_set(error, PULLKEY_INTERNAL, "libcurl cannot be initialised");
    if (!tls_is_up())
        return error_set(error, PULLKEY_INTERNAL, "libcurl cannot be initialised: out of memory");
    add_digests();
    started = true;
    return 0;
}

bool curl_memory_ran_out(void)
{
    return atomic_exchange(&ran_out, false);
}
