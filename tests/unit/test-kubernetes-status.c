/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "base/json.h"
#include "kubernetes/status.h"

#define SERVER "api.example.com:6443"
#define ORIGIN "/etc/kubernetes/kubelet.conf"

static const struct api_object get_one = { "get", "secrets", "team", "pull", NULL };
static const struct api_object list_all = { "list", "secrets", "team", NULL, NULL };
static const struct api_object create = { "create", "secrets", "team", "pull", NULL };

static int explain(const struct api_object *object, long status, const char *body,
                   struct pullkey_error *error)
{
    const struct status_parties parties = { SERVER, ORIGIN, object };
    cleanup_buffer struct buffer buffer = BUFFER_INIT(JSON_SIZE_MAX);

    buffer_append_text(&buffer, body);
    return status_explain(&parties, status, &buffer, error);
}

#define STATUS(reason, message)                                                                    \
    "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Failure\","           \
    "\"message\":\"" message "\",\"reason\":\"" reason "\",\"details\":{\"name\":\"pull\","        \
    "\"kind\":\"secrets\"},\"code\":1}"

#define CANNOT(user, verb)                                                                         \
    "secrets \\\"pull\\\" is forbidden: User \\\"" user "\\\" cannot " verb                        \
    " resource \\\"secrets\\\" in API group \\\"\\\" in the namespace \\\"team\\\""

/* The sentence as a whole: it is what people copy into a Role. */
static void missing_right(void **state)
{
    struct pullkey_error error;

    (void)state;
    assert_refused(explain(&get_one, 403,
                           STATUS("Forbidden", CANNOT("system:serviceaccount:a:b", "get")), &error),
                   PULLKEY_DENIED, "", error);
    assert_string_equal(error.message,
                        "the user \"system:serviceaccount:a:b\" may not get secrets pull in the "
                        "namespace team: it needs a Role there with apiGroups [\"\"], resources "
                        "[\"secrets\"], resourceNames [\"pull\"], verbs [\"get\"], and a "
                        "RoleBinding");
    assert_refused(explain(&list_all, 403, STATUS("Forbidden", CANNOT("alice", "list")), &error),
                   PULLKEY_DENIED, "", error);
    assert_string_equal(error.message,
                        "the user \"alice\" may not list secrets in the namespace team: it needs a "
                        "Role there with apiGroups [\"\"], resources [\"secrets\"], verbs "
                        "[\"list\"], and a RoleBinding");
    /* RBAC cannot restrict create by name. */
    assert_refused(explain(&create, 403, STATUS("Forbidden", CANNOT("alice", "create")), &error),
                   PULLKEY_DENIED, "resources [\"secrets\"], verbs [\"create\"]", error);
    /* Without a user the place where the identity comes from is named. */
    assert_refused(explain(&get_one, 403, STATUS("Forbidden", "x cannot y"), &error),
                   PULLKEY_DENIED, "this identity (" ORIGIN ") may not get", error);
    assert_refused(explain(&get_one, 403, "{\"kind\":\"Status\"}", &error), PULLKEY_DENIED,
                   "this identity (" ORIGIN ") may not get", error);
}

static void missing_right_of_a_node(void **state)
{
    struct pullkey_error error;

    (void)state;
    assert_refused(
        explain(&get_one, 403,
                STATUS("Forbidden",
                       CANNOT("system:node:n1",
                              "get") ": no relationship found between node 'n1' and this object"),
                &error),
        PULLKEY_DENIED, "none here uses it", error);
    if (!strstr(error.message, "a RoleBinding for the group system:nodes"))
        fail_msg("%s", error.message);
}

/* Of what is in no namespace. */
static void missing_cluster_right(void **state)
{
    static const struct api_object object = {
        .verb = "create",
        .resource = "tokenreviews",
        .path = "/apis/authentication.k8s.io/v1/tokenreviews",
    };
    struct pullkey_error error;

    (void)state;
    assert_refused(explain(&object, 403, STATUS("Forbidden", CANNOT("alice", "create")), &error),
                   PULLKEY_DENIED, "", error);
    assert_string_equal(error.message,
                        "alice may not create tokenreviews: it needs a ClusterRole with apiGroups "
                        "[\"authentication.k8s.io\"], resources [\"tokenreviews\"], verbs "
                        "[\"create\"], and a ClusterRoleBinding");
    assert_refused(explain(&object, 403, "{\"kind\":\"Status\"}", &error), PULLKEY_DENIED,
                   ORIGIN " may not create", error);
    assert_refused(explain(&object, 422, STATUS("Invalid", "x"), &error), PULLKEY_INVALID,
                   "answers 422 (Invalid) to create tokenreviews", error);
}

static void reasons(void **state)
{
    static const struct {
        long status;
        const char *body;
        enum pullkey_error_class code;
        const char *part;
    } rows[] = {
        { 401, STATUS("Unauthorized", "Unauthorized"), PULLKEY_DENIED,
          "does not know who asks: the token or certificate of " ORIGIN },
        { 403, STATUS("Forbidden", "exceeded quota: q"), PULLKEY_DENIED,
          "not for a missing right" },
        { 403,
          STATUS("Forbidden", "unable to create new content in namespace team because it is being "
                              "terminated"),
          PULLKEY_DENIED, "not for a missing right" },
        { 404, STATUS("NotFound", "secrets not found"), PULLKEY_NOT_FOUND,
          "there is no secrets/pull in the namespace team" },
        { 404,
          "{\"kind\":\"Status\",\"reason\":\"NotFound\",\"details\":{\"kind\":\"namespaces\"}}",
          PULLKEY_NOT_FOUND, "there is no namespace team" },
        { 404, STATUS("Other", ""), PULLKEY_INVALID, "answers 404 (Other)" },
        { 400, STATUS("BadRequest", "x"), PULLKEY_INVALID, "answers 400 (BadRequest)" },
        { 405, STATUS("MethodNotAllowed", "x"), PULLKEY_INVALID, "answers 405 (MethodNotAllowed)" },
        { 406, STATUS("NotAcceptable", "x"), PULLKEY_INVALID, "answers 406" },
        { 409, STATUS("Other", "x"), PULLKEY_INVALID, "answers 409 (Other)" },
        { 410, STATUS("Expired", "x"), PULLKEY_INVALID, "answers 410 (Expired)" },
        { 413, STATUS("RequestEntityTooLarge", "x"), PULLKEY_INVALID, "too large" },
        { 415, STATUS("UnsupportedMediaType", "x"), PULLKEY_INVALID, "answers 415" },
        { 422, STATUS("Invalid", "Too long"), PULLKEY_INVALID, "too large" },
        { 418, STATUS("", "x"), PULLKEY_INVALID, "answers 418 to get secrets" },
        /* Whatever else is in the place of a reason is not repeated. */
        { 410, STATUS("MARKER: x", "MARKER"), PULLKEY_INVALID, "answers 410 to get secrets" },
        { 410, STATUS("MARKERMARKERMARKERMARKERMARKERMARKERMARKER", ""), PULLKEY_INVALID,
          "answers 410 to get secrets" },
    };
    struct pullkey_error error;

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        assert_refused(explain(&get_one, rows[i].status, rows[i].body, &error), rows[i].code,
                       rows[i].part, error);
        assert_null(strstr(error.message, "MARKER"));
    }
    assert_int_equal(explain(&get_one, 409, STATUS("Conflict", "x"), &error), API_CONFLICT);
    assert_int_equal(explain(&create, 409, STATUS("AlreadyExists", "x"), &error), API_CONFLICT);
}

/* Nobody but an API server may say that there is no secret, or who may read it. */
static void pages_of_proxies(void **state)
{
    static const char *const bodies[] = {
        "",
        "404 page not found\n",
        "<html><body>MARKER</body></html>",
        "{\"error\":\"MARKER\"}",
        "{\"kind\":\"status\",\"reason\":\"NotFound\"}",
        "{\"kind\":[\"Status\"],\"reason\":\"NotFound\"}",
        "[\"Status\",\"NotFound\"]",
        "{\"kind\":\"Status\",\"reason\":\"NotFound\"",
        "{\"kind\":\"Status\",\"kind\":\"Status\",\"reason\":\"NotFound\"}",
    };
    static const long statuses[] = { 400, 401, 403, 404, 407, 409, 410, 422 };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(bodies); i++)
        for (size_t j = 0; j < UNIT_COUNT(statuses); j++) {
            struct pullkey_error error;

            assert_refused(explain(&get_one, statuses[j], bodies[i], &error), PULLKEY_INVALID,
                           SERVER " answers ", error);
            assert_non_null(strstr(error.message, "not as an API server would"));
            assert_null(strstr(error.message, "MARKER"));
        }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(missing_right),         cmocka_unit_test(missing_right_of_a_node),
        cmocka_unit_test(missing_cluster_right), cmocka_unit_test(reasons),
        cmocka_unit_test(pages_of_proxies),
    };

    json_start();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
