/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "core/config.h"
#include "pullkey-build.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define NODE "{\"version\": 1}"

/* A scratch directory with the places of configuration files below it. */
struct place {
    char root[64];
    char user[96];
    char system[96];
    char parts[128];
};

static void path_in(const struct place *place, const char *name, char path[FILE_PATH_MAX])
{
    assert_true(snprintf(path, FILE_PATH_MAX, "%s/%s", place->root, name) < FILE_PATH_MAX);
}

static void put(const struct place *place, const char *name, const char *text)
{
    char path[FILE_PATH_MAX];
    FILE *file;

    path_in(place, name, path);
    file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, 0644), 0);
}

static int set_up(void **state)
{
    struct place *place = calloc(1, sizeof(*place));

    if (!place)
        return -1;
    (void)snprintf(place->root, sizeof(place->root), "/tmp/test-config-XXXXXX");
    if (!mkdtemp(place->root))
        return -1;
    (void)snprintf(place->user, sizeof(place->user), "%s/user", place->root);
    (void)snprintf(place->system, sizeof(place->system), "%s/system", place->root);
    (void)snprintf(place->parts, sizeof(place->parts), "%s/system/config.d", place->root);
    if (mkdir(place->user, 0755) < 0 || mkdir(place->system, 0755) < 0 ||
        mkdir(place->parts, 0755) < 0)
        return -1;
    *state = place;
    return 0;
}

static void remove_tree(const char *path)
{
    DIR *directory = opendir(path);
    struct dirent *entry;

    while (directory && (entry = readdir(directory))) {
        char child[FILE_PATH_MAX];

        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        (void)snprintf(child, sizeof(child), "%s/%s", path, entry->d_name);
        if (unlink(child) < 0)
            remove_tree(child);
    }
    if (directory)
        (void)closedir(directory);
    (void)rmdir(path);
}

static int tear_down(void **state)
{
    struct place *place = *state;

    remove_tree(place->root);
    free(place);
    return 0;
}

static struct config_source source_of(const struct place *place)
{
    return (struct config_source){ .user_directory = place->user,
                                   .system_directory = place->system };
}

static void load(const struct config_source *source, struct config *ret)
{
    struct pullkey_error error = { 0 };
    int r = config_load(source, ret, &error);

    if (r < 0)
        print_error("%s\n", error.message);
    assert_int_equal(r, 0);
}

static void load_text(const char *text, struct config *ret)
{
    load(&(struct config_source){ .text = text, .system_directory = "/nonexistent" }, ret);
}

/* The expected text may begin with '*', for "ends with". */
static void expect_message(const struct pullkey_error *error, const char *expected)
{
    size_t length = strlen(error->message);
    size_t tail = strlen(expected) - (expected[0] == '*');

    if (expected[0] != '*')
        assert_string_equal(error->message, expected);
    else if (length < tail || strcmp(error->message + length - tail, expected + 1) != 0)
        fail_msg("got \"%s\", expected \"%s\"", error->message, expected);
}

static void refuse(const struct config_source *source, enum pullkey_error_class code,
                   const char *expected)
{
    struct pullkey_error error = { 0 };
    struct config config = { 0 };
    int r = config_load(source, &config, &error);

    assert_int_equal(r, -(int)code);
    assert_int_equal(error.code, code);
    assert_null(config.documents);
    expect_message(&error, expected);
}

static void refuse_in(const struct place *place, enum pullkey_error_class code, const char *name,
                      const char *rest)
{
    struct config_source source = source_of(place);
    char expected[FILE_PATH_MAX];

    (void)snprintf(expected, sizeof(expected), "%s/%s%s", place->root, name, rest);
    refuse(&source, code, expected);
}

static const struct config_rule *rule_for(const struct config *config, const char *server,
                                          struct config_asker asker)
{
    struct registry_reference reference;
    struct pullkey_error error;

    assert_int_equal(registry_parse(server, strlen(server), &reference, &error), 0);
    return config_find_rule(config, &reference, &asker);
}

static const char *first_type(const struct config *config, const char *server)
{
    const struct config_rule *rule =
        rule_for(config, server, (struct config_asker){ .caller = CONFIG_DOCKER });

    return rule ? rule->chain[0].type : NULL;
}

static void no_configuration(void **state)
{
    struct place *place = *state;
    struct config_source source = source_of(place);
    cleanup_config struct config config = { 0 };

    load(&source, &config);
    assert_int_equal(config.document_count, 0);
    assert_int_equal(config.default_count, 1);
    assert_string_equal(config.default_chain[0].name, "file");
    assert_string_equal(config.default_chain[0].type, "file");
    assert_true(config.default_chain[0].implicit);
    assert_null(config.default_chain[0].options);
    assert_null(config.store);
    assert_null(first_type(&config, "registry.example.com"));
    config_done(&config);

    remove_tree(place->user);
    remove_tree(place->system);
    source.session_bus = true;
    load(&source, &config);
    assert_int_equal(config.default_count, 2);
    assert_string_equal(config.default_chain[0].name, "keyring");
    assert_true(config.default_chain[0].implicit);
    assert_string_equal(config.default_chain[1].name, "file");
    assert_true(config.default_chain[1].implicit);
}

static void default_chains(void **state)
{
    static const struct {
        const char *text;
        bool bus;
        const char *chain; /* names; '?' after an implicit one */
        const char *store;
    } cases[] = {
        { "{\"version\": 1}", false, "file?", NULL },
        { "{\"version\": 1}", true, "keyring? file?", NULL },
        { "{\"version\": 1, \"default\": [\"keyring\", \"file\"]}", false, "keyring file", NULL },
        { "{\"version\": 1, \"default\": \"file\"}", true, "file", NULL },
        { "{\"version\": 1, \"default\": []}", true, "", NULL },
        { "{\"version\": 1, \"default\": [{\"type\": \"env\"}, \"file\"]}", true, "env file", NULL },
        { "{\"version\": 1, \"backends\": {\"file\": {\"type\": \"file\"}}}", true, "keyring? file",
          NULL },
        { "{\"version\": 1, \"store\": \"file\"}", true, "keyring? file", "file" },
        { "{\"version\": 1, \"store\": \"keyring\"}", true, "keyring file?", "keyring" },
        { "{\"version\": 1, \"store\": \"keyring\"}", false, "keyring file?", "keyring" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct config_source source = { .session_bus = cases[i].bus, .text = cases[i].text };
        cleanup_config struct config config = { 0 };
        char chain[256] = "";

        load(&source, &config);
        for (size_t j = 0; j < config.default_count; j++) {
            size_t used = strlen(chain);

            (void)snprintf(chain + used, sizeof(chain) - used, "%s%s%s", j > 0 ? " " : "",
                           config.default_chain[j].name,
                           config.default_chain[j].implicit ? "?" : "");
        }
        assert_string_equal(chain, cases[i].chain);
        if (cases[i].store)
            assert_string_equal(config.store, cases[i].store);
        else
            assert_null(config.store);
    }
}

static void merging(void **state)
{
    struct place *place = *state;
    struct config_source source = source_of(place);
    cleanup_config struct config config = { 0 };
    char name[CONFIG_RULE_NAME_MAX], expected[CONFIG_RULE_NAME_MAX];
    const struct config_rule *rule;

    put(place, "user/config.json",
        "{\"version\": 1, \"backends\": {\"robot\": {\"type\": \"env\", \"password\": \"P\"}},\n"
        " \"rules\": [{\"match\": \"a.example\", \"use\": \"robot\"}]}");
    put(place, "system/config.d/10-first.json",
        "{\"version\": 1,\n\n\"default\" [\"robot\"]}");
    refuse_in(place, PULLKEY_INVALID, "system/config.d/10-first.json",
              ":3: expected ':' after a key");
    put(place, "system/config.d/10-first.json",
        "{\"version\": 1, \"default\": [\"robot\"], \"store\": \"robot\",\n"
        " \"rules\": [{\"match\": [\"a.example\", \"b.example\", \"c.example\"],\n"
        "             \"use\": [{\"type\": \"ten\"}]}]}");
    put(place, "system/config.d/20-second.json",
        "{\"version\": 1, \"rules\": [{\"match\": \"x.example\", \"use\": []},\n"
        "  {\"match\": [\"a.example\", \"b.example\"], \"use\": [{\"type\": \"twenty\"}]}]}");
    put(place, "system/config.json",
        "{\"version\": 1, \"backends\": {\n"
        "  \"robot\": {\"type\": \"exec\", \"helper\": \"h\", \"on_error\": \"next\"},\n"
        "  \"other\": {\"type\": \"exec\", \"helper\": \"o\", \"on_error\": \"next\"}},\n"
        " \"default\": [\"file\", \"other\"], \"store\": \"file\",\n"
        " \"rules\": [{\"match\": \"*.example\", \"use\": [\"robot\", \"other\"]}]}");
    /* None of these is a part of the configuration. */
    put(place, "system/config.d/.30-hidden.json", "{");
    put(place, "system/config.d/30-backup.json~", "{");
    put(place, "system/config.d/json", "{");
    put(place, "system/config.d/.json", "{");
    put(place, "user/other.json", "{");

    load(&source, &config);
    assert_int_equal(config.document_count, 4);
    assert_int_equal(config.rule_count, 5);
    assert_string_equal(first_type(&config, "a.example"), "env");
    assert_string_equal(first_type(&config, "b.example"), "twenty");
    assert_string_equal(first_type(&config, "c.example"), "ten");
    assert_string_equal(first_type(&config, "https://d.example:443/v2/"), "env");
    assert_null(first_type(&config, "d.example:5000"));

    /* Replaced whole: nothing of the farther "robot" is left, and its rule uses the nearer one. */
    rule = rule_for(&config, "d.example", (struct config_asker){ .caller = CONFIG_HOSTS });
    assert_non_null(rule);
    assert_int_equal(rule->chain_count, 2);
    assert_string_equal(rule->chain[0].name, "robot");
    assert_null(json_member(rule->chain[0].options, "helper"));
    assert_false(rule->chain[0].on_error_next);
    assert_false(rule->chain[0].implicit);
    assert_string_equal(rule->chain[1].type, "exec");
    assert_true(rule->chain[1].on_error_next);

    assert_int_equal(config.default_count, 1);
    assert_string_equal(config.default_chain[0].type, "env");
    assert_string_equal(config.store, "robot");

    rule = rule_for(&config, "b.example", (struct config_asker){ .caller = CONFIG_DOCKER });
    config_rule_name(rule, name);
    (void)snprintf(expected, sizeof(expected), "rule 2 of %s/20-second.json", place->parts);
    assert_string_equal(name, expected);
    config_rule_name(NULL, name);
    assert_string_equal(name, "the default chain");

    rule = rule_for(&config, "x.example", (struct config_asker){ .caller = CONFIG_DOCKER });
    assert_non_null(rule);
    assert_int_equal(rule->chain_count, 0);
}

static void store_and_default_of_different_files(void **state)
{
    struct place *place = *state;
    struct config_source source = source_of(place);
    cleanup_config struct config config = { 0 };

    /* The nearer file replaces the chain that the farther store was meant for. */
    put(place, "user/config.json", "{\"version\": 1, \"default\": [\"file\"]}");
    put(place, "system/config.json",
        "{\"version\": 1, \"default\": [\"keyring\", \"file\"], \"store\": \"keyring\"}");
    load(&source, &config);
    assert_int_equal(config.default_count, 1);
    assert_null(config.store);
    config_done(&config);

    put(place, "user/config.json", "{\"version\": 1,\n \"store\": \"file\"}");
    load(&source, &config);
    assert_int_equal(config.default_count, 2);
    assert_string_equal(config.store, "file");

    put(place, "user/config.json", "{\"version\": 1,\n \"store\": \"vault\"}");
    refuse_in(place, PULLKEY_INVALID, "user/config.json",
              ":2: store: \"vault\" is not in the default chain: add it to \"default\"");
}

static void system_mode(void **state)
{
    struct place *place = *state;
    struct config_source source = source_of(place);
    cleanup_config struct config config = { 0 };

    put(place, "user/config.json", "not even JSON");
    put(place, "system/config.json", "{\"version\": 1, \"default\": [{\"type\": \"env\"}]}");
    source.system = true;
    source.text = "not JSON either";
    load(&source, &config);
    assert_true(config.system);
    assert_int_equal(config.document_count, 1);
    assert_string_equal(config.default_chain[0].type, "env");
    config_done(&config);

    put(place, "only.json", "{\"version\": 1, \"default\": []}");
    char path[FILE_PATH_MAX];

    path_in(place, "only.json", path);
    source.only_file = path;
    load(&source, &config);
    assert_int_equal(config.document_count, 1);
    assert_int_equal(config.default_count, 0);
}

static void one_file_or_text_instead_of_all(void **state)
{
    struct place *place = *state;
    struct config_source source = source_of(place);
    cleanup_config struct config config = { 0 };
    char path[FILE_PATH_MAX], expected[FILE_PATH_MAX + 64];

    put(place, "user/config.json", "{\"version\": 2}");
    path_in(place, "only.json", path);
    source.only_file = path;
    (void)snprintf(expected, sizeof(expected),
                   "PULLKEY_CONFIG: cannot open %s: No such file or directory", path);
    refuse(&source, PULLKEY_INVALID, expected);
    put(place, "only.json", "{\"version\": 1, \"default\": [{\"type\": \"only\"}]}");
    load(&source, &config);
    assert_string_equal(config.default_chain[0].type, "only");
    config_done(&config);

    source.text = "{\"version\": 1, \"default\": [{\"type\": \"text\"}]}";
    load(&source, &config);
    assert_string_equal(config.default_chain[0].type, "text");

    source.text = NULL;
    source.only_file = "pullkey.json";
    refuse(&source, PULLKEY_INVALID,
           "PULLKEY_CONFIG must be an absolute path, not pullkey.json");
    source.only_file = "/nonexistent/pullkey.json";
    refuse(&source, PULLKEY_INVALID,
           "PULLKEY_CONFIG: cannot open /nonexistent: No such file or directory");
}

static void rules_and_callers(void **state)
{
    static const struct config_asker docker = { .caller = CONFIG_DOCKER };
    static const struct config_asker hosts = { .caller = CONFIG_HOSTS };
    static const struct config_asker pod = { CONFIG_KUBELET, "prod", "builder" };
    static const struct config_asker other_pod = { CONFIG_KUBELET, "dev", "builder" };
    static const struct config_asker nameless = { .caller = CONFIG_KUBELET };
    static const struct {
        const char *when;
        bool docker, hosts, pod, other_pod, nameless;
    } cases[] = {
        { "{}", true, true, false, false, false },
        { "{\"caller\": [\"docker\"]}", true, false, false, false, false },
        { "{\"caller\": \"hosts\"}", false, true, false, false, false },
        { "{\"caller\": [\"kubelet\"]}", false, false, true, true, true },
        { "{\"caller\": [\"docker\", \"hosts\", \"kubelet\"]}", true, true, true, true, true },
        { "{\"caller\": [\"kubelet\"], \"namespace\": [\"x\", \"prod\"]}", false, false, true, false,
          false },
        { "{\"caller\": [\"kubelet\"], \"namespace\": \"dev\", \"service_account\": [\"builder\"]}",
          false, false, false, true, false },
        { "{\"caller\": [\"kubelet\"], \"namespace\": \"prod\", \"service_account\": \"default\"}",
          false, false, false, false, false },
        { "{\"caller\": [\"docker\", \"kubelet\"], \"namespace\": \"prod\"}", false, false, true,
          false, false },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        cleanup_config struct config config = { 0 };
        char text[512];

        (void)snprintf(text, sizeof(text),
                       "{\"version\": 1, \"rules\": [{\"match\": \"*.example\", \"use\": \"file\","
                       " \"when\": %s, \"on_store\": \"ignore\"}]}",
                       cases[i].when);
        load_text(text, &config);
        assert_true(config.rules[0].ignore_store);
        assert_int_equal(rule_for(&config, "a.example", docker) != NULL, cases[i].docker);
        assert_int_equal(rule_for(&config, "a.example", hosts) != NULL, cases[i].hosts);
        assert_int_equal(rule_for(&config, "a.example", pod) != NULL, cases[i].pod);
        assert_int_equal(rule_for(&config, "a.example", other_pod) != NULL, cases[i].other_pod);
        assert_int_equal(rule_for(&config, "a.example", nameless) != NULL, cases[i].nameless);
        assert_null(rule_for(&config, "a.b.example", docker));
    }
}

static void files_that_others_can_change(void **state)
{
    struct place *place = *state;
    char path[FILE_PATH_MAX], other[FILE_PATH_MAX];

    put(place, "user/config.json", NODE);
    put(place, "system/config.d/a.json", NODE);
    path_in(place, "user/config.json", path);

    assert_int_equal(chmod(path, 0664), 0);
    refuse_in(place, PULLKEY_DENIED, "user/config.json",
              " has mode 0664 and others may write to it: run chmod go-w on it");
    assert_int_equal(chmod(path, 0644), 0);

    path_in(place, "user/second", other);
    assert_int_equal(link(path, other), 0);
    refuse_in(place, PULLKEY_DENIED, "user/config.json", " has 2 names: remove its hard links");
    assert_int_equal(unlink(path), 0);

    assert_int_equal(symlink("second", path), 0);
    refuse_in(place, PULLKEY_DENIED, "user/config.json",
              " is a symbolic link: put the file itself there");
    assert_int_equal(unlink(path), 0);

    assert_int_equal(mkfifo(path, 0600), 0);
    refuse_in(place, PULLKEY_DENIED, "user/config.json", " is not a regular file");
    assert_int_equal(unlink(path), 0);

    assert_int_equal(chmod(place->parts, 0777), 0);
    (void)snprintf(other, sizeof(other), "others may write to the directory %s: run chmod go-w on it",
                   place->parts);
    refuse(&(struct config_source){ .system_directory = place->system }, PULLKEY_DENIED, other);
    assert_int_equal(chmod(place->parts, 0755), 0);

    path_in(place, "system/config.d/b.json", path);
    assert_int_equal(symlink("a.json", path), 0);
    refuse_in(place, PULLKEY_DENIED, "system/config.d/b.json",
              " is a symbolic link: put the file itself there");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0755), 0);
    refuse_in(place, PULLKEY_DENIED, "system/config.d/b.json", " is not a regular file");
    assert_int_equal(rmdir(path), 0);
}

static void files_of_others(void **state)
{
    struct place *place = *state;
    char path[FILE_PATH_MAX], expected[FILE_PATH_MAX + 64];

    put(place, "user/config.json", NODE);
    path_in(place, "user/config.json", path);
    if (geteuid() == 0) {
        assert_int_equal(chown(path, 12345, (gid_t)-1), 0);
        refuse_in(place, PULLKEY_DENIED, "user/config.json",
                  " belongs to user 12345: it must belong to you or to root");
        return;
    }
    assert_int_equal(chmod(path, 0), 0);
    (void)snprintf(expected, sizeof(expected), "cannot open %s: Permission denied", path);
    refuse(&(struct config_source){ .user_directory = place->user,
                                    .system_directory = place->system },
           PULLKEY_DENIED, expected);
}

static void sizes_are_limited(void **state)
{
    struct place *place = *state;
    char *text = malloc(CONFIG_FILE_MAX + 2);

    assert_non_null(text);
    memset(text, ' ', CONFIG_FILE_MAX + 1);
    text[CONFIG_FILE_MAX + 1] = '\0';
    memcpy(text, NODE, strlen(NODE));
    refuse(&(struct config_source){ .text = text }, PULLKEY_INVALID,
           "PULLKEY_CONFIG_JSON: more than 262144 bytes");
    put(place, "user/config.json", text);
    refuse_in(place, PULLKEY_INVALID, "user/config.json", ": more than 262144 bytes");

    text[CONFIG_FILE_MAX] = '\0';
    put(place, "user/config.json", text);
    free(text);
    for (unsigned int i = 0; i < CONFIG_DOCUMENTS_MAX; i++) {
        char name[64];
        cleanup_config struct config config = { 0 };
        struct config_source source = source_of(place);

        if (i == CONFIG_DOCUMENTS_MAX - 1)
            load(&source, &config);
        (void)snprintf(name, sizeof(name), "system/config.d/%u.json", i);
        put(place, name, NODE);
    }
    refuse_in(place, PULLKEY_INVALID, "system/config.d/0.json",
              ": there are more than 64 configuration files");
    put(place, "system/config.d/z.json", NODE);
    refuse_in(place, PULLKEY_INVALID, "system/config.d", " holds more than 64 files");
}

static void source_from_the_environment(void **state)
{
    struct place *place = *state;
    struct config_source source;
    struct pullkey_error error;
    char directory[FILE_PATH_MAX], path[FILE_PATH_MAX];

    (void)unsetenv("DBUS_SESSION_BUS_ADDRESS");
    (void)unsetenv("PULLKEY_CONFIG");
    assert_int_equal(setenv("PULLKEY_CONFIG_JSON", "", 1), 0);
    assert_int_equal(setenv("XDG_CONFIG_HOME", place->root, 1), 0);
    assert_int_equal(setenv("XDG_RUNTIME_DIR", place->root, 1), 0);
    path_in(place, "pullkey", directory);

    assert_int_equal(config_source_default(false, &source, &error), 0);
    assert_false(source.system);
    assert_false(source.session_bus);
    assert_string_equal(source.user_directory, directory);
    assert_string_equal(source.system_directory, PULLKEY_SYSCONFDIR);
    assert_null(source.only_file);
    assert_null(source.text);

    assert_int_equal(setenv("PULLKEY_CONFIG", "/some/file", 1), 0);
    assert_int_equal(setenv("PULLKEY_CONFIG_JSON", "{}", 1), 0);
    put(place, "bus", "");
    assert_int_equal(config_source_default(false, &source, &error), 0);
    assert_string_equal(source.only_file, "/some/file");
    assert_string_equal(source.text, "{}");
    /* Root has no keyring of its own. */
    assert_int_equal(source.session_bus, geteuid() != 0);
    path_in(place, "bus", path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/x", 1), 0);
    assert_int_equal(config_source_default(false, &source, &error), 0);
    assert_int_equal(source.session_bus, geteuid() != 0);

    assert_int_equal(config_source_default(true, &source, &error), 0);
    assert_true(source.system);
    assert_null(source.user_directory);
    assert_null(source.text);
    assert_false(source.session_bus);
    assert_string_equal(source.only_file, "/some/file");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(no_configuration, set_up, tear_down),
        cmocka_unit_test(default_chains),
        cmocka_unit_test_setup_teardown(merging, set_up, tear_down),
        cmocka_unit_test_setup_teardown(store_and_default_of_different_files, set_up, tear_down),
        cmocka_unit_test_setup_teardown(system_mode, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_file_or_text_instead_of_all, set_up, tear_down),
        cmocka_unit_test(rules_and_callers),
        cmocka_unit_test_setup_teardown(files_that_others_can_change, set_up, tear_down),
        cmocka_unit_test_setup_teardown(files_of_others, set_up, tear_down),
        cmocka_unit_test_setup_teardown(sizes_are_limited, set_up, tear_down),
        cmocka_unit_test_setup_teardown(source_from_the_environment, set_up, tear_down),
    };

    json_start();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
