/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "base/buffer.h"
#include "cms-sample.h"
#include "cms/gate.h"
#include "cms/profile.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define LIMIT (2 * PROFILE_SIZE_MAX)

/* Bytes of known length: text that may hold NULs. */
struct bytes {
    const char *at;
    size_t length;
};
#define BYTES(text)                                                                                \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }

#define OID_ENVELOPED "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x03"
#define OID_AES128_GCM "\x06\x09\x60\x86\x48\x01\x65\x03\x04\x01\x06"
#define OID_AES256_GCM "\x06\x09\x60\x86\x48\x01\x65\x03\x04\x01\x2e"
#define OID_AES256_CBC "\x06\x09\x60\x86\x48\x01\x65\x03\x04\x01\x2a"
#define OID_AES128_WRAP "\x06\x09\x60\x86\x48\x01\x65\x03\x04\x01\x05"
#define OID_AES256_WRAP "\x06\x09\x60\x86\x48\x01\x65\x03\x04\x01\x2d"
#define OID_SIGNED "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02"

/* What a message is built of; members that a case leaves out are those of a good one. */
struct recipe {
    const char *what;
    struct bytes type;
    struct bytes version;
    struct bytes before_recipients; /* originatorInfo */
    size_t recipients;              /* 0: one; else one more than there are */
    unsigned char recipient_tag;
    struct bytes recipient_version;
    struct bytes key_id;
    struct bytes after_key_id; /* date, other */
    struct bytes wrap;
    size_t wrapped_length;
    struct bytes data;
    struct bytes cipher;
    size_t nonce_length;
    struct bytes tag_size;
    unsigned char content_tag;
    struct bytes before_mac; /* authAttrs */
    size_t mac_length;
    struct bytes after_mac; /* unauthAttrs */
    struct bytes after_inner;
    struct bytes after_all;
};

static struct bytes chosen(struct bytes given, struct bytes usual)
{
    return given.at ? given : usual;
}

#define CHOSEN(member, usual) chosen(recipe->member, (struct bytes)BYTES(usual))

static void put_bytes(struct buffer *out, struct bytes bytes)
{
    if (bytes.length > 0)
        buffer_append(out, bytes.at, bytes.length);
}

static void put_filler(struct buffer *out, size_t length)
{
    for (size_t i = 0; i < length; i++)
        buffer_append(out, "x", 1);
}

/* Wraps the buffer's content into an element. */
static void enclose(struct buffer *buffer, unsigned char tag)
{
    struct buffer outer = BUFFER_INIT(LIMIT);
    size_t length = buffer->length;
    char head[5] = { (char)tag, (char)length };
    size_t size = 2;

    if (length >= 0x80) {
        size_t digits = length < 0x100 ? 1 : length < 0x10000 ? 2 : 3;

        head[1] = (char)(0x80 | digits);
        for (size_t i = 0; i < digits; i++)
            head[size++] = (char)(length >> (8 * (digits - 1 - i)));
    }
    buffer_append(&outer, head, size);
    put_bytes(&outer, (struct bytes){ buffer->data, buffer->length });
    buffer_done(buffer);
    *buffer = outer;
}

static void put_element(struct buffer *out, unsigned char tag, struct buffer *inner)
{
    buffer_append(inner, "", 0);
    enclose(inner, tag);
    put_bytes(out, (struct bytes){ inner->data, inner->length });
    buffer_done(inner);
}

static void put_recipient(struct buffer *out, const struct recipe *recipe)
{
    struct buffer recipient = BUFFER_INIT(LIMIT), id = BUFFER_INIT(LIMIT);
    struct buffer text = BUFFER_INIT(LIMIT), wrap = BUFFER_INIT(LIMIT), key = BUFFER_INIT(LIMIT);

    put_bytes(&recipient, CHOSEN(recipient_version, "\x02\x01\x04"));
    put_bytes(&text, CHOSEN(key_id, "pullkey"));
    put_element(&id, 0x04, &text);
    put_bytes(&id, recipe->after_key_id);
    put_element(&recipient, 0x30, &id);
    put_bytes(&wrap, CHOSEN(wrap, OID_AES256_WRAP));
    put_element(&recipient, 0x30, &wrap);
    put_filler(&key, recipe->wrapped_length ? recipe->wrapped_length : 40);
    put_element(&recipient, 0x04, &key);
    put_element(out, recipe->recipient_tag ? recipe->recipient_tag : 0xa2, &recipient);
}

static void put_content(struct buffer *out, const struct recipe *recipe)
{
    struct buffer info = BUFFER_INIT(LIMIT), cipher = BUFFER_INIT(LIMIT);
    struct buffer parameters = BUFFER_INIT(LIMIT), nonce = BUFFER_INIT(LIMIT);
    struct buffer content = BUFFER_INIT(LIMIT);

    put_bytes(&info, CHOSEN(data, PROFILE_DATA));
    put_bytes(&cipher, CHOSEN(cipher, OID_AES256_GCM));
    put_filler(&nonce, recipe->nonce_length ? recipe->nonce_length : 12);
    put_element(&parameters, 0x04, &nonce);
    put_bytes(&parameters, CHOSEN(tag_size, "\x02\x01\x10"));
    put_element(&cipher, 0x30, &parameters);
    put_element(&info, 0x30, &cipher);
    put_filler(&content, 200);
    put_element(&info, recipe->content_tag ? recipe->content_tag : 0x80, &content);
    put_element(out, 0x30, &info);
}

static void build(const struct recipe *recipe, struct buffer *out)
{
    struct buffer enveloped = BUFFER_INIT(LIMIT), set = BUFFER_INIT(LIMIT);
    struct buffer mac = BUFFER_INIT(LIMIT), inner = BUFFER_INIT(LIMIT);

    put_bytes(&enveloped, CHOSEN(version, "\x02\x01\x00"));
    put_bytes(&enveloped, recipe->before_recipients);
    for (size_t i = 0; i < (recipe->recipients ? recipe->recipients - 1 : 1); i++)
        put_recipient(&set, recipe);
    put_element(&enveloped, 0x31, &set);
    put_content(&enveloped, recipe);
    put_bytes(&enveloped, recipe->before_mac);
    put_filler(&mac, recipe->mac_length ? recipe->mac_length : 16);
    put_element(&enveloped, 0x04, &mac);
    put_bytes(&enveloped, recipe->after_mac);
    put_element(&inner, 0x30, &enveloped);
    put_bytes(&inner, recipe->after_inner);
    put_bytes(out, CHOSEN(type, PROFILE_TYPE));
    put_element(out, 0xa0, &inner);
    enclose(out, 0x30);
    put_bytes(out, recipe->after_all);
    assert_int_equal(out->state, BUFFER_FINE);
}

static const struct recipe refused[] = {
    { .what = "EnvelopedData", .type = BYTES(OID_ENVELOPED) },
    { .what = "version 1", .version = BYTES("\x02\x01\x01") },
    { .what = "no recipient", .recipients = 1 },
    { .what = "two recipients", .recipients = 3 },
    { .what = "RSA recipient", .recipient_tag = 0x30 },
    { .what = "EC recipient", .recipient_tag = 0xa1 },
    { .what = "password recipient", .recipient_tag = 0xa3 },
    { .what = "other recipient", .recipient_tag = 0xa4 },
    { .what = "recipient version 0", .recipient_version = BYTES("\x02\x01\x00") },
    { .what = "key id of the same length", .key_id = BYTES("pullkex") },
    { .what = "short key id", .key_id = BYTES("pull") },
    { .what = "long key id", .key_id = BYTES("pullkey2") },
    { .what = "empty key id", .key_id = BYTES("") },
    { .what = "date of the key",
      .after_key_id = BYTES("\x18\x0f"
                            "20260101000000Z") },
    { .what = "AES-128 key wrap", .wrap = BYTES(OID_AES128_WRAP) },
    { .what = "key wrap with parameters", .wrap = BYTES(OID_AES256_WRAP "\x05\x00") },
    { .what = "short wrapped key", .wrapped_length = 24 },
    { .what = "long wrapped key", .wrapped_length = 48 },
    { .what = "very long wrapped key", .wrapped_length = 4000 },
    { .what = "signed content", .data = BYTES(OID_SIGNED) },
    { .what = "AES-128-GCM", .cipher = BYTES(OID_AES128_GCM) },
    { .what = "AES-256-CBC", .cipher = BYTES(OID_AES256_CBC) },
    { .what = "nonce of 8 bytes", .nonce_length = 8 },
    { .what = "nonce of 16 bytes", .nonce_length = 16 },
    { .what = "nonce of 1000 bytes", .nonce_length = 1000 },
    { .what = "tag of 4 bytes", .tag_size = BYTES("\x02\x01\x04"), .mac_length = 4 },
    { .what = "tag of 12 bytes, by default", .tag_size = BYTES(""), .mac_length = 12 },
    { .what = "default tag size, 16 bytes there", .tag_size = BYTES("") },
    { .what = "tag size 0", .tag_size = BYTES("\x02\x01\x00") },
    { .what = "tag size 272", .tag_size = BYTES("\x02\x02\x01\x10") },
    { .what = "tag size with a leading zero", .tag_size = BYTES("\x02\x02\x00\x10") },
    { .what = "tag that is shorter than it says", .mac_length = 4 },
    { .what = "tag that is longer than it says", .mac_length = 17 },
    { .what = "content in pieces", .content_tag = 0xa0 },
    { .what = "content as OCTET STRING", .content_tag = 0x04 },
    { .what = "originator", .before_recipients = BYTES("\xa0\x00") },
    { .what = "authenticated attributes", .before_mac = BYTES("\xa1\x02\x30\x00") },
    { .what = "other attributes", .after_mac = BYTES("\xa2\x02\x30\x00") },
    { .what = "bytes after the inner end", .after_inner = BYTES("\x05\x00") },
    { .what = "NUL after the end", .after_all = BYTES("\x00") },
    { .what = "line feed after the end", .after_all = BYTES("\n") },
};

static const struct gate_parts untouched = { .content_length = 4711 };

static void refuse(const char *bytes, size_t length, const char *what)
{
    struct gate_parts parts = untouched;
    struct pullkey_error error = { 0 };

    if (gate_open(bytes, length, &parts, &error) != -PULLKEY_INVALID)
        fail_msg("%s is not refused", what);
    assert_int_equal(error.code, PULLKEY_INVALID);
    assert_true(error.message[0] != '\0');
    assert_memory_equal(&parts, &untouched, sizeof(parts));
}

static void the_profile_is_let_in(void **state)
{
    struct buffer good = BUFFER_INIT(LIMIT);
    struct gate_parts parts;
    struct pullkey_error error;

    (void)state;
    build(&(struct recipe){ .what = "good" }, &good);
    assert_int_equal(gate_open(good.data, good.length, &parts, &error), 0);
    assert_int_equal(parts.content_length, 200);
    assert_ptr_equal(parts.mac + 16, good.data + good.length);
    buffer_done(&good);
}

static void openssl_is_let_in(void **state)
{
    struct gate_parts parts;
    struct pullkey_error error;

    (void)state;
    assert_int_equal(gate_open(sample, SAMPLE_SIZE, &parts, &error), 0);
    assert_ptr_equal(parts.wrapped_key, sample + SAMPLE_WRAPPED_AT);
    assert_ptr_equal(parts.nonce, sample + SAMPLE_NONCE_AT);
    assert_ptr_equal(parts.content, sample + SAMPLE_CONTENT_AT);
    assert_int_equal(parts.content_length, SAMPLE_CONTENT_SIZE);
    assert_ptr_equal(parts.mac, sample + SAMPLE_MAC_AT);
}

static void downgrades_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(refused); i++) {
        struct buffer bad = BUFFER_INIT(LIMIT);

        build(&refused[i], &bad);
        refuse(bad.data, bad.length, refused[i].what);
        buffer_done(&bad);
    }
}

static void every_truncation_is_refused(void **state)
{
    (void)state;
    for (size_t length = 0; length < SAMPLE_SIZE; length++)
        refuse(sample, length, "a truncated file");
}

static bool varies(size_t at)
{
    return (at >= SAMPLE_WRAPPED_AT && at < SAMPLE_WRAPPED_AT + PROFILE_WRAPPED_SIZE) ||
           (at >= SAMPLE_NONCE_AT && at < SAMPLE_NONCE_AT + PROFILE_NONCE_SIZE) ||
           (at >= SAMPLE_CONTENT_AT && at < SAMPLE_CONTENT_AT + SAMPLE_CONTENT_SIZE) ||
           at >= SAMPLE_MAC_AT;
}

static void every_value_of_a_fixed_byte_is_refused(void **state)
{
    (void)state;
    for (size_t at = 0; at < SAMPLE_SIZE; at++) {
        for (unsigned int value = 0; value < 256; value++) {
            char changed[SAMPLE_SIZE];

            if (varies(at) || (char)value == sample[at])
                continue;
            memcpy(changed, sample, sizeof(changed));
            changed[at] = (char)value;
            refuse(changed, sizeof(changed), "a changed byte");
        }
    }
}

static void lengths_have_one_form(void **state)
{
    /*
     * The heads of a message whose outer length is written in other ways; the rest is the sample's.
     */
    static const struct bytes heads[] = {
        BYTES("\x30\x80"),
        BYTES("\x30\x82\x00\xde"),
        BYTES("\x30\x83\x00\x00\xde"),
        BYTES("\x30\x84\x00\x00\x00\xde"),
        BYTES("\x30\x89\x00\x00\x00\x00\x00\x00\x00\x00\xde"),
        BYTES("\x30\xff"),
        BYTES("\x30\x83\xff\xff\xff"),
        BYTES("\x30\x84\xff\xff\xff\xff"),
    };

    (void)state;
    assert_memory_equal(sample, "\x30\x81\xde", 3);
    for (size_t i = 0; i < COUNT(heads); i++) {
        struct buffer bad = BUFFER_INIT(LIMIT);

        put_bytes(&bad, heads[i]);
        put_bytes(&bad, (struct bytes){ sample + 3, SAMPLE_SIZE - 3 });
        refuse(bad.data, bad.length, "another form of a length");
        buffer_append(&bad, "\0\0", 2);
        refuse(bad.data, bad.length, "an indefinite length with its end");
        buffer_done(&bad);
    }
}

static void size_is_limited(void **state)
{
    struct buffer big = BUFFER_INIT(LIMIT);
    struct gate_parts parts;
    struct pullkey_error error;

    (void)state;
    put_filler(&big, PROFILE_SIZE_MAX + 1);
    assert_int_equal(gate_open(big.data, big.length, &parts, &error), -PULLKEY_INVALID);
    assert_non_null(strstr(error.message, "larger"));
    buffer_done(&big);
}

static void other_files_are_refused(void **state)
{
    (void)state;
    refuse("", 0, "nothing");
    refuse("{}", 2, "JSON");
    refuse("age-encryption.org/v1\n-> X25519 x", 33, "age");
    refuse("-----BEGIN CMS-----\n", 20, "PEM");
    refuse("eyJhbGciOiJBMjU2S1ciLCJlbmMiOiJBMjU2R0NNIn0.x", 46, "JWE");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_profile_is_let_in),
        cmocka_unit_test(openssl_is_let_in),
        cmocka_unit_test(downgrades_are_refused),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(every_value_of_a_fixed_byte_is_refused),
        cmocka_unit_test(lengths_have_one_form),
        cmocka_unit_test(size_is_limited),
        cmocka_unit_test(other_files_are_refused),
    };

    return cmocka_run_group_tests_name("gate", tests, NULL, NULL);
}
