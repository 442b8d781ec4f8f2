/* SPDX-License-Identifier: Apache-2.0 */
/* Which variables and files belong to which kind of instance: what another kind asks for is nothing
 * to it. */
#include "unit.h"

#include <pullkey/backend.h>

#include "base/json.h"
#include "core/cache-file.h"

extern const struct pullkey_backend token_backend;

static char place[512];

static void fingerprint(const char *options, char ret[HASH_TEXT_SIZE])
{
    const struct cache cache = { .path = "/nowhere/cache" };
    const struct cache_key key = { .options = options, .inputs = token_backend.module.inputs };
    struct pullkey_error error;
    struct cache_slot slot;

    assert_fine(cache_slot_make(&cache, &key, &slot, &error), error);
    memcpy(ret, slot.inputs, HASH_TEXT_SIZE);
}

static bool variable_counts(const char *options, const char *name)
{
    char before[HASH_TEXT_SIZE], after[HASH_TEXT_SIZE];

    unsetenv(name);
    fingerprint(options, before);
    setenv(name, "value", 1);
    fingerprint(options, after);
    unsetenv(name);
    return strcmp(before, after) != 0;
}

/* Under the home. */
static bool file_counts(const char *options, const char *name)
{
    char before[HASH_TEXT_SIZE], after[HASH_TEXT_SIZE];
    char path[FILE_PATH_MAX];

    (void)snprintf(path, sizeof(path), "%s/%s", place, name);
    fingerprint(options, before);
    unit_write(path, "x", 1, 0600);
    fingerprint(options, after);
    assert_int_equal(unlink(path), 0);
    return strcmp(before, after) != 0;
}

#define ECR "{\"recipe\":\"ecr\"}"
#define GCP "{\"recipe\":\"gcp\"}"
#define ACR "{\"recipe\":\"acr\"}"
#define OAUTH(text) "{\"recipe\":\"oauth\",\"oauth\":{" text "}}"
#define OWN "{\"recipe\":\"gitlab\"}"
#define QUAY(identity) "{\"recipe\":\"quay\",\"identity\":{" identity "}}"
#define GITHUB "\"github\":\"a\""
#define KUBELET "\"kubelet\":true"
#define KUBERNETES "\"kubernetes\":{\"service_account\":\"a/b\",\"audience\":\"c\"}"

#define ACTOR(source) OAUTH("\"actor\":{" source "}")
#define ASSERTION(source) OAUTH("\"client_assertion\":{" source "}")
#define SECRET(source) OAUTH("\"client_secret\":{" source "}")

/* Which instances depend on it, and some that do not. */
struct row {
    const char *name;
    const char *with[10], *without[10];
};

static void check_rows(const struct row rows[], size_t count,
                       bool (*counts)(const char *options, const char *name))
{
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; rows[i].with[j]; j++)
            if (!counts(rows[i].with[j], rows[i].name))
                fail_msg("%s is nothing to %s", rows[i].name, rows[i].with[j]);
        for (size_t j = 0; rows[i].without[j]; j++)
            if (counts(rows[i].without[j], rows[i].name))
                fail_msg("%s is something to %s", rows[i].name, rows[i].without[j]);
    }
}

static void variables_belong_to_kinds(void **state)
{
    static const struct row rows[] = {
        { "AWS_PROFILE",
          { ECR, GCP, QUAY("\"aws\":\"a\""), ACTOR("\"aws\":\"a\""), ASSERTION("\"aws\":\"a\""),
            SECRET("\"aws\":\"a\"") },
          { ACR, OAUTH(""), QUAY(GITHUB), ACTOR(GITHUB) } },
        { "AZURE_CLIENT_ID",
          { ACR, QUAY("\"azure\":\"a\""), ACTOR("\"azure\":\"a\""), ASSERTION("\"azure\":\"a\""),
            SECRET("\"azure\":\"a\"") },
          { ECR, GCP, OAUTH(""), QUAY(GITHUB), ACTOR(GITHUB) } },
        { "GOOGLE_APPLICATION_CREDENTIALS",
          { GCP, QUAY("\"gcp\":\"a\""), ACTOR("\"gcp\":\"a\""), ASSERTION("\"gcp\":\"a\""),
            SECRET("\"gcp\":\"a\"") },
          { ECR, ACR, OAUTH(""), QUAY(GITHUB), ACTOR(GITHUB) } },
        { "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", { ECR, GCP }, { ACR } },
        { "AWS_ENDPOINT_URL_SSO_OIDC", { ECR, GCP }, { ACR } },
        { "AWS_ACCESS_KEY_ID", { ECR, GCP }, { ACR } },
        { "AWS_SECRET_ACCESS_KEY", { ECR, GCP }, { ACR } },
        { "AWS_SECURITY_TOKEN", { ECR, GCP }, { ACR } },
        { "AWS_SESSION_TOKEN", { ECR, GCP }, { ACR } },
        { "AZURE_FEDERATED_TOKEN", { ACR }, { ECR } },
        { "IDENTITY_HEADER", { ACR }, { ECR } },
        { "MSI_SECRET", { ACR }, { ECR } },
        { "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
          { QUAY(GITHUB), OWN, ACTOR(GITHUB), ASSERTION(GITHUB), SECRET(GITHUB) },
          { ECR, GCP, ACR, OAUTH(""), QUAY(KUBERNETES) } },
        { "CI_JOB_TOKEN",
          { OWN, QUAY("\"env\":\"CI_JOB_TOKEN\"") },
          { ECR, GCP, ACR, OAUTH(""), QUAY(GITHUB) } },
        { "KUBECONFIG",
          { QUAY(KUBERNETES), ACTOR(KUBERNETES), ASSERTION(KUBERNETES), SECRET(KUBERNETES) },
          { ECR, GCP, ACR, OAUTH(""), OWN, QUAY(GITHUB) } },
    };

    (void)state;
    check_rows(rows, UNIT_COUNT(rows), variable_counts);
}

static bool line_counts(const char *text, const char *line)
{
    cleanup_json struct json options = { 0 };
    struct pullkey_error error;

    assert_fine(json_parse(&options, "options", text, strlen(text), 0, &error), error);
    return cache_declares(token_backend.module.inputs, options.root, line);
}

/* Of the pod, and of one image, are only those that look at them. */
static void pods_and_images_belong_to_kinds(void **state)
{
    static const struct row rows[] = {
        { "workload",
          { QUAY(KUBELET), ACTOR(KUBELET), ASSERTION(KUBELET), SECRET(KUBELET),
            "{\"recipe\":\"ecr\",\"identity\":{" KUBELET "}}",
            /* Its file may say so itself. */
            OWN },
          { ECR, GCP, ACR, OAUTH(""), QUAY(GITHUB), ACTOR(GITHUB),
            "{\"recipe\":\"ecr\",\"identity\":{" GITHUB "}}" } },
        { "registry",
          { ECR, GCP, ACR, OAUTH(""), ACTOR(KUBELET),
            "{\"recipe\":\"ecr\",\"identity\":{" KUBELET "}}" },
          { OWN, QUAY(GITHUB), QUAY(KUBELET), "{\"recipe\":\"/etc/x.json\"}",
            "{\"recipe\":\"ecr2\"}" } },
    };

    (void)state;
    check_rows(rows, UNIT_COUNT(rows), line_counts);
}

/* By the variable that names it, which is set all the time. */
static bool named_file_counts(const char *options, const char *variable)
{
    char path[FILE_PATH_MAX];
    bool counts;

    (void)snprintf(path, sizeof(path), "%s/named", place);
    setenv(variable, path, 1);
    counts = file_counts(options, "named");
    unsetenv(variable);
    return counts;
}

static bool kubeconfig_counts(const char *member, const char *option)
{
    char path[FILE_PATH_MAX], options[2 * FILE_PATH_MAX];

    (void)snprintf(path, sizeof(path), "%s/named", place);
    (void)snprintf(options, sizeof(options),
                   "{\"recipe\":\"oauth\",%s:{\"kubernetes\":{\"%s\":\"%s\"}}%s}", member, option,
                   path, strchr(member, '{') ? "}" : "");
    return file_counts(options, "named");
}

static void files_belong_to_kinds(void **state)
{
    static const char *const members[] = { "\"identity\"", "\"oauth\":{\"actor\"",
                                           "\"oauth\":{\"client_assertion\"",
                                           "\"oauth\":{\"client_secret\"" };

    static const struct row usual[] = {
        { ".kube/config",
          { QUAY(KUBERNETES), ACTOR(KUBERNETES), ASSERTION(KUBERNETES), SECRET(KUBERNETES) },
          { ECR, GCP, ACR, OAUTH(""), OWN, QUAY(GITHUB) } },
    };
    static const struct row named[] = {
        { "AZURE_FEDERATED_TOKEN_FILE",
          { ACR, QUAY("\"azure\":\"a\""), ACTOR("\"azure\":\"a\"") },
          { ECR, GCP, OAUTH(""), OWN, QUAY(GITHUB) } },
        { "AWS_WEB_IDENTITY_TOKEN_FILE",
          { ECR, GCP, QUAY("\"aws\":\"a\""), ACTOR("\"aws\":\"a\"") },
          { ACR, OAUTH(""), OWN, QUAY(GITHUB) } },
    };
    char directory[FILE_PATH_MAX];

    (void)state;
    (void)snprintf(directory, sizeof(directory), "%s/.kube", place);
    assert_int_equal(mkdir(directory, 0700), 0);
    check_rows(usual, UNIT_COUNT(usual), file_counts);
    check_rows(named, UNIT_COUNT(named), named_file_counts);
    for (size_t i = 0; i < UNIT_COUNT(members); i++) {
        assert_true(kubeconfig_counts(members[i], "kubeconfig"));
        assert_true(kubeconfig_counts(members[i], "token_file"));
        assert_false(kubeconfig_counts(members[i], "context"));
    }
}

static int set_up(void **state)
{
    (void)state;
    unit_make_directory(place);
    setenv("HOME", place, 1);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unit_remove_directory(place);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(variables_belong_to_kinds, set_up, tear_down),
        cmocka_unit_test_setup_teardown(files_belong_to_kinds, set_up, tear_down),
        cmocka_unit_test(pods_and_images_belong_to_kinds),
    };

    json_start();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
