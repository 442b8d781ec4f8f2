/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "core/hash.h"

/* Vectors that the authors of SipHash publish for 128 bits: the message is 00 01 02 ... */
static void published_vectors(void **state)
{
    static const struct {
        size_t length;
        const char *hash;
    } vectors[] = {
        { 0, "a3817f04ba25a8e66df67214c7550293" },  { 1, "da87c1d86b99af44347659119b22fc45" },
        { 7, "a1f1ebbed8dbc153c0b84aa61ff08239" },  { 8, "3b62a9ba6258f5610f83e264f31497b4" },
        { 15, "5493e99933b0a8117e08ec0f97cfc3d9" }, { 16, "6ee2a4ca67b054bbfd3315bf85230577" },
        { 63, "5150d1772f50834a503e069a973fbd7c" },
    };
    char message[64];
    char hash[HASH_TEXT_SIZE];

    (void)state;
    for (size_t i = 0; i < sizeof(message); i++)
        message[i] = (char)i;
    for (size_t i = 0; i < UNIT_COUNT(vectors); i++) {
        hash_text(message, vectors[i].length, hash);
        assert_string_equal(hash, vectors[i].hash);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_vectors),
    };

    return cmocka_run_group_tests_name("hash", tests, NULL, NULL);
}
