/* SPDX-License-Identifier: Apache-2.0 */
/* What a workload's claims may choose, whose cached answer is whose, and what an answer is good
 * for. */
#include "cache-fixture.h"

#include "core/resolve.h"

static struct {
    enum pullkey_error_class verify;
    unsigned int opens, verifications, gets;
    const char *options; /* of the last open, until it was closed */
    char token[64];      /* of the workload of the last get */
    enum pullkey_scope scope;
    int64_t deadline_ms[4];         /* of each get */
    enum pullkey_error_class first; /* what fake-first answers */
} fake;

static int fake_open(const struct pullkey_host *host, const struct pullkey_instance *instance,
                     void **ret, struct pullkey_error *error)
{
    static char options[256];

    (void)host;
    (void)error;
    fake.opens++;
    (void)snprintf(options, sizeof(options), "%s", instance->options);
    fake.options = options;
    *ret = &fake;
    return 0;
}

static int yield(const struct pullkey_request *request, struct pullkey_credential *ret,
                 struct pullkey_error *error)
{
    const struct pullkey_workload *workload = request->workload;

    assert_true(fake.gets < UNIT_COUNT(fake.deadline_ms));
    fake.deadline_ms[fake.gets++] = request->deadline_ms;
    (void)snprintf(fake.token, sizeof(fake.token), "%s", workload ? workload->token.bytes : "");
    ret->username = secret_copy("robot", 5);
    ret->scope = fake.scope;
    return secret_set(&ret->secret, "secret", 6, error);
}

static int fake_get(void *state, const struct pullkey_request *request,
                    struct pullkey_credential *ret, struct pullkey_error *error)
{
    assert_ptr_equal(state, &fake);
    return yield(request, ret, error);
}

static int first_get(void *state, const struct pullkey_request *request,
                     struct pullkey_credential *ret, struct pullkey_error *error)
{
    (void)state;
    (void)ret;
    assert_true(fake.gets < UNIT_COUNT(fake.deadline_ms));
    fake.deadline_ms[fake.gets++] = request->deadline_ms;
    return error_set(error, fake.first, "the first one fails");
}

static int fake_verify(void *state, const struct pullkey_request *request,
                       struct pullkey_error *error)
{
    assert_ptr_equal(state, &fake);
    assert_non_null(request->workload);
    fake.verifications++;
    return fake.verify ? error_set(error, fake.verify, "the pod is another one's") : 0;
}

static void fake_close(void *state)
{
    (void)state;
}

#define BACKEND(variable, type, can, inputs, ask, check)                                           \
    static const struct pullkey_backend variable = {                                               \
        .module = { PULLKEY_ABI_MAJOR, PULLKEY_ABI_MINOR, sizeof(variable), PULLKEY_KIND_BACKEND,  \
                    type, PULLKEY_CAN_GET | (can), any_options, inputs },                          \
        .open = fake_open,                                                                         \
        .get = ask,                                                                                \
        .close = fake_close,                                                                       \
        .verify = check,                                                                           \
    }

static const struct pullkey_option any_options[] = {
    { "coalesce", PULLKEY_OPTION_NUMBER, false },
    { "server", PULLKEY_OPTION_STRING, false },
    { NULL, 0, false },
};

/* Core asks the one of this name to verify. */
BACKEND(kubernetes, "kubernetes", PULLKEY_COALESCES, INPUTS "workload\n", fake_get, fake_verify);
BACKEND(plain, "fake-plain", 0, NULL, fake_get, NULL);
BACKEND(first, "fake-first", 0, NULL, first_get, NULL);
BACKEND(shared_one, "fake-shared", PULLKEY_COALESCES, INPUTS, fake_get, NULL);
/* Its options say what its answers depend on. */
BACKEND(told, "fake-told", PULLKEY_COALESCES,
        INPUTS "for @server=pod\nworkload\nunless @server=image\nregistry\n", fake_get, NULL);

extern const struct pullkey_module *const module_builtin_table[];
const struct pullkey_module *const module_builtin_table[] = {
    &kubernetes.module, &plain.module, &first.module, &shared_one.module, &told.module, NULL
};

static struct config config;
static struct resolve resolve;
static struct registry_reference reference;
static char token[64];
static struct pullkey_workload workload;

static int begin(void **state)
{
    (void)set_up(state);
    json_start();
    memset(&fake, 0, sizeof(fake));
    (void)snprintf(token, sizeof(token), "one");
    workload = (struct pullkey_workload){
        .size = sizeof(workload),
        .token = { token, 3 },
        .namespace_name = "team-a",
        .service_account = "builder",
        .service_account_uid = "1-2-3",
        .pod = "pod-1",
        .pod_uid = "4-5-6",
        .node = "node-1",
        .node_uid = "",
        .annotations = "{}",
    };
    return 0;
}

static int end(void **state)
{
    config_done(&config);
    return tear_down(state);
}

static void refer(const char *text)
{
    struct pullkey_error error;

    assert_fine(registry_parse(text, strlen(text), &reference, &error), error);
}

static void use(const char *text)
{
    const struct config_source source = { .system_directory = "/nonexistent", .text = text };
    struct pullkey_error error = { 0 };

    config_done(&config);
    assert_fine(config_load(&source, &config, &error), error);
    refer("host.example/team/app");
    resolve = (struct resolve){
        .config = &config,
        .asker = { CONFIG_KUBELET, workload.namespace_name, workload.service_account },
        .deadline_ms = LONG_DEADLINE,
        .workload = &workload,
    };
}

static int resolve_one(enum pullkey_scope *ret_scope, struct pullkey_error *error)
{
    cleanup_credential struct pullkey_credential credential = { 0 };
    int r = resolve_get(&resolve, &reference, &credential, NULL, error);

    if (r == 0) {
        assert_string_equal(credential.secret.bytes, "secret");
        if (ret_scope)
            *ret_scope = credential.scope;
    }
    return r;
}

#define RULE(match, when, list)                                                                    \
    "{\"match\":" match ",\"when\":{\"caller\":\"kubelet\"" when "},\"use\":[" list "]}"
#define RULES(list) "{\"version\":1,\"rules\":[" list "]}"
#define NAMED ",\"namespace\":\"team-a\""
#define PLAIN "{\"type\":\"fake-plain\"}"
#define KUBERNETES "{\"type\":\"kubernetes\"}"

static void a_rule_by_namespace_is_verified(void **state)
{
    static const char *const narrow[] = { NAMED, NAMED ",\"service_account\":\"builder\"" };
    char text[512];
    struct pullkey_error error;

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(narrow); i++) {
        (void)snprintf(text, sizeof(text), RULES(RULE("\"**\"", "%s", PLAIN)), narrow[i]);
        use(text);
        fake.verify = PULLKEY_OK;
        assert_fine(resolve_one(NULL, &error), error);
        assert_int_equal(fake.verifications, 2 * i + 1);
        assert_int_equal(fake.gets, i + 1);
        fake.verify = PULLKEY_DENIED;
        assert_refused(resolve_one(NULL, &error), PULLKEY_DENIED, "the workload is not verified",
                       error);
        assert_int_equal(fake.gets, i + 1);
    }
    /* A pod that is not there is no missing credential. */
    fake.verify = PULLKEY_NOT_FOUND;
    assert_refused(resolve_one(NULL, &error), PULLKEY_DENIED, "the pod is another one's", error);
    fake.verify = PULLKEY_UNREACHABLE;
    assert_refused(resolve_one(NULL, &error), PULLKEY_UNREACHABLE, "the pod is another one's",
                   error);
    use(RULES(RULE("\"**\"", "", PLAIN)));
    assert_fine(resolve_one(NULL, &error), error);
    assert_int_equal(fake.verifications, 6);
}

static void who_verifies(void **state)
{
    struct pullkey_error error;

    (void)state;
    use(RULES(RULE("\"**\"", NAMED, "{\"type\":\"fake-plain\",\"server\":\"x\"}")));
    fake.verify = PULLKEY_DENIED;
    assert_int_equal(resolve_one(NULL, &error), -PULLKEY_DENIED);
    assert_string_equal(fake.options, "{\"kubeconfig\":\"auto\",\"pod_secrets\":true}");
    use("{\"version\":1,\"backends\":{\"cluster\":{\"type\":\"kubernetes\",\"server\":\"there\"}},"
        "\"kubelet\":{\"verify\":\"cluster\"},"
        "\"rules\":[" RULE("\"**\"", NAMED, PLAIN) "]}");
    assert_int_equal(resolve_one(NULL, &error), -PULLKEY_DENIED);
    assert_string_equal(fake.options, "{\"server\":\"there\"}");
    /* Not one that cannot. */
    use(RULES(RULE("\"**\"", NAMED, PLAIN)));
    resolve.workload = NULL;
    assert_refused(resolve_one(NULL, &error), PULLKEY_DENIED, "tokenAttributes", error);
    assert_int_equal(fake.gets, 0);
}

/* What was verified for one token is nothing to another, however alike they look. */
static void a_cached_answer_is_one_tokens(void **state)
{
    struct pullkey_error error;

    (void)state;
    use(RULES(RULE("\"**\"", NAMED, "{\"type\":\"fake-shared\"}")));
    assert_fine(resolve_one(NULL, &error), error);
    assert_fine(resolve_one(NULL, &error), error);
    assert_int_equal(fake.verifications, 1);
    assert_int_equal(fake.gets, 1);
    fake.verify = PULLKEY_DENIED;
    token[0] = 'O';
    assert_int_equal(resolve_one(NULL, &error), -PULLKEY_DENIED);
    token[0] = 'o';
    workload.pod_uid = "4-5-7";
    assert_int_equal(resolve_one(NULL, &error), -PULLKEY_DENIED);
    workload.pod_uid = "4-5-6";
    workload.annotations = "{\"role\":\"admin\"}";
    assert_int_equal(resolve_one(NULL, &error), -PULLKEY_DENIED);
    workload.annotations = "{}";
    assert_fine(resolve_one(NULL, &error), error);
    assert_int_equal(fake.gets, 1);
    now += 5;
    assert_int_equal(resolve_one(NULL, &error), -PULLKEY_DENIED);
}

/* Where neither the rule nor the module looks at the token, all share one answer. */
static void a_cached_answer_is_everybodys(void **state)
{
    struct pullkey_error error;

    (void)state;
    use(RULES(RULE("\"**\"", "", "{\"type\":\"fake-shared\"}")));
    assert_fine(resolve_one(NULL, &error), error);
    token[0] = 'O';
    assert_fine(resolve_one(NULL, &error), error);
    assert_int_equal(fake.gets, 1);
    use(RULES(RULE("\"**\"", "", KUBERNETES)));
    assert_fine(resolve_one(NULL, &error), error);
    assert_string_equal(fake.token, "One");
    token[0] = 'o';
    assert_fine(resolve_one(NULL, &error), error);
    assert_string_equal(fake.token, "one");
    assert_int_equal(fake.gets, 3);
}

#define TOLD(server) "{\"type\":\"fake-told\",\"server\":\"" server "\"}"

/* How often the backend is asked for two images, each for two tokens. */
static unsigned int count_gets(const char *rules)
{
    static const char *const images[] = { "host.example/team/app", "host.example/b" };
    struct pullkey_error error;
    enum pullkey_scope scope;

    use(rules);
    fake.gets = fake.verifications = 0;
    fake.scope = PULLKEY_SCOPE_REGISTRY;
    for (size_t i = 0; i < 2 * UNIT_COUNT(images); i++) {
        refer(images[i / 2]);
        token[0] = i % 2 ? 'O' : 'o';
        assert_fine(resolve_one(&scope, &error), error);
        assert_int_equal(scope, config_divides_registry(&config, &reference, &resolve.asker)
                                    ? PULLKEY_SCOPE_IMAGE
                                    : PULLKEY_SCOPE_REGISTRY);
    }
    now += 60; /* what is kept is over */
    return fake.gets;
}

static void an_instance_says_whose_its_answers_are(void **state)
{
    (void)state;
    assert_int_equal(count_gets(RULES(RULE("\"**\"", "", TOLD("all")))), 1);
    assert_int_equal(count_gets(RULES(RULE("\"**\"", "", TOLD("pod")))), 2);
    assert_int_equal(count_gets(RULES(RULE("\"**\"", "", TOLD("image")))), 2);
    assert_int_equal(count_gets(RULES(RULE("\"**\"", "", KUBERNETES))), 4);
    assert_int_equal(count_gets(RULES(RULE("\"**\"", "", "{\"type\":\"fake-shared\"}"))), 2);
    /* What a rule has verified is one token's, whatever the instance says. */
    assert_int_equal(count_gets(RULES(RULE("\"**\"", NAMED, TOLD("all")))), 2);
    assert_int_equal(fake.verifications, 2);
}

/* Two rules divide a registry. */
static void a_rule_for_a_path_keeps_its_answers(void **state)
{
    struct pullkey_error error;

    (void)state;
    assert_int_equal(count_gets(RULES(RULE("\"host.example/b\"", "",
                                           TOLD("all")) "," RULE("\"**\"", "", TOLD("others")))),
                     2);
    /* One that asks the same is asked once. */
    assert_int_equal(count_gets(RULES(RULE("\"host.example/b\"", "",
                                           TOLD("all")) "," RULE("\"**\"", "", TOLD("all")))),
                     1);
    /* Unless somebody has to be verified first: who is refused for one path has nothing of
     * another's. */
    use(RULES(RULE("\"host.example/b\"", NAMED, TOLD("all")) "," RULE("\"**\"", "", TOLD("all"))));
    assert_fine(resolve_one(NULL, &error), error);
    refer("host.example/b");
    fake.verify = PULLKEY_DENIED;
    assert_refused(resolve_one(NULL, &error), PULLKEY_DENIED, "not verified", error);
}

static void coalescing_is_an_option(void **state)
{
    struct pullkey_error error;

    (void)state;
    use(RULES(RULE("\"**\"", "", "{\"type\":\"fake-shared\",\"coalesce\":0}")));
    assert_fine(resolve_one(NULL, &error), error);
    assert_fine(resolve_one(NULL, &error), error);
    assert_int_equal(fake.gets, 2);
    use(RULES(RULE("\"**\"", "", "{\"type\":\"fake-shared\",\"coalesce\":9}")));
    assert_fine(resolve_one(NULL, &error), error);
    now += 8;
    assert_fine(resolve_one(NULL, &error), error);
    assert_int_equal(fake.gets, 3);
    now++;
    assert_fine(resolve_one(NULL, &error), error);
    assert_int_equal(fake.gets, 4);
}

static void what_an_answer_is_good_for(void **state)
{
    static const struct {
        const char *rules;
        enum pullkey_scope said, expected;
    } cases[] = {
        { RULE("\"host.example\"", "", PLAIN), PULLKEY_SCOPE_REGISTRY, PULLKEY_SCOPE_REGISTRY },
        { RULE("\"**\"", "", PLAIN), PULLKEY_SCOPE_REGISTRY, PULLKEY_SCOPE_REGISTRY },
        { RULE("\"host.example\"", "", PLAIN), PULLKEY_SCOPE_IMAGE, PULLKEY_SCOPE_IMAGE },
        { RULE("\"host.example\"", "", PLAIN), PULLKEY_SCOPE_UNKNOWN, PULLKEY_SCOPE_UNKNOWN },
        { RULE("\"host.example/team\"", "", PLAIN), PULLKEY_SCOPE_REGISTRY, PULLKEY_SCOPE_IMAGE },
        /* Another path is another rule's, whoever that one is for. */
        { RULE("\"host.example\"", "", PLAIN) "," RULE("\"*.example/b\"", "", PLAIN),
          PULLKEY_SCOPE_REGISTRY, PULLKEY_SCOPE_IMAGE },
        { RULE("\"host.example\"", "", PLAIN) "," RULE("[\"other.example\",\"host.example/b\"]",
                                                       ",\"namespace\":\"b\"", PLAIN),
          PULLKEY_SCOPE_REGISTRY, PULLKEY_SCOPE_IMAGE },
        { RULE("\"host.example\"", "", PLAIN) "," RULE("\"other.example/b\"", "", PLAIN),
          PULLKEY_SCOPE_REGISTRY, PULLKEY_SCOPE_REGISTRY },
        { RULE("\"host.example\"", "", PLAIN) "," RULE("\"host.example:5000/b\"", "", PLAIN),
          PULLKEY_SCOPE_REGISTRY, PULLKEY_SCOPE_REGISTRY },
        { RULE("\"host.example\"", "", PLAIN) ",{\"match\":\"host.example/b\",\"use\":[\"file\"]}",
          PULLKEY_SCOPE_REGISTRY, PULLKEY_SCOPE_REGISTRY },
        /* What has none for this path may have one for another. */
        { RULE("\"host.example\"", "", "{\"type\":\"fake-first\"}," PLAIN), PULLKEY_SCOPE_REGISTRY,
          PULLKEY_SCOPE_IMAGE },
    };
    char text[1024];

    (void)state;
    fake.first = PULLKEY_NOT_FOUND;
    for (size_t i = 0; i < UNIT_COUNT(cases); i++) {
        struct pullkey_error error;
        enum pullkey_scope scope;

        (void)snprintf(text, sizeof(text), RULES("%s"), cases[i].rules);
        use(text);
        fake.gets = 0;
        fake.scope = cases[i].said;
        assert_fine(resolve_one(&scope, &error), error);
        if (scope != cases[i].expected)
            fail_msg("case %zu: %d", i, (int)scope);
    }
}

/* One that may fail leaves time for the next one; one that may not has it all. */
static void shares_of_the_time(void **state)
{
    struct pullkey_error error;
    int64_t start;

    (void)state;
    fake.first = PULLKEY_UNREACHABLE;
    use(RULES(RULE("\"**\"", "",
                   "{\"type\":\"fake-first\",\"on_error\":\"next\"},"
                   "{\"type\":\"fake-first\",\"on_error\":\"next\"}," PLAIN)));
    start = clock_monotonic_ms();
    resolve.deadline_ms = start + 30000;
    assert_fine(resolve_one(NULL, &error), error);
    assert_int_equal(fake.gets, 3);
    assert_in_range(fake.deadline_ms[0], start + 9000, start + 11000);
    assert_in_range(fake.deadline_ms[1], start + 14000, start + 16000);
    assert_int_equal(fake.deadline_ms[2], resolve.deadline_ms);
    fake.gets = 0;
    fake.first = PULLKEY_NO_IDENTITY;
    use(RULES(RULE("\"**\"", "", "{\"type\":\"fake-first\",\"optional\":true}," PLAIN)));
    resolve.deadline_ms = start + 30000;
    assert_fine(resolve_one(NULL, &error), error);
    assert_int_equal(fake.gets, 2);
    assert_in_range(fake.deadline_ms[0], start + 14000, start + 16000);
    assert_int_equal(fake.deadline_ms[1], resolve.deadline_ms);
    fake.gets = 0;
    fake.first = PULLKEY_UNREACHABLE;
    use(RULES(RULE("\"**\"", "", "{\"type\":\"fake-first\"}," PLAIN)));
    assert_int_equal(resolve_one(NULL, &error), -PULLKEY_UNREACHABLE);
    assert_int_equal(fake.deadline_ms[0], resolve.deadline_ms);
}

#define WORKLOAD_TEST(function) cmocka_unit_test_setup_teardown(function, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORKLOAD_TEST(a_rule_by_namespace_is_verified),
        WORKLOAD_TEST(who_verifies),
        WORKLOAD_TEST(a_cached_answer_is_one_tokens),
        WORKLOAD_TEST(a_cached_answer_is_everybodys),
        WORKLOAD_TEST(an_instance_says_whose_its_answers_are),
        WORKLOAD_TEST(a_rule_for_a_path_keeps_its_answers),
        WORKLOAD_TEST(coalescing_is_an_option),
        WORKLOAD_TEST(what_an_answer_is_good_for),
        WORKLOAD_TEST(shares_of_the_time),
    };

    return cmocka_run_group_tests_name("resolve-workload", tests, NULL, NULL);
}
