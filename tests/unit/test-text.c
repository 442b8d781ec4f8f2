/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "base/text.h"

/* What RFC 3629 says, put the other way round: the encoding of each character, made by hand. */
static size_t encode(uint32_t c, char ret[4])
{
    if (c < 0x80) {
        ret[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        ret[0] = (char)(0xc0 | c >> 6);
        ret[1] = (char)(0x80 | (c & 63));
        return 2;
    }
    if (c < 0x10000) {
        ret[0] = (char)(0xe0 | c >> 12);
        ret[1] = (char)(0x80 | (c >> 6 & 63));
        ret[2] = (char)(0x80 | (c & 63));
        return 3;
    }
    ret[0] = (char)(0xf0 | c >> 18);
    ret[1] = (char)(0x80 | (c >> 12 & 63));
    ret[2] = (char)(0x80 | (c >> 6 & 63));
    ret[3] = (char)(0x80 | (c & 63));
    return 4;
}

static void every_character_is_accepted(void **state)
{
    char bytes[4];

    (void)state;
    for (uint32_t c = 0; c <= 0x10ffff; c++) {
        size_t length = encode(c, bytes);
        bool surrogate = c >= 0xd800 && c <= 0xdfff;

        if (text_is_utf8(bytes, length) == surrogate)
            fail_msg("U+%04X", c);
        /* Cut short it is never one. */
        for (size_t part = 1; part < length; part++)
            if (text_is_utf8(bytes, part))
                fail_msg("%zu bytes of U+%04X", part, c);
    }
}

/* Of all sequences of a length exactly as many are well-formed as there are characters and pairs of
 * shorter ones. */
static void nothing_else_is_accepted(void **state)
{
    unsigned int good = 0;

    (void)state;
    for (uint32_t i = 0; i < 0x10000; i++) {
        char bytes[2] = { (char)(i >> 8), (char)i };

        good += text_is_utf8(bytes, 2);
    }
    assert_int_equal(good, 128 * 128 + (0x800 - 0x80));
    good = 0;
    for (uint32_t i = 0; i < 0x1000000; i++) {
        char bytes[3] = { (char)(i >> 16), (char)(i >> 8), (char)i };

        good += text_is_utf8(bytes, 3);
    }
    assert_int_equal(good, 128 * 128 * 128 + 2 * 128 * (0x800 - 0x80) + (0x10000 - 0x800 - 0x800));
    /* Four bytes: the lead bytes that there are, each with the borders of the second byte. */
    for (uint32_t i = 0; i < 0x10000; i++) {
        char bytes[4] = { (char)(i >> 8), (char)i, (char)0x80, (char)0xbf };
        uint32_t lead = i >> 8, second = i & 0xff;
        bool expected = (lead == 0xf0 && second >= 0x90 && second <= 0xbf) ||
                        (lead >= 0xf1 && lead <= 0xf3 && second >= 0x80 && second <= 0xbf) ||
                        (lead == 0xf4 && second >= 0x80 && second <= 0x8f);

        if (lead >= 0xf0)
            assert_int_equal(text_is_utf8(bytes, 4), expected);
    }
    assert_true(text_is_utf8("", 0));
    assert_true(text_is_utf8("a\0b", 3));
}

static void names(void **state)
{
    static const char *const good[] = { "a", "0", "a-b_c9", "file", "abcdefgh" };
    static const char *const bad[] = { "",   "-a",  "_a",  "A",        "aB",        "a.b",   "a/b",
                                       "..", "a b", "a\n", "\xc3\xa9", "abcdefghi", "a\x7f", "a:" };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(good); i++)
        assert_true(text_is_name(good[i], 8));
    for (size_t i = 0; i < UNIT_COUNT(bad); i++)
        if (text_is_name(bad[i], 8))
            fail_msg("\"%s\" is taken for a name", bad[i]);
}

static void base64_of_the_rfc(void **state)
{
    static const struct {
        const char *plain, *coded;
    } rows[] = {
        { "", "" },
        { "f", "Zg==" },
        { "fo", "Zm8=" },
        { "foo", "Zm9v" },
        { "foob", "Zm9vYg==" },
        { "fooba", "Zm9vYmE=" },
        { "foobar", "Zm9vYmFy" },
        { "\xfb\xff", "+/8=" },
    };
    struct pullkey_error error;

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        cleanup_buffer struct buffer coded = BUFFER_INIT(100), plain = BUFFER_INIT(100),
                                     bare = BUFFER_INIT(100);
        size_t digits = strcspn(rows[i].coded, "=");

        text_base64_encode(&coded, rows[i].plain, strlen(rows[i].plain));
        assert_string_equal(coded.data ? coded.data : "", rows[i].coded);
        assert_fine(text_base64_decode(rows[i].coded, strlen(rows[i].coded), &plain, &error),
                    error);
        assert_string_equal(plain.data ? plain.data : "", rows[i].plain);
        assert_fine(text_base64_decode(rows[i].coded, digits, &bare, &error), error);
        assert_string_equal(bare.data ? bare.data : "", rows[i].plain);
    }
}

static void base64url_of_what_is_added(void **state)
{
    static const char *const rows[][2] = {
        { "", "+/=" },
        { "f", "+/=Zg" },
        { "fo", "+/=Zm8" },
        { "\xfb\xff\xbf", "+/=-_-_" },
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        cleanup_buffer struct buffer coded = BUFFER_INIT(100);

        buffer_append_text(&coded, "+/=");
        text_base64url_encode(&coded, rows[i][0], strlen(rows[i][0]));
        assert_string_equal(coded.data, rows[i][1]);
    }
}

static void base64_round_trips(void **state)
{
    char bytes[300];
    struct pullkey_error error;

    (void)state;
    for (size_t length = 0; length <= sizeof(bytes); length++) {
        cleanup_buffer struct buffer coded = BUFFER_INIT(1000), plain = BUFFER_INIT(1000);

        for (size_t i = 0; i < length; i++)
            bytes[i] = (char)(i * 167 + length * 31);
        text_base64_encode(&coded, bytes, length);
        assert_int_equal(coded.length, (length + 2) / 3 * 4);
        assert_fine(text_base64_decode(coded.data ? coded.data : "", coded.length, &plain, &error),
                    error);
        assert_int_equal(plain.length, length);
        if (length > 0)
            assert_memory_equal(plain.data, bytes, length);
    }
}

static void base64_refuses(void **state)
{
    static const char *const bad[] = { "A",        "AAAAA", "=",     "==",    "===",     "====",
                                       "A===",     "A=",    "AA=",   "AAA==", "AA=A",    "=AAA",
                                       "AA==AA==", "AA A",  "AAA\n", "AA-_",  "AAA\xc3", "AAA*" };
    struct pullkey_error error;

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(bad); i++) {
        cleanup_buffer struct buffer plain = BUFFER_INIT(100);

        if (text_base64_decode(bad[i], strlen(bad[i]), &plain, &error) != -PULLKEY_INVALID)
            fail_msg("\"%s\" is decoded", bad[i]);
    }
    for (unsigned int c = 0; c < 256; c++) {
        cleanup_buffer struct buffer plain = BUFFER_INIT(100);
        char text[4] = { 'A', (char)c, 'A', 'A' };
        bool digit = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                     c == '+' || c == '/';

        assert_int_equal(text_base64_decode(text, 4, &plain, &error), digit ? 0 : -PULLKEY_INVALID);
    }
    {
        cleanup_buffer struct buffer plain = BUFFER_INIT(2);

        assert_refused(text_base64_decode("AAAA", 4, &plain, &error), PULLKEY_INVALID, "more than",
                       error);
    }
}

static void case_is_that_of_ascii(void **state)
{
    (void)state;
    assert_true(text_equal_any_case("aBc-1[", "AbC-1["));
    assert_false(text_equal_any_case("abc", "abcd"));
    assert_false(text_equal_any_case("abcd", "abc"));
    assert_false(text_equal_any_case("[", "{"));
    assert_false(text_equal_any_case("\xc3\xa9", "\xc3\x89"));
    assert_true(text_equal_any_case("", ""));
    for (int c = -128; c < 128; c++)
        assert_int_equal(text_lower((char)c), c >= 'A' && c <= 'Z' ? c + 32 : c);
}

static void printable_text_is_left_alone(void **state)
{
    char bytes[5];

    (void)state;
    for (uint32_t c = 1; c <= 0x10ffff; c++) {
        size_t length = encode(c, bytes);
        bool surrogate = c >= 0xd800 && c <= 0xdfff;
        bool control = c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029;
        /* Bidi_Control of the Unicode Character Database. */
        bool turns = c == 0x61c || c == 0x200e || c == 0x200f || (c >= 0x202a && c <= 0x202e) ||
                     (c >= 0x2066 && c <= 0x2069);
        char before[5] = { 0 };

        bytes[length] = '\0';
        memcpy(before, bytes, length);
        text_make_printable(bytes);
        if (strlen(bytes) != length || (surrogate || control || turns ? strspn(bytes, "?") != length
                                                                      : strcmp(bytes, before) != 0))
            fail_msg("U+%04X", c);
    }
}

static void distances_of_words(void **state)
{
    static const struct {
        const char *a, *b;
        size_t distance;
    } cases[] = {
        { "", "", 0 },         { "list", "list", 0 },     { "", "list", 4 },
        { "lis", "list", 1 },  { "lisst", "list", 1 },    { "lust", "list", 1 },
        { "lsit", "list", 1 }, { "ilts", "list", 2 },     { "kitten", "sitting", 3 },
        { "ca", "abc", 3 },    { "abcdef", "badcfe", 3 }, { "--jsno", "--json", 1 },
        { "abcd", "wxyz", 4 },
    };
    char longest[TEXT_DISTANCE_MAX + 2];

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *a = cases[i].a, *b = cases[i].b;

        assert_int_equal(text_distance(a, strlen(a), b, strlen(b)), cases[i].distance);
        assert_int_equal(text_distance(b, strlen(b), a, strlen(a)), cases[i].distance);
    }
    memset(longest, 'a', sizeof(longest));
    assert_int_equal(text_distance(longest, TEXT_DISTANCE_MAX, "", 0), TEXT_DISTANCE_MAX);
    assert_true(text_distance(longest, TEXT_DISTANCE_MAX + 1, "", 0) == SIZE_MAX);
    assert_true(text_distance("", 0, longest, TEXT_DISTANCE_MAX + 1) == SIZE_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_character_is_accepted),
        cmocka_unit_test(nothing_else_is_accepted),
        cmocka_unit_test(names),
        cmocka_unit_test(base64_of_the_rfc),
        cmocka_unit_test(base64url_of_what_is_added),
        cmocka_unit_test(base64_round_trips),
        cmocka_unit_test(base64_refuses),
        cmocka_unit_test(case_is_that_of_ascii),
        cmocka_unit_test(printable_text_is_left_alone),
        cmocka_unit_test(distances_of_words),
    };

    return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
