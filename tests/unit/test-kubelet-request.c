/* SPDX-License-Identifier: Apache-2.0 */
/* What a kubelet sends, and what is no request of it. */
#include "unit.h"

#include "kubelet/request.h"

#define GROUP "credentialprovider.kubelet.k8s.io/"
#define V1 GROUP "v1"
#define HEAD "\"kind\":\"CredentialProviderRequest\",\"apiVersion\":\"" V1 "\""
#define WITH(members) "{" HEAD "," members "}"
#define IMAGE "\"image\":\"registry.example.com/team/app\""
#define NO_IMAGE "the request names no image as host/repository"

static int begin(void **state)
{
    (void)state;
    json_start();
    return 0;
}

static int parse(const char *text, struct request *ret, struct pullkey_error *error)
{
    *ret = (struct request){ .json = { 0 } };
    return request_parse(text, strlen(text), ret, error);
}

static void refused(const char *text, const char *part)
{
    cleanup_request struct request request;
    struct pullkey_error error = { 0 };

    assert_refused(parse(text, &request, &error), PULLKEY_INVALID, part, error);
    assert_null(request.json.root);
    assert_null(strchr(error.message, '\n'));
}

static void all_versions_are_known(void **state)
{
    static const char *const versions[] = { "v1", "v1beta1", "v1alpha1" };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(versions); i++) {
        cleanup_request struct request request;
        struct pullkey_error error;
        char text[256], version[64];

        (void)snprintf(version, sizeof(version), GROUP "%s", versions[i]);
        (void)snprintf(text, sizeof(text),
                       "{\"kind\":\"CredentialProviderRequest\",\"apiVersion\":\"%s\"," IMAGE "}\n",
                       version);
        assert_fine(parse(text, &request, &error), error);
        assert_string_equal(request.api_version, version);
        assert_string_equal(request.image, "registry.example.com/team/app");
        assert_int_equal(request.image_length, strlen(request.image));
        assert_int_equal(request.host_length, strlen("registry.example.com"));
        assert_string_equal(request.reference.host, "registry.example.com");
        assert_string_equal(request.reference.path, "team/app");
        assert_null(request.token);
        assert_null(request.annotations);
    }
}

static void other_kinds_and_versions(void **state)
{
    static const char *const versions[] = { "",
                                            "v1",
                                            GROUP,
                                            GROUP "v2",
                                            GROUP "V1",
                                            GROUP "v1 ",
                                            "credentialprovider.kubelet.k8s.io\\/v1\\u0001" };
    static const char *const kinds[] = { "", "credentialproviderrequest",
                                         "CredentialProviderResponse", "CredentialProviderRequest ",
                                         "ExecCredential" };
    char text[256];

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(versions); i++) {
        (void)snprintf(text, sizeof(text),
                       "{\"kind\":\"CredentialProviderRequest\",\"apiVersion\":\"%s\"," IMAGE "}",
                       versions[i]);
        refused(text, "this pullkey knows " GROUP "v1, v1beta1 and v1alpha1");
    }
    for (size_t i = 0; i < UNIT_COUNT(kinds); i++) {
        (void)snprintf(text, sizeof(text), "{\"kind\":\"%s\",\"apiVersion\":\"" V1 "\"," IMAGE "}",
                       kinds[i]);
        refused(text, "the request is no CredentialProviderRequest");
    }
    refused("{" IMAGE "}", "the request is no CredentialProviderRequest");
    refused("{\"kind\":\"CredentialProviderRequest\"," IMAGE "}", "apiVersion \"\"");
}

/* Keys are compared exactly, so that a request means the same to whoever reads it. */
static void members_of_another_case(void **state)
{
    (void)state;
    refused("{\"Kind\":\"CredentialProviderRequest\",\"apiVersion\":\"" V1 "\"," IMAGE "}",
            "the request is no CredentialProviderRequest");
    refused(WITH("\"Image\":\"registry.example.com/app\""), NO_IMAGE);
}

static void unknown_members_are_ignored(void **state)
{
    cleanup_request struct request request;
    struct pullkey_error error;

    (void)state;
    assert_fine(parse(WITH(IMAGE ",\"podName\":\"a\",\"later\":{\"image\":[1,null,{}]},"
                                 "\"Image\":7,\"serviceAccountToken\":\"a.b.c\","
                                 "\"serviceAccountAnnotations\":{\"x/y\":\"\",\"z\":\"w\"}"),
                      &request, &error),
                error);
    assert_string_equal(request.image, "registry.example.com/team/app");
    assert_string_equal(request.token, "a.b.c");
    assert_int_equal(cJSON_GetArraySize(request.annotations), 2);
}

static void null_and_empty_are_absent(void **state)
{
    cleanup_request struct request request;
    struct pullkey_error error;

    (void)state;
    assert_fine(parse(WITH(IMAGE ",\"serviceAccountToken\":null,"
                                 "\"serviceAccountAnnotations\":null"),
                      &request, &error),
                error);
    assert_null(request.token);
    assert_null(request.annotations);
    request_done(&request);
    assert_fine(parse(WITH(IMAGE ",\"serviceAccountToken\":\"\""), &request, &error), error);
    assert_null(request.token);
    request_done(&request);
    assert_fine(parse(WITH(IMAGE ",\"serviceAccountAnnotations\":{}"), &request, &error), error);
    assert_non_null(request.annotations);
}

static void wrong_types(void **state)
{
    static const char *const values[] = { "7", "true", "{}", "[]", "[\"a/b\"]" };
    static const char *const keys[] = { "image", "serviceAccountToken" };
    char text[256];

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(values); i++) {
        for (size_t j = 0; j < UNIT_COUNT(keys); j++) {
            (void)snprintf(text, sizeof(text), "{" HEAD "%s,\"%s\":%s}", j ? "," IMAGE : "",
                           keys[j], values[i]);
            refused(text, "must be a string");
        }
        (void)snprintf(text, sizeof(text), "{\"kind\":%s,\"apiVersion\":\"" V1 "\"}", values[i]);
        refused(text, "kind: must be a string");
        if (i == 2)
            continue;
        (void)snprintf(text, sizeof(text), WITH(IMAGE ",\"serviceAccountAnnotations\":%s"),
                       values[i]);
        refused(text, "serviceAccountAnnotations of the request is no object");
    }
    refused(WITH(IMAGE ",\"serviceAccountAnnotations\":\"{}\""), "is no object");
    refused(WITH(IMAGE ",\"serviceAccountAnnotations\":{\"a\":\"b\",\"c\":1}"),
            "must hold strings");
    refused(WITH(IMAGE ",\"serviceAccountAnnotations\":{\"a\":null}"), "must hold strings");
}

static void no_json(void **state)
{
    static const char *const texts[] = {
        "",
        " \n",
        "{",
        "kind: CredentialProviderRequest\n",
        WITH(IMAGE) "{}",
        WITH(IMAGE) "\nx",
        WITH(IMAGE "," IMAGE),
        WITH(IMAGE ",\"later\":{\"a\":1,\"a\":2}"),
        WITH(IMAGE ",\"serviceAccountAnnotations\":{\"a\":\"1\",\"a\":\"2\"}"),
        WITH("\"image\":\"registry.example.com\\u0000.evil/app\""),
        WITH("\"image\":\"registry.example.com/a\xff\""),
        WITH("\"image\":\"registry.example.com/a\n\""),
        "// comment\n" WITH(IMAGE),
        WITH(IMAGE ","),
    };
    static const char *const others[] = { "[]", "\"CredentialProviderRequest\"", "null", "7",
                                          "[" WITH(IMAGE) "]" };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(texts); i++)
        refused(texts[i], "request");
    for (size_t i = 0; i < UNIT_COUNT(others); i++)
        refused(others[i], "the request is no JSON object");
}

/* As much as is read at all, and not one byte more. */
static void sizes(void **state)
{
    static const char tail[] = "\"}";
    static char text[REQUEST_SIZE_MAX + 2];
    size_t head = strlen(strcpy(text, "{" HEAD "," IMAGE ",\"serviceAccountToken\":\""));
    cleanup_request struct request request = { .json = { 0 } };
    struct pullkey_error error;

    (void)state;
    memset(text + head, 'x', sizeof(text) - head);
    memcpy(text + REQUEST_SIZE_MAX - strlen(tail), tail, strlen(tail));
    assert_fine(request_parse(text, REQUEST_SIZE_MAX, &request, &error), error);
    assert_int_equal(strlen(request.token), REQUEST_SIZE_MAX - head - strlen(tail));
    request_done(&request);
    memcpy(text + REQUEST_SIZE_MAX - strlen(tail), "x\"}", 3);
    assert_int_equal(request_parse(text, REQUEST_SIZE_MAX + 1, &request, &error), -PULLKEY_INVALID);
}

/* An image, what of it is without tag and digest, and host, port and path as rules see them. */
static const struct {
    const char *image, *without_tag, *host_text, *host, *path;
    uint16_t port;
} images[] = {
    { "docker.io/library/nginx", NULL, "docker.io", "docker.io", "library/nginx", 0 },
    { "index.docker.io/library/x", NULL, "index.docker.io", "docker.io", "library/x", 0 },
    { "localhost/app", NULL, "localhost", "localhost", "app", 0 },
    { "localhost:5000/app", NULL, "localhost:5000", "localhost", "app", 5000 },
    { "registry.example.com:443/a/b", NULL, "registry.example.com:443", "registry.example.com",
      "a/b", 0 },
    { "registry.example.com:80/a/b", NULL, "registry.example.com:80", "registry.example.com", "a/b",
      80 },
    { "127.0.0.1:5000/a", NULL, "127.0.0.1:5000", "127.0.0.1", "a", 5000 },
    { "[::1]:5000/a/b", NULL, "[::1]:5000", "[::1]", "a/b", 5000 },
    { "[2001:DB8::1]/a", NULL, "[2001:DB8::1]", "[2001:db8::1]", "a", 0 },
    { "Registry.Example.COM/a", NULL, "Registry.Example.COM", "registry.example.com", "a", 0 },
    { "r.example.com/a:1.2", "r.example.com/a", "r.example.com", "r.example.com", "a", 0 },
    { "r.example.com/a/b:V1", "r.example.com/a/b", "r.example.com", "r.example.com", "a/b", 0 },
    { "r.example.com:8443/a@sha256:00", "r.example.com:8443/a", "r.example.com:8443",
      "r.example.com", "a", 8443 },
    { "r.example.com/a:1@sha256:00", "r.example.com/a", "r.example.com", "r.example.com", "a", 0 },
    /* A registry reference skips one v1 or v2; of an image it is a part. */
    { "r.example.com/v1/a", NULL, "r.example.com", "r.example.com", "v1/a", 0 },
    { "r.example.com/v2/a", NULL, "r.example.com", "r.example.com", "v2/a", 0 },
    { "r.example.com/v2/v2/a", NULL, "r.example.com", "r.example.com", "v2/v2/a", 0 },
    { "r.example.com/v2", NULL, "r.example.com", "r.example.com", "v2", 0 },
    { "r.example.com/v2:v2", "r.example.com/v2", "r.example.com", "r.example.com", "v2", 0 },
    { "r.example.com/v2ray/a", NULL, "r.example.com", "r.example.com", "v2ray/a", 0 },
    { "docker.io/v2ray/official", NULL, "docker.io", "docker.io", "v2ray/official", 0 },
    { "r.example.com/a__b/c.d-e", NULL, "r.example.com", "r.example.com", "a__b/c.d-e", 0 },
};

static void images_of_all_shapes(void **state)
{
    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(images); i++) {
        const char *without_tag = images[i].without_tag ? images[i].without_tag : images[i].image;
        cleanup_request struct request request;
        struct pullkey_error error;
        char text[512];

        (void)snprintf(text, sizeof(text), WITH("\"image\":\"%s\""), images[i].image);
        if (parse(text, &request, &error) < 0)
            fail_msg("%s: %s", images[i].image, error.message);
        assert_string_equal(request.image, images[i].image);
        assert_int_equal(request.image_length, strlen(without_tag));
        assert_memory_equal(request.image, without_tag, request.image_length);
        assert_int_equal(request.host_length, strlen(images[i].host_text));
        assert_string_equal(request.reference.host, images[i].host);
        assert_string_equal(request.reference.path, images[i].path);
        assert_int_equal(request.reference.port, images[i].port);
        assert_false(request.reference.opaque || request.reference.http);
    }
}

static void images_that_are_none(void **state)
{
    static const char *const unnamed[] = {
        "",
        "nginx",
        "docker.io",
        "/a",
        "docker.io/",
        "docker.io//",
        "docker.io//a",
        "docker.io/a/",
        "docker.io/:1",
        "docker.io/@sha256:00",
        "https://r.example.com/a",
        "http://r.example.com/a",
        "r.example.com:/a",
        "r.example.com/A",
        "r.example.com/a*",
        "r.example.com/a?b=c",
        "r.example.com/a#b",
        "r.example.com/a b",
        "r.example.com/a:1/b",
        "r.example.com/a@b/c",
        "r.example.com/a%2fb",
        "r.example.com/a\\\\b",
        "r.example.com/a\\u0001",
        "r.example.com/a\\nb",
        "r.example.com/\xc3\xa9",
        "r.example.com/[a]",
        "nerdctl-experimental://a/b",
    };
    static const char *const hosts[] = {
        "user@r.example.com/a",
        "user:pw@r.example.com/a",
        "r.example.com./a",
        ".example.com/a",
        "r..example.com/a",
        "*.example.com/a",
        "r.example.com:0/a",
        "r.example.com:99999/a",
        "r.example.com:5000:1/a",
        "::1/a",
        "[::1/a",
        "[::g]:1/a",
        "[::1]x/a",
        "r_r.example.com/a",
        "r.example.com%2e/a",
        "r.example.com\\\\x/a",
        "\xc3\xa9.example.com/a",
        " r.example.com/a",
        "\\tr.example.com/a",
        "r.exa\\tmple.com/a",
        "127.1/a",
        "0x7f000001/a",
        "r.example.com/a/../b",
        "r.example.com/./a",
        "r.example.com/a//b",
        "-a.example.com/a",
    };
    char text[512];

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(unnamed); i++) {
        (void)snprintf(text, sizeof(text), WITH("\"image\":\"%s\""), unnamed[i]);
        refused(text, NO_IMAGE);
    }
    for (size_t i = 0; i < UNIT_COUNT(hosts); i++) {
        (void)snprintf(text, sizeof(text), WITH("\"image\":\"%s\""), hosts[i]);
        refused(text, "");
    }
    refused("{" HEAD "}", NO_IMAGE);
    refused(WITH("\"image\":null"), NO_IMAGE);
}

static void the_longest_image(void **state)
{
    static const char head[] = "{" HEAD ",\"image\":\"r.example.com/";
    char text[REQUEST_IMAGE_MAX + 256];
    const size_t length = REQUEST_IMAGE_MAX - strlen("r.example.com/");
    cleanup_request struct request request;
    struct pullkey_error error;

    (void)state;
    memcpy(text, head, strlen(head));
    memset(text + strlen(head), 'v', length + 1);
    memcpy(text + strlen(head) + length, "\"}", 3);
    assert_fine(parse(text, &request, &error), error);
    assert_int_equal(request.image_length, REQUEST_IMAGE_MAX);
    assert_int_equal(strlen(request.reference.path), length);
    memcpy(text + strlen(head) + length, "v\"}", 4);
    refused(text, NO_IMAGE);
}

/* Only the version is repeated, and of that not more than fits a line. */
static void errors_repeat_nothing(void **state)
{
    static const char *const texts[] = {
        WITH("\"image\":\"MARKER\",\"serviceAccountToken\":\"MARKER\""),
        WITH("\"image\":\"MARKER@r.example.com/a\""),
        WITH(IMAGE ",\"serviceAccountToken\":[\"MARKER\"]"),
        WITH(IMAGE ",\"serviceAccountToken\":\"MARKER\",\"serviceAccountAnnotations\":[]"),
        WITH(IMAGE ",\"serviceAccountAnnotations\":{\"MARKER\":1}"),
        WITH(IMAGE ",\"serviceAccountToken\":\"MARKER\"") "x",
        WITH(IMAGE ",\"serviceAccountToken\":\"MARKER"),
        "{\"kind\":\"MARKER\",\"apiVersion\":\"" V1 "\"}",
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(texts); i++) {
        cleanup_request struct request request;
        struct pullkey_error error = { 0 };

        assert_int_equal(parse(texts[i], &request, &error), -PULLKEY_INVALID);
        if (strstr(error.message, "MARKER"))
            fail_msg("%s", error.message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_versions_are_known),
        cmocka_unit_test(other_kinds_and_versions),
        cmocka_unit_test(members_of_another_case),
        cmocka_unit_test(unknown_members_are_ignored),
        cmocka_unit_test(null_and_empty_are_absent),
        cmocka_unit_test(wrong_types),
        cmocka_unit_test(no_json),
        cmocka_unit_test(sizes),
        cmocka_unit_test(images_of_all_shapes),
        cmocka_unit_test(images_that_are_none),
        cmocka_unit_test(the_longest_image),
        cmocka_unit_test(errors_repeat_nothing),
    };

    return cmocka_run_group_tests(tests, begin, NULL);
}
