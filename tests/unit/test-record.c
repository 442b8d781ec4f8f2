/* SPDX-License-Identifier: Apache-2.0 */
#include "hosts/record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/json.h"
#include "base/secret.h"

#define RECORD(text) (text), sizeof(text) - 1

static int make_header(const char *user, const char *secret, enum pullkey_credential_kind kind,
                       struct pullkey_secret *ret)
{
    struct pullkey_credential credential = { .kind = kind };
    struct pullkey_error error;
    int r;

    credential.username = secret_copy(user, strlen(user));
    assert_int_equal(0, secret_set(&credential.secret, secret, strlen(secret), &error));
    r = record_header(&credential, ret, &error);
    secret_release(credential.username);
    secret_done(&credential.secret);
    return r;
}

static void headers(void **ignored)
{
    cleanup_secret struct pullkey_secret header = { 0 };
    struct pullkey_secret none = { 0 };

    (void)ignored;
    assert_int_equal(0, make_header("robot$pull", "hunter2", PULLKEY_PASSWORD, &header));
    assert_string_equal("Basic cm9ib3QkcHVsbDpodW50ZXIy", header.bytes);
    assert_true(record_is_header(header.bytes, header.length));
    assert_int_equal(-PULLKEY_UNSUPPORTED,
                     make_header("<token>", "x", PULLKEY_IDENTITY_TOKEN, &none));
    assert_int_equal(-PULLKEY_UNSUPPORTED, make_header("<token>", "x", PULLKEY_PASSWORD, &none));
    assert_int_equal(-PULLKEY_INVALID, make_header("a:b", "x", PULLKEY_PASSWORD, &none));
    assert_null(none.bytes);
}

static void what_is_no_header(void **ignored)
{
    static const char *const texts[] = {
        "",
        "Basic ",
        "Basic",
        "Bearer YTpi",
        "basic YTpi",
        "Basic YTpi ",
        "Basic YTpi\n",
        "Basic  YTpi",
        "Basic YTpi\"",
        "Basic YQ==",     /* no colon */
        "Basic YTpiYw",   /* no padding */
        "Basic YTpiYx==", /* bits that mean nothing */
        "Basic YTp-",
    };

    (void)ignored;
    assert_true(record_is_header(RECORD("Basic YTpi")));
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        assert_false(record_is_header(texts[i], strlen(texts[i])));
    assert_false(record_is_header(RECORD("Basic YTpi\0")));
}

/* Written and read. */
static void round_trip(void **ignored)
{
    cleanup_record struct record record = { .expiry = 1795573632 }, again = { 0 };
    cleanup_buffer struct buffer text = BUFFER_INIT(RECORD_SIZE_MAX);
    struct pullkey_error error;

    (void)ignored;
    assert_int_equal(0, make_header("joe", "\xc3\xa9\"\n\\]", PULLKEY_PASSWORD, &record.header));
    record_write(&record, &text);
    assert_int_equal(0, record_read(text.data, text.length, &again, &error));
    assert_int_equal(0, again.error.code);
    assert_int_equal(record.expiry, again.expiry);
    assert_true(secret_equal(&record.header, &again.header));
}

static void errors_round_trip(void **ignored)
{
    cleanup_record struct record record = { 0 }, again = { 0 };
    cleanup_buffer struct buffer text = BUFFER_INIT(RECORD_SIZE_MAX);
    struct pullkey_error error;

    (void)ignored;
    (void)error_set(&record.error, PULLKEY_DENIED, "no \"way\"\n");
    record_write(&record, &text);
    assert_int_equal(0, record_read(text.data, text.length, &again, &error));
    assert_int_equal(PULLKEY_DENIED, again.error.code);
    assert_string_equal("no \"way\"?", again.error.message);
    assert_null(again.header.bytes);
}

static void what_is_no_record(void **ignored)
{
    static const char *const texts[] = {
        "",
        "{}",
        "[]",
        "null",
        "{\"header\":\"Basic YTpi\"}",
        "{\"header\":\"Basic YTpi\",\"expiry\":-1}",
        "{\"header\":\"Basic YTpi\",\"expiry\":1.5}",
        "{\"header\":\"Basic YTpi\",\"expiry\":1e18}",
        "{\"header\":\"Basic YTpi\",\"expiry\":\"1\"}",
        "{\"header\":1,\"expiry\":1}",
        "{\"header\":\"Basic YTpi\\n\",\"expiry\":1}",
        "{\"header\":\"Basic YTpi\",\"expiry\":1} ,",
        "{\"header\":\"Basic YTpi\",\"expiry\":1}{}",
        "{\"class\":0,\"message\":\"\"}",
        "{\"class\":99,\"message\":\"\"}",
        "{\"class\":1.5,\"message\":\"\"}",
        "{\"class\":1}",
        "{\"message\":\"\"}",
    };

    (void)ignored;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct pullkey_error error;
        struct record record = { 0 };

        assert_int_equal(-PULLKEY_INVALID,
                         record_read(texts[i], strlen(texts[i]), &record, &error));
        assert_null(record.header.bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers),           cmocka_unit_test(what_is_no_header),
        cmocka_unit_test(round_trip),        cmocka_unit_test(errors_round_trip),
        cmocka_unit_test(what_is_no_record),
    };

    json_start();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
