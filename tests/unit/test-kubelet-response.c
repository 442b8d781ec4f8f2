/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes that a kubelet gets, and what its keyring makes of the keys in them. */
#include "unit.h"

#include <fnmatch.h>

#include "kubelet/response.h"

#define GROUP "credentialprovider.kubelet.k8s.io/"
#define OUTPUT_MAX (1024 * 1024)

static int begin(void **state)
{
    (void)state;
    json_start();
    return 0;
}

static void make_request(const char *version, const char *image, struct request *ret)
{
    struct pullkey_error error;
    char text[512];

    (void)snprintf(text, sizeof(text),
                   "{\"kind\":\"CredentialProviderRequest\",\"apiVersion\":\"" GROUP "%s\","
                   "\"image\":\"%s\"}",
                   version, image);
    *ret = (struct request){ .json = { 0 } };
    assert_fine(request_parse(text, strlen(text), ret, &error), error);
}

static struct pullkey_credential make_credential(char *user, char *secret)
{
    return (struct pullkey_credential){ .username = user,
                                        .secret = { .bytes = secret, .length = strlen(secret) } };
}

static void golden(const char *version, const char *image, const struct response *response,
                   const char *expected)
{
    cleanup_buffer struct buffer output = BUFFER_INIT(OUTPUT_MAX);
    cleanup_request struct request request;
    struct pullkey_error error;

    make_request(version, image, &request);
    assert_fine(response_write(&request, response, &output, &error), error);
    assert_string_equal(output.data, expected);
    assert_int_equal(output.length, strlen(expected));
}

#define HEAD(version, type, duration)                                                              \
    "{\"apiVersion\":\"" GROUP version "\",\"kind\":\"CredentialProviderResponse\","               \
    "\"cacheKeyType\":\"" type "\",\"cacheDuration\":\"" duration "\",\"auth\":{"
#define PAIR "{\"username\":\"alice\",\"password\":\"s3cret\"}"
#define NONE "{\"username\":\"\",\"password\":\"\"}"

static void golden_answers(void **state)
{
    struct pullkey_credential credential =
        make_credential((char[]){ "alice" }, (char[]){ "s3cret" });
    struct response response = { .credential = &credential, .cache_seconds = 300 };

    (void)state;
    golden("v1", "r.example.com/a/b", &response,
           HEAD("v1", "Image", "300s") "\"r.example.com/a/b\":" PAIR "}}\n");
    golden("v1beta1", "r.example.com:8443/a/b:1", &response,
           HEAD("v1beta1", "Image", "300s") "\"r.example.com:8443/a/b\":" PAIR "}}\n");
    golden("v1alpha1", "r.example.com/a@sha256:00", &response,
           HEAD("v1alpha1", "Image", "300s") "\"r.example.com/a\":" PAIR "}}\n");
    golden("v1", "r.example.com/v2/a", &response,
           HEAD("v1", "Image", "300s") "\"r.example.com/v2/v2/a\":" PAIR "}}\n");
    response.is_registry_wide = true;
    golden("v1", "r.example.com/v2/a", &response,
           HEAD("v1", "Registry", "300s") "\"r.example.com\":" PAIR "}}\n");
    golden("v1", "docker.io/library/nginx", &response,
           HEAD("v1", "Registry", "300s") "\"docker.io\":" PAIR "}}\n");
    response.cache_seconds = 0;
    golden("v1beta1", "[::1]:5000/a", &response,
           HEAD("v1beta1", "Registry", "0s") "\"[::1]:5000\":" PAIR "}}\n");
    response.anonymous_last = true;
    response.cache_seconds = 86400;
    golden("v1", "r.example.com:8443/a", &response,
           HEAD("v1", "Registry", "86400s") "\"r.example.com:8443\":" PAIR
                                            ",\"*.example.com:8443\":" NONE "}}\n");
    golden("v1", "localhost:5000/a", &response,
           HEAD("v1", "Registry", "86400s") "\"localhost:5000\":" PAIR ",\"*:5000\":" NONE "}}\n");
    response.is_registry_wide = false;
    golden("v1", "r.example.com/a", &response,
           HEAD("v1", "Image", "86400s") "\"r.example.com/a\":" PAIR ",\"r.example.com\":" NONE
                                         "}}\n");
}

static void nothing(void **state)
{
    const struct response response = { .cache_seconds = 15,
                                       .anonymous_last = true,
                                       .is_registry_wide = true };

    (void)state;
    golden("v1", "r.example.com/a", &response, HEAD("v1", "Image", "15s") "}}\n");
    golden("v1alpha1", "r.example.com/a", &(struct response){ 0 },
           HEAD("v1alpha1", "Image", "0s") "}}\n");
}

static void text_is_escaped(void **state)
{
    struct pullkey_credential credential =
        make_credential((char[]){ "a\"\\\x01" }, (char[]){ "<\xc3\xa9\n\xf0\x9f\x94\x91>" });
    const struct response response = { .credential = &credential };

    (void)state;
    golden("v1", "r.example.com/a", &response,
           HEAD("v1", "Image",
                "0s") "\"r.example.com/a\":{\"username\":\"a\\\"\\\\\\u0001\","
                      "\"password\":\"\\u003c\xc3\xa9\\n\xf0\x9f\x94\x91\\u003e\"}}}\n");
}

/* The kubelet's answer to one is a failed pull, so that it must be an error here. */
static void what_cannot_be_carried(void **state)
{
    cleanup_buffer struct buffer output = BUFFER_INIT(OUTPUT_MAX);
    cleanup_request struct request request;
    struct pullkey_credential token = make_credential((char[]){ "<token>" }, (char[]){ "s3cret" });
    struct pullkey_credential user = make_credential((char[]){ "al\xff" }, (char[]){ "s3cret" });
    struct pullkey_credential secret =
        make_credential((char[]){ "alice" }, (char[]){ "s3\xc0\x80" });
    struct response response = { .credential = &token };
    struct pullkey_error error;

    (void)state;
    token.kind = PULLKEY_IDENTITY_TOKEN;
    make_request("v1", "r.example.com/a", &request);
    assert_refused(response_write(&request, &response, &output, &error), PULLKEY_INVALID,
                   "an identity token, which the kubelet cannot use", error);
    assert_null(strstr(error.message, "s3cret"));
    response.credential = &user;
    assert_refused(response_write(&request, &response, &output, &error), PULLKEY_INVALID,
                   "is not UTF-8", error);
    response.credential = &secret;
    assert_refused(response_write(&request, &response, &output, &error), PULLKEY_INVALID,
                   "is not UTF-8", error);
    assert_null(strstr(error.message, "s3"));
    assert_int_equal(output.length, 0);
}

static void the_largest_secret(void **state)
{
    static char bytes[PULLKEY_SECRET_MAX + 1];
    cleanup_buffer struct buffer output = BUFFER_INIT(OUTPUT_MAX);
    cleanup_json struct json json = { 0 };
    cleanup_request struct request request;
    struct pullkey_credential credential;
    const struct response response = { .credential = &credential };
    struct pullkey_error error;

    (void)state;
    memset(bytes, 1, PULLKEY_SECRET_MAX);
    credential = make_credential((char[]){ "alice" }, bytes);
    make_request("v1", "r.example.com/a", &request);
    assert_fine(response_write(&request, &response, &output, &error), error);
    assert_fine(json_parse(&json, "answer", output.data, output.length, 0, &error), error);
    assert_string_equal(json_member(json_member(json.root, "auth")->child, "password")->valuestring,
                        bytes);
}

static void no_room(void **state)
{
    struct pullkey_credential credential =
        make_credential((char[]){ "alice" }, (char[]){ "s3cret" });
    const struct response response = { .credential = &credential, .anonymous_last = true };
    cleanup_request struct request request;

    (void)state;
    make_request("v1", "r.example.com/a", &request);
    for (size_t limit = 0; limit < 250; limit++) {
        cleanup_buffer struct buffer output = BUFFER_INIT(limit);
        struct pullkey_error error;

        if (response_write(&request, &response, &output, &error) == 0)
            return;
        assert_int_equal(error.code, PULLKEY_INVALID);
    }
    fail();
}

/*
 * What the kubelet does with a key (k8s.io/kubernetes/pkg/credentialprovider/keyring.go): a first
 * segment v1 or v2 is taken off; ports are equal, of labels there are as many, each a shell
 * pattern, and the path is a prefix.
 */
struct key {
    char host[256], port[16], path[512];
};

static void split(const char *text, bool strip, struct key *ret)
{
    const char *path = strchrnul(text, '/'), *colon = NULL;
    size_t length = (size_t)(path - text);

    for (const char *c = text; c < path; c++)
        if (*c == ':' && (text[0] != '[' || c[-1] == ']'))
            colon = c;
    if (strip && (strncmp(path, "/v1/", 4) == 0 || strncmp(path, "/v2/", 4) == 0))
        path += 3;
    if (colon)
        length = (size_t)(colon - text);
    (void)snprintf(ret->host, sizeof(ret->host), "%.*s", (int)length, text);
    (void)snprintf(ret->port, sizeof(ret->port), "%.*s", colon ? (int)strcspn(colon, "/") : 0,
                   colon ? colon : "");
    (void)snprintf(ret->path, sizeof(ret->path), "%s", path);
    /* The kubelet takes the brackets off where there is a port. */
    if (colon && ret->host[0] == '[') {
        memmove(ret->host, ret->host + 1, length - 2);
        ret->host[length - 2] = '\0';
    }
}

static bool labels_match(char *pattern, char *host)
{
    char *a, *b, *save_a, *save_b;

    for (a = strtok_r(pattern, ".", &save_a), b = strtok_r(host, ".", &save_b); a && b;
         a = strtok_r(NULL, ".", &save_a), b = strtok_r(NULL, ".", &save_b))
        if (fnmatch(a, b, 0) != 0)
            return false;
    return !a && !b;
}

static bool kubelet_matches(const char *text, const char *image)
{
    struct key key, target;

    split(text, true, &key);
    split(image, false, &target);
    return strcmp(key.port, target.port) == 0 &&
           strncmp(target.path, key.path, strlen(key.path)) == 0 &&
           labels_match(key.host, target.host);
}

/* As the kubelet's index has it, where the greater one is tried first. */
static void stored(const char *text, char ret[768])
{
    struct key key;
    const char *path = strchrnul(text, '/');

    split(text, true, &key);
    (void)snprintf(ret, 768, "%.*s%s", (int)(path - text), text, key.path);
}

static const char *const shapes[] = {
    "r.example.com/a",        "r.example.com:8443/a/b", "localhost/a",       "localhost:5000/a",
    "docker.io/library/x",    "127.0.0.1:5000/a",       "10.1.2.3/a",        "0.example.com/a",
    "a-b.example.com/v1/a/b", "r.example.com/v2/v2/a",  "r.example.com/v2",  "R.example.com/v1",
    "xn--e1afmkfd.com/a",     "r.example.com/v2ray/a",  "[::1]:5000/v2/app",
};

static void check_keys(const char *image, const cJSON *auth, bool wide)
{
    const cJSON *first = auth->child, *last = first->next;
    char first_key[768], last_key[768];

    if (!kubelet_matches(first->string, image))
        fail_msg("%s does not match %s", first->string, image);
    assert_string_equal(json_member(first, "password")->valuestring, "s3cret");
    assert_non_null(last);
    assert_null(last->next);
    if (!kubelet_matches(last->string, image))
        fail_msg("%s does not match %s", last->string, image);
    assert_string_equal(json_member(last, "username")->valuestring, "");
    assert_string_equal(json_member(last, "password")->valuestring, "");
    stored(first->string, first_key);
    stored(last->string, last_key);
    if (strcmp(first_key, last_key) <= 0)
        fail_msg("%s (%d): %s is tried before %s", image, wide, last_key, first_key);
}

/* Row 27 of the threat model: the keys match the image, and the anonymous one comes last. */
static void keys_match_as_the_kubelet_does(void **state)
{
    struct pullkey_credential credential =
        make_credential((char[]){ "alice" }, (char[]){ "s3cret" });

    (void)state;
    for (size_t i = 0; i < 2 * UNIT_COUNT(shapes); i++) {
        const char *image = shapes[i / 2];
        const struct response response = {
            .credential = &credential,
            .is_registry_wide = i % 2,
            .anonymous_last = true,
        };
        cleanup_buffer struct buffer output = BUFFER_INIT(OUTPUT_MAX);
        cleanup_json struct json json = { 0 };
        cleanup_request struct request request;
        struct pullkey_error error;

        make_request("v1", image, &request);
        assert_fine(response_write(&request, &response, &output, &error), error);
        assert_fine(json_parse(&json, "answer", output.data, output.length, 0, &error), error);
        check_keys(image, json_member(json.root, "auth"), response.is_registry_wide);
    }
}

/* The rules above, by the examples of the kubelet's own tests. */
static void the_matching_is_the_kubelet_s(void **state)
{
    (void)state;
    assert_true(kubelet_matches("r.example.com", "r.example.com/a"));
    assert_true(kubelet_matches("*.example.com", "r.example.com/a"));
    assert_true(kubelet_matches("r.example.com/v2/a", "r.example.com/a"));
    assert_false(kubelet_matches("r.example.com/v2/a", "r.example.com/v2/a"));
    assert_true(kubelet_matches("r.example.com/foo", "r.example.com/foobar"));
    assert_false(kubelet_matches("r.example.com", "r.example.com:80/a"));
    assert_false(kubelet_matches("*.com", "r.example.com/a"));
    assert_false(kubelet_matches("*", "r.example.com/a"));
    assert_false(kubelet_matches("[::1]", "[::1]/a"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_answers),
        cmocka_unit_test(nothing),
        cmocka_unit_test(text_is_escaped),
        cmocka_unit_test(what_cannot_be_carried),
        cmocka_unit_test(the_largest_secret),
        cmocka_unit_test(no_room),
        cmocka_unit_test(keys_match_as_the_kubelet_does),
        cmocka_unit_test(the_matching_is_the_kubelet_s),
    };

    return cmocka_run_group_tests(tests, begin, NULL);
}
