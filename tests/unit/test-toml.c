/* SPDX-License-Identifier: Apache-2.0 */
#include "unit-free.h"

#include "base/secret.h"
#include "hosts/toml.h"

static int parse(struct toml_document *toml, const char *text, struct pullkey_error *error)
{
    return toml_parse(toml, "hosts.toml", text, strlen(text), error);
}

/* The item that keys lead to, which a NULL ends. */
static const struct toml_item *find(const struct toml_document *toml, const char *const *keys)
{
    const struct toml_item *item = toml->root;

    for (; *keys; keys++) {
        item = toml_member(item, *keys);
        if (!item)
            fail_msg("there is no \"%s\"", *keys);
    }
    return item;
}

#define FIND(toml, ...) find(toml, (const char *const[]){ __VA_ARGS__, NULL })

static void assert_slice(const struct toml_document *toml, size_t begin, size_t end,
                         const char *expected)
{
    if (end < begin || end > toml->length || end - begin != strlen(expected) ||
        memcmp(toml->text + begin, expected, end - begin) != 0)
        fail_msg("\"%.*s\" is not \"%s\"", end < begin ? 0 : (int)(end - begin), toml->text + begin,
                 expected);
}

/* What stands before the '=' ("" for nothing), and the value or header. */
static void assert_place(const struct toml_document *toml, const struct toml_item *item,
                         const char *key, const char *value, size_t line)
{
    assert_slice(toml, item->key_end > 0 ? item->key_begin : 0, item->key_end, key);
    assert_slice(toml, item->begin, item->end, value);
    assert_int_equal(item->line, line);
}

static void assert_string(const struct toml_item *item, const char *bytes, size_t length)
{
    assert_int_equal(item->kind, TOML_STRING);
    assert_int_equal(item->string_length, length);
    assert_memory_equal(item->string, bytes, length + 1);
}

static void kinds(void **state)
{
    cleanup_toml struct toml_document toml = { 0 };
    struct pullkey_error error;
    const struct toml_item *list;

    (void)state;
    assert_fine(parse(&toml,
                      "a = \"x\"\nb = -12\nc = true\nd = false\ne = 1.5\nf = 1979-05-27\n"
                      "g = [1, 'two', [3], {h = 4}]\ni = {}\n[j]\n",
                      &error),
                error);
    assert_string(FIND(&toml, "a"), "x", 1);
    assert_int_equal(FIND(&toml, "b")->kind, TOML_INTEGER);
    assert_int_equal(FIND(&toml, "b")->integer, -12);
    assert_int_equal(FIND(&toml, "c")->kind, TOML_BOOLEAN);
    assert_true(FIND(&toml, "c")->boolean);
    assert_false(FIND(&toml, "d")->boolean);
    assert_int_equal(FIND(&toml, "e")->kind, TOML_OTHER);
    assert_int_equal(FIND(&toml, "f")->kind, TOML_OTHER);
    assert_int_equal(FIND(&toml, "g")->kind, TOML_ARRAY);
    list = FIND(&toml, "g")->first;
    assert_null(list->key);
    assert_int_equal(list->integer, 1);
    assert_string(list->next, "two", 3);
    assert_int_equal(list->next->next->first->integer, 3);
    assert_int_equal(FIND(&toml, "g")->first->next->next->next->kind, TOML_TABLE);
    assert_true(list->next->next->next->is_inline);
    assert_ptr_equal(list->parent, FIND(&toml, "g"));
    assert_null(list->next->next->next->next);
    assert_true(FIND(&toml, "i")->is_inline && !FIND(&toml, "i")->has_header);
    assert_true(FIND(&toml, "j")->has_header && !FIND(&toml, "j")->is_inline);
    assert_null(FIND(&toml, "j")->first);
    assert_null(toml.root->parent);
    assert_false(toml.root->has_header || toml.root->is_inline);
}

static void strings(void **state)
{
    static const struct {
        const char *text;
        const char *value;
        size_t length;
    } rows[] = {
        { "\"\"", "", 0 },
        { "''", "", 0 },
        { "\"a\\\"b\\\\c\\n\\t\\u00e9\\U0001F511\"", "a\"b\\c\n\t\xc3\xa9\xf0\x9f\x94\x91", 13 },
        { "\"\\u0000x\"", "\0x", 2 },
        { "'a\\n\"'", "a\\n\"", 4 },
        { "\"\"\"\nfirst\nsecond\"\"\"", "first\nsecond", 12 },
        { "\"\"\"one \\\n    two\"\"\"", "one two", 7 },
        { "\"\"\"\"quoted\"\"\"\"", "\"quoted\"", 8 },
        { "'''\nit's'''", "it's", 4 },
        { "\"caf\xc3\xa9\"", "caf\xc3\xa9", 5 },
        { "\"# no comment\"", "# no comment", 12 },
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        cleanup_toml struct toml_document toml = { 0 };
        struct pullkey_error error;
        char text[200];

        (void)snprintf(text, sizeof(text), "before = 1\n  \"k\" \t= %s # comment\nafter = 2\n",
                       rows[i].text);
        assert_fine(parse(&toml, text, &error), error);
        assert_string(FIND(&toml, "k"), rows[i].value, rows[i].length);
        assert_place(&toml, FIND(&toml, "k"), "\"k\"", rows[i].text, 2);
    }
}

static void places(void **state)
{
    cleanup_toml struct toml_document toml = { 0 };
    struct pullkey_error error;

    (void)state;
    assert_fine(parse(&toml,
                      "'\xc3\xa9\xe2\x82\xac' = [ \"\xf0\x9f\x94\x91\", # \xc3\xa9\n"
                      "  \"\xc3\xa9\xc3\xa9\", 'x' ]\n"
                      "a . \"b c\" = { \xc2\xa0",
                      &error) < 0
                    ? 0
                    : -1,
                error);
    assert_fine(parse(&toml,
                      "'\xc3\xa9\xe2\x82\xac' = [ \"\xf0\x9f\x94\x91\", # \xc3\xa9\n"
                      "  \"\xc3\xa9\xc3\xa9\", 'x' ]\n"
                      "a . \"b \xc3\xa9\" = { c.d = '\xc3\xa9', e = [] } # x\n"
                      "last = 1",
                      &error),
                error);
    assert_place(&toml, FIND(&toml, "\xc3\xa9\xe2\x82\xac"), "'\xc3\xa9\xe2\x82\xac'",
                 "[ \"\xf0\x9f\x94\x91\", # \xc3\xa9\n  \"\xc3\xa9\xc3\xa9\", 'x' ]", 1);
    assert_place(&toml, FIND(&toml, "\xc3\xa9\xe2\x82\xac")->first, "", "\"\xf0\x9f\x94\x91\"", 1);
    assert_place(&toml, FIND(&toml, "\xc3\xa9\xe2\x82\xac")->first->next, "",
                 "\"\xc3\xa9\xc3\xa9\"", 2);
    assert_place(&toml, FIND(&toml, "\xc3\xa9\xe2\x82\xac")->first->next->next, "", "'x'", 2);
    assert_place(&toml, FIND(&toml, "a", "b \xc3\xa9"), "\"b \xc3\xa9\"",
                 "{ c.d = '\xc3\xa9', e = [] }", 3);
    assert_place(&toml, FIND(&toml, "a", "b \xc3\xa9", "c", "d"), "d", "'\xc3\xa9'", 3);
    assert_place(&toml, FIND(&toml, "a", "b \xc3\xa9", "e"), "e", "[]", 3);
    assert_place(&toml, FIND(&toml, "last"), "last", "1", 4);
}

static void byte_order_mark_and_line_ends(void **state)
{
    static const char *const beginnings[] = { "", "\xef\xbb\xbf" };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(beginnings); i++) {
        cleanup_toml struct toml_document toml = { 0 };
        struct pullkey_error error;
        char text[200];

        (void)snprintf(text, sizeof(text),
                       "%sa = 'x'\r\n[b]\r\nc = \"\"\"\r\n\xc3\xa9\r\n\"\"\" # y\r\nd = 1\r\n",
                       beginnings[i]);
        assert_fine(parse(&toml, text, &error), error);
        assert_int_equal(toml.length, strlen(text));
        assert_memory_equal(toml.text, text, toml.length + 1);
        assert_place(&toml, FIND(&toml, "a"), "a", "'x'", 1);
        assert_place(&toml, FIND(&toml, "b"), "", "[b]", 2);
        assert_place(&toml, FIND(&toml, "b", "c"), "c", "\"\"\"\r\n\xc3\xa9\r\n\"\"\"", 3);
        assert_place(&toml, FIND(&toml, "b", "d"), "d", "1", 6);
    }
}

/* Which tables have a header, where it is, and in what order they stand. */
static void headers(void **state)
{
    static const char text[] = "z.y = 1\n"
                               "z.x = 2\n"
                               "[ a . \"b.c\" . d ] # comment\n"
                               "k = 1\n"
                               "  [other]\n"
                               "[a]\n"
                               "\"e.f\".g = 1\n"
                               "[a.\"e.f\".h]\n"
                               "[[list]]\n"
                               "m = 1\n"
                               "[[list]]\n"
                               "[list.sub]\n"
                               "[[only.list]]\n"
                               "nested = [[1]]\n"
                               "[p.q.r.s]\n"
                               "[p.q.r]\n";
    cleanup_toml struct toml_document toml = { 0 };
    struct pullkey_error error;
    const struct toml_item *item;

    (void)state;
    assert_fine(parse(&toml, text, &error), error);

    assert_place(&toml, FIND(&toml, "z", "y"), "y", "1", 1);
    assert_place(&toml, FIND(&toml, "z", "x"), "x", "2", 2);
    assert_false(FIND(&toml, "z")->has_header);

    /* A header that comes after those of tables in it. */
    assert_place(&toml, FIND(&toml, "a"), "", "[a]", 6);
    assert_true(FIND(&toml, "a")->has_header);
    assert_place(&toml, FIND(&toml, "a", "b.c"), "", "[ a . \"b.c\" . d ]", 3);
    assert_false(FIND(&toml, "a", "b.c")->has_header);
    assert_place(&toml, FIND(&toml, "a", "b.c", "d"), "", "[ a . \"b.c\" . d ]", 3);
    assert_true(FIND(&toml, "a", "b.c", "d")->has_header);

    /* A table of dotted keys, and another in it that has a header. */
    assert_false(FIND(&toml, "a", "e.f")->has_header);
    assert_slice(&toml, FIND(&toml, "a", "e.f")->key_begin, FIND(&toml, "a", "e.f")->key_end,
                 "\"e.f\"");
    assert_true(FIND(&toml, "a", "e.f", "h")->has_header);

    item = FIND(&toml, "list");
    assert_int_equal(item->kind, TOML_ARRAY);
    assert_int_equal(item->key_end, 0);
    assert_place(&toml, item->first, "", "[[list]]", 9);
    assert_place(&toml, item->first->next, "", "[[list]]", 11);
    assert_place(&toml, toml_member(item->first->next, "sub"), "", "[list.sub]", 12);
    assert_false(FIND(&toml, "only")->has_header);
    assert_place(&toml, FIND(&toml, "only", "list")->first->first, "nested", "[[1]]", 14);

    /* A header of its own between two that have none. */
    assert_false(FIND(&toml, "p")->has_header);
    assert_false(FIND(&toml, "p", "q")->has_header);
    assert_place(&toml, FIND(&toml, "p", "q", "r"), "", "[p.q.r]", 16);
    assert_true(FIND(&toml, "p", "q", "r")->has_header);
    assert_place(&toml, FIND(&toml, "p", "q", "r", "s"), "", "[p.q.r.s]", 15);

    item = toml.root->first;
    for (const char *const *key =
             (const char *const[]){ "z", "other", "a", "list", "only", "p", NULL };
         *key; key++, item = item->next)
        assert_string_equal(item->key, *key);
    assert_null(item);
}

static void members(void **state)
{
    cleanup_toml struct toml_document toml = { 0 };
    struct pullkey_error error;

    (void)state;
    assert_fine(parse(&toml, "Key = 1\n\"\" = 2\n", &error), error);
    assert_non_null(toml_member(toml.root, "Key"));
    assert_non_null(toml_member(toml.root, ""));
    assert_null(toml_member(toml.root, "key"));
    assert_null(toml_member(toml.root->first, "Key"));
    assert_null(toml_member(NULL, "Key"));
}

static void refused(void **state)
{
    static const struct {
        const char *text, *message;
    } rows[] = {
        { "a", "hosts.toml:1: this is not TOML" },
        { "a =", "hosts.toml:1: this is not TOML" },
        { "\n\na = marker", "hosts.toml:3: this is not TOML" },
        { "a = 1\na = 2\n", "hosts.toml:2: this is not TOML" },
        { "[a]\n[a]\n", "hosts.toml:2: this is not TOML" },
        { "[a]\nb.c = 1\n[a.b]\n", "hosts.toml:3: this is not TOML" },
        { "a = {}\n[a.b]\n", "hosts.toml:2: this is not TOML" },
        { "a = \"x\ny\"\n", "this is not TOML" },
        { "a = 'marker-secret\n", "hosts.toml:1: this is not TOML" },
        { "a = 99999999999999999999\n", "this is not TOML" },
        { "a = \"\\x41\"\n", "this is not TOML" },
        { "a = \"\\ud800\"\n", "this is not TOML" },
        { "a = '\x01'\n", "this is not TOML" },
        { "a = 1\rb = 2\n", "this is not TOML" },
        { "# \x7f\n", "this is not TOML" },
        { "a = '\xff'\n", "hosts.toml: this is not UTF-8 text" },
        { "# \xc0\x80\n", "this is not UTF-8 text" },
        { "\"a\\u0000b\" = 1\n", "hosts.toml:1: there is a NUL in a key" },
        { "[x]\n[y]\nz.\"\\u0000\".a = 1\n", "there is a NUL in a key" },
        { "a = [{\"\\u0000\" = 1}]\n", "there is a NUL in a key" },
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        struct toml_document toml = { 0 };
        struct pullkey_error error = { 0 };

        if (parse(&toml, rows[i].text, &error) == 0)
            fail_msg("accepted: %s", rows[i].text);
        assert_int_equal(error.code, PULLKEY_INVALID);
        if (!strstr(error.message, rows[i].message) || strstr(error.message, "marker"))
            fail_msg("%s: %s", rows[i].text, error.message);
        assert_null(toml.root);
    }
}

static void nul_bytes(void **state)
{
    struct toml_document toml = { 0 };
    struct pullkey_error error;

    (void)state;
    assert_refused(toml_parse(&toml, "t", "a = 1\0", 6, &error), PULLKEY_INVALID, "UTF-8", error);
    assert_refused(toml_parse(&toml, "t", "# \0\n", 4, &error), PULLKEY_INVALID, "UTF-8", error);
    assert_fine(toml_parse(&toml, "t", NULL, 0, &error), error);
    assert_null(toml.root->first);
    assert_int_equal(toml.root->kind, TOML_TABLE);
    toml_done(&toml);
    assert_null(toml.text);
}

static void sizes(void **state)
{
    char *text = malloc(TOML_TEXT_MAX + 1);
    struct toml_document toml = { 0 };
    struct pullkey_error error;

    (void)state;
    assert_non_null(text);
    memset(text, '\n', TOML_TEXT_MAX + 1);
    assert_fine(toml_parse(&toml, "t", text, TOML_TEXT_MAX, &error), error);
    toml_done(&toml);
    assert_refused(toml_parse(&toml, "t", text, TOML_TEXT_MAX + 1, &error), PULLKEY_INVALID,
                   "more than 2097152 bytes", error);
    free(text);
}

/* Repeats a piece, and then another as often. */
static char *repeat(const char *before, const char *piece, const char *middle, const char *last,
                    size_t count, const char *after)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(TOML_SIZE_MAX);
    struct pullkey_secret taken;
    struct pullkey_error error;

    buffer_append_text(&text, before);
    for (size_t i = 0; i < count; i++)
        buffer_append_text(&text, piece);
    buffer_append_text(&text, middle);
    for (size_t i = 0; i < count; i++)
        buffer_append_text(&text, last);
    buffer_append_text(&text, after);
    assert_fine(buffer_steal(&text, &taken, &error), error);
    return taken.bytes;
}

static void levels(void **state)
{
    static const struct {
        const char *before, *piece, *middle, *last, *after;
        size_t most;
    } rows[] = {
        { "a = ", "[", "", "]", "", TOML_DEPTH_MAX },
        { "a = ", "{b = ", "1", "}", "", TOML_DEPTH_MAX - 1 },
        { "", "a.", "b = 1", "", "", TOML_DEPTH_MAX },
        { "", "\"a\" . ", "b = 1", "", "", TOML_DEPTH_MAX },
        { "[", "'a.b'.", "b", "", "]", TOML_DEPTH_MAX },
        { "x = {", "a.", "b = 1", "", "}", TOML_DEPTH_MAX },
        { "x = {c = \"\"\"d\"\"\"\", ", "a.", "b = 1", "", "}", TOML_DEPTH_MAX },
        { "x = {c = '''d''''', ", "a.", "b = 1", "", "}", TOML_DEPTH_MAX },
        { "x = {c = \"\"\"\"\"\", ", "a.", "b = 1", "", "}", TOML_DEPTH_MAX },
    };
    /* What is no level. */
    static const char *const flat[][3] = {
        { "a = [", "1.5, ", "]" },
        { "", "# a.b.c\n", "" },
        { "a = '''", ".[{\n", "'''" },
        { "a = \"", ".\\\"[", "\"" },
        { "a = \"\"\"", "\\\"\"\".", "\"\"\"" },
        { "a = [", "''''b'''', ", "'.[{']" },
        { "a = [", "{b.c = 1},\n", "]" },
        { "", "[a.b]\n#", "" },
    };
    struct toml_document toml = { 0 };
    struct pullkey_error error;

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(rows); i++)
        for (size_t more = 0; more < 3; more++) {
            cleanup_release char *text =
                repeat(rows[i].before, rows[i].piece, rows[i].middle, rows[i].last,
                       more == 2 ? 100000 : rows[i].most + more, rows[i].after);

            if (more == 0) {
                assert_fine(parse(&toml, text, &error), error);
                toml_done(&toml);
            } else if (parse(&toml, text, &error) == 0) {
                fail_msg("%zu: accepted", i);
            } else if (more == 2) {
                assert_non_null(strstr(error.message, "more than 256 levels"));
            }
        }
    for (size_t i = 0; i < UNIT_COUNT(flat); i++) {
        cleanup_release char *text = repeat(flat[i][0], flat[i][1], flat[i][2], "", 1000, "");

        if (parse(&toml, text, &error) == 0)
            toml_done(&toml);
        else
            assert_null(strstr(error.message, "levels"));
    }
}

/* One line with many values: each is found at once. */
static void long_line(void **state)
{
    cleanup_release char *text =
        repeat("a = [", "\"\xc3\xa9\xc3\xa9\", ", "'last'", "", 60000, "]\n");
    cleanup_toml struct toml_document toml = { 0 };
    struct pullkey_error error;
    const struct toml_item *item;

    (void)state;
    assert_fine(parse(&toml, text, &error), error);
    for (item = FIND(&toml, "a")->first; item->next; item = item->next)
        assert_slice(&toml, item->begin, item->end, "\"\xc3\xa9\xc3\xa9\"");
    assert_slice(&toml, item->begin, item->end, "'last'");
}

static void errors(void **state)
{
    cleanup_toml struct toml_document toml = { 0 };
    struct pullkey_error error;

    (void)state;
    assert_fine(parse(&toml, "\n\nkey = 1\n", &error), error);
    assert_refused(toml_error(&toml, toml.root->first, &error, "%s is %d", "it", 7),
                   PULLKEY_INVALID, "hosts.toml:3: it is 7", error);
}

static void written_strings(void **state)
{
    static const char *const rows[] = {
        "",
        "plain",
        "\"quoted\" \\ back",
        "line\nand\r\ttab",
        "\x01\x1f\x7f",
        "caf\xc3\xa9 \xf0\x9f\x94\x91 \xe2\x80\xa8",
        "\"\"\"",
        "'''",
        "\\u0041",
        "\"\n[host.\"https://evil.example\"]\n",
    };

    (void)state;
    for (size_t i = 0; i <= UNIT_COUNT(rows); i++) {
        cleanup_buffer struct buffer text = BUFFER_INIT(1000);
        cleanup_toml struct toml_document toml = { 0 };
        struct pullkey_error error;
        const char *value = i < UNIT_COUNT(rows) ? rows[i] : "a\0b";
        size_t length = i < UNIT_COUNT(rows) ? strlen(value) : 3;

        buffer_append_text(&text, "a = ");
        toml_write_string(&text, value, length);
        assert_null(strchr(text.data, '\n'));
        assert_fine(toml_parse(&toml, "t", text.data, text.length, &error), error);
        assert_string(FIND(&toml, "a"), value, length);
        assert_null(toml.root->first->next);
    }
}

#define SECRETS                                                                                    \
    "a = \"" MARKER "\"\nb = ['" MARKER "', {c = '''" MARKER "'''}]\n\"" MARKER                    \
    "\" = 1\n[x.\"" MARKER "\"]\n# " MARKER "\n"

static void wiped(void **state)
{
    struct toml_document toml = { 0 };
    struct pullkey_error error;

    (void)state;
    assert_wiped(assert_fine(parse(&toml, SECRETS, &error), error));
    assert_wiped(toml_done(&toml));
    assert_wiped(
        assert_int_equal(parse(&toml, SECRETS "x = \"" MARKER "\n", &error), -PULLKEY_INVALID));
    assert_wiped(assert_int_equal(parse(&toml, SECRETS MARKER, &error), -PULLKEY_INVALID));
    assert_wiped(assert_int_equal(parse(&toml, SECRETS "\"" MARKER "\\u0000\" = 1\n", &error),
                                  -PULLKEY_INVALID));
    assert_null(strstr(error.message, "marker"));
}

/* Each allocation fails once, in the parser's own code too. */
static void out_of_memory(void **state)
{
    struct toml_document toml = { 0 };
    struct pullkey_error error;
    int result = -1;

    (void)state;
    for (int left = 0; result < 0; left++) {
        assert_true(left < 100000);
        freed_markers = 0;
        allocations_left = left;
        result = parse(&toml, SECRETS, &error);
        allocations_left = -1;
        assert_int_equal(freed_markers, 0);
        if (result < 0) {
            assert_int_equal(error.code, PULLKEY_INTERNAL);
            assert_non_null(strstr(error.message, "memory"));
            assert_null(toml.root);
        }
    }
    toml_done(&toml);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(counting_works),
        cmocka_unit_test(kinds),
        cmocka_unit_test(strings),
        cmocka_unit_test(places),
        cmocka_unit_test(byte_order_mark_and_line_ends),
        cmocka_unit_test(headers),
        cmocka_unit_test(members),
        cmocka_unit_test(refused),
        cmocka_unit_test(nul_bytes),
        cmocka_unit_test(sizes),
        cmocka_unit_test(levels),
        cmocka_unit_test(long_line),
        cmocka_unit_test(errors),
        cmocka_unit_test(written_strings),
        cmocka_unit_test(wiped),
        cmocka_unit_test(out_of_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
