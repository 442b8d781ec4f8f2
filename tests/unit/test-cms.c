/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/secret.h"
#include "cms-sample.h"
#include "cms/profile.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

extern const struct pullkey_codec cms_codec;

static long blocks; /* that the codec holds of the host's memory */

static void *count_alloc(size_t size)
{
    blocks++;
    return secret_alloc(size);
}

static void count_release(void *memory)
{
    if (memory)
        blocks--;
    secret_release(memory);
}

static const struct pullkey_host host = {
    .size = sizeof(host),
    .alloc = count_alloc,
    .release = count_release,
    .monotonic_ms = clock_monotonic_ms,
};

static char key_bytes[] = "\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f"
                          "\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f";
static const struct pullkey_secret key = { key_bytes, PULLKEY_CODEC_KEY_SIZE };

static int unseal(const struct pullkey_secret *with, char *bytes, size_t length,
                  struct pullkey_secret *ret, struct pullkey_error *error)
{
    const struct pullkey_secret sealed = { bytes, length };

    return cms_codec.unseal(&host, with, &sealed, ret, error);
}

static void give_back(struct pullkey_secret *secret)
{
    host.release(secret->bytes);
    *secret = (struct pullkey_secret){ 0 };
}

static void openssl_is_read(void **state)
{
    char copy[SAMPLE_SIZE];
    struct pullkey_secret plain;
    struct pullkey_error error;

    (void)state;
    memcpy(copy, sample, sizeof(copy));
    assert_int_equal(unseal(&key, copy, sizeof(copy), &plain, &error), 0);
    assert_int_equal(plain.length, strlen(SAMPLE_PLAIN));
    assert_string_equal(plain.bytes, SAMPLE_PLAIN);
    give_back(&plain);
    assert_int_equal(blocks, 0);
}

/* Sizes around the points where a DER length grows a byte. */
static void what_is_sealed_is_read(void **state)
{
    static const size_t sizes[] = {
        1,   2,   15,  16,  17,  79,  80,    81,    126,   127,   128,
        129, 171, 172, 255, 256, 257, 65400, 65500, 65535, 65536, 1048000,
    };

    (void)state;
    for (size_t i = 0; i < COUNT(sizes); i++) {
        struct pullkey_secret plain = { calloc(1, sizes[i] + 1), sizes[i] }, sealed, read;
        struct pullkey_error error;

        assert_non_null(plain.bytes);
        memset(plain.bytes, 'p', sizes[i]);
        assert_int_equal(cms_codec.seal(&host, &key, &plain, &sealed, &error), 0);
        assert_null(memmem(sealed.bytes, sealed.length, "pppppppp", 8));
        assert_int_equal(cms_codec.unseal(&host, &key, &sealed, &read, &error), 0);
        assert_int_equal(read.length, plain.length);
        assert_memory_equal(read.bytes, plain.bytes, plain.length + 1);
        give_back(&sealed);
        give_back(&read);
        free(plain.bytes);
    }
    assert_int_equal(blocks, 0);
}

static void no_two_are_alike(void **state)
{
    /* The lengths in front take as many bytes as the sample's. */
    const size_t wrapped_at = SAMPLE_WRAPPED_AT, nonce_at = SAMPLE_NONCE_AT;
    char text[] = "the same text";
    const struct pullkey_secret plain = { text, strlen(text) };
    struct pullkey_secret a, b;
    struct pullkey_error error;

    (void)state;
    assert_int_equal(cms_codec.seal(&host, &key, &plain, &a, &error), 0);
    assert_int_equal(cms_codec.seal(&host, &key, &plain, &b, &error), 0);
    assert_int_equal(a.length, b.length);
    assert_memory_not_equal(a.bytes + wrapped_at, b.bytes + wrapped_at, PROFILE_WRAPPED_SIZE);
    assert_memory_not_equal(a.bytes + nonce_at, b.bytes + nonce_at, PROFILE_NONCE_SIZE);
    give_back(&a);
    give_back(&b);
}

static void every_flipped_bit_is_noticed(void **state)
{
    static const struct pullkey_secret untouched = { NULL, 4711 };

    (void)state;
    for (size_t bit = 0; bit < 8 * SAMPLE_SIZE; bit++) {
        char copy[SAMPLE_SIZE];
        struct pullkey_secret plain = untouched;
        struct pullkey_error error = { 0 };

        memcpy(copy, sample, sizeof(copy));
        copy[bit / 8] = (char)(copy[bit / 8] ^ (1 << bit % 8));
        assert_int_equal(unseal(&key, copy, sizeof(copy), &plain, &error), -PULLKEY_INVALID);
        assert_true(error.message[0] != '\0');
        assert_memory_equal(&plain, &untouched, sizeof(plain));
    }
    assert_int_equal(blocks, 0);
}

static void other_keys_do_not_open(void **state)
{
    (void)state;
    for (size_t bit = 0; bit < 8 * PULLKEY_CODEC_KEY_SIZE; bit++) {
        char wrong[PULLKEY_CODEC_KEY_SIZE + 1], copy[SAMPLE_SIZE];
        const struct pullkey_secret wrong_key = { wrong, PULLKEY_CODEC_KEY_SIZE };
        struct pullkey_secret plain;
        struct pullkey_error error;

        memcpy(wrong, key_bytes, sizeof(wrong));
        wrong[bit / 8] = (char)(wrong[bit / 8] ^ (1 << bit % 8));
        memcpy(copy, sample, sizeof(copy));
        assert_int_equal(unseal(&wrong_key, copy, sizeof(copy), &plain, &error), -PULLKEY_INVALID);
        assert_non_null(strstr(error.message, "key"));
    }
    assert_int_equal(blocks, 0);
}

static void sizes_are_checked(void **state)
{
    char text[] = "text", copy[SAMPLE_SIZE];
    const struct pullkey_secret short_key = { key_bytes, 16 }, plain = { text, 4 };
    struct pullkey_secret big = { calloc(1, PROFILE_SIZE_MAX + 2), PROFILE_SIZE_MAX - 100 }, ret;
    struct pullkey_error error;

    (void)state;
    assert_non_null(big.bytes);
    memcpy(copy, sample, sizeof(copy));
    assert_int_equal(unseal(&short_key, copy, sizeof(copy), &ret, &error), -PULLKEY_INVALID);
    assert_int_equal(cms_codec.seal(&host, &short_key, &plain, &ret, &error), -PULLKEY_INVALID);
    /* What would be refused when it is read is not written. */
    assert_int_equal(cms_codec.seal(&host, &key, &big, &ret, &error), -PULLKEY_INVALID);
    big.length = PROFILE_SIZE_MAX + 1;
    assert_int_equal(cms_codec.seal(&host, &key, &big, &ret, &error), -PULLKEY_INVALID);
    big.length = 0;
    assert_int_equal(cms_codec.seal(&host, &key, &big, &ret, &error), -PULLKEY_INVALID);
    free(big.bytes);
    assert_int_equal(blocks, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(openssl_is_read),        cmocka_unit_test(what_is_sealed_is_read),
        cmocka_unit_test(no_two_are_alike),       cmocka_unit_test(every_flipped_bit_is_noticed),
        cmocka_unit_test(other_keys_do_not_open), cmocka_unit_test(sizes_are_checked),
    };

    return cmocka_run_group_tests_name("cms", tests, NULL, NULL);
}
