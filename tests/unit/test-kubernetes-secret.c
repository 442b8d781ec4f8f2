/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <stdio.h>

#include "base/secret.h"
#include "base/text.h"
#include "core/registry.h"
#include "kubernetes-host.h"
#include "kubernetes/secret.h"

#define META "\"metadata\":{\"name\":\"n\",\"namespace\":\"ns\",\"resourceVersion\":\"7\"}"

/* An object with one member of data, whose text is given. */
static void make_object(const char *type, const char *key, const char *text, struct json *ret)
{
    cleanup_buffer struct buffer coded = BUFFER_INIT(100000), object = BUFFER_INIT(200000);
    struct pullkey_error error;

    text_base64_encode(&coded, text, strlen(text));
    buffer_printf(&object, "{" META ",\"type\":\"%s\",\"data\":{\"%s\":\"%s\"}}", type, key,
                  coded.data ? coded.data : "");
    assert_fine(json_parse(ret, "answer", object.data, object.length, 0, &error), error);
}

/* "USER:PASSWORD" that a request gets, "" for none, or the message of an error. */
static void ask(const char *type, const char *key, const char *text, const char *registry,
                const char *expected)
{
    struct registry_reference reference;
    struct registry_request request;
    struct pullkey_credential found = { 0 };
    cleanup_json struct json json = { 0 };
    struct pullkey_error error = { 0 };
    struct secret secret;
    const cJSON *entry;
    char result[PULLKEY_ERROR_SIZE] = "";

    make_object(type, key, text, &json);
    assert_fine(registry_parse(registry, strlen(registry), &reference, &error), error);
    registry_request(&reference, INT64_MAX, &request);
    if (secret_read(&host, json.root, &secret, &error) < 0) {
        (void)snprintf(result, sizeof(result), "%s", error.message);
    } else {
        if (secret.type != SECRET_OTHER &&
            secret_rank(&host, &secret, &request.request, &entry) > 0) {
            if (secret_get(&host, &secret, entry, &found, &error) < 0)
                (void)snprintf(result, sizeof(result), "%s", error.message);
            else
                (void)snprintf(result, sizeof(result), "%s:%s", found.username, found.secret.bytes);
        }
        secret_close(&host, &secret);
    }
    host.release(found.username);
    host.release(found.secret.bytes);
    if (expected[0] == '~' ? !strstr(result, expected + 1) : strcmp(result, expected) != 0)
        fail_msg("%s: %s of %s, not %s", registry, result, text, expected);
}

#define CONFIG "kubernetes.io/dockerconfigjson", ".dockerconfigjson"
#define OLD "kubernetes.io/dockercfg", ".dockercfg"
#define E(user) "{\"auth\":\"" user "\"}"
#define ALICE E("YWxpY2U6b25l") /* alice:one */
#define BOB E("Ym9iOnR3bw")     /* bob:two, without padding */

static void types(void **state)
{
    (void)state;
    ask(CONFIG, "{\"auths\":{\"a.example\":" ALICE "}}", "a.example", "alice:one");
    ask(CONFIG, "{\"auths\":{\"a.example\":" ALICE "}}", "b.example", "");
    ask(CONFIG, "{\"auths\":{\"https://a.example/v2/\":" BOB "}}", "a.example", "bob:two");
    ask(OLD, "{\"a.example\":" ALICE "}", "a.example", "alice:one");
    ask(OLD, "{}", "a.example", "");
    ask(CONFIG, "{}", "a.example", "");
    ask("Opaque", ".dockerconfigjson", "{\"auths\":{\"a.example\":" ALICE "}}", "a.example", "");
    ask("kubernetes.io/basic-auth", "password", "x", "a.example", ":x");
    ask(CONFIG, "{\"auths\":{\"a.example\":{\"username\":\"u\",\"password\":\"p\"}}}", "a.example",
        "u:p");
    ask(CONFIG, "{\"auths\":{\"index.docker.io\":" ALICE "}}", "docker.io", "alice:one");
}

static void refused(void **state)
{
    (void)state;
    ask("kubernetes.io/dockercfg", ".dockerconfigjson", "{}", "a.example", "~no .dockercfg");
    ask(CONFIG, "", "a.example", "~secret ns/n");
    ask(CONFIG, "[]", "a.example", "~must be an object");
    ask(CONFIG, "{\"auths\":[]}", "a.example", "~must be an object");
    ask(CONFIG,
        "{\"auths\":{\"a.example\":{\"auth\":\""
        "YWJj"
        "\"}}}",
        "a.example", "~holds no \"user:password\"");
    ask(CONFIG, "{\"auths\":{\"a.example\":{\"auth\":\"!!\"}}}", "a.example", "~secret ns/n");
    ask("kubernetes.io/basic-auth", "other", "x", "a.example", "~neither username nor password");
}

/* An object whose data are given as they are. */
static int read_data(const char *type, const char *data, size_t length, struct secret *ret,
                     struct pullkey_error *error)
{
    cleanup_buffer struct buffer object = BUFFER_INIT(4000000);
    cleanup_json struct json json = { 0 };

    buffer_printf(&object, "{" META ",\"type\":\"%s\",\"data\":", type);
    buffer_append(&object, data, length);
    buffer_append_text(&object, "}");
    assert_fine(json_parse(&json, "answer", object.data, object.length, JSON_LARGE, error), *error);
    return secret_read(&host, json.root, ret, error);
}

static void malformed(void **state)
{
    static const struct {
        const char *type, *data, *part;
    } rows[] = {
        { "dockerconfigjson", "{}", "no .dockerconfigjson in its data" },
        { "dockerconfigjson", "null", "no .dockerconfigjson in its data" },
        { "dockerconfigjson", "[]", "no .dockerconfigjson in its data" },
        { "dockerconfigjson", "{\".dockerconfigjson\":null}", "no .dockerconfigjson in its data" },
        { "dockerconfigjson", "{\".dockerconfigjson\":{\"auths\":{}}}", "no .dockerconfigjson" },
        { "dockerconfigjson", "{\".dockercfg\":\"e30=\"}", "no .dockerconfigjson in its data" },
        { "dockerconfigjson", "{\".dockerconfigjson\":\"e30==\"}",
          "secret ns/n: .dockerconfigjson" },
        { "dockerconfigjson", "{\".dockerconfigjson\":\"e3 0=\"}",
          "secret ns/n: .dockerconfigjson" },
        { "dockerconfigjson", "{\".dockerconfigjson\":\"TUFSS0VS\"}", "secret ns/n" },
        { "dockerconfigjson", "{\".dockerconfigjson\":\"e30xe30=\"}", "secret ns/n" },
        { "dockercfg", "{\".dockercfg\":\"e30sIngiOnt9\"}", "secret ns/n" },
        { "basic-auth", "{\"username\":\"YQ==\",\"password\":\"!\"}", "secret ns/n: password" },
        { "basic-auth", "{\"username\":\"!\",\"password\":\"YQ==\"}", "secret ns/n: username" },
        { "basic-auth", "{\"username\":\"AA==\"}", "is no text" },
        { "basic-auth", "{\"password\":\"YQBi\"}", "is no text" },
        { "basic-auth", "{\"password\":\"/w==\"}", "is no text" },
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        char type[64];
        struct pullkey_error error = { 0 };
        struct secret secret;

        (void)snprintf(type, sizeof(type), "kubernetes.io/%s", rows[i].type);
        assert_refused(read_data(type, rows[i].data, strlen(rows[i].data), &secret, &error),
                       PULLKEY_INVALID, rows[i].part, error);
        assert_null(strstr(error.message, "MARKER"));
    }
}

/* An API server takes 1 MiB, decoded; a key with its name counts there, not here. */
static void large(void **state)
{
    static const struct {
        const char *type, *key, *begin, *end;
        size_t size;
        bool fits;
    } rows[] = {
        { CONFIG, "{\"auths\":{\"a.example\":" ALICE "}", "}", 1048576, true },
        { OLD, "{\"a.example\":" ALICE, "}", 1048576, true },
        { CONFIG, "{\"auths\":{\"a.example\":" ALICE "}", "}", 1048577, false },
        { "kubernetes.io/basic-auth", "password", "", "", 65536, true },
        { "kubernetes.io/basic-auth", "password", "", "", 65537, false },
        { "kubernetes.io/basic-auth", "password", "", "", 1048576, false },
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        cleanup_buffer struct buffer text = BUFFER_INIT(2000000), data = BUFFER_INIT(4000000);
        struct pullkey_error error = { 0 };
        struct secret secret;

        buffer_append_text(&text, rows[i].begin);
        while (text.length + strlen(rows[i].end) < rows[i].size)
            buffer_append(&text, " ", 1);
        buffer_append_text(&text, rows[i].end);
        buffer_printf(&data, "{\"%s\":\"", rows[i].key);
        text_base64_encode(&data, text.data, text.length);
        buffer_append_text(&data, "\"}");
        assert_fine(buffer_check(&data, &error), error);
        if (rows[i].fits) {
            assert_fine(read_data(rows[i].type, data.data, data.length, &secret, &error), error);
            secret_close(&host, &secret);
        } else {
            assert_refused(read_data(rows[i].type, data.data, data.length, &secret, &error),
                           PULLKEY_INVALID, "secret ns/n", error);
        }
    }
}

/* Of several keys the one that says most. */
static void best(void **state)
{
    static const char text[] = "{\"auths\":{\"*.example\":" ALICE ",\"a.example\":" BOB
                               ",\"a.example/team\":" E("Y2Fyb2w6dGhyZWU=") "}}";

    (void)state;
    ask(CONFIG, text, "a.example", "bob:two");
    ask(CONFIG, text, "a.example/team/app", "carol:three");
    ask(CONFIG, text, "a.example/teams", "bob:two");
    ask(CONFIG, text, "b.example/team", "alice:one");
    ask(CONFIG, text, "a.b.example", "");
}

static void patterns(void **state)
{
    static const struct {
        const char *key, *registry;
        bool matches;
    } rows[] = {
        { "*.example.com", "a.example.com", true },
        { "*.example.com", "a.b.example.com", false },
        { "*.example.com", "example.com", false },
        { "*.EXAMPLE.com", "a.example.com", true },
        { "https://*.example.com/v2/", "a.example.com", true },
        { "*.example.com:5000", "a.example.com:5000", true },
        { "*.example.com", "a.example.com:5000", false },
        { "*.example.com:5000", "a.example.com", false },
        { "*.example.com:443", "a.example.com", true },
        { "*.example.com:", "a.example.com", false },
        { "*.example.com:x", "a.example.com", false },
        { "*.example.com:0", "a.example.com", false },
        { "*.example.com:05000", "a.example.com:5000", false },
        { "*.example.com:70536", "a.example.com:5000", false },
        { "*.example.com:5000:x", "a.example.com:5000", false },
        { "*.example.com:5000/team", "a.example.com:5000/team", true },
        { "a*c.example.com", "abc.example.com", true },
        { "a*c*.example.com", "abcabc.example.com", true },
        { "a*d.example.com", "abc.example.com", false },
        { "*.*.*", "a.b.c", true },
        { "*", "localhost", true },
        { "*", "a.example.com", false },
        { "*.example.com/team", "a.example.com/team/app", true },
        { "*.example.com/team", "a.example.com/team", true },
        { "*.example.com/team", "a.example.com/teamapp", false },
        { "*.example.com/team/", "a.example.com/team/app", true },
        { "*.example.com/*", "a.example.com/team", false },
        { "a.example.com/team", "a.example.com/teamapp", false },
        { "http://*.example.com", "a.example.com", true },
        { "http://*.example.com:5000/v1/team", "a.example.com:5000/team/app", true },
        { "http://a.example.com", "a.example.com", true },
        { "http://a.example.com/v1/", "a.example.com", true },
        { "http://a.example.com:5000/team", "a.example.com:5000/team/app", true },
        { "http://a.example.com/team", "a.example.com/teamapp", false },
        { "http://a.example.com", "b.example.com", false },
        { "https://a.example.com", "a.example.com", true },
        { "ftp://a.example.com", "a.example.com", false },
        { "http://a.example.com", "http://a.example.com", true },
        { "https://a.example.com", "http://a.example.com", false },
        { "http://*.example.com", "http://a.example.com", false },
        { "[ab].example.com", "a.example.com", false },
        { "[ab]*.example.com", "a.example.com", false },
        { "?.example.com", "a.example.com", false },
        { "**********************.example.com", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.example.com",
          true },
        { "*a*a*a*a*a*a*a*a*a*a*a*a*b.example.com",
          "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.example.com", false },
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        struct registry_reference reference;
        struct registry_request request;
        struct pullkey_error error;
        bool is_other;

        assert_fine(registry_parse(rows[i].registry, strlen(rows[i].registry), &reference, &error),
                    error);
        registry_request(&reference, INT64_MAX, &request);
        if ((secret_match(&host, &request.request, rows[i].key, true) > 0) != rows[i].matches)
            fail_msg("%s and %s", rows[i].key, rows[i].registry);
        /* In a secret that pullkey login may have written they are two. */
        is_other = strncmp(rows[i].key, "http://", 7) == 0 && !request.request.http;
        if ((secret_match(&host, &request.request, rows[i].key, false) > 0) !=
            (rows[i].matches && !is_other))
            fail_msg("%s and %s, by name", rows[i].key, rows[i].registry);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(types), cmocka_unit_test(refused), cmocka_unit_test(malformed),
        cmocka_unit_test(large), cmocka_unit_test(best),    cmocka_unit_test(patterns),
    };

    json_start();
    return cmocka_run_group_tests(tests, set_host, NULL);
}
