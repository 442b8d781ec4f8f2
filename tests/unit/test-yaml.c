/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/secret.h"

extern const struct pullkey_reader yaml_reader;

static long blocks; /* that the reader holds of the host's memory */

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
};

struct result {
    struct pullkey_secret json;
    struct pullkey_place *places;
    size_t count;
};

static int read_text(const char *text, size_t length, struct result *ret,
                     struct pullkey_error *error)
{
    *ret = (struct result){ 0 };
    return yaml_reader.read(&host, "r.yaml", text, length, &ret->json, &ret->places, &ret->count,
                            error);
}

static void done(struct result *result)
{
    count_release(result->json.bytes);
    count_release(result->places);
    assert_int_equal(blocks, 0);
}

static void becomes(const char *text, const char *json)
{
    struct pullkey_error error = { 0 };
    struct result result;

    assert_fine(read_text(text, strlen(text), &result, &error), error);
    assert_string_equal(result.json.bytes, json);
    assert_int_equal(result.json.length, strlen(json));
    done(&result);
}

static void refused_bytes(const char *text, size_t length, const char *part)
{
    struct pullkey_error error = { 0 };
    struct result result;

    assert_refused(read_text(text, length, &result, &error), PULLKEY_INVALID, part, error);
    assert_null(strstr(error.message, "hunter2"));
    done(&result);
}

static void refused(const char *text, const char *part)
{
    refused_bytes(text, strlen(text), part);
}

static void values(void **state)
{
    (void)state;
    becomes("", "null");
    becomes("# a comment\n", "null");
    becomes("---\n...\n", "\nnull");
    becomes("a", "\"a\"");
    becomes("{}", "{}");
    becomes("[]", "[]");
    becomes("a: ~", "{\"a\":null}");
    becomes("a:", "{\"a\":null}");
    becomes("a: true", "{\"a\":true}");
    becomes("a: FALSE", "{\"a\":false}");
    becomes("a: 'true'", "{\"a\":\"true\"}");
    becomes("a: yes", "{\"a\":\"yes\"}");
    becomes("a: 0123", "{\"a\":\"0123\"}");
    becomes("a: 1e5", "{\"a\":\"1e5\"}");
}

static void numbers_and_words(void **state)
{
    (void)state;
    becomes("a: 12345678901234567890", "{\"a\":\"12345678901234567890\"}");
    becomes("1: x", "{\"1\":\"x\"}");
    becomes("true: x", "{\"true\":\"x\"}");
    becomes("\"a\\u00e9\\x01\": 'it''s'", "{\"a\xc3\xa9\\u0001\":\"it's\"}");
    becomes("a: |\n  x\n  y\n", "{\"a\":\"x\\ny\\n\"}");
    becomes("a: >-\n  x\n  y\n", "{\"a\":\"x y\"}");
}

/* Members and elements stand on their lines. */
static void lines(void **state)
{
    (void)state;
    becomes("\n# x\na:\n  b:\n    - c\n    - d: 1\n      e: 2\nf: {g: h,\n i: [j,\n k]}\n",
            "\n\n{\"a\":{\n\"b\":[\n\"c\",\n{\"d\":\"1\",\n\"e\":\"2\"}]},\n\"f\":{\"g\":\"h\","
            "\n\"i\":[\"j\",\n"
            "\"k\"]}}");
}

static void is_at(const struct pullkey_place *place, const char *text, size_t line, const char *key,
                  const char *value)
{
    assert_int_equal(place->line, line);
    assert_int_equal(place->key_end - place->key_begin, strlen(key));
    assert_memory_equal(text + place->key_begin, key, strlen(key));
    assert_int_equal(place->end - place->begin, strlen(value));
    assert_memory_equal(text + place->begin, value, strlen(value));
}

static void places(void **state)
{
    static const char text[] = "# \xc3\xa9\xf0\x9f\x98\x80\n"
                               "configs:\n"
                               "  \"h\xc3\xb6st\":\n"
                               "    auth:\n"
                               "      username: 'a'\n"
                               "      password: \"b\xc3\xa9\" # c\n"
                               "\n"
                               "# end\n"
                               "list:\r\n"
                               "- one\n"
                               "- {x: y}\n";
    struct pullkey_error error = { 0 };
    struct result result;

    (void)state;
    assert_fine(read_text(text, strlen(text), &result, &error), error);
    assert_int_equal(result.count, 10);
    is_at(&result.places[2], text, 3, "\"h\xc3\xb6st\"",
          "auth:\n      username: 'a'\n      password: \"b\xc3\xa9\"");
    is_at(&result.places[4], text, 5, "username", "'a'");
    is_at(&result.places[5], text, 6, "password", "\"b\xc3\xa9\"");
    is_at(&result.places[6], text, 9, "list", "- one\n- {x: y}");
    is_at(&result.places[7], text, 10, "", "one");
    is_at(&result.places[8], text, 11, "", "{x: y}");
    is_at(&result.places[9], text, 11, "x", "y");
    done(&result);
}

static void what_is_more_than_that(void **state)
{
    (void)state;
    refused("a: &x 1\nb: *x\n", "r.yaml:1: anchors and aliases");
    refused("a: 1\nb: *x\n", "r.yaml:2: anchors and aliases");
    refused("&x a: 1\n", "r.yaml:1: anchors and aliases");
    refused("a: &x [1]\n", "anchors and aliases");
    refused("a: &x {}\n", "anchors and aliases");
    refused("a:\n  <<: {b: c}\n", "r.yaml:2: merge keys");
    refused("a: !!str 1\n", "r.yaml:1: tags");
    refused("a: !x [1]\n", "r.yaml:1: tags");
    refused("a: ! x\n", "r.yaml:1: tags");
    refused("%TAG !e! tag:example.com,2000:\n---\na: 1\n", "tags");
    refused("? [a]\n: b\n", "a key must be a string");
    refused("? {a: b}\n: b\n", "a key must be a string");
    refused("a: 1\n---\nb: 2\n", "r.yaml:2: there is a second document");
    refused("a: \"\\0\"\n", "NUL");
    refused_bytes("a: \0", 4, "not UTF-8 text");
    refused("a: \xff\n", "not UTF-8 text");
    refused_bytes("\xff\xfe"
                  "a\0",
                  4, "not UTF-8 text");
    refused("a: [hunter2\nb: 1\n", "r.yaml:2: this is not YAML");
    refused("\ta: hunter2\n", "r.yaml:1: this is not YAML");
    refused("a: hunter2: b\n", "r.yaml:1: this is not YAML");
    refused("a: \"\\ud800\"\n", "this is not YAML");
    refused("a: *\n", "this is not YAML");
}

static void limits(void **state)
{
    char deep[200] = "";
    struct pullkey_error error = { 0 };
    struct result result;
    size_t length = JSON_SIZE_MAX + 1;
    char *large = malloc(length);

    (void)state;
    memset(deep, '[', 32);
    memset(deep + 32, ']', 32);
    assert_fine(read_text(deep, 64, &result, &error), error);
    done(&result);
    memset(deep, '[', 33);
    memset(deep + 33, ']', 33);
    refused_bytes(deep, 66, "too many levels");
    assert_non_null(large);
    memset(large, '[', length);
    refused_bytes(large, length - 1, "too many levels");
    refused_bytes(large, length, "more than 1048576 bytes");
    memset(large, 'a', length);
    refused_bytes(large, length - 1, "r.yaml");
    free(large);
}

/* The host's own parser sees them. */
static void duplicates(void **state)
{
    static const char text[] = "a:\n  b: 1\n  c: 2\n  b: 3\n";
    cleanup_json struct json json = { 0 };
    struct pullkey_error error = { 0 };
    struct result result;

    (void)state;
    json_start();
    assert_fine(read_text(text, strlen(text), &result, &error), error);
    assert_refused(json_parse(&json, "r.yaml", result.json.bytes, result.json.length, 0, &error),
                   PULLKEY_INVALID, "r.yaml:4: a.b: the key is there twice", error);
    done(&result);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values),
        cmocka_unit_test(numbers_and_words),
        cmocka_unit_test(lines),
        cmocka_unit_test(places),
        cmocka_unit_test(what_is_more_than_that),
        cmocka_unit_test(limits),
        cmocka_unit_test(duplicates),
    };

    return cmocka_run_group_tests_name("yaml", tests, NULL, NULL);
}
