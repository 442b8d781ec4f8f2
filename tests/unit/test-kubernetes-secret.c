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
        { "http://*.example.com", "a.example.com", false },
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

        assert_fine(registry_parse(rows[i].registry, strlen(rows[i].registry), &reference, &error),
                    error);
        registry_request(&reference, INT64_MAX, &request);
        if ((secret_match(&host, &request.request, rows[i].key) > 0) != rows[i].matches)
            fail_msg("%s and %s", rows[i].key, rows[i].registry);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(types),
        cmocka_unit_test(refused),
        cmocka_unit_test(best),
        cmocka_unit_test(patterns),
    };

    json_start();
    return cmocka_run_group_tests(tests, set_host, NULL);
}
