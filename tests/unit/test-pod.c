/* SPDX-License-Identifier: Apache-2.0 */
/* The claims of a workload against what an API server says; the answers are the test's. */
#include "unit.h"

#include "base/secret.h"
#include "base/text.h"
#include "core/registry.h"
#include "kubernetes-host.h"
#include "kubernetes/pod.h"
#include "kubernetes/search.h"

#define NOW 1000000
#define FOREVER (INT64_MAX / 2)

/* What the API server has; "" is no such object. `refusals` of it come first. */
static struct object {
    const char *resource, *name, *text;
    long refusal;
    int refusals;
} objects[8];

static struct {
    int64_t now_ms;
    int calls;
    long review_status;
    const char *review;
} machine;

/* A token is reviewed before anything is read, and by its body alone. */
static int review(struct api *api, const struct api_object *object,
                  const struct pullkey_secret *body, struct json *ret, struct pullkey_error *error)
{
    assert_string_equal(object->verb, "create");
    assert_string_equal(object->path, "/apis/authentication.k8s.io/v1/tokenreviews");
    assert_null(object->namespace_name);
    assert_null(object->name);
    assert_non_null(strstr(body->bytes, "\"token\":\"t0k3n\""));
    assert_int_equal(machine.calls, 1);
    api->status = machine.review_status;
    if (api->status == 403)
        return error_set(error, PULLKEY_DENIED, "it needs a ClusterRole");
    if (api->status == 0)
        return error_set(error, PULLKEY_UNREACHABLE, "nobody answers");
    return json_parse(ret, "tokenreviews", machine.review, strlen(machine.review), 0, error);
}

int __wrap_api_call(struct api *api, const struct api_object *object,
                    const struct pullkey_secret *body, struct json *ret,
                    struct pullkey_error *error);
int __wrap_api_call(struct api *api, const struct api_object *object,
                    const struct pullkey_secret *body, struct json *ret,
                    struct pullkey_error *error)
{
    machine.calls++;
    if (body)
        return review(api, object, body, ret, error);
    assert_string_equal(object->verb, "get");
    assert_string_equal(object->namespace_name, "team");
    for (size_t i = 0; i < UNIT_COUNT(objects) && objects[i].name; i++) {
        struct object *found = &objects[i];

        if (strcmp(found->resource, object->resource) != 0 ||
            strcmp(found->name, object->name) != 0)
            continue;
        api->status = 200;
        if (found->refusals > 0) {
            found->refusals--;
            api->status = found->refusal;
        }
        if (api->status == 0)
            return error_set(error, PULLKEY_UNREACHABLE, "nobody answers");
        if (api->status == 401 || api->status == 403)
            return error_set(error, PULLKEY_DENIED, "%s is forbidden", object->name);
        if (api->status == 200)
            return json_parse(ret, object->name, found->text, strlen(found->text), 0, error);
    }
    api->status = 404;
    return error_set(error, PULLKEY_NOT_FOUND, "there is no %s", object->name);
}

void __wrap_http_wait(const struct http *http, int64_t ms);
void __wrap_http_wait(const struct http *http, int64_t ms)
{
    (void)http;
    machine.now_ms += ms;
}

static int64_t fake_monotonic_ms(void)
{
    return machine.now_ms;
}

static int64_t fake_wall_seconds(void)
{
    return NOW;
}

#define POD                                                                                        \
    "{\"metadata\":{\"name\":\"web-1\",\"namespace\":\"team\",\"uid\":\"p-1\"},\"spec\":"          \
    "{\"serviceAccountName\":\"web\",\"nodeName\":\"node-a\",\"imagePullSecrets\":[{\"name\":"     \
    "\"one\"},{\"name\":\"Bad Name\"},{\"name\":\"gone\"},{},{\"name\":\"two\"}]}}"
#define REVIEW                                                                                     \
    "{\"status\":{\"authenticated\":true,\"audiences\":[\"pullkey\"],\"user\":{\"username\":"      \
    "\"system:serviceaccount:team:web\",\"uid\":\"s-1\",\"extra\":{"                               \
    "\"authentication.kubernetes.io/pod-name\":[\"web-1\"],"                                       \
    "\"authentication.kubernetes.io/pod-uid\":[\"p-1\"]}}}}"
#define SECRET(name, type, key, data)                                                              \
    "{\"metadata\":{\"name\":\"" name "\",\"namespace\":\"team\"},\"type\":\"kubernetes.io/" type  \
    "\",\"data\":{\"" key "\":\"" data "\"}}"
/* {"auths":{"a.example":{"auth":"YWxpY2U6b25l"}}}, alice:one */
#define ONE                                                                                        \
    SECRET("one", "dockerconfigjson", ".dockerconfigjson",                                         \
           "eyJhdXRocyI6eyJhLmV4YW1wbGUiOnsiYXV0aCI6IllXeHBZMlU2YjI1bCJ9fX0=")
/* {"a.example/team":{"auth":"Ym9iOnR3bw"}}, bob:two */
#define TWO                                                                                        \
    SECRET("two", "dockercfg", ".dockercfg",                                                       \
           "eyJhLmV4YW1wbGUvdGVhbSI6eyJhdXRoIjoiWW05aU9uUjNidyJ9fQ==")

static const struct object whole[] = {
    { "pods", "web-1", POD, 0, 0 },
    { "secrets", "one", ONE, 0, 0 },
    { "secrets", "two", TWO, 0, 0 },
};

static const struct pullkey_workload true_claims = {
    .size = sizeof(true_claims),
    .token = { (char[]){ "t0k3n" }, 5 },
    .token_expiry = NOW + 1,
    .namespace_name = "team",
    .service_account = "web",
    .service_account_uid = "s-1",
    .pod = "web-1",
    .pod_uid = "p-1",
    .node = "node-a",
    .node_uid = "n-1",
    .annotations = "{}",
    .audiences = "[\"pullkey\"]",
};

static int begin(void **state)
{
    (void)set_host(state);
    host.monotonic_ms = fake_monotonic_ms;
    host.wall_seconds = fake_wall_seconds;
    memset(objects, 0, sizeof(objects));
    memcpy(objects, whole, sizeof(whole));
    machine.now_ms = 5000;
    machine.calls = 0;
    machine.review_status = 201;
    machine.review = REVIEW;
    return 0;
}

static struct api make_api(int64_t deadline_ms)
{
    return (struct api){ .host = &host, .options = { .deadline_ms = deadline_ms } };
}

static int read_pod(const struct pullkey_workload *workload, struct pullkey_error *error)
{
    cleanup_json struct json pod = { 0 };
    struct api api = make_api(FOREVER);
    int r;

    machine.calls = 0;
    r = pod_read(&api, workload, &pod, error);
    if ((r == 0) != (pod.root != NULL))
        fail_msg("%d, and %s pod", r, pod.root ? "a" : "no");
    return r;
}

static void true_ones(void **state)
{
    struct pullkey_workload workload = true_claims;
    struct pullkey_error error;

    (void)state;
    assert_fine(read_pod(&workload, &error), error);
    assert_int_equal(machine.calls, 2);
    /* Older tokens do not name the node. */
    workload.node = "";
    assert_fine(read_pod(&workload, &error), error);
}

static void false_ones(void **state)
{
    static const struct {
        size_t offset;
        const char *value, *said;
    } rows[] = {
#define FIELD(name) offsetof(struct pullkey_workload, name)
        { FIELD(pod), "web-2", "another pod than it names" },
        { FIELD(pod), "", "not bound to a pod" },
        { FIELD(pod), "../secrets/one", "not bound to a pod" },
        { FIELD(pod_uid), "p-2", "another uid of its pod" },
        { FIELD(pod_uid), "", "not bound to a pod" },
        { FIELD(namespace_name), "", "not bound to a pod" },
        { FIELD(namespace_name), "a/b", "not bound to a pod" },
        { FIELD(service_account), "other", "another service account than it names" },
        { FIELD(service_account), "", "not bound to a pod" },
        { FIELD(service_account_uid), "s-2", "another uid of its service account" },
        { FIELD(service_account_uid), "", "the uid of its service account" },
        { FIELD(node), "node-b", "another node" },
    };
    struct pullkey_workload workload;
    struct pullkey_error error;

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        workload = true_claims;
        memcpy((char *)&workload + rows[i].offset, &rows[i].value, sizeof(rows[i].value));
        assert_refused(read_pod(&workload, &error), PULLKEY_DENIED, rows[i].said, error);
    }
    workload = true_claims;
    workload.token_expiry = NOW;
    assert_refused(read_pod(&workload, &error), PULLKEY_DENIED, "has expired", error);
    workload.token_expiry = 0;
    assert_refused(read_pod(&workload, &error), PULLKEY_DENIED, "never expires", error);
    assert_refused(read_pod(NULL, &error), PULLKEY_NO_IDENTITY, "for which pod", error);
}

/* What the API server says instead of the truth. */
static void other_answers(void **state)
{
    static const struct {
        size_t object;
        const char *text, *said;
        enum pullkey_error_class class;
    } rows[] = {
        { 0, "{}", "something else than the pod", PULLKEY_INVALID },
        { 0, "[]", "something else than the pod", PULLKEY_INVALID },
        { 0, "{\"metadata\":{\"name\":\"web-1\",\"namespace\":\"other\",\"uid\":\"p-1\"}}",
          "something else than the pod", PULLKEY_INVALID },
        { 0,
          "{\"metadata\":{\"name\":\"web-1\",\"namespace\":\"team\"},\"spec\":{"
          "\"serviceAccountName\":\"web\",\"nodeName\":\"node-a\"}}",
          "another pod", PULLKEY_DENIED },
        { 0,
          "{\"metadata\":{\"name\":\"web-1\",\"namespace\":\"team\",\"uid\":\"p-1\"},\"spec\":{"
          "\"serviceAccountName\":\"web\"}}",
          "another node", PULLKEY_DENIED },
        { 0,
          "{\"metadata\":{\"name\":\"web-1\",\"namespace\":\"team\",\"uid\":\"p-2\"},\"spec\":{"
          "\"serviceAccountName\":\"web\",\"nodeName\":\"node-a\"}}",
          "another pod", PULLKEY_DENIED },
        { 0,
          "{\"metadata\":{\"name\":\"web-1\",\"namespace\":\"team\",\"uid\":\"p-1\"},\"spec\":{"
          "\"serviceAccountName\":\"other\",\"nodeName\":\"node-a\"}}",
          "another service account than the pod", PULLKEY_DENIED },
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        struct pullkey_error error;

        memcpy(objects, whole, sizeof(whole));
        objects[rows[i].object].text = rows[i].text;
        assert_refused(read_pod(&true_claims, &error), rows[i].class, rows[i].said, error);
    }
}

static void a_pod_that_goes(void **state)
{
    struct pullkey_error error;

    (void)state;
    objects[0].text = "{\"metadata\":{\"name\":\"web-1\",\"namespace\":\"team\",\"uid\":\"p-1\","
                      "\"deletionTimestamp\":\"2026-01-01T00:00:00Z\"},\"spec\":{"
                      "\"serviceAccountName\":\"web\",\"nodeName\":\"node-a\"}}";
    assert_fine(read_pod(&true_claims, &error), error);
}

static void refuse(size_t object, long status, int times)
{
    objects[object].refusal = status;
    objects[object].refusals = times;
}

static void lagging(void **state)
{
    struct pullkey_error error;
    int64_t start = machine.now_ms;

    (void)state;
    refuse(0, 403, 3);
    assert_fine(read_pod(&true_claims, &error), error);
    assert_int_equal(machine.now_ms - start, 100 + 200 + 400);
    refuse(0, 404, 1);
    assert_fine(read_pod(&true_claims, &error), error);
    /* For a while, and no longer. */
    start = machine.now_ms;
    refuse(0, 403, 1000);
    assert_refused(read_pod(&true_claims, &error), PULLKEY_DENIED, "forbidden", error);
    assert_in_range(machine.now_ms - start, POD_PATIENCE_MS / 2, POD_PATIENCE_MS);
    /* What does not pass is not asked again. */
    refuse(0, 401, 1000);
    assert_refused(read_pod(&true_claims, &error), PULLKEY_DENIED, "forbidden", error);
    assert_int_equal(machine.calls, 2);
    refuse(0, 0, 1000);
    assert_refused(read_pod(&true_claims, &error), PULLKEY_UNREACHABLE, "nobody", error);
    assert_int_equal(machine.calls, 2);
}

static void lagging_at_the_deadline(void **state)
{
    struct api api = make_api(machine.now_ms + 250);
    struct json pod = { 0 };
    struct pullkey_error error;

    (void)state;
    refuse(0, 403, 1000);
    assert_refused(pod_read(&api, &true_claims, &pod, &error), PULLKEY_DENIED, "forbidden", error);
    assert_int_equal(machine.calls, 3);
    assert_true(machine.now_ms < api.options.deadline_ms);
}

/* Whoever is not known to the API server gets no further. */
static void reviews(void **state)
{
    struct pullkey_error error;

    (void)state;
    machine.review = "{\"status\":{\"error\":\"invalid bearer token\"}}";
    assert_refused(read_pod(&true_claims, &error), PULLKEY_DENIED, "invalid bearer token", error);
    assert_int_equal(machine.calls, 1);
    machine.review_status = 403;
    assert_refused(read_pod(&true_claims, &error), PULLKEY_DENIED,
                   "as the role system:node allows: it needs a ClusterRole", error);
    assert_int_equal(machine.calls, 1);
    machine.review_status = 0;
    assert_refused(read_pod(&true_claims, &error), PULLKEY_UNREACHABLE, "nobody", error);
    assert_int_equal(machine.calls, 1);
}

/* "USER SCOPE" of what a pod's secrets have for a registry, or the message. */
static void expect(const char *registry, const char *expected)
{
    struct registry_reference reference;
    struct registry_request request;
    cleanup_search struct search search = { .host = &host, .request = &request.request };
    struct api api = make_api(FOREVER);
    struct pullkey_credential found = { 0 };
    struct pullkey_error error;
    char result[PULLKEY_ERROR_SIZE + 32];
    int r;

    assert_fine(registry_parse(registry, strlen(registry), &reference, &error), error);
    registry_request(&reference, FOREVER, &request);
    request.request.workload = &true_claims;
    machine.calls = 0;
    r = search_pod(&search, &api, &error);
    if (r == 0)
        r = search_take(&search, &found, &error);
    if (r == 0) {
        assert_true(found.per_pod);
        (void)snprintf(result, sizeof(result), "%s %s", found.username,
                       found.scope == PULLKEY_SCOPE_REGISTRY ? "registry" : "image");
    } else {
        (void)snprintf(result, sizeof(result), "%d %s", -r, error.message);
    }
    if (!strstr(result, expected))
        fail_msg("%s: %s, not %s", registry, result, expected);
    host.release(found.username);
    host.release(found.secret.bytes);
}

static void secrets(void **state)
{
    (void)state;
    expect("a.example", "alice image");
    expect("a.example/team/app", "bob image");
    expect("a.example/teams", "alice image");
    expect("b.example", "1 no secret has an entry for b.example");
    /* Without the one that has something for a path. */
    objects[2].name = "three";
    expect("a.example/team/app", "alice registry");
    objects[2].name = "two";
    refuse(1, 403, 2);
    expect("a.example", "alice image");
    refuse(1, 403, 1000);
    expect("a.example", "forbidden");
    /* What the kubelet would not read either. */
    refuse(1, 403, 0);
    objects[1].text = SECRET("one", "dockerconfigjson", ".dockerconfigjson", "e30");
    expect("a.example/team", "bob");
    objects[1].text = SECRET("one", "dockerconfigjson", ".dockerconfigjson", "ew==");
    expect("a.example/team", "secret team/one");
}

/* PEM with these bytes; not more of a certificate than is looked at. */
static void own_node(const char *bytes, size_t length, const char *before, const char *expected)
{
    cleanup_buffer struct buffer pem = BUFFER_INIT(8192);
    cleanup_buffer struct buffer coded = BUFFER_INIT(8192);
    char node[API_NAME_MAX + 1];

    text_base64_encode(&coded, bytes, length);
    buffer_printf(&pem, "%s-----BEGIN CERTIFICATE-----\n", before);
    for (size_t at = 0; at < coded.length; at += 64)
        buffer_printf(&pem, "%.64s\r\n", coded.data + at);
    buffer_append_text(&pem, "-----END CERTIFICATE-----\n");
    pod_own_node(&(struct pullkey_secret){ pem.data, pem.length }, node);
    assert_string_equal(node, expected);
}

#define CN "\x06\x03\x55\x04\x03"

static void certificates(void **state)
{
    static const char node[] = CN "\x0c\x02"
                                  "ca"
                                  "xx" CN "\x0c\x12"
                                  "system:node:node-a"
                                  "more";
    static const char cut[] = CN "\x0c\x12"
                                 "system:node:node-";
    static const char user[] = CN "\x13\x05"
                                  "admin";
    static const char bad[] = CN "\x13\x12"
                                 "system:node:Node A";
    static const char end[] = CN "\x0c";
    char found[API_NAME_MAX + 1];

    (void)state;
    own_node(node, sizeof(node) - 1, "", "node-a");
    own_node(node, sizeof(node) - 1, "subject=x\n", "node-a");
    own_node(cut, sizeof(cut) - 1, "", "");
    own_node(user, sizeof(user) - 1, "", "");
    own_node(bad, sizeof(bad) - 1, "", "");
    own_node(end, sizeof(end) - 1, "", "");
    pod_own_node(&(struct pullkey_secret){ NULL, 0 }, found);
    assert_string_equal(found, "");
    pod_own_node(&(struct pullkey_secret){ (char[]){ "-----BEGIN CERTIFICATE-----!!" }, 29 },
                 found);
    assert_string_equal(found, "");
}

static void another_node(void **state)
{
    /* system:node:node-b */
    static char pem[] = "-----BEGIN CERTIFICATE-----\n"
                        "BgNVBAMMEnN5c3RlbTpub2RlOm5vZGUtYg==\n"
                        "-----END CERTIFICATE-----\n";
    struct pullkey_workload workload = true_claims;
    struct api api = make_api(FOREVER);
    struct json pod = { 0 };
    struct pullkey_error error;

    (void)state;
    workload.node = "";
    api.access.certificate = (struct pullkey_secret){ pem, strlen(pem) };
    assert_refused(pod_read(&api, &workload, &pod, &error), PULLKEY_DENIED, "not on this node",
                   error);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(true_ones, begin),
        cmocka_unit_test_setup(false_ones, begin),
        cmocka_unit_test_setup(other_answers, begin),
        cmocka_unit_test_setup(a_pod_that_goes, begin),
        cmocka_unit_test_setup(lagging, begin),
        cmocka_unit_test_setup(lagging_at_the_deadline, begin),
        cmocka_unit_test_setup(reviews, begin),
        cmocka_unit_test_setup(secrets, begin),
        cmocka_unit_test_setup(certificates, begin),
        cmocka_unit_test_setup(another_node, begin),
    };

    json_start();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
