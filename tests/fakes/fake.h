/* SPDX-License-Identifier: Apache-2.0 */
/* What the fake modules share: a backend that does nothing, of which each changes one thing. */
#ifndef PULLKEY_TESTS_FAKE_H
#define PULLKEY_TESTS_FAKE_H

#include <pullkey/backend.h>

#include <string.h>

static const struct pullkey_host *fake_host;

static inline int fake_open(const struct pullkey_host *host, const struct pullkey_instance *instance,
                            void **ret, struct pullkey_error *error)
{
    (void)instance;
    (void)error;
    fake_host = host;
    *ret = NULL;
    return 0;
}

static inline void fake_close(void *state)
{
    (void)state;
}

/* A credential whose secret is `length` times the letter x. */
static inline int fake_answer(size_t length, struct pullkey_credential *ret,
                              struct pullkey_error *error)
{
    struct pullkey_credential credential = {
        .username = fake_host->alloc(5),
        .secret = { .bytes = fake_host->alloc(length + 1), .length = length },
    };

    if (!credential.username || !credential.secret.bytes) {
        fake_host->release(credential.username);
        fake_host->release(credential.secret.bytes);
        error->code = PULLKEY_INTERNAL;
        memcpy(error->message, "out of memory", 14);
        return -PULLKEY_INTERNAL;
    }
    memcpy(credential.username, "fake", 5);
    memset(credential.secret.bytes, 'x', length);
    *ret = credential;
    return 0;
}

#define FAKE_BACKEND(name, function)                                                               \
    static const struct pullkey_backend backend = {                                                \
        .module = {                                                                                \
            .abi_major = PULLKEY_ABI_MAJOR,                                                        \
            .abi_minor = PULLKEY_ABI_MINOR,                                                        \
            .size = sizeof(backend),                                                               \
            .kind = PULLKEY_KIND_BACKEND,                                                          \
            .type = name,                                                                          \
            .capabilities = PULLKEY_CAN_GET,                                                       \
        },                                                                                         \
        .open = fake_open,                                                                         \
        .get = function,                                                                           \
        .close = fake_close,                                                                       \
    };                                                                                             \
    PULLKEY_EXPORT_MODULE(backend)

#endif
