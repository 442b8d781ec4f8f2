/* SPDX-License-Identifier: Apache-2.0 */
/* Finding descriptors in the table of what is built in. What is loaded is tested with the installed programs. */
#include "unit.h"

#include "core/module.h"
#include "pullkey-build.h"

#define LONGEST "a23456789012345678901234567890b" /* 31 bytes */
#define INPUTS "env UNIT_IDENTITY\nfile ~/identity\n"
#define ALL (PULLKEY_CAN_GET | PULLKEY_CAN_STORE | PULLKEY_CAN_LIST)

static int fake_open(const struct pullkey_host *host, const struct pullkey_instance *instance,
                     void **ret, struct pullkey_error *error)
{
    (void)host;
    (void)instance;
    (void)ret;
    return error_set(error, PULLKEY_INTERNAL, "nobody opens this");
}

static int fake_get(void *state, const struct pullkey_request *request,
                    struct pullkey_credential *ret, struct pullkey_error *error)
{
    (void)state;
    (void)request;
    (void)ret;
    return error_set(error, PULLKEY_INTERNAL, "nobody asks this");
}

static int fake_store(void *state, const struct pullkey_request *request,
                      const struct pullkey_credential *credential, struct pullkey_error *error)
{
    (void)state;
    (void)request;
    (void)credential;
    return error_set(error, PULLKEY_INTERNAL, "nobody asks this");
}

static int fake_erase(void *state, const struct pullkey_request *request,
                      struct pullkey_error *error)
{
    (void)state;
    (void)request;
    return error_set(error, PULLKEY_INTERNAL, "nobody asks this");
}

static int fake_list(void *state, int64_t deadline_ms, struct pullkey_list *ret,
                     struct pullkey_error *error)
{
    (void)state;
    (void)deadline_ms;
    (void)ret;
    return error_set(error, PULLKEY_INTERNAL, "nobody asks this");
}

static void fake_close(void *state)
{
    (void)state;
}

static int fake_seal(const struct pullkey_host *host, const struct pullkey_secret *key,
                     const struct pullkey_secret *text, struct pullkey_secret *ret,
                     struct pullkey_error *error)
{
    (void)host;
    (void)key;
    (void)text;
    (void)ret;
    return error_set(error, PULLKEY_INTERNAL, "nobody asks this");
}

static int fake_check(const struct pullkey_host *host, const struct pullkey_request *request,
                      const struct pullkey_credential *credential, const char *json,
                      struct pullkey_probe_result *ret, struct pullkey_error *error)
{
    (void)host;
    (void)request;
    (void)credential;
    (void)json;
    (void)ret;
    return error_set(error, PULLKEY_INTERNAL, "nobody asks this");
}

#define HEAD(structure, kind, type, can, inputs)                                                   \
    {                                                                                              \
        PULLKEY_ABI_MAJOR, PULLKEY_ABI_MINOR, sizeof(structure), kind, type, can, NULL, inputs     \
    }
#define BACKEND(type, can, inputs)                                                                 \
    {                                                                                              \
        HEAD(struct pullkey_backend, PULLKEY_KIND_BACKEND, type, can, inputs), fake_open,          \
            fake_get, fake_store, fake_erase, fake_list, fake_close                                \
    }

static const struct pullkey_backend whole = BACKEND("whole", ALL, NULL);
static const struct pullkey_backend longest = BACKEND(LONGEST, ALL, NULL);
static const struct pullkey_backend expiring = BACKEND("x-9", ALL | PULLKEY_EXPIRES, INPUTS);
static const struct pullkey_backend lasting = BACKEND("lasting", ALL, INPUTS);
static const struct pullkey_backend undeclared = BACKEND("undeclared", ALL | PULLKEY_EXPIRES, NULL);
/* In the table, but with a name that must not even be looked for. */
static const struct pullkey_backend misnamed = BACKEND("mis_named", ALL, NULL);
static const struct pullkey_codec codec = {
    .module = HEAD(codec, PULLKEY_KIND_CODEC, "codec", 0, NULL),
    .seal = fake_seal,
    .unseal = fake_seal,
};
static int fake_read(const struct pullkey_host *host, const char *name, const char *text,
                     size_t length, struct pullkey_secret *ret_json,
                     struct pullkey_place **ret_places, size_t *ret_count,
                     struct pullkey_error *error)
{
    (void)host;
    (void)name;
    (void)text;
    (void)length;
    (void)ret_json;
    (void)ret_places;
    (void)ret_count;
    return error_set(error, PULLKEY_INTERNAL, "nobody asks this");
}

static const struct pullkey_reader reader = {
    .module = HEAD(reader, PULLKEY_KIND_READER, "reader", 0, NULL),
    .read = fake_read,
};
static const struct pullkey_probe probe = {
    .module = HEAD(probe, PULLKEY_KIND_PROBE, "probe", 0, NULL),
    .check = fake_check,
};
/* Of minor 5. */
static const struct pullkey_probe old_probe = {
    .module = { PULLKEY_ABI_MAJOR, 5, offsetof(struct pullkey_probe, walk), PULLKEY_KIND_PROBE,
                "old-probe", 0, NULL, NULL },
    .check = fake_check,
};
static struct pullkey_backend changing = BACKEND("changing", ALL, NULL); /* as each case wants it */

extern const struct pullkey_module *const module_builtin_table[];
const struct pullkey_module *const module_builtin_table[] = {
    &whole.module,    &longest.module, &expiring.module, &lasting.module,  &undeclared.module,
    &misnamed.module, &codec.module,   &probe.module,    &reader.module,   &changing.module,
    &old_probe.module,
    NULL,
};

static int tear_down(void **state)
{
    (void)state;
    changing = (struct pullkey_backend)BACKEND("changing", ALL, NULL);
    return 0;
}

/* What an out-parameter holds after an error: what it held before. */
static const struct pullkey_backend untouched;

static int find_backend(const char *type, struct pullkey_error *error)
{
    const struct pullkey_backend *found = &untouched;
    int r = module_find_backend(type, &found, error);

    if (r < 0)
        assert_ptr_equal(found, &untouched);
    else
        assert_string_equal(found->module.type, type);
    return r;
}

static void what_is_there_is_found(void **state)
{
    const struct pullkey_backend *backend;
    const struct pullkey_codec *found_codec;
    const struct pullkey_probe *found_probe;
    const struct pullkey_reader *found_reader;
    struct pullkey_error error;

    (void)state;
    assert_fine(module_find_backend("whole", &backend, &error), error);
    assert_ptr_equal(backend, &whole);
    assert_fine(module_find_backend(LONGEST, &backend, &error), error);
    assert_ptr_equal(backend, &longest);
    assert_fine(module_find_codec("codec", &found_codec, &error), error);
    assert_ptr_equal(found_codec, &codec);
    assert_fine(module_find_probe("probe", &found_probe, &error), error);
    assert_ptr_equal(found_probe, &probe);
    assert_fine(module_find_probe("old-probe", &found_probe, &error), error);
    assert_ptr_equal(found_probe, &old_probe);
    assert_fine(module_find_reader("reader", &found_reader, &error), error);
    assert_ptr_equal(found_reader, &reader);
    assert_refused(module_find_reader("codec", &found_reader, &error), PULLKEY_INVALID,
                   "\"codec\" cannot be used", error);
    assert_refused(module_find_reader("unit-absent", &found_reader, &error), PULLKEY_UNSUPPORTED,
                   "unit-absent", error);
}

static void unknown_names(void **state)
{
    static const char *const names[] = { "unit-absent", "whol", "wholee", "whole-" };
    const struct pullkey_codec *found_codec;
    const struct pullkey_probe *found_probe;
    struct pullkey_error error;

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(names); i++) {
        assert_refused(find_backend(names[i], &error), PULLKEY_UNSUPPORTED, names[i], error);
        if (!PULLKEY_BUILTIN)
            assert_non_null(strstr(error.message, "not installed"));
    }
    assert_refused(module_find_codec("unit-absent", &found_codec, &error), PULLKEY_UNSUPPORTED,
                   "unit-absent", error);
    assert_refused(module_find_probe("unit-absent", &found_probe, &error), PULLKEY_UNSUPPORTED,
                   "unit-absent", error);
}

/* None of them is made into a path, or compared with the table. */
static void bad_characters(void **state)
{
    static const char *const names[] = {
        "",          "Whole",   "mis_named", "../whole", "/whole",       "whole/", "whole.so",
        "-whole",    "_whole",  "a b",       "whole\n",  "wh\xc3\xb6le", ".",      "..",
        LONGEST "c", "whole\\", "who*",      "~",        "%s",           "$HOME",  "whole;",
    };
    cleanup_buffer struct buffer inputs = BUFFER_INIT(1000);
    const struct pullkey_codec *found_codec;
    struct pullkey_error error;

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(names); i++) {
        assert_refused(find_backend(names[i], &error), PULLKEY_INVALID, "is no name of a backend",
                       error);
        assert_int_equal(module_find_codec(names[i], &found_codec, &error), -PULLKEY_INVALID);
        assert_int_equal(module_inputs(names[i], &inputs, &error), -PULLKEY_INVALID);
        assert_int_equal(inputs.length, 0);
    }
}

static void another_kind_is_refused(void **state)
{
    const struct pullkey_codec *found_codec;
    const struct pullkey_probe *found_probe;
    struct pullkey_error error;

    (void)state;
    assert_refused(find_backend("codec", &error), PULLKEY_INVALID, "\"codec\" cannot be used", error);
    assert_refused(find_backend("probe", &error), PULLKEY_INVALID, "\"probe\" cannot be used", error);
    assert_refused(module_find_codec("whole", &found_codec, &error), PULLKEY_INVALID,
                   "\"whole\" cannot be used", error);
    assert_refused(module_find_codec("probe", &found_codec, &error), PULLKEY_INVALID,
                   "\"probe\" cannot be used", error);
    assert_refused(module_find_probe("codec", &found_probe, &error), PULLKEY_INVALID,
                   "\"codec\" cannot be used", error);
    changing.module.kind = PULLKEY_KIND_READER;
    assert_refused(find_backend("changing", &error), PULLKEY_INVALID, "cannot be used", error);
}

/* Its members are not all there, so none is looked at. */
static void smaller_ones_are_refused(void **state)
{
    static const uint32_t small[] = { 0, sizeof(struct pullkey_module),
                                      offsetof(struct pullkey_backend, close),
                                      offsetof(struct pullkey_backend, verify) - 1 };
    struct pullkey_error error;

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(small); i++) {
        changing.module.size = small[i];
        assert_refused(find_backend("changing", &error), PULLKEY_INVALID, "older than its ABI", error);
    }
    /* One of minor 1, and one that has grown since. */
    changing.module.size = offsetof(struct pullkey_backend, verify);
    assert_fine(find_backend("changing", &error), error);
    changing.module.size = sizeof(struct pullkey_backend) + 8;
    changing.module.abi_minor = PULLKEY_ABI_MINOR + 1;
    assert_fine(find_backend("changing", &error), error);
}

static void hollow(struct pullkey_backend backend, bool is_fine)
{
    struct pullkey_error error;

    changing = backend;
    if (is_fine)
        assert_fine(find_backend("changing", &error), error);
    else
        assert_refused(find_backend("changing", &error), PULLKEY_INVALID, "lacks an operation", error);
}

static void operations_that_are_declared_must_be_there(void **state)
{
    struct pullkey_backend backend;

    (void)state;
    for (uint32_t more = 0; more <= (ALL | PULLKEY_EXPIRES); more++) {
        uint32_t can = more | PULLKEY_CAN_GET;
        bool stores = can & PULLKEY_CAN_STORE, lists = can & PULLKEY_CAN_LIST;

        backend = (struct pullkey_backend)BACKEND("changing", can, NULL);
        hollow(backend, true);
        backend.open = NULL;
        hollow(backend, false);
        backend.open = fake_open;
        backend.get = NULL;
        hollow(backend, false);
        backend.get = fake_get;
        backend.close = NULL;
        hollow(backend, false);
        backend.close = fake_close;
        backend.store = NULL;
        hollow(backend, !stores);
        backend.store = fake_store;
        backend.erase = NULL;
        hollow(backend, !stores);
        backend.erase = fake_erase;
        backend.list = NULL;
        hollow(backend, !lists);
    }
}

static void inputs_are_for_what_expires(void **state)
{
    static const struct {
        const char *type, *inputs;
    } rows[] = { { "x-9", INPUTS },     { "lasting", "" }, { "undeclared", "" },
                 { "whole", "" },       { "codec", "" },   { "unit-absent", "" } };
    struct pullkey_error error;

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        cleanup_buffer struct buffer inputs = BUFFER_INIT(1000);

        assert_fine(module_inputs(rows[i].type, &inputs, &error), error);
        assert_string_equal(inputs.length > 0 ? inputs.data : "", rows[i].inputs);
    }
}

static void inputs_have_a_limit(void **state)
{
    cleanup_buffer struct buffer inputs = BUFFER_INIT(8);
    struct pullkey_error error;

    (void)state;
    assert_true(module_inputs("x-9", &inputs, &error) < 0);
}

static void the_host_is_whole(void **state)
{
    (void)state;
    assert_int_equal(module_host.size, sizeof(module_host));
    assert_true(module_host.alloc && module_host.release && module_host.log &&
                module_host.wall_seconds && module_host.monotonic_ms && module_host.match &&
                module_host.list_add && module_host.codec && module_host.reader &&
                module_host.wait_for_person);
}

#define CASE(name) cmocka_unit_test_teardown(name, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(what_is_there_is_found),
        CASE(unknown_names),
        CASE(bad_characters),
        CASE(another_kind_is_refused),
        CASE(smaller_ones_are_refused),
        CASE(operations_that_are_declared_must_be_there),
        CASE(inputs_are_for_what_expires),
        CASE(inputs_have_a_limit),
        CASE(the_host_is_whole),
    };

    return cmocka_run_group_tests_name("module", tests, NULL, NULL);
}
