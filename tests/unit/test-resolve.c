/* SPDX-License-Identifier: Apache-2.0 */
/* The order of questions, over backends that do as they are told. The configuration is real, the table of backends is not. */
#include "unit.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/secret.h"
#include "core/person.h"
#include "core/resolve.h"

/* What a backend of type "fake-a" .. "fake-c" does, and what was asked of it. */
struct fake {
    enum pullkey_error_class open, get, store, erase;
    const char *username;
    const char *secret;
    size_t secret_length;
    const char *listed[4];
    unsigned int gets, stores, erases, opens, closes;
    int64_t waits_ms; /* for a person, in each call */
    int64_t deadline_ms; /* of the last call */
};

static struct fake fakes[3];
static char trail[64]; /* one letter a call: g, s, e and the backend's letter */

static void note(char operation, const struct fake *fake)
{
    size_t length = strlen(trail);

    assert_true(length + 3 < sizeof(trail));
    trail[length] = operation;
    trail[length + 1] = (char)('a' + (fake - fakes));
    trail[length + 2] = '\0';
}

static int64_t now_ms;

static int64_t fake_monotonic(void)
{
    return now_ms;
}

static const struct clock fake_clock = { NULL, fake_monotonic };

static void wait_for_person(const struct fake *fake)
{
    if (fake->waits_ms == 0)
        return;
    (void)person_wait(120000);
    now_ms += fake->waits_ms;
    (void)person_wait(0);
}

static int answer(enum pullkey_error_class class, struct pullkey_error *error)
{
    return class == PULLKEY_OK ? 0 : error_set(error, class, "the fake says %s", error_class_name(class));
}

static int fake_get(void *state, const struct pullkey_request *request,
                    struct pullkey_credential *ret, struct pullkey_error *error)
{
    struct fake *fake = state;

    fake->gets++;
    fake->deadline_ms = request->deadline_ms;
    note('g', fake);
    wait_for_person(fake);
    if (fake->get != PULLKEY_OK)
        return answer(fake->get, error);
    ret->username = secret_copy(fake->username, strlen(fake->username));
    return secret_set(&ret->secret, fake->secret,
                      fake->secret_length ? fake->secret_length : strlen(fake->secret), error);
}

static int fake_store(void *state, const struct pullkey_request *request,
                      const struct pullkey_credential *credential, struct pullkey_error *error)
{
    struct fake *fake = state;

    (void)credential;
    fake->stores++;
    fake->deadline_ms = request->deadline_ms;
    note('s', fake);
    wait_for_person(fake);
    return answer(fake->store, error);
}

static int fake_erase(void *state, const struct pullkey_request *request,
                      struct pullkey_error *error)
{
    struct fake *fake = state;

    fake->erases++;
    fake->deadline_ms = request->deadline_ms;
    note('e', fake);
    wait_for_person(fake);
    return answer(fake->erase, error);
}

static int fake_list(void *state, int64_t deadline_ms, struct pullkey_list *ret,
                     struct pullkey_error *error)
{
    struct fake *fake = state;
    int r = 0;

    fake->deadline_ms = deadline_ms;
    for (size_t i = 0; r == 0 && fake->listed[i]; i++)
        r = list_add(ret, fake->listed[i], fake->username, error);
    return r;
}

static void fake_close(void *state)
{
    ((struct fake *)state)->closes++;
}

static int open_numbered(size_t number, void **ret, struct pullkey_error *error)
{
    if (fakes[number].open != PULLKEY_OK)
        return answer(fakes[number].open, error);
    fakes[number].opens++;
    *ret = &fakes[number];
    return 0;
}

#define FAKE(letter, number, can)                                                                  \
    static int open_##letter(const struct pullkey_host *host,                                      \
                             const struct pullkey_instance *instance, void **ret,                  \
                             struct pullkey_error *error)                                          \
    {                                                                                              \
        (void)host;                                                                                \
        (void)instance;                                                                            \
        return open_numbered(number, ret, error);                                                  \
    }                                                                                              \
    static const struct pullkey_backend fake_##letter = {                                          \
        .module = { PULLKEY_ABI_MAJOR, PULLKEY_ABI_MINOR, sizeof(fake_##letter),                   \
                    PULLKEY_KIND_BACKEND, "fake-" #letter, can, NULL, NULL },                      \
        .open = open_##letter,                                                                     \
        .get = fake_get,                                                                           \
        .store = fake_store,                                                                       \
        .erase = fake_erase,                                                                       \
        .list = fake_list,                                                                         \
        .close = fake_close,                                                                       \
    }

/* Declares more than it has. */
static const struct pullkey_backend fake_hollow = {
    .module = { PULLKEY_ABI_MAJOR, PULLKEY_ABI_MINOR, sizeof(fake_hollow), PULLKEY_KIND_BACKEND,
                "fake-hollow", PULLKEY_CAN_GET | PULLKEY_CAN_STORE, NULL, NULL },
    .get = fake_get,
    .close = fake_close,
};

#define ALL (PULLKEY_CAN_GET | PULLKEY_CAN_STORE | PULLKEY_CAN_LIST)
FAKE(a, 0, PULLKEY_CAN_GET);
FAKE(b, 1, ALL);
FAKE(c, 2, ALL);

extern const struct pullkey_module *const module_builtin_table[];
const struct pullkey_module *const module_builtin_table[] = { &fake_a.module, &fake_b.module,
                                                              &fake_c.module, &fake_hollow.module,
                                                              NULL };

static struct config config;
static struct resolve resolve;
static struct registry_reference reference;

static int set_up(void **state)
{
    (void)state;
    json_start();
    memset(fakes, 0, sizeof(fakes));
    for (size_t i = 0; i < UNIT_COUNT(fakes); i++) {
        fakes[i].get = fakes[i].erase = PULLKEY_NOT_FOUND;
        fakes[i].username = "user";
        fakes[i].secret = "secret";
    }
    trail[0] = '\0';
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    log_start("test", NULL);
    config_done(&config);
    for (size_t i = 0; i < UNIT_COUNT(fakes); i++)
        assert_int_equal(fakes[i].opens, fakes[i].closes);
    return 0;
}

static void use(const char *text, const char *server)
{
    const struct config_source source = { .system_directory = "/nonexistent", .text = text };
    struct pullkey_error error = { 0 };

    assert_fine(config_load(&source, &config, &error), error);
    assert_fine(registry_parse(server, strlen(server), &reference, &error), error);
    resolve = (struct resolve){
        .config = &config,
        .asker = { .caller = CONFIG_DOCKER },
        .deadline_ms = clock_monotonic_ms() + 1000,
    };
}

#define CHAIN(list) "{\"version\":1,\"rules\":[{\"match\":\"host.example\",\"use\":[" list "]}]}"
#define A "{\"type\":\"fake-a\"}"
#define B "{\"type\":\"fake-b\"}"
#define C "{\"type\":\"fake-c\"}"
#define A_NEXT "{\"type\":\"fake-a\",\"on_error\":\"next\"}"

static int get(char source[RESOLVE_SOURCE_MAX], struct pullkey_error *error)
{
    cleanup_credential struct pullkey_credential credential = { 0 };

    return resolve_get(&resolve, &reference, &credential, source, error);
}

static int store(char source[RESOLVE_SOURCE_MAX], struct pullkey_error *error)
{
    char username[] = "user", secret[] = "secret";
    const struct pullkey_credential credential = { .username = username,
                                                   .secret = { secret, sizeof(secret) - 1 } };

    return resolve_store(&resolve, &reference, &credential, source, error);
}

static void first_hit_answers(void **state)
{
    char source[RESOLVE_SOURCE_MAX];
    struct pullkey_error error = { 0 };

    (void)state;
    use(CHAIN(A "," B "," C), "host.example");
    fakes[1].get = PULLKEY_OK;
    assert_fine(get(source, &error), error);
    assert_string_equal(source, "fake-b");
    assert_string_equal(trail, "gagb");
}

static void errors_stop(void **state)
{
    struct pullkey_error error = { 0 };

    (void)state;
    use(CHAIN(A "," B), "host.example");
    fakes[1].get = PULLKEY_OK;
    for (int class = PULLKEY_NO_IDENTITY; class < PULLKEY_ERROR_CLASS_MAX; class++) {
        trail[0] = '\0';
        fakes[0].get = (enum pullkey_error_class)class;
        assert_refused(get(NULL, &error), (enum pullkey_error_class)class, "fake-a: the fake says",
                       error);
        assert_string_equal(trail, "ga");
    }
}

static void on_error_next_goes_on(void **state)
{
    struct pullkey_error error = { 0 };

    (void)state;
    use(CHAIN(A_NEXT "," B), "host.example");
    fakes[0].get = PULLKEY_UNREACHABLE;
    fakes[1].get = PULLKEY_OK;
    assert_fine(get(NULL, &error), error);
    assert_string_equal(trail, "gagb");
}

/* Nothing but the lack of an identity: who is refused, or whose server is down, is not nobody. */
static void an_optional_one_may_lack_an_identity(void **state)
{
    static const char *const others[] = {
        CHAIN("{\"type\":\"fake-a\",\"optional\":false}," B),
        CHAIN(A "," B),
    };
    struct pullkey_error error = { 0 };

    (void)state;
    use(CHAIN("{\"type\":\"fake-a\",\"optional\":true}," B), "host.example");
    fakes[1].get = PULLKEY_OK;
    for (int class = PULLKEY_NO_IDENTITY; class < PULLKEY_ERROR_CLASS_MAX; class++) {
        trail[0] = '\0';
        fakes[0].get = (enum pullkey_error_class)class;
        if (class == PULLKEY_NO_IDENTITY)
            assert_fine(get(NULL, &error), error);
        else
            assert_refused(get(NULL, &error), (enum pullkey_error_class)class,
                           "fake-a: the fake says", error);
        assert_string_equal(trail, class == PULLKEY_NO_IDENTITY ? "gagb" : "ga");
    }
    fakes[0].get = fakes[1].get = PULLKEY_NO_IDENTITY;
    config_done(&config);
    use(CHAIN("{\"type\":\"fake-a\",\"optional\":true}"), "host.example");
    assert_refused(get(NULL, &error), PULLKEY_NOT_FOUND, "no credential for", error);
    for (size_t i = 0; i < UNIT_COUNT(others); i++) {
        config_done(&config);
        use(others[i], "host.example");
        assert_refused(get(NULL, &error), PULLKEY_NO_IDENTITY, "fake-a: the fake says", error);
    }
}

static void bad_credentials_are_errors(void **state)
{
    static char big[PULLKEY_SECRET_MAX + 2];
    struct pullkey_error error = { 0 };

    (void)state;
    use(CHAIN(A "," B), "host.example");
    fakes[0].get = PULLKEY_OK;
    fakes[0].username = "";
    assert_refused(get(NULL, &error), PULLKEY_INVALID, "empty", error);
    fakes[0].username = "user";
    fakes[0].secret = "sec\0ret";
    fakes[0].secret_length = 7;
    assert_refused(get(NULL, &error), PULLKEY_INVALID, "NUL", error);
    memset(big, 'x', sizeof(big) - 1);
    fakes[0].secret = big;
    fakes[0].secret_length = PULLKEY_SECRET_MAX + 1;
    assert_refused(get(NULL, &error), PULLKEY_INVALID, "longer than", error);
    fakes[0].secret_length = PULLKEY_SECRET_MAX;
    assert_fine(get(NULL, &error), error);
}

static void the_kubelet_needs_a_rule(void **state)
{
    struct pullkey_error error = { 0 };

    (void)state;
    use(CHAIN(A), "host.example");
    fakes[0].get = PULLKEY_OK;
    resolve.asker.caller = CONFIG_KUBELET;
    assert_refused(get(NULL, &error), PULLKEY_NOT_FOUND, "host.example", error);
    assert_string_equal(trail, "");
}

static void absent_modules(void **state)
{
    struct pullkey_error error = { 0 };

    (void)state;
    use(CHAIN("{\"type\":\"fake-z\"}," B), "host.example");
    assert_refused(get(NULL, &error), PULLKEY_UNSUPPORTED, "fake-z", error);
    /* Nothing is stored elsewhere instead, and nothing is said to be erased. */
    assert_refused(store(NULL, &error), PULLKEY_UNSUPPORTED, "fake-z", error);
    assert_refused(resolve_erase(&resolve, &reference, &error), PULLKEY_UNSUPPORTED, "fake-z", error);
    assert_string_equal(trail, "eb");
    /* The same for an instance that no configuration names is no error: "keyring" has no module here. */
    config_done(&config);
    use("{\"version\":1}", "other.example");
    assert_true(config.default_count > 0);
    config.default_chain[0].type = "fake-z";
    config.default_chain[0].implicit = true;
    config.default_count = 1;
    assert_refused(get(NULL, &error), PULLKEY_NOT_FOUND, "other.example", error);
}

static void operations_must_be_there(void **state)
{
    struct pullkey_error error = { 0 };

    (void)state;
    use(CHAIN("{\"type\":\"fake-hollow\"}"), "host.example");
    assert_refused(get(NULL, &error), PULLKEY_INVALID, "lacks an operation", error);
}

static void store_goes_to_the_first_that_can(void **state)
{
    char source[RESOLVE_SOURCE_MAX];
    struct pullkey_error error = { 0 };

    (void)state;
    use(CHAIN(A "," B "," C), "host.example");
    assert_fine(store(source, &error), error);
    assert_string_equal(source, "fake-b");
    /* And what the later one had is removed. */
    assert_string_equal(trail, "sbec");
}

static void store_passes_read_only_instances(void **state)
{
    char source[RESOLVE_SOURCE_MAX];
    struct pullkey_error error = { 0 };

    (void)state;
    use(CHAIN(B "," C), "host.example");
    fakes[1].store = PULLKEY_UNSUPPORTED;
    assert_fine(store(source, &error), error);
    assert_string_equal(source, "fake-c");
    fakes[1].store = PULLKEY_LOCKED;
    assert_refused(store(source, &error), PULLKEY_LOCKED, "fake-b: ", error);
}

static void nothing_can_store(void **state)
{
    struct pullkey_error error = { 0 };

    (void)state;
    use(CHAIN(A), "host.example");
    assert_refused(store(NULL, &error), PULLKEY_UNSUPPORTED,
                   "the credential for host.example comes from fake-a", error);
    assert_non_null(strstr(error.message, "no login is needed"));
    config_done(&config);
    use("{\"version\":1,\"rules\":[{\"match\":\"host.example\",\"use\":[" A
        "],\"on_store\":\"ignore\"}]}",
        "host.example");
    assert_fine(store(NULL, &error), error);
    assert_string_equal(trail, "");
}

static void the_configured_store_comes_first(void **state)
{
    char source[RESOLVE_SOURCE_MAX];
    struct pullkey_error error = { 0 };

    (void)state;
    use("{\"version\":1,\"backends\":{\"b\":" B ",\"c\":" C "},\"default\":[\"b\",\"c\"],\"store\":\"c\"}",
        "host.example");
    assert_fine(store(source, &error), error);
    assert_string_equal(source, "c");
    assert_string_equal(trail, "sceb");
    trail[0] = '\0';
    fakes[1].get = fakes[2].get = PULLKEY_OK;
    assert_fine(get(source, &error), error);
    assert_string_equal(source, "c");
    assert_string_equal(trail, "gc");
}

/* Without "store": the keyring if it runs, else "file", else the first that can. */
static void the_default_store_comes_first(void **state)
{
    static const struct {
        const char *chain;
        bool session_bus;
        const char *trail; /* of a store, and of a get that finds nothing */
    } rows[] = {
        { "\"b\",\"file\"", false, "sceb gcgb" },
        { "\"b\",\"file\"", true, "sceb gcgb" },
        { "\"file\",\"keyring\"", false, "sceb gcgb" },
        { "\"file\",\"keyring\"", true, "sbec gbgc" },
        { "\"a\",\"b\"", true, "sb gagb" },
        { "\"a\",\"file\"", true, "sc gcga" },
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        char text[512];
        struct pullkey_error error = { 0 };

        (void)snprintf(text, sizeof(text),
                       "{\"version\":1,\"backends\":{\"a\":" A ",\"b\":" B ",\"keyring\":" B
                       ",\"file\":" C "},\"default\":[%s]}",
                       rows[i].chain);
        use(text, "host.example");
        config.session_bus = rows[i].session_bus;
        trail[0] = '\0';
        assert_fine(store(NULL, &error), error);
        (void)strcat(trail, " ");
        assert_int_equal(get(NULL, &error), -PULLKEY_NOT_FOUND);
        assert_string_equal(trail, rows[i].trail);
        config_done(&config);
    }
    use("{\"version\":1}", "host.example");
}

static void the_configured_store_must_be_able_to(void **state)
{
    struct pullkey_error error = { 0 };

    (void)state;
    use("{\"version\":1,\"backends\":{\"a\":" A ",\"b\":" B "},\"default\":[\"b\",\"a\"],\"store\":\"a\"}",
        "host.example");
    assert_refused(store(NULL, &error), PULLKEY_UNSUPPORTED, "\"store\" names a", error);
    assert_string_equal(trail, "");
}

static void the_reason_is_said(void **state)
{
    struct pullkey_error error = { 0 };

    (void)state;
    use("{\"version\":1,\"backends\":{\"b\":" B "},\"default\":[\"b\"]}", "host.example");
    fakes[1].store = PULLKEY_UNSUPPORTED;
    assert_refused(store(NULL, &error), PULLKEY_UNSUPPORTED,
                   "nothing in the default chain can store the credential for host.example: "
                   "the fake says",
                   error);
    config_done(&config);
    use(CHAIN(""), "host.example");
    assert_refused(store(NULL, &error), PULLKEY_UNSUPPORTED, "goes without a credential (rule 1 of",
                   error);
}

static void erase_clears_all(void **state)
{
    struct pullkey_error error = { 0 };

    (void)state;
    use(CHAIN(A "," B "," C), "host.example");
    assert_refused(resolve_erase(&resolve, &reference, &error), PULLKEY_NOT_FOUND, "host.example",
                   error);
    assert_string_equal(trail, "ebec");
    fakes[2].erase = PULLKEY_OK;
    assert_fine(resolve_erase(&resolve, &reference, &error), error);
    fakes[1].erase = PULLKEY_LOCKED;
    trail[0] = '\0';
    assert_refused(resolve_erase(&resolve, &reference, &error), PULLKEY_LOCKED,
                   "the credential may still be there", error);
    /* One that fails does not keep the others from being cleared. */
    assert_string_equal(trail, "ebec");
}

static void lists_what_get_would_find(void **state)
{
    cleanup_resolve_list struct resolve_list list = { 0 };
    struct pullkey_error error = { 0 };

    (void)state;
    use("{\"version\":1,\"backends\":{\"b\":" B ",\"c\":" C "},"
        "\"rules\":[{\"match\":\"host.example\",\"use\":[\"c\"]}],\"default\":[\"b\"]}",
        "host.example");
    /* host.example in b is never asked for, as the rule sends it to c; z.example in c neither. */
    fakes[1].listed[0] = "other.example";
    fakes[1].listed[1] = "host.example";
    fakes[1].listed[2] = "not a key";
    fakes[2].listed[0] = "https://host.example";
    fakes[2].listed[1] = "z.example";
    assert_fine(resolve_list(&resolve, &list, &error), error);
    assert_int_equal(list.count, 2);
    assert_string_equal(list.entries[0].server, "https://host.example");
    assert_string_equal(list.entries[0].instance->name, "c");
    assert_string_equal(list.entries[1].server, "other.example");
}

/* A program, a directory or a home that is not there is no credential that is not there. */
static void what_is_missing_is_an_error(void **state)
{
    struct pullkey_error error;

    (void)state;
    use(CHAIN(B "," C), "host.example");
    fakes[1].open = PULLKEY_NOT_FOUND;
    fakes[2].get = PULLKEY_OK;
    assert_refused(get(NULL, &error), PULLKEY_INVALID, "the fake says", error);
    assert_refused(resolve_erase(&resolve, &reference, &error), PULLKEY_INVALID, "fake-b", error);
    assert_refused(store(NULL, &error), PULLKEY_INVALID, "fake-b", error);
    assert_int_equal(fakes[2].gets + fakes[2].stores, 0);
    fakes[1].open = PULLKEY_OK;
    fakes[1].store = PULLKEY_NOT_FOUND;
    assert_refused(store(NULL, &error), PULLKEY_INTERNAL, "fake-b", error);
}

/* Every wait ends when the request's does: nothing adds a patience of its own. */
static void everybody_gets_the_deadline(void **state)
{
    cleanup_resolve_list struct resolve_list list = { 0 };
    struct pullkey_error error = { 0 };

    (void)state;
    use(CHAIN(A "," B "," C), "host.example");
    resolve.deadline_ms = 4711;
    fakes[1].get = PULLKEY_OK;
    assert_fine(get(NULL, &error), error);
    assert_int_equal(fakes[0].deadline_ms, 4711);
    assert_int_equal(fakes[1].deadline_ms, 4711);
    /* Who stores, and who is only cleared. */
    resolve.deadline_ms = 4712;
    assert_fine(store(NULL, &error), error);
    assert_int_equal(fakes[1].deadline_ms, 4712);
    assert_int_equal(fakes[2].deadline_ms, 4712);
    resolve.deadline_ms = 4713;
    assert_int_equal(resolve_erase(&resolve, &reference, &error), -PULLKEY_NOT_FOUND);
    assert_int_equal(fakes[1].deadline_ms, 4713);
    assert_int_equal(fakes[2].deadline_ms, 4713);
    resolve.deadline_ms = 4714;
    assert_fine(resolve_list(&resolve, &list, &error), error);
    assert_int_equal(fakes[1].deadline_ms, 4714);
    assert_int_equal(fakes[2].deadline_ms, 4714);
}

/* The line of the log that has this text, in static memory; NULL if there is none. */
static const char *find_logged(const char *path, const char *text)
{
    static char log[4096];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got;

    assert_true(fd >= 0);
    got = read(fd, log, sizeof(log) - 1);
    assert_true(got >= 0);
    log[got] = '\0';
    assert_int_equal(close(fd), 0);
    return strstr(log, text);
}

/* What was stored is found before it, so that the client is told of success. */
/* The last of all tests: what was waited counts for the rest of a process. */
static void those_after_a_person_have_their_time(void **state)
{
    struct pullkey_error error = { 0 };
    const int64_t before = person_waited_ms();

    (void)state;
    use("{\"version\":1,\"backends\":{\"b\":" B ",\"c\":" C "},\"default\":[\"b\",\"c\"]}",
        "host.example");
    clock_replace(&fake_clock);
    resolve.deadline_ms = now_ms + 20000;
    fakes[1].waits_ms = 100000;
    fakes[2].erase = PULLKEY_NOT_FOUND;
    assert_fine(store(NULL, &error), error);
    assert_int_equal(fakes[1].deadline_ms, 20000 + before);
    assert_int_equal(fakes[2].deadline_ms, 120000 + before);
    fakes[1].get = fakes[2].get = PULLKEY_NOT_FOUND;
    assert_int_equal(get(NULL, &error), -PULLKEY_NOT_FOUND);
    assert_int_equal(fakes[2].deadline_ms, 220000 + before);
    fakes[1].erase = PULLKEY_OK;
    assert_fine(resolve_erase(&resolve, &reference, &error), error);
    assert_int_equal(fakes[2].deadline_ms, 320000 + before);
    clock_replace(NULL);
}

static void what_cannot_be_cleared_is_only_logged(void **state)
{
    static char place[512], path[600]; /* as the log wants it */
    char source[RESOLVE_SOURCE_MAX];
    struct pullkey_error error = { 0 };

    (void)state;
    unit_make_directory(place);
    (void)snprintf(path, sizeof(path), "%s/log", place);
    log_start("test", path);
    use(CHAIN(B "," A "," C), "host.example");
    for (int class = PULLKEY_NO_IDENTITY; class < PULLKEY_ERROR_CLASS_MAX; class++) {
        trail[0] = '\0';
        unit_write(path, "", 0, 0600);
        fakes[2].erase = (enum pullkey_error_class)class;
        assert_fine(store(source, &error), error);
        assert_string_equal(source, "fake-b");
        assert_string_equal(trail, "sbec");
        /* One that says that it is not for storing holds nothing older. */
        if (class == PULLKEY_UNSUPPORTED)
            assert_null(find_logged(path, "may stay"));
        else
            assert_non_null(find_logged(path, "fake-c: an older credential may stay: the fake says"));
    }
    unit_write(path, "", 0, 0600);
    fakes[2].erase = PULLKEY_NOT_FOUND;
    assert_fine(store(source, &error), error);
    assert_null(find_logged(path, "may stay"));
    /* One that cannot even be opened is no other matter. */
    fakes[2].open = PULLKEY_DENIED;
    assert_fine(store(source, &error), error);
    assert_non_null(find_logged(path, "fake-c: an older credential may stay: the fake says"));
    unit_remove_directory(place);
}

#define RESOLVE_TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RESOLVE_TEST(first_hit_answers),
        RESOLVE_TEST(errors_stop),
        RESOLVE_TEST(on_error_next_goes_on),
        RESOLVE_TEST(an_optional_one_may_lack_an_identity),
        RESOLVE_TEST(bad_credentials_are_errors),
        RESOLVE_TEST(the_kubelet_needs_a_rule),
        RESOLVE_TEST(absent_modules),
        RESOLVE_TEST(operations_must_be_there),
        RESOLVE_TEST(store_goes_to_the_first_that_can),
        RESOLVE_TEST(store_passes_read_only_instances),
        RESOLVE_TEST(nothing_can_store),
        RESOLVE_TEST(the_configured_store_comes_first),
        RESOLVE_TEST(the_default_store_comes_first),
        RESOLVE_TEST(the_configured_store_must_be_able_to),
        RESOLVE_TEST(the_reason_is_said),
        RESOLVE_TEST(erase_clears_all),
        RESOLVE_TEST(lists_what_get_would_find),
        RESOLVE_TEST(what_is_missing_is_an_error),
        RESOLVE_TEST(everybody_gets_the_deadline),
        RESOLVE_TEST(what_cannot_be_cleared_is_only_logged),
        RESOLVE_TEST(those_after_a_person_have_their_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
