/* SPDX-License-Identifier: Apache-2.0 */
#include "hosts/lifetime.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "base/json.h"
#include "base/text.h"

static int64_t read_text(const char *text)
{
    const struct pullkey_secret secret = { (char *)(uintptr_t)text, strlen(text) };

    return lifetime_read(&secret);
}

static int64_t read_jwt(const char *payload)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(4096);

    buffer_append_text(&text, "eyJhbGciOiJub25lIn0.");
    text_base64url_encode(&text, payload, strlen(payload));
    buffer_append_text(&text, ".c2ln");
    return read_text(text.data);
}

static int64_t read_ecr(const char *object)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(4096);

    text_base64_encode(&text, object, strlen(object));
    return read_text(text.data);
}

static void tokens_that_say_it(void **ignored)
{
    (void)ignored;
    assert_int_equal(1795573632, read_jwt("{\"exp\":1795573632,\"aud\":\"x\"}"));
    assert_int_equal(1795573632, read_jwt("{\"aud\":\"\xc3\xbf\xc3\xbe?>\",\"exp\":1795573632}"));
    assert_int_equal(1795573632, read_jwt("{\"exp\":1795573632.75}"));
    assert_int_equal(1795573632,
                     read_ecr("{\"payload\":\"AA==\",\"datakey\":\"AA==\",\"version\":"
                              "\"2\",\"type\":\"DATA_KEY\",\"expiration\":1795573632}"));
}

static void secrets_that_do_not(void **ignored)
{
    static const char *const texts[] = {
        "",           "hunter2",       ".",
        "..",         "...",           "a.b",
        "a.b.c",      "a.e30.c",       "a.eyJ9.c",
        "a.!!.c",     "e30=",          "e30",
        "eyJhIjoxfQ", "a.eyJl eHAi.c", "glpat-xxxxxxxxxxxxxxxxxxxx",
    };

    (void)ignored;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        assert_int_equal(0, read_text(texts[i]));
    assert_int_equal(0, read_jwt("{\"exp\":\"1795573632\"}"));
    assert_int_equal(0, read_jwt("{\"exp\":-1}"));
    assert_int_equal(0, read_jwt("{\"exp\":1e300}"));
    assert_int_equal(0, read_jwt("{\"exp\":1,\"exp\":2}"));
    assert_int_equal(0, read_jwt("[1795573632]"));
    assert_int_equal(0, read_ecr("{\"exp\":1795573632}"));
    assert_int_equal(0, read_jwt("{\"expiration\":1795573632}"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_that_say_it),
        cmocka_unit_test(secrets_that_do_not),
    };

    json_start();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
