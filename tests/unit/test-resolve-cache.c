/* SPDX-License-Identifier: Apache-2.0 */
/* Resolution through the cache, over a backend whose tokens expire and one that can be written to. */
#include "cache-fixture.h"

#include "core/hash.h"
#include "core/resolve.h"

static struct {
    enum pullkey_error_class get;
    int64_t life; /* seconds; 0: no expiry */
    const char *secret;
    unsigned int opens, gets;
    int64_t deadline_ms; /* of the last get */
} token;

static struct {
    enum pullkey_error_class store, erase;
    unsigned int stores, erases;
} keeper;

static int answer(enum pullkey_error_class class, struct pullkey_error *error)
{
    return class == PULLKEY_OK ? 0 : error_set(error, class, "the fake says %s", error_class_name(class));
}

static int token_open(const struct pullkey_host *host, const struct pullkey_instance *instance,
                      void **ret, struct pullkey_error *error)
{
    (void)host;
    (void)instance;
    (void)error;
    token.opens++;
    *ret = &token;
    return 0;
}

static int token_get(void *state, const struct pullkey_request *request,
                     struct pullkey_credential *ret, struct pullkey_error *error)
{
    assert_ptr_equal(state, &token);
    token.gets++;
    token.deadline_ms = request->deadline_ms;
    if (token.get != PULLKEY_OK)
        return answer(token.get, error);
    ret->username = secret_copy("robot", 5);
    ret->expiry = token.life ? now + token.life : 0;
    return secret_set(&ret->secret, token.secret, strlen(token.secret), error);
}

static int keeper_open(const struct pullkey_host *host, const struct pullkey_instance *instance,
                       void **ret, struct pullkey_error *error)
{
    (void)host;
    (void)instance;
    (void)error;
    *ret = &keeper;
    return 0;
}

static int keeper_get(void *state, const struct pullkey_request *request,
                      struct pullkey_credential *ret, struct pullkey_error *error)
{
    (void)state;
    (void)request;
    (void)ret;
    return answer(PULLKEY_NOT_FOUND, error);
}

static int keeper_store(void *state, const struct pullkey_request *request,
                        const struct pullkey_credential *credential, struct pullkey_error *error)
{
    (void)state;
    (void)request;
    (void)credential;
    keeper.stores++;
    return answer(keeper.store, error);
}

static int keeper_erase(void *state, const struct pullkey_request *request,
                        struct pullkey_error *error)
{
    (void)state;
    (void)request;
    keeper.erases++;
    return answer(keeper.erase, error);
}

static void close_nothing(void *state)
{
    (void)state;
}

static const struct pullkey_option token_options[] = {
    { "profile", PULLKEY_OPTION_STRING, false },
    { NULL, 0, false },
};

#define TOKEN_BACKEND(variable, type, can, inputs)                                                 \
    static const struct pullkey_backend variable = {                                               \
        .module = { PULLKEY_ABI_MAJOR, PULLKEY_ABI_MINOR, sizeof(variable), PULLKEY_KIND_BACKEND,  \
                    type, can, token_options, inputs },                                            \
        .open = token_open,                                                                        \
        .get = token_get,                                                                          \
        .close = close_nothing,                                                                    \
    }
TOKEN_BACKEND(token_backend, "fake-token", PULLKEY_CAN_GET | PULLKEY_EXPIRES, INPUTS);
TOKEN_BACKEND(uncached_backend, "fake-uncached", PULLKEY_CAN_GET | PULLKEY_EXPIRES, NULL);
TOKEN_BACKEND(lasting_backend, "fake-lasting", PULLKEY_CAN_GET, INPUTS);

static const struct pullkey_backend keeper_backend = {
    .module = { PULLKEY_ABI_MAJOR, PULLKEY_ABI_MINOR, sizeof(keeper_backend), PULLKEY_KIND_BACKEND,
                "fake-keeper", PULLKEY_CAN_GET | PULLKEY_CAN_STORE, NULL, NULL },
    .open = keeper_open,
    .get = keeper_get,
    .store = keeper_store,
    .erase = keeper_erase,
    .close = close_nothing,
};

extern const struct pullkey_module *const module_builtin_table[];
const struct pullkey_module *const module_builtin_table[] = { &token_backend.module,
                                                              &uncached_backend.module,
                                                              &lasting_backend.module,
                                                              &keeper_backend.module, NULL };

static struct config config;
static struct resolve resolve;
static struct registry_reference reference;

static void refer(const char *server)
{
    struct pullkey_error error;

    assert_fine(registry_parse(server, strlen(server), &reference, &error), error);
}

static void use(const char *text)
{
    const struct config_source source = { .system_directory = "/nonexistent", .text = text };
    struct pullkey_error error = { 0 };

    config_done(&config);
    assert_fine(config_load(&source, &config, &error), error);
    refer("host.example");
    resolve = (struct resolve){
        .config = &config,
        .asker = { .caller = CONFIG_DOCKER },
        .deadline_ms = LONG_DEADLINE,
    };
}

#define CHAIN(list) "{\"version\":1,\"rules\":[{\"match\":\"**\",\"use\":[" list "]}]}"
#define TOKEN "{\"type\":\"fake-token\"}"
#define KEEPER "{\"type\":\"fake-keeper\"}"

static int begin(void **state)
{
    (void)set_up(state);
    json_start();
    memset(&token, 0, sizeof(token));
    token.life = 3600;
    token.secret = "first";
    memset(&keeper, 0, sizeof(keeper));
    keeper.erase = PULLKEY_NOT_FOUND;
    return 0;
}

static int end(void **state)
{
    config_done(&config);
    return tear_down(state);
}

static void expect(const char *secret)
{
    cleanup_credential struct pullkey_credential credential = { 0 };
    char source[RESOLVE_SOURCE_MAX];
    struct pullkey_error error;

    assert_fine(resolve_get(&resolve, &reference, &credential, source, &error), error);
    assert_string_equal(credential.username, "robot");
    assert_string_equal(credential.secret.bytes, secret);
    assert_string_equal(source, config.rules[0].chain[0].name);
}

static int store(struct pullkey_error *error)
{
    char username[] = "user", secret[] = "stored";
    const struct pullkey_credential credential = { .username = username,
                                                   .secret = { secret, strlen(secret) } };

    return resolve_store(&resolve, &reference, &credential, NULL, error);
}

/* Has a token of this registry and of another in the cache, and a new one waiting at the backend. */
static void fill(void)
{
    refer("other.example");
    expect("first");
    refer("host.example/team");
    expect("first");
    refer("host.example");
    expect("first");
    assert_int_equal(token.gets, 3);
    token.secret = "second";
}

static void a_hit_does_not_call_the_backend(void **state)
{
    (void)state;
    use(CHAIN(TOKEN "," KEEPER));
    expect("first");
    assert_int_equal(token.gets, 1);
    assert_int_equal(token.deadline_ms, resolve.deadline_ms);
    token.secret = "second";
    expect("first");
    refer("https://host.example/v2/");
    expect("first");
    assert_int_equal(token.gets, 1);
    assert_int_equal(token.opens, 1);
    /* Until it is about to expire. */
    now += token.life;
    expect("second");
    assert_int_equal(token.gets, 2);
}

static void what_the_key_is_made_of(void **state)
{
    (void)state;
    use(CHAIN(TOKEN));
    fill();
    setenv("UNIT_IDENTITY", "somebody else", 1);
    expect("second");
    assert_int_equal(token.gets, 4);
    use(CHAIN("{\"type\":\"fake-token\",\"profile\":\"ci\"}"));
    expect("second");
    assert_int_equal(token.gets, 5);
    use("{\"version\":1,\"backends\":{\"named\":" TOKEN "},"
        "\"rules\":[{\"match\":\"**\",\"use\":[\"named\"]}]}");
    expect("second");
    assert_int_equal(token.gets, 6);
    expect("second");
    assert_int_equal(token.gets, 6);
}

static void what_is_not_kept(void **state)
{
    static const char *const texts[] = { CHAIN("{\"type\":\"fake-uncached\"}"),
                                         CHAIN("{\"type\":\"fake-lasting\"}") };
    unsigned int calls = 0;

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(texts); i++) {
        use(texts[i]);
        for (unsigned int k = 0; k < 2; k++) {
            expect("first");
            assert_int_equal(token.gets, ++calls);
        }
    }
    assert_int_not_equal(access(directory, F_OK), 0);
    /* Without an expiry, or without a place. */
    use(CHAIN(TOKEN));
    token.life = 0;
    expect("first");
    expect("first");
    assert_int_equal(token.gets, calls + 2);
    token.life = 3600;
    setenv("PULLKEY_CACHE_DIR", "relative", 1);
    expect("first");
    expect("first");
    assert_int_equal(token.gets, calls + 4);
}

/* A credential that was looked for in vain is looked for again soon, and not at once. */
static void a_miss_is_remembered_for_a_while(void **state)
{
    struct pullkey_credential credential = { 0 };
    struct pullkey_error error;

    (void)state;
    use(CHAIN(TOKEN));
    token.get = PULLKEY_NOT_FOUND;
    assert_refused(resolve_get(&resolve, &reference, &credential, NULL, &error), PULLKEY_NOT_FOUND,
                   "host.example", error);
    assert_int_equal(resolve_get(&resolve, &reference, &credential, NULL, &error),
                     -PULLKEY_NOT_FOUND);
    assert_int_equal(token.gets, 1);
    token.get = PULLKEY_OK;
    now += CACHE_MISS_SECONDS;
    expect("first");
    /* Other failures are everybody's own, and have the instance's name. */
    refer("other.example");
    token.get = PULLKEY_DENIED;
    assert_refused(resolve_get(&resolve, &reference, &credential, NULL, &error), PULLKEY_DENIED,
                   "fake-token: the fake says", error);
    token.get = PULLKEY_OK;
    expect("first");
    assert_null(credential.username);
}

/* After the operation: the registry's tokens are asked for anew, of every path, and no other one's. */
static void expect_dropped(void)
{
    refer("other.example");
    expect("first");
    assert_int_equal(token.gets, 3);
    refer("host.example");
    expect("second");
    refer("host.example/team");
    expect("second");
    assert_int_equal(token.gets, 5);
}

static void erase_drops(void **state)
{
    struct pullkey_error error;

    (void)state;
    use(CHAIN(TOKEN "," KEEPER));
    fill();
    /* Nothing was stored, so nothing was erased; what was derived goes all the same. */
    assert_refused(resolve_erase(&resolve, &reference, &error), PULLKEY_NOT_FOUND, "host.example",
                   error);
    assert_int_equal(keeper.erases, 1);
    expect_dropped();
}

static void erase_drops_where_something_was_erased(void **state)
{
    struct pullkey_error error;

    (void)state;
    use(CHAIN(TOKEN "," KEEPER));
    fill();
    keeper.erase = PULLKEY_OK;
    assert_fine(resolve_erase(&resolve, &reference, &error), error);
    expect_dropped();
}

/* A store that cannot be opened for a moment is no reason to serve what may be wrong. */
static void erase_drops_where_erasing_fails(void **state)
{
    struct pullkey_error error;

    (void)state;
    use(CHAIN(TOKEN "," KEEPER));
    fill();
    keeper.erase = PULLKEY_LOCKED;
    assert_refused(resolve_erase(&resolve, &reference, &error), PULLKEY_LOCKED,
                   "fake-keeper: the credential may still be there", error);
    expect_dropped();
}

static void store_drops(void **state)
{
    struct pullkey_error error;

    (void)state;
    use(CHAIN(TOKEN "," KEEPER));
    fill();
    assert_fine(store(&error), error);
    assert_int_equal(keeper.stores, 1);
    expect_dropped();
}

/* What derives tokens may stand anywhere in the chain. */
static void store_drops_behind_the_store(void **state)
{
    struct pullkey_error error;

    (void)state;
    use(CHAIN(TOKEN "," KEEPER));
    fill();
    use(CHAIN(KEEPER "," TOKEN));
    assert_fine(store(&error), error);
    use(CHAIN(TOKEN "," KEEPER));
    expect_dropped();
}

/* A name of that registry that cannot be removed as a file is. */
static void a_token_that_may_stay_is_an_error(void **state)
{
    char hash[HASH_TEXT_SIZE], name[HASH_TEXT_SIZE + 8], path[FILE_PATH_MAX];
    struct pullkey_error error;

    (void)state;
    use(CHAIN(TOKEN "," KEEPER));
    fill();
    hash_text("host.example", strlen("host.example"), hash);
    (void)snprintf(name, sizeof(name), "%s-stuck", hash);
    assert_fine(file_join(path, directory, name, &error), error);
    assert_int_equal(mkdir(path, 0700), 0);
    keeper.erase = PULLKEY_OK;
    assert_true(resolve_erase(&resolve, &reference, &error) < 0);
    assert_int_not_equal(error.code, PULLKEY_NOT_FOUND);
    assert_non_null(strstr(error.message, name));
    assert_true(store(&error) < 0);
    assert_non_null(strstr(error.message, name));
    assert_int_equal(keeper.stores, 1);
    /* What could be dropped was. */
    expect_dropped();
}

#define RESOLVE_TEST(function) cmocka_unit_test_setup_teardown(function, begin, end)

static char seen[256];

static void see(void *context, const struct resolve_answer *answer)
{
    static const char *const caches[] = { "uncached", "cached", "miss" };
    const size_t used = strlen(seen);

    assert_ptr_equal(context, seen);
    assert_true((answer->result == 0) == (answer->credential != NULL));
    assert_true((answer->result < 0) == (answer->error != NULL));
    assert_true(answer->took_ms >= 0);
    (void)snprintf(seen + used, sizeof(seen) - used, "%s %s %s%s;", answer->instance->name,
                   caches[answer->cache], error_class_name((enum pullkey_error_class)-answer->result),
                   answer->is_forgiven ? " forgiven" : "");
}

static void expect_seen(const char *text)
{
    cleanup_credential struct pullkey_credential credential = { 0 };
    struct pullkey_error ignored;

    seen[0] = '\0';
    resolve.watch = see;
    resolve.watch_context = seen;
    (void)resolve_get(&resolve, &reference, &credential, NULL, &ignored);
    assert_string_equal(seen, text);
}

static void who_watches_is_told(void **state)
{
    (void)state;
    use(CHAIN("{\"type\":\"fake-uncached\"}"));
    expect_seen("fake-uncached uncached ok;");
    use(CHAIN(KEEPER "," TOKEN));
    expect_seen("fake-keeper uncached not found forgiven;fake-token miss ok;");
    expect_seen("fake-keeper uncached not found forgiven;fake-token cached ok;");
    use(CHAIN("{\"type\":\"fake-token\",\"on_error\":\"next\"}," KEEPER));
    refer("denied.example");
    token.get = PULLKEY_DENIED;
    expect_seen("fake-token miss denied forgiven;fake-keeper uncached not found forgiven;");
    use(CHAIN(TOKEN "," KEEPER));
    refer("denied.example");
    expect_seen("fake-token miss denied;");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RESOLVE_TEST(who_watches_is_told),
        RESOLVE_TEST(a_hit_does_not_call_the_backend),
        RESOLVE_TEST(what_the_key_is_made_of),
        RESOLVE_TEST(what_is_not_kept),
        RESOLVE_TEST(a_miss_is_remembered_for_a_while),
        RESOLVE_TEST(erase_drops),
        RESOLVE_TEST(erase_drops_where_something_was_erased),
        RESOLVE_TEST(erase_drops_where_erasing_fails),
        RESOLVE_TEST(store_drops),
        RESOLVE_TEST(store_drops_behind_the_store),
        RESOLVE_TEST(a_token_that_may_stay_is_an_error),
    };

    return cmocka_run_group_tests_name("resolve-cache", tests, NULL, NULL);
}
