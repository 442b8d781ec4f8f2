/* SPDX-License-Identifier: Apache-2.0 */
/* The env backend with two variables; DOCKER_AUTH_CONFIG and what all share is in tests/contract. */
#include "unit.h"

#include "base/clock.h"
#include "base/json.h"
#include "core/credential.h"
#include "core/module.h"
#include "core/registry.h"

#define PATIENCE_MS 20000
#define REGISTRY "registry.example.com"
#define PAIR "{\"username\":\"TEST_USER\",\"password\":\"TEST_PASSWORD\"}"
/* Holds registry.example.com, of bob. */
#define AUTH_CONFIG "{\"auths\":{\"" REGISTRY "\":{\"auth\":\"Ym9iOm90aGVy\"}}}"

extern const struct pullkey_backend env_backend;

enum verb { GET, STORE, ERASE, LIST };

static struct pullkey_credential found;
static struct pullkey_list listed;

static int set_up(void **state)
{
    (void)state;
    assert_int_equal(setenv("TEST_USER", "alice", 1), 0);
    assert_int_equal(setenv("TEST_PASSWORD", "s3cret", 1), 0);
    assert_int_equal(unsetenv("DOCKER_AUTH_CONFIG"), 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    credential_done(&found);
    list_done(&listed);
    return 0;
}

/* Opens an instance, does one thing, closes it; the answer is in `found` or `listed`. */
static int run(const char *options, enum verb verb, const char *server, struct pullkey_error *error)
{
    const struct pullkey_instance instance = { .size = sizeof(instance),
                                               .name = "env",
                                               .options = options };
    char username[] = "new", secret[] = "new-s3cret";
    const struct pullkey_credential stored = { .username = username,
                                               .secret = { secret, strlen(secret) } };
    struct registry_reference reference;
    struct registry_request request;
    void *state;
    int r;

    credential_done(&found);
    list_done(&listed);
    assert_fine(registry_parse(server, strlen(server), &reference, error), *error);
    registry_request(&reference, clock_monotonic_ms() + PATIENCE_MS, &request);
    r = env_backend.open(&module_host, &instance, &state, error);
    if (r < 0)
        return r;
    if (verb == GET)
        r = env_backend.get(state, &request.request, &found, error);
    else if (verb == STORE)
        r = env_backend.store(state, &request.request, &stored, error);
    else if (verb == ERASE)
        r = env_backend.erase(state, &request.request, error);
    else
        r = env_backend.list(state, request.request.deadline_ms, &listed, error);
    env_backend.close(state);
    return r;
}

static void expect(const char *server, const char *username, const char *secret,
                   enum pullkey_credential_kind kind)
{
    struct pullkey_error error;

    assert_fine(run(PAIR, GET, server, &error), error);
    assert_string_equal(found.username, username);
    assert_string_equal(found.secret.bytes, secret);
    assert_int_equal(found.secret.length, strlen(secret));
    assert_int_equal(found.kind, kind);
    assert_int_equal(found.expiry, 0);
}

static void refuse(const char *options, enum verb verb, enum pullkey_error_class code,
                   const char *part)
{
    struct pullkey_error error = { 0 };

    assert_refused(run(options, verb, REGISTRY, &error), code, part, error);
    assert_null(strstr(error.message, "s3cret"));
    assert_null(strchr(error.message, '\n'));
    assert_null(found.username);
    assert_null(found.secret.bytes);
}

/* Its rule has chosen the registry. */
static void the_pair_serves_every_registry(void **state)
{
    (void)state;
    expect(REGISTRY, "alice", "s3cret", PULLKEY_PASSWORD);
    expect("docker.io", "alice", "s3cret", PULLKEY_PASSWORD);
    expect("http://other.example.com:5000/team/app", "alice", "s3cret", PULLKEY_PASSWORD);
}

static void values_are_taken_as_they_are(void **state)
{
    static const char *const values[] = { " ", "a:b", "\"quoted\" \\n", "line\nend",
                                          "J\xc3\xbcrgen", "$HOME" };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(values); i++) {
        assert_int_equal(setenv("TEST_USER", values[i], 1), 0);
        assert_int_equal(setenv("TEST_PASSWORD", values[i], 1), 0);
        expect(REGISTRY, values[i], values[i], PULLKEY_PASSWORD);
    }
}

static void a_token_user_is_an_identity_token(void **state)
{
    (void)state;
    assert_int_equal(setenv("TEST_USER", "<token>", 1), 0);
    expect(REGISTRY, "<token>", "s3cret", PULLKEY_IDENTITY_TOKEN);
    assert_int_equal(setenv("TEST_USER", "<Token>", 1), 0);
    expect(REGISTRY, "<Token>", "s3cret", PULLKEY_PASSWORD);
}

static void what_is_not_set_or_empty_is_no_credential(void **state)
{
    static const char *const names[] = { "TEST_USER", "TEST_PASSWORD" };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(names); i++) {
        assert_int_equal(setenv(names[i], "", 1), 0);
        refuse(PAIR, GET, PULLKEY_NOT_FOUND, names[i]);
        assert_int_equal(unsetenv(names[i]), 0);
        refuse(PAIR, GET, PULLKEY_NOT_FOUND, names[i]);
        assert_int_equal(set_up(state), 0);
    }
    assert_int_equal(unsetenv("TEST_USER"), 0);
    assert_int_equal(unsetenv("TEST_PASSWORD"), 0);
    refuse(PAIR, GET, PULLKEY_NOT_FOUND, "TEST_USER");
}

/* An instance reads what it names and nothing else. */
static void the_two_forms_do_not_mix(void **state)
{
    struct pullkey_error error;

    (void)state;
    assert_int_equal(setenv("DOCKER_AUTH_CONFIG", AUTH_CONFIG, 1), 0);
    expect(REGISTRY, "alice", "s3cret", PULLKEY_PASSWORD);
    assert_fine(run("{}", GET, REGISTRY, &error), error);
    assert_string_equal(found.username, "bob");
    assert_int_equal(unsetenv("TEST_USER"), 0);
    refuse(PAIR, GET, PULLKEY_NOT_FOUND, "TEST_USER");
    assert_fine(run(PAIR, LIST, REGISTRY, &error), error);
    assert_int_equal(listed.count, 0);
    assert_int_equal(set_up(state), 0);
    refuse("{}", GET, PULLKEY_NOT_FOUND, "DOCKER_AUTH_CONFIG");
}

static void there_is_no_key_to_list(void **state)
{
    struct pullkey_error error;

    (void)state;
    assert_fine(run(PAIR, LIST, REGISTRY, &error), error);
    assert_int_equal(listed.count, 0);
    assert_fine(run("{}", LIST, REGISTRY, &error), error);
    assert_int_equal(listed.count, 0);
    assert_int_equal(setenv("DOCKER_AUTH_CONFIG", AUTH_CONFIG, 1), 0);
    assert_fine(run("{}", LIST, REGISTRY, &error), error);
    assert_int_equal(listed.count, 1);
    assert_string_equal(listed.entries[0].server, REGISTRY);
    assert_string_equal(listed.entries[0].username, "bob");
}

static void it_is_only_read(void **state)
{
    (void)state;
    assert_false(env_backend.module.capabilities & PULLKEY_CAN_STORE);
    refuse(PAIR, STORE, PULLKEY_UNSUPPORTED, "only be read");
    refuse(PAIR, ERASE, PULLKEY_UNSUPPORTED, "only be read");
    refuse("{}", STORE, PULLKEY_UNSUPPORTED, "only be read");
    refuse("{}", ERASE, PULLKEY_UNSUPPORTED, "only be read");
    assert_string_equal(getenv("TEST_USER"), "alice");
    assert_string_equal(getenv("TEST_PASSWORD"), "s3cret");
    expect(REGISTRY, "alice", "s3cret", PULLKEY_PASSWORD);
}

static void options_that_say_nonsense_are_refused(void **state)
{
    static const struct {
        const char *options;
        const char *part;
    } cases[] = {
        { "{\"username\":\"TEST_USER\"}", "go together" },
        { "{\"password\":\"TEST_PASSWORD\"}", "go together" },
        { "{\"username\":\"\",\"password\":\"TEST_PASSWORD\"}", "\"username\"" },
        { "{\"username\":\"TEST_USER\",\"password\":\"\"}", "\"password\"" },
        { "{\"username\":\"TEST_USER=x\",\"password\":\"TEST_PASSWORD\"}", "\"username\"" },
        { "{\"username\":\"TEST_USER\",\"password\":\"=\"}", "\"password\"" },
        { "{\"username\":7,\"password\":\"TEST_PASSWORD\"}", "\"username\"" },
        { "{\"username\":\"TEST_USER\",\"password\":null}", "\"password\"" },
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(cases); i++)
        refuse(cases[i].options, GET, PULLKEY_INVALID, cases[i].part);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_pair_serves_every_registry),
        TEST(values_are_taken_as_they_are),
        TEST(a_token_user_is_an_identity_token),
        TEST(what_is_not_set_or_empty_is_no_credential),
        TEST(the_two_forms_do_not_mix),
        TEST(there_is_no_key_to_list),
        TEST(it_is_only_read),
        TEST(options_that_say_nonsense_are_refused),
    };

    json_start();
    return cmocka_run_group_tests_name("env", tests, NULL, NULL);
}
