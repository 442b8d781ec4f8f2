/* SPDX-License-Identifier: Apache-2.0 */
/* What is the file backend's own; what it shares with all backends is in tests/contract. */
#include "file-backend.h"

#include <signal.h>
#include <sys/resource.h>

static void every_form_of_an_entry_is_read(void **state)
{
    static const struct {
        const char *document;
        const char *credential;
    } cases[] = {
        { ENTRY(REGISTRY, BOB), "bob s3cret" },
        /* "bob:a:b:" and "bob:s3cret" with two NULs behind it */
        { ENTRY(REGISTRY, "\"auth\":\"Ym9iOmE6Yjo=\""), "bob a:b:" },
        { ENTRY(REGISTRY, "\"auth\":\"Ym9iOnMzY3JldAAA\""), "bob s3cret" },
        { ENTRY(REGISTRY, "\"auth\":\"OnBhc3M=\""), " pass" },
        { ENTRY(REGISTRY, "\"username\":\"a:b\",\"password\":\"c\""), "a:b c" },
        { ENTRY(REGISTRY, "\"username\":\"x\",\"password\":\"y\"," BOB), "bob s3cret" },
        { ENTRY(REGISTRY, "\"auth\":\"PHRva2VuPjo=\",\"identitytoken\":\"t\""), "<token> t" },
        { ENTRY(REGISTRY, "\"identitytoken\":\"t\""), "<token> t" },
        { ENTRY(REGISTRY, BOB ",\"identitytoken\":\"\",\"registrytoken\":\"r\""), "bob s3cret" },
        { "{\"auths\":{\"" REGISTRY "\":{},\"https://" REGISTRY "\":{" BOB "}}}", "bob s3cret" },
        { "{\"auths\":{\"" REGISTRY "/x\":5,\"" REGISTRY "\":{" BOB "}}}", "bob s3cret" },
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(cases); i++) {
        put(PLAIN_STORE, cases[i].document);
        expect(PLAIN, REGISTRY, cases[i].credential);
    }
}

static void what_holds_nothing_is_absent(void **state)
{
    static const char *const documents[] = {
        "{}",
        "{\"auths\":null}",
        "{\"auths\":{}}",
        "{\"credsStore\":\"pass\",\"credHelpers\":{\"" REGISTRY "\":\"pass\"}}",
        ENTRY(REGISTRY, ""),
        ENTRY(REGISTRY, "\"auth\":\"\",\"email\":\"x@example.com\""),
        ENTRY(REGISTRY, "\"auth\":null"),
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(documents); i++) {
        put(PLAIN_STORE, documents[i]);
        refuse(PLAIN, GET, PULLKEY_NOT_FOUND, REGISTRY);
    }
}

static void a_registrytoken_is_logged(void **state)
{
    (void)state;
    put(PLAIN_STORE, ENTRY(REGISTRY, "\"registrytoken\":\"s3cret\""));
    refuse(PLAIN, GET, PULLKEY_NOT_FOUND, REGISTRY);
    assert_non_null(strstr(logged, "registrytoken"));
    assert_null(strstr(logged, "s3cret"));
}

static void bad_entries_are_errors_that_name_the_key(void **state)
{
    static const char *const entries[] = {
        "\"auth\":\"s3cret*\"",
        "\"auth\":\"Ym9i\"",
        "\"auth\":5",
        "\"auth\":\"Ym9iOnMA/zNjcmV0\"",
        "\"auth\":\"Ym9iOnMAM2NyZXQ=\"",
        "\"identitytoken\":[\"s3cret\"]",
        "\"username\":{},\"password\":\"s3cret\"",
    };
    struct pullkey_error error;

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(entries); i++) {
        char document[512];

        (void)snprintf(document, sizeof(document),
                       "{\n\"auths\":{\n\"good.example.com\":{" BOB "},\n\"" REGISTRY "\":{%s}}}",
                       entries[i]);
        put(PLAIN_STORE, document);
        refuse(PLAIN, GET, PULLKEY_INVALID, "auth.json:4: auths." REGISTRY);
        /* Others are not held back by it, and it can be replaced. */
        expect(PLAIN, "good.example.com", "bob s3cret");
        assert_fine(run(PLAIN, LIST, "x", &error), error);
        assert_string_equal(found, "good.example.com=bob;");
        assert_non_null(strstr(logged, REGISTRY));
        assert_null(strstr(logged, "s3cret"));
        store(PLAIN);
        expect(PLAIN, "good.example.com", "bob s3cret");
    }
}

static void what_is_not_understood_is_kept(void **state)
{
    static const char *const kept[] = {
        "\"HttpHeaders\"",
        "\"X-Meta\"",
        "\"a \\\"q\\\" \\\\ 7 \\n\"",
        "\"psFormat\":\tnull",
        "\"other.example.com\"",
        "\"extra\"",
        "1.50",
        "-1E+30",
        "12345678901234567890",
        "\"J\xc3\xbcrgen\"",
    };
    struct pullkey_error error;

    (void)state;
    put(PLAIN_STORE,
        "{\"HttpHeaders\":{\"X-Meta\":\"a \\\"q\\\" \\\\ 7 \\n\"},\"psFormat\":null,\"n\":[1.50,"
        "-1E+30,12345678901234567890,true,{}],\"auths\":{"
        "\"" REGISTRY "\":{" BOB ",\"email\":\"gone\"},"
        "\"other.example.com\":{" BOB ",\"extra\":[\"J\xc3\xbcrgen\"]}}}");
    store(PLAIN);
    for (size_t i = 0; i < UNIT_COUNT(kept); i++)
        if (!strstr(content(PLAIN_STORE), kept[i]))
            fail_msg("%s is lost: %s", kept[i], content(PLAIN_STORE));
    assert_null(strstr(content(PLAIN_STORE), "gone"));
    assert_fine(run(PLAIN, ERASE, REGISTRY, &error), error);
    for (size_t i = 0; i < UNIT_COUNT(kept); i++)
        assert_non_null(strstr(content(PLAIN_STORE), kept[i]));
    assert_null(strstr(content(PLAIN_STORE), REGISTRY));
}

static void what_does_not_parse_is_never_overwritten(void **state)
{
    static const char *const documents[] = {
        "",
        " ",
        "[]",
        "null",
        "5",
        "s3cret",
        "{'a'}",
        "{} {}",
        "{\"auths\":{}",
        "{\"auths\":[]}",
        "{\"auths\":{\"a\":{},\"a\":{}}}",
        "{\"a\":\"\xff\"}",
    };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(documents); i++) {
        put(PLAIN_STORE, documents[i]);
        for (enum verb verb = GET; verb <= LIST; verb++)
            refuse(PLAIN, verb, PULLKEY_INVALID, ADVICE);
        assert_string_equal(content(PLAIN_STORE), documents[i]);
    }
}

static void modes_are_tight_after_a_write(void **state)
{
    mode_t old = umask(0);

    (void)state;
    store(PLAIN);
    assert_int_equal(mode_of(PLAIN_STORE), 0600);
    assert_int_equal(mode_of(".config/pullkey"), 0700);
    assert_int_equal(logged[0], '\0');
    assert_int_equal(chmod(at(PLAIN_STORE), 0644), 0);
    expect(PLAIN, REGISTRY, "alice new-s3cret");
    assert_non_null(strstr(logged, "0644"));
    store(PLAIN);
    assert_int_equal(mode_of(PLAIN_STORE), 0600);
    (void)umask(old);
}

static void files_of_others_shapes_are_refused(void **state)
{
    (void)state;
    put(PLAIN_STORE, ENTRY(REGISTRY, BOB));
    assert_int_equal(chmod(at(PLAIN_STORE), 0620), 0);
    refuse(PLAIN, GET, PULLKEY_DENIED, "chmod go-w");
    assert_int_equal(chmod(at(PLAIN_STORE), 0600), 0);
    assert_int_equal(link(at(PLAIN_STORE), at("second-name")), 0);
    refuse(PLAIN, GET, PULLKEY_DENIED, "hard links");
    assert_int_equal(unlink(at("second-name")), 0);
    assert_int_equal(chmod(at(".config/pullkey"), 0777), 0);
    refuse(PLAIN, GET, PULLKEY_DENIED, "chmod go-w");
    refuse(PLAIN, STORE, PULLKEY_DENIED, "chmod go-w");
    assert_int_equal(chmod(at(".config/pullkey"), 0700), 0);
    assert_int_equal(rename(at(PLAIN_STORE), at("elsewhere")), 0);
    assert_int_equal(symlink(at("elsewhere"), at(PLAIN_STORE)), 0);
    for (enum verb verb = GET; verb <= LIST; verb++)
        refuse(PLAIN, verb, PULLKEY_DENIED, "symbolic link");
    assert_string_equal(content("elsewhere"), ENTRY(REGISTRY, BOB));
    assert_int_equal(unlink(at(PLAIN_STORE)), 0);
    assert_int_equal(mkfifo(at(PLAIN_STORE), 0600), 0);
    refuse(PLAIN, GET, PULLKEY_DENIED, "not a regular file");
    assert_int_equal(unlink(at(PLAIN_STORE)), 0);
    assert_int_equal(mkdir(at(PLAIN_STORE), 0700), 0);
    refuse(PLAIN, GET, PULLKEY_DENIED, "not a regular file");
}

static void a_store_has_a_largest_size(void **state)
{
    const char *options = "{\"encryption\":\"none\",\"path\":\"~/big.json\"}";
    struct buffer text = BUFFER_INIT(2 * JSON_SIZE_MAX);

    (void)state;
    buffer_append_text(&text, "{\"x\":\"");
    while (text.length < JSON_SIZE_MAX - 520)
        buffer_append_text(&text, "x");
    buffer_append_text(&text, "\"}");
    unit_write(at("big.json"), text.data, text.length, 0600);
    refuse(options, GET, PULLKEY_NOT_FOUND, REGISTRY);
    refuse(options, STORE, PULLKEY_INVALID, "pullkey logout");
    while (text.length < JSON_SIZE_MAX)
        buffer_append_text(&text, " ");
    unit_write(at("big.json"), text.data, text.length, 0600);
    refuse(options, GET, PULLKEY_NOT_FOUND, REGISTRY);
    buffer_append_text(&text, " ");
    unit_write(at("big.json"), text.data, text.length, 0600);
    refuse(options, GET, PULLKEY_INVALID, "larger than 1048576 bytes");
    buffer_done(&text);
}

static void options_that_say_nonsense_are_refused(void **state)
{
    static const char *const options[] = {
        "{\"encryption\":\"gpg\"}",
        "{\"path\":\"relative\"}",
        "{\"path\":\"\"}",
        "{\"path\":\"~bob/auth\"}",
        "{\"key\":\"relative\"}",
        "{\"encryption\":\"none\",\"key\":\"/a/key\"}",
        "{\"path\":\"/a/auth\",\"key\":\"/a/key\"}",
        "{\"sources\":[]}",
        "{\"sources\":[\"relative\"]}",
        "{\"sources\":[\"/a\"],\"path\":\"/b\"}",
        "{\"sources\":[\"/a\"],\"credential\":\"b\"}",
        "{\"sources\":[\"/a\"],\"encryption\":\"cms\"}",
        "{\"credential\":\"a/b\"}",
        "{\"credential\":\"..\"}",
        "{\"credential\":\"a\",\"key\":\"/k\"}",
    };

    (void)state;
    assert_int_equal(setenv("CREDENTIALS_DIRECTORY", root, 1), 0);
    for (size_t i = 0; i < UNIT_COUNT(options); i++)
        refuse(options[i], GET, PULLKEY_INVALID, "");
}

static void the_other_form_is_not_passed_over(void **state)
{
    (void)state;
    put(PLAIN_STORE, ENTRY(REGISTRY, BOB));
    for (enum verb verb = GET; verb <= LIST; verb++)
        refuse(SEALED, verb, PULLKEY_INVALID, "pullkey import ");
    put(SEALED_STORE, ENTRY(REGISTRY, BOB));
    for (enum verb verb = GET; verb <= LIST; verb++)
        refuse(SEALED, verb, PULLKEY_INVALID, "pullkey import ");
    assert_string_equal(content(SEALED_STORE), ENTRY(REGISTRY, BOB));
    assert_int_equal(unlink(at(PLAIN_STORE)), 0);
    put(SEALED_STORE, "\x30\x81\xde");
    for (enum verb verb = GET; verb <= LIST; verb++)
        refuse(PLAIN, verb, PULLKEY_INVALID, "\"encryption\": \"cms\"");
    put(PLAIN_STORE, "\x30\x81\xde");
    refuse(PLAIN, GET, PULLKEY_INVALID, "\"encryption\": \"cms\"");
    assert_false(exists(KEY));
}

static void without_the_module_nothing_is_written_in_the_clear(void **state)
{
    (void)state;
    host.codec = find_no_codec;
    refuse(SEALED, GET, PULLKEY_NOT_FOUND, REGISTRY);
    refuse(SEALED, STORE, PULLKEY_INVALID, "not installed");
    assert_false(exists(SEALED_STORE));
    assert_false(exists(PLAIN_STORE));
    assert_false(exists(KEY));
}

static void a_credential_of_the_service_manager(void **state)
{
    const char *options = "{\"credential\":\"registry-auth\"}";

    (void)state;
    refuse(options, GET, PULLKEY_NO_IDENTITY, "LoadCredential");
    assert_int_equal(setenv("CREDENTIALS_DIRECTORY", root, 1), 0);
    refuse(options, GET, PULLKEY_NO_IDENTITY, "LoadCredential");
    put("registry-auth", ENTRY(REGISTRY, BOB));
    assert_int_equal(chmod(at("registry-auth"), 0440), 0);
    expect(options, REGISTRY, "bob s3cret");
    refuse(options, STORE, PULLKEY_UNSUPPORTED, "only read");
    refuse(options, ERASE, PULLKEY_UNSUPPORTED, "only read");
    assert_string_equal(content("registry-auth"), ENTRY(REGISTRY, BOB));
}

static void the_first_source_with_an_answer_wins(void **state)
{
    const char *options = "{\"sources\":[\"~/missing\",\"~/one\",\"~/two\"]}";
    struct pullkey_error error = { 0 };

    (void)state;
    refuse(options, GET, PULLKEY_NOT_FOUND, REGISTRY);
    put("two", ENTRY(REGISTRY, BOB));
    put("one", ENTRY("https://other.example.com", "\"username\":\"u\",\"password\":\"p\""));
    expect(options, REGISTRY, "bob s3cret");
    expect(options, "other.example.com", "u p");
    put("one", ENTRY("https://" REGISTRY, "\"username\":\"u\",\"password\":\"p\""));
    expect(options, REGISTRY, "u p");
    put("one", "{");
    /* What belongs to another program is not for the user to move away. */
    assert_refused(run(options, GET, REGISTRY, &error), PULLKEY_INVALID, "/one:1:", error);
    assert_null(strstr(error.message, ADVICE));
}

static void parallel_stores_keep_every_entry(void **state)
{
    (void)state;
    parallel_stores_keep_all(PLAIN);
}

/* The directory cannot be written to, but nothing needs to be. */
static void erase_of_nothing_writes_nothing(void **state)
{
    (void)state;
    refuse(PLAIN, ERASE, PULLKEY_NOT_FOUND, REGISTRY);
    assert_false(exists(".config"));
    put(PLAIN_STORE, ENTRY("other.example.com", BOB));
    refuse(PLAIN, ERASE, PULLKEY_NOT_FOUND, REGISTRY);
    assert_false(exists(PLAIN_STORE ".lock"));
}

static void a_full_disk_leaves_the_old_store(void **state)
{
    struct rlimit limit, old;
    pid_t child;

    (void)state;
    put(PLAIN_STORE, ENTRY("other.example.com", BOB));
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct pullkey_error error = { 0 };

        limit = (struct rlimit){ .rlim_cur = 20, .rlim_max = old.rlim_max };
        (void)signal(SIGXFSZ, SIG_IGN);
        (void)setrlimit(RLIMIT_FSIZE, &limit);
        _exit(run(PLAIN, STORE, REGISTRY, &error) == -PULLKEY_INTERNAL &&
                      strstr(error.message, "was not changed")
                  ? 0
                  : 1);
    }
    assert_int_equal(unit_wait(child), 0);
    assert_string_equal(content(PLAIN_STORE), ENTRY("other.example.com", BOB));
    assert_false(exists(PLAIN_STORE ".tmp"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_form_of_an_entry_is_read),
        TEST(what_holds_nothing_is_absent),
        TEST(a_registrytoken_is_logged),
        TEST(bad_entries_are_errors_that_name_the_key),
        TEST(what_is_not_understood_is_kept),
        TEST(what_does_not_parse_is_never_overwritten),
        TEST(modes_are_tight_after_a_write),
        TEST(files_of_others_shapes_are_refused),
        TEST(a_store_has_a_largest_size),
        TEST(options_that_say_nonsense_are_refused),
        TEST(the_other_form_is_not_passed_over),
        TEST(without_the_module_nothing_is_written_in_the_clear),
        TEST(a_credential_of_the_service_manager),
        TEST(the_first_source_with_an_answer_wins),
        TEST(parallel_stores_keep_every_entry),
        TEST(erase_of_nothing_writes_nothing),
        TEST(a_full_disk_leaves_the_old_store),
    };

    json_start();
    return cmocka_run_group_tests_name("file-backend", tests, NULL, NULL);
}
