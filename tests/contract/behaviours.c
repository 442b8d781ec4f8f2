/* SPDX-License-Identifier: Apache-2.0 */
/* What every backend must do. Each behaviour begins with the seeds in place. */
#include "contract.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/text.h"
#include "core/credential.h"
#include "core/module.h"
#include "core/registry.h"

#define ENOUGH_MS 20000
#define SHORT_MS 300

/* One call with a reference that is parsed as a client's would be. */
struct call {
    struct fixture *fixture;
    struct registry_reference reference;
    struct registry_request request;
    struct pullkey_error error;
};

static void prepare_call(struct call *call, struct fixture *fixture, const char *server,
                         int64_t patience_ms)
{
    call->fixture = fixture;
    call->error = (struct pullkey_error){ 0 };
    if (registry_parse(server, strlen(server), &call->reference, &call->error) < 0)
        fail_msg("%s: %s", server, call->error.message);
    registry_request(&call->reference, clock_monotonic_ms() + patience_ms, &call->request);
}

static void check_error(const struct pullkey_error *error, enum pullkey_error_class code,
                        const char *what)
{
    size_t length = strnlen(error->message, sizeof(error->message));

    if (error->code != code)
        fail_msg("%s: class %d, expected %d: %s", what, error->code, code, error->message);
    assert_true(length > 0 && length < sizeof(error->message));
    assert_true(text_is_utf8(error->message, length));
    for (size_t i = 0; i < length; i++)
        assert_true((unsigned char)error->message[i] >= 0x20 && error->message[i] != 0x7f);
    assert_true(error->message[length - 1] != '.');
    if (strstr(error->message, MARKER))
        fail_msg("%s: the error has a secret in it", what);
}

static int call_get(struct call *call, struct pullkey_credential *ret)
{
    return call->fixture->backend->get(call->fixture->state, &call->request.request, ret,
                                       &call->error);
}

static void expect(struct fixture *fixture, const char *server, const char *username,
                   const char *secret, enum pullkey_credential_kind kind)
{
    cleanup_credential struct pullkey_credential credential = { 0 };
    struct call call;

    prepare_call(&call, fixture, server, ENOUGH_MS);
    if (call_get(&call, &credential) < 0)
        fail_msg("get %s: %s", server, call.error.message);
    if (strcmp(credential.username, username) != 0)
        fail_msg("get %s: the user is %s, expected %s", server, credential.username, username);
    assert_int_equal(credential.secret.length, strlen(secret));
    assert_string_equal(credential.secret.bytes, secret);
    assert_int_equal(credential.kind, kind);
    assert_int_equal(credential.expiry, 0);
}

static const struct seed *find_seed(const char *server)
{
    for (size_t i = 0; i < seed_count; i++)
        if (strcmp(seeds[i].server, server) == 0)
            return &seeds[i];
    fail_msg("there is no seed %s", server);
    return NULL;
}

static void expect_seed(struct fixture *fixture, const char *server, const char *stored)
{
    const struct seed *seed = find_seed(stored);
    char *secret = seed_secret(seed);

    expect(fixture, server, seed->username, secret, seed->kind);
    free(secret);
}

static void expect_none(struct fixture *fixture, const char *server)
{
    static const struct pullkey_credential untouched = { .expiry = 4711 };
    struct pullkey_credential credential = untouched;
    struct call call;

    prepare_call(&call, fixture, server, ENOUGH_MS);
    if (call_get(&call, &credential) == 0)
        fail_msg("get %s: there is one, of %s", server, credential.username);
    check_error(&call.error, PULLKEY_NOT_FOUND, server);
    assert_memory_equal(&credential, &untouched, sizeof(credential));
}

static int store(struct fixture *fixture, const char *server, const char *username,
                 const char *secret, size_t length, struct pullkey_error *error)
{
    char *name = strdup(username), *bytes = calloc(1, length + 1);
    struct pullkey_credential credential = { .username = name, .secret = { bytes, length } };
    struct call call;
    int r;

    assert_true(name && bytes);
    memcpy(bytes, secret, length);
    prepare_call(&call, fixture, server, ENOUGH_MS);
    r = fixture->backend->store(fixture->state, &call.request.request, &credential, &call.error);
    *error = call.error;
    free(name);
    free(bytes);
    return r;
}

static void put(struct fixture *fixture, const char *server, const char *username,
                const char *secret)
{
    struct pullkey_error error;

    if (store(fixture, server, username, secret, strlen(secret), &error) < 0)
        fail_msg("store %s: %s", server, error.message);
}

static void erase(struct fixture *fixture, const char *server, enum pullkey_error_class code)
{
    struct call call;
    int r;

    prepare_call(&call, fixture, server, ENOUGH_MS);
    r = fixture->backend->erase(fixture->state, &call.request.request, &call.error);
    assert_int_equal(r, -(int)code);
    if (r < 0)
        check_error(&call.error, code, server);
}

static void list(struct fixture *fixture, struct pullkey_list *ret)
{
    struct pullkey_error error = { 0 };

    if (fixture->backend->list(fixture->state, clock_monotonic_ms() + ENOUGH_MS, ret, &error) < 0)
        fail_msg("list: %s", error.message);
}

static bool lists(const struct fixture *fixture)
{
    return !(fixture->setup->flags & SETUP_WITHOUT_LIST);
}

static size_t count_listed(const struct pullkey_list *entries, const char *server)
{
    size_t count = 0;

    for (size_t i = 0; i < entries->count; i++)
        if (strcmp(entries->entries[i].server, server) == 0)
            count++;
    return count;
}

/* So many keys are there, of those that can be counted. */
static void expect_count(struct fixture *fixture, size_t count)
{
    cleanup_list struct pullkey_list entries = { 0 };

    if (!lists(fixture))
        return;
    list(fixture, &entries);
    assert_int_equal(entries.count, count);
}

static void expect_all_seeds_but(struct fixture *fixture, const char *changed)
{
    for (size_t i = 0; i < seed_count; i++)
        if (!changed || strcmp(seeds[i].server, changed) != 0)
            expect_seed(fixture, seeds[i].server, seeds[i].server);
}

static bool seeded(const struct fixture *fixture)
{
    return !(fixture->setup->flags & SETUP_WITHOUT_SEEDS);
}

static bool writable(const struct fixture *fixture)
{
    return fixture->setup->flags & SETUP_WRITABLE;
}

static void get_yields_what_is_there(void **state)
{
    expect_all_seeds_but(*state, NULL);
    /* Nothing hangs on the instance that stored it. */
    fixture_reopen(*state);
    expect_all_seeds_but(*state, NULL);
}

static void get_misses_what_is_not_there(void **state)
{
    expect_none(*state, "nobody.example.com");
    expect_none(*state, "example.com");
    expect_none(*state, "marked.example.com");
    expect_none(*state, "other.example.com");
}

static void aliases_are_one_registry(void **state)
{
    static const char *const forms[] = {
        "https://registry.example.com",
        "https://registry.example.com/",
        "registry.example.com/",
        "registry.example.com:443",
        "https://registry.example.com:443",
        "https://registry.example.com/v1/",
        "https://registry.example.com/v2/",
        "registry.example.com/v2",
        "Registry.Example.COM",
        " registry.example.com\r\n",
    };

    for (size_t i = 0; i < COUNT(forms); i++)
        expect_seed(*state, forms[i], "registry.example.com");
    expect_seed(*state, "https://ports.example.com:5000/v2/", "ports.example.com:5000");
}

static void hub_has_many_names(void **state)
{
    static const char *const forms[] = {
        "docker.io",
        "index.docker.io",
        "https://index.docker.io/v1",
        "https://index.docker.io/v1/",
        "registry-1.docker.io",
        "registry-1.docker.io:443",
        "https://registry-1.docker.io/v2/",
        "registry.hub.docker.com",
    };

    for (size_t i = 0; i < COUNT(forms); i++)
        expect_seed(*state, forms[i], "https://index.docker.io/v1/");
    expect_none(*state, "auth.docker.io");
    expect_none(*state, "docker.io.example.com");
}

static void other_registries_stay_other(void **state)
{
    static const char *const others[] = {
        "http://registry.example.com", "registry.example.com:80",       "registry.example.com:5000",
        "registry.example.com:4433",   "x.registry.example.com",        "registry.example.com.evil",
        "registry.example.com-x",      "xregistry.example.com",         "plain.example.com",
        "https://plain.example.com",   "http://plain.example.com:81",   "ports.example.com",
        "ports.example.com:443",       "ports.example.com:500",         "[2001:db8::1]",
        "[2001:db8::2]:5000",          "http://ports.example.com:5000",
    };

    for (size_t i = 0; i < COUNT(others); i++)
        expect_none(*state, others[i]);
}

static void the_longest_path_wins(void **state)
{
    static const struct {
        const char *asked;
        const char *found;
    } cases[] = {
        { "paths.example.com", "paths.example.com" },
        { "paths.example.com/team", "paths.example.com/team" },
        { "https://paths.example.com/team/", "paths.example.com/team" },
        { "paths.example.com/team/other", "paths.example.com/team" },
        { "paths.example.com/team/app", "paths.example.com/team/app" },
        { "paths.example.com/team/app/deep/er", "paths.example.com/team/app" },
        { "paths.example.com/team/app-x", "paths.example.com/team" },
        { "paths.example.com/team-x", "paths.example.com" },
        { "paths.example.com/tea", "paths.example.com" },
        { "paths.example.com/other", "paths.example.com" },
        { "only.example.com/team/app", "only.example.com/team" },
        { "registry.example.com/any/where", "registry.example.com" },
        { "index.docker.io/library/busybox", "https://index.docker.io/v1/" },
    };

    for (size_t i = 0; i < COUNT(cases); i++)
        expect_seed(*state, cases[i].asked, cases[i].found);
    expect_none(*state, "only.example.com");
    expect_none(*state, "only.example.com/teams");
}

static void token_keys_match_exactly(void **state)
{
    expect_seed(*state, "https://index.docker.io/v1/access-token",
                "https://index.docker.io/v1/access-token");
    expect_none(*state, "https://index.docker.io/v1/refresh-token");
    if (writable(*state)) {
        /* What is left of a web login must not pass for the password. */
        erase(*state, "docker.io", PULLKEY_OK);
        expect_none(*state, "docker.io");
        expect_none(*state, "https://index.docker.io/v1/");
        expect_seed(*state, "https://index.docker.io/v1/access-token",
                    "https://index.docker.io/v1/access-token");
    }
}

static void list_has_the_keys_as_stored(void **state)
{
    cleanup_list struct pullkey_list entries = { 0 };

    list(*state, &entries);
    assert_int_equal(entries.count, seed_count);
    for (size_t i = 0; i < seed_count; i++) {
        assert_int_equal(count_listed(&entries, seeds[i].server), 1);
        for (size_t k = 0; k < entries.count; k++)
            if (strcmp(entries.entries[k].server, seeds[i].server) == 0)
                assert_string_equal(entries.entries[k].username, seeds[i].username);
    }
}

static void store_replaces_aliases(void **state)
{
    static const char *const forms[] = { "https://registry.example.com", "registry.example.com",
                                         "https://registry.example.com" };

    for (size_t i = 0; i < COUNT(forms); i++) {
        put(*state, forms[i], "alice", MARKER "-new");
        for (size_t k = 0; k < COUNT(forms); k++)
            expect(*state, forms[k], "alice", MARKER "-new", PULLKEY_PASSWORD);
    }
    expect_count(*state, seed_count);
    if (lists(*state)) {
        cleanup_list struct pullkey_list entries = { 0 };

        list(*state, &entries);
        assert_int_equal(count_listed(&entries, "registry.example.com"), 0);
        assert_int_equal(count_listed(&entries, "https://registry.example.com"), 1);
    }
    expect_all_seeds_but(*state, "registry.example.com");
}

/* A backend that knows exact names only cannot find these by the names that a request has. */
static void store_replaces_every_alias(void **state)
{
    static const char *const forms[] = {
        "registry.example.com:443",         "https://registry.example.com/v2/",
        "https://registry.example.com/v1/", "REGISTRY.example.com",
        "https://registry.example.com/",    "registry.example.com",
    };

    for (size_t i = 0; i < COUNT(forms); i++) {
        put(*state, forms[i], "alice", MARKER "-new");
        expect_count(*state, seed_count);
        for (size_t k = 0; k < COUNT(forms); k++)
            expect(*state, forms[k], "alice", MARKER "-new", PULLKEY_PASSWORD);
    }
    erase(*state, "https://registry.example.com:443/v2", PULLKEY_OK);
    expect_none(*state, "registry.example.com");
}

static void hub_is_stored_once(void **state)
{
    put(*state, "docker.io", "podman", MARKER "-podman");
    expect(*state, "https://index.docker.io/v1/", "podman", MARKER "-podman", PULLKEY_PASSWORD);
    put(*state, "https://index.docker.io/v1/", "docker", MARKER "-docker");
    expect(*state, "docker.io", "docker", MARKER "-docker", PULLKEY_PASSWORD);
    expect(*state, "registry-1.docker.io:443", "docker", MARKER "-docker", PULLKEY_PASSWORD);
    expect_count(*state, seed_count);
    expect_all_seeds_but(*state, "https://index.docker.io/v1/");
}

/* With a port of its own, or without TLS, docker.io is not Docker Hub. */
static void only_hub_is_hub(void **state)
{
    static const char *const others[] = { "docker.io:5000", "http://docker.io" };
    static const char *const hub = "https://index.docker.io/v1/";
    cleanup_list struct pullkey_list entries = { 0 };

    for (size_t i = 0; i < COUNT(others); i++) {
        expect_none(*state, others[i]);
        put(*state, others[i], others[i], MARKER "-other");
        expect(*state, others[i], others[i], MARKER "-other", PULLKEY_PASSWORD);
        expect_seed(*state, hub, hub);
    }
    list(*state, &entries);
    assert_int_equal(entries.count, seed_count + COUNT(others));
    assert_int_equal(count_listed(&entries, hub), 1);
    put(*state, "docker.io", "docker", MARKER "-docker");
    for (size_t i = 0; i < COUNT(others); i++) {
        expect(*state, others[i], others[i], MARKER "-other", PULLKEY_PASSWORD);
        erase(*state, others[i], PULLKEY_OK);
        expect_none(*state, others[i]);
        expect(*state, hub, "docker", MARKER "-docker", PULLKEY_PASSWORD);
    }
    expect_all_seeds_but(*state, hub);
}

static void erase_takes_aliases_and_no_more(void **state)
{
    erase(*state, "https://registry.example.com/", PULLKEY_OK);
    expect_none(*state, "registry.example.com");
    erase(*state, "registry.example.com", PULLKEY_NOT_FOUND);
    erase(*state, "http://ports.example.com:5000", PULLKEY_NOT_FOUND);
    erase(*state, "ports.example.com", PULLKEY_NOT_FOUND);
    erase(*state, "plain.example.com", PULLKEY_NOT_FOUND);
    erase(*state, "example.com", PULLKEY_NOT_FOUND);
    expect_all_seeds_but(*state, "registry.example.com");
}

static void erase_never_shortens(void **state)
{
    erase(*state, "paths.example.com/team/app/deep", PULLKEY_NOT_FOUND);
    erase(*state, "paths.example.com/team-x", PULLKEY_NOT_FOUND);
    erase(*state, "only.example.com", PULLKEY_NOT_FOUND);
    expect_all_seeds_but(*state, NULL);
    erase(*state, "https://paths.example.com/team", PULLKEY_OK);
    expect_seed(*state, "paths.example.com/team", "paths.example.com");
    expect_all_seeds_but(*state, "paths.example.com/team");
}

static void everything_can_be_erased(void **state)
{
    for (size_t i = 0; i < seed_count; i++)
        erase(*state, seeds[i].server, PULLKEY_OK);
    expect_count(*state, 0);
    expect_none(*state, "registry.example.com");
    put(*state, "registry.example.com", "again", MARKER);
    expect(*state, "registry.example.com", "again", MARKER, PULLKEY_PASSWORD);
}

static void refuse_store(struct fixture *fixture, const char *username, const char *secret,
                         size_t length, const char *what)
{
    struct pullkey_error error;

    if (store(fixture, "new.example.com", username, secret, length, &error) == 0)
        fail_msg("%s is stored", what);
    check_error(&error, PULLKEY_INVALID, what);
    expect_none(fixture, "new.example.com");
}

static void what_does_not_fit_is_refused(void **state)
{
    char *large = calloc(1, PULLKEY_SECRET_MAX + 2);
    char *name = calloc(1, PULLKEY_USERNAME_MAX + 2);

    assert_true(large && name);
    memset(large, 'x', PULLKEY_SECRET_MAX + 1);
    memcpy(large, MARKER, strlen(MARKER));
    memset(name, 'n', PULLKEY_USERNAME_MAX + 1);
    refuse_store(*state, "user", large, PULLKEY_SECRET_MAX + 1, "a secret that is too long");
    refuse_store(*state, name, MARKER, strlen(MARKER), "a user name that is too long");
    name[PULLKEY_USERNAME_MAX] = '\0';
    put(*state, "new.example.com", name, MARKER);
    expect(*state, "new.example.com", name, MARKER, PULLKEY_PASSWORD);
    free(large);
    free(name);
}

static void what_no_text_can_hold_is_refused(void **state)
{
    refuse_store(*state, "user", MARKER "\0more", strlen(MARKER) + 5, "a NUL");
    refuse_store(*state, "user", MARKER "\xff", strlen(MARKER) + 1, "invalid UTF-8");
    refuse_store(*state, "us\xc3(er", MARKER, strlen(MARKER), "invalid UTF-8 in the name");
    expect_all_seeds_but(*state, NULL);
}

static void reading_only_says_so(void **state)
{
    struct fixture *fixture = *state;
    struct pullkey_error error;

    /* What declares nothing need not even have them. */
    if (!(fixture->backend->module.capabilities & PULLKEY_CAN_STORE) && !fixture->backend->store &&
        !fixture->backend->erase)
        return;
    assert_int_equal(store(fixture, "new.example.com", "user", MARKER, strlen(MARKER), &error),
                     -PULLKEY_UNSUPPORTED);
    check_error(&error, PULLKEY_UNSUPPORTED, "store");
    erase(fixture, "registry.example.com", PULLKEY_UNSUPPORTED);
    erase(fixture, "nobody.example.com", PULLKEY_UNSUPPORTED);
    if (seeded(fixture))
        expect_all_seeds_but(fixture, NULL);
}

static void the_deadline_is_kept(void **state)
{
    struct fixture *fixture = *state;
    char name[] = "user", secret[] = MARKER;
    const struct pullkey_credential credential = { .username = name,
                                                   .secret = { secret, strlen(secret) } };
    int64_t begin, taken;
    struct call call;

    fixture->setup->block(fixture);
    begin = clock_monotonic_ms();
    prepare_call(&call, fixture, "new.example.com", SHORT_MS);
    assert_int_equal(
        fixture->backend->store(fixture->state, &call.request.request, &credential, &call.error),
        -PULLKEY_UNREACHABLE);
    check_error(&call.error, PULLKEY_UNREACHABLE, "store");
    prepare_call(&call, fixture, "registry.example.com", SHORT_MS);
    assert_int_equal(fixture->backend->erase(fixture->state, &call.request.request, &call.error),
                     -PULLKEY_UNREACHABLE);
    check_error(&call.error, PULLKEY_UNREACHABLE, "erase");
    taken = clock_monotonic_ms() - begin;
    assert_in_range(taken, 2 * SHORT_MS, ENOUGH_MS / 2);
}

static void open_refuses_bad_options(void **state)
{
    static char marker;
    struct fixture *fixture = *state;
    void *opened = &marker;
    struct pullkey_error error = { 0 };

    assert_true(fixture_open(fixture, fixture->setup->bad_options, &opened, &error) < 0);
    check_error(&error, PULLKEY_INVALID, "open");
    assert_ptr_equal(opened, &marker);
    assert_int_equal(fixture_open(fixture, fixture->options, &opened, &error), 0);
    fixture->backend->close(opened);
    if (seeded(fixture))
        expect_seed(fixture, "registry.example.com", "registry.example.com");
}

static void the_descriptor_is_whole(void **state)
{
    const struct fixture *fixture = *state;
    const struct pullkey_backend *backend = fixture->backend;
    const struct pullkey_module *module = &backend->module;

    assert_int_equal(module->abi_major, PULLKEY_ABI_MAJOR);
    assert_true(module->size >= sizeof(*backend));
    assert_int_equal(module->kind, PULLKEY_KIND_BACKEND);
    assert_string_equal(module->type, fixture->setup->type);
    assert_true(module->capabilities & PULLKEY_CAN_GET);
    assert_true(backend->open && backend->get && backend->close);
    assert_true((backend->store && backend->erase) || !writable(fixture));
    assert_true(backend->list || !lists(fixture));
    for (const struct pullkey_option *option = module->options; option && option->name; option++)
        assert_in_range(option->type, PULLKEY_OPTION_STRING, PULLKEY_OPTION_OBJECT);
    if (writable(fixture))
        assert_true(module->capabilities & PULLKEY_CAN_STORE);
}

static void check_whole(const struct fixture *fixture, const struct pullkey_credential *credential)
{
    size_t length = credential->username ? strlen(credential->username) : 0;
    const struct pullkey_secret *secret = &credential->secret;

    assert_in_range(length, 1, PULLKEY_USERNAME_MAX);
    assert_true(text_is_utf8(credential->username, length));
    assert_non_null(secret->bytes);
    assert_in_range(secret->length, 1, PULLKEY_SECRET_MAX);
    assert_int_equal(strnlen(secret->bytes, secret->length + 1), secret->length);
    assert_in_range(credential->kind, PULLKEY_PASSWORD, PULLKEY_IDENTITY_TOKEN);
    assert_int_equal(strcmp(credential->username, "<token>") == 0,
                     credential->kind == PULLKEY_IDENTITY_TOKEN);
    if (fixture->backend->module.capabilities & PULLKEY_EXPIRES)
        assert_true(credential->expiry == 0 || credential->expiry > clock_wall_seconds());
    else
        assert_int_equal(credential->expiry, 0);
}

/* Whatever is asked, the answer is a credential that a client can use, or an error that a person can. */
static void answers_are_whole(void **state)
{
    static const char *const forms[] = { "registry.example.com", "nobody.example.com/a/b",
                                         "http://[2001:db8::1]:5000", "docker.io",
                                         "https://index.docker.io/v1/access-token" };
    static const struct pullkey_credential empty;
    struct fixture *fixture = *state;

    for (size_t i = 0; i < COUNT(forms); i++) {
        struct pullkey_credential credential = empty;
        struct call call;
        int r;

        prepare_call(&call, fixture, forms[i], ENOUGH_MS);
        r = call_get(&call, &credential);
        if (r == 0) {
            check_whole(fixture, &credential);
            credential_done(&credential);
            continue;
        }
        assert_in_range(-r, PULLKEY_NOT_FOUND, PULLKEY_ERROR_CLASS_MAX - 1);
        check_error(&call.error, (enum pullkey_error_class)-r, forms[i]);
        assert_memory_equal(&credential, &empty, sizeof(credential));
    }
}

/* What pullkey reads without loading the module is what the module says. */
static void inputs_are_installed(void **state)
{
    struct fixture *fixture = *state;
    const struct pullkey_module *module = &fixture->backend->module;
    bool is_cached = module->capabilities & (PULLKEY_EXPIRES | PULLKEY_COALESCES);
    struct buffer inputs = BUFFER_INIT(4096);
    struct pullkey_error error = { 0 };

    if (module_inputs(module->type, &inputs, &error) < 0)
        fail_msg("%s", error.message);
    assert_string_equal(inputs.length > 0 ? inputs.data : "",
                        is_cached && module->inputs ? module->inputs : "");
    buffer_done(&inputs);
}

#define BEHAVIOUR(function, need)                                                                  \
    {                                                                                              \
        #function, function, need                                                                  \
    }

const struct behaviour behaviours[] = {
    BEHAVIOUR(the_descriptor_is_whole, ALWAYS),
    BEHAVIOUR(inputs_are_installed, ALWAYS),
    BEHAVIOUR(open_refuses_bad_options, NEEDS_BAD_OPTIONS),
    BEHAVIOUR(answers_are_whole, ALWAYS),
    BEHAVIOUR(get_yields_what_is_there, NEEDS_SEEDS),
    BEHAVIOUR(get_misses_what_is_not_there, NEEDS_SEEDS),
    BEHAVIOUR(aliases_are_one_registry, NEEDS_SEEDS),
    BEHAVIOUR(hub_has_many_names, NEEDS_SEEDS),
    BEHAVIOUR(other_registries_stay_other, NEEDS_SEEDS),
    BEHAVIOUR(the_longest_path_wins, NEEDS_SEEDS),
    BEHAVIOUR(token_keys_match_exactly, NEEDS_SEEDS),
    BEHAVIOUR(list_has_the_keys_as_stored, NEEDS_LIST),
    BEHAVIOUR(store_replaces_aliases, NEEDS_STORE),
    BEHAVIOUR(store_replaces_every_alias, NEEDS_SEARCH),
    BEHAVIOUR(hub_is_stored_once, NEEDS_STORE),
    BEHAVIOUR(only_hub_is_hub, NEEDS_STORE),
    BEHAVIOUR(erase_takes_aliases_and_no_more, NEEDS_STORE),
    BEHAVIOUR(erase_never_shortens, NEEDS_STORE),
    BEHAVIOUR(everything_can_be_erased, NEEDS_STORE),
    BEHAVIOUR(what_does_not_fit_is_refused, NEEDS_STORE),
    BEHAVIOUR(what_no_text_can_hold_is_refused, NEEDS_STORE),
    BEHAVIOUR(reading_only_says_so, NEEDS_READ_ONLY),
    BEHAVIOUR(the_deadline_is_kept, NEEDS_BLOCK),
};
const size_t behaviour_count = COUNT(behaviours);
