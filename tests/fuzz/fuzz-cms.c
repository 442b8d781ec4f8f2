/* SPDX-License-Identifier: Apache-2.0 */
/*
 * backends/cms: the input is a sealed store, the key is 00 01 02 ... 1f. The gate yields parts that
 * lie inside the input and leave no byte over; nothing opens that was not sealed with the key, and
 * what opens can be sealed again.
 */
#include <stdlib.h>
#include <string.h>

#include "base/secret.h"
#include "cms/gate.h"
#include "cms/profile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

extern const struct pullkey_codec cms_codec;

static const struct pullkey_host host = {
    .size = sizeof(host),
    .alloc = secret_alloc,
    .release = secret_release,
};

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void check_parts(const struct gate_parts *parts, const char *bytes, size_t size)
{
    const unsigned char *begin = (const unsigned char *)bytes, *end = begin + size;

    require(parts->wrapped_key > begin);
    require(parts->nonce > parts->wrapped_key + PROFILE_WRAPPED_SIZE);
    require(parts->content > parts->nonce + PROFILE_NONCE_SIZE);
    require(parts->mac == parts->content + parts->content_length + 2);
    require(parts->mac + PROFILE_MAC_SIZE == end);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char key_bytes[PULLKEY_CODEC_KEY_SIZE];
    const struct pullkey_secret key = { key_bytes, sizeof(key_bytes) };
    cleanup_secret struct pullkey_secret input = { 0 }, plain = { 0 }, sealed = { 0 };
    struct gate_parts parts;
    struct pullkey_error error = { 0 };
    bool passed;

    for (size_t i = 0; i < sizeof(key_bytes); i++)
        key_bytes[i] = (char)i;
    require(secret_set(&input, (const char *)data, size, &error) == 0);
    passed = gate_open(input.bytes, input.length, &parts, &error) == 0;
    if (passed)
        check_parts(&parts, input.bytes, input.length);
    if (cms_codec.unseal(&host, &key, &input, &plain, &error) < 0) {
        require(error.code == PULLKEY_INVALID && error.message[0] != '\0');
        require(!plain.bytes);
        return 0;
    }
    require(passed && plain.length == parts.content_length);
    if (plain.length > 0)
        require(cms_codec.seal(&host, &key, &plain, &sealed, &error) == 0 &&
                sealed.length == input.length);
    return 0;
}
