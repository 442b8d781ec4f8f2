/* SPDX-License-Identifier: Apache-2.0 */
#include "cache-fixture.h"

static void each_part_of_the_key_counts(void **state)
{
    static const size_t parts[] = {
        offsetof(struct cache_key, instance), offsetof(struct cache_key, type),
        offsetof(struct cache_key, options),  offsetof(struct cache_key, registry),
        offsetof(struct cache_key, path),     offsetof(struct cache_key, subject),
    };
    cleanup_cache struct cache *cache = open_cache();
    struct cache_key key = make_key();

    (void)state;
    assert_true(misses(cache, &key));
    assert_false(misses(cache, &key));
    for (size_t i = 0; i < UNIT_COUNT(parts); i++) {
        struct cache_key other = key;

        *(const char **)((char *)&other + parts[i]) = "other";
        assert_true(misses(cache, &other));
        assert_false(misses(cache, &other));
    }
    /* The border between two parts counts too. */
    key.instance = "awst";
    key.type = "oken";
    assert_true(misses(cache, &key));
}

static void identity_is_part_of_the_key(void **state)
{
    cleanup_cache struct cache *cache = open_cache();
    struct cache_key key = make_key();
    char moved[FILE_PATH_MAX + 8];

    (void)state;
    assert_true(misses(cache, &key));
    assert_false(misses(cache, &key));
    setenv("UNIT_IDENTITY", "hunter3", 1);
    assert_true(misses(cache, &key));
    unsetenv("UNIT_IDENTITY");
    assert_true(misses(cache, &key));
    setenv("UNIT_IDENTITY", "", 1);
    assert_true(misses(cache, &key));
    setenv("UNIT_IDENTITY", "hunter2", 1);
    assert_false(misses(cache, &key));
    /* The same content under a new inode, as a rotated token has it. */
    (void)snprintf(moved, sizeof(moved), "%s.old", identity);
    assert_int_equal(rename(identity, moved), 0);
    assert_true(misses(cache, &key));
    unit_write(identity, "one", 3, 0600);
    assert_true(misses(cache, &key));
    assert_false(misses(cache, &key));
    unit_write(identity, "four", 4, 0600);
    assert_true(misses(cache, &key));
    setenv("UNIT_DIR", "/nonexistent", 1);
    assert_true(misses(cache, &key));
}

/* What an instance is told to use counts as what every instance uses does. */
static void options_name_inputs(void **state)
{
    cleanup_cache struct cache *cache = open_cache();
    struct cache_key key = make_key();
    char options[FILE_PATH_MAX + 128];

    (void)state;
    (void)snprintf(
        options, sizeof(options),
        "{\"a\":{\"env\":\"UNIT_IDENTITY\",\"file\":\"%s\"},\"list\":[\"OTHER\",\"UNIT_LISTED\"],"
        "\"odd\":{\"env\":1,\"file\":[2]}}",
        identity);
    key.options = options;
    key.inputs =
        "env @a.env\nfile @a.file\nenv @list\nenv @odd.env\nfile @odd.file\nfile @missing.file\n"
        "file @a.env.deeper\nenv @list.member\n";
    unit_write(identity, "one", 3, 0600);
    setenv("UNIT_LISTED", "x", 1);
    assert_true(misses(cache, &key));
    assert_false(misses(cache, &key));
    setenv("UNIT_IDENTITY", "hunter3", 1);
    assert_true(misses(cache, &key));
    setenv("UNIT_LISTED", "y", 1);
    assert_true(misses(cache, &key));
    unit_write(identity, "four", 4, 0600);
    assert_true(misses(cache, &key));
    assert_false(misses(cache, &key));
    assert_int_equal(unlink(identity), 0);
    assert_true(misses(cache, &key));
    unsetenv("UNIT_LISTED");
    assert_true(misses(cache, &key));
    assert_false(misses(cache, &key));
    /* Without any option there is nothing to look at. */
    key.options = NULL;
    assert_true(misses(cache, &key));
    assert_false(misses(cache, &key));
    setenv("UNIT_IDENTITY", "hunter2", 1);
}

/* Inputs of one kind of instance are none of another's. */
static void options_choose_inputs(void **state)
{
    cleanup_cache struct cache *cache = open_cache();
    struct cache_key key = make_key();

    (void)state;
    key.inputs = "env UNIT_DIR\nfor @kind.of=one @kind.of=two\nenv UNIT_LISTED\nfor @kind.of=three "
                 "@other\nfile relative\n";
    key.options = "{\"kind\":{\"of\":\"two\"}}";
    unsetenv("UNIT_LISTED");
    assert_true(misses(cache, &key));
    assert_false(misses(cache, &key));
    setenv("UNIT_LISTED", "x", 1);
    assert_true(misses(cache, &key));
    for (size_t i = 0; i < 3; i++) {
        static const char *const others[] = { "{\"kind\":{\"of\":\"tw\"}}",
                                              "{\"kind\":{\"of\":[\"two\"]}}",
                                              "{\"kind\":\"two\"}" };

        key.options = others[i];
        assert_true(misses(cache, &key));
        unsetenv("UNIT_LISTED");
        assert_false(misses(cache, &key));
        setenv("UNIT_LISTED", "x", 1);
    }
    unsetenv("UNIT_LISTED");
    /* What counts is read strictly, and with it the condition. */
    key.options = "{\"kind\":{\"of\":\"three\"}}";
    assert_true(misses(cache, &key));
    assert_true(misses(cache, &key));
    key.options = "{\"other\":{}}";
    assert_true(misses(cache, &key));
    assert_true(misses(cache, &key));
    key.inputs = "env UNIT_DIR\nenv @kind.of=two\n";
    assert_true(misses(cache, &key));
    assert_true(misses(cache, &key));
    key.inputs = "env UNIT_DIR\nfor \n";
    assert_true(misses(cache, &key));
    assert_true(misses(cache, &key));
    key.inputs = "env UNIT_DIR\nfor kind=two\n";
    assert_true(misses(cache, &key));
    assert_true(misses(cache, &key));
}

/* The other way round: what counts for all but some. */
static void options_rule_inputs_out(void **state)
{
    static const struct {
        const char *options;
        bool counts;
    } rows[] = {
        { "{\"kind\":\"one\"}", false },
        { "{\"other\":{}}", false },
        { "{\"kind\":\"three\"}", true },
        { NULL, true },
    };
    cleanup_cache struct cache *cache = open_cache();
    struct cache_key key = make_key();

    (void)state;
    key.inputs = "env UNIT_DIR\nunless @kind=one @other\nenv UNIT_LISTED\nfor @missing\nenv HOME\n";
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        key.options = rows[i].options;
        unsetenv("UNIT_LISTED");
        assert_true(misses(cache, &key));
        setenv("UNIT_LISTED", "x", 1);
        assert_int_equal(misses(cache, &key), rows[i].counts);
    }
    unsetenv("UNIT_LISTED");
    key.inputs = "env UNIT_DIR\nunless \n";
    assert_true(misses(cache, &key));
    assert_true(misses(cache, &key));
}

/* What is said of the kind of an instance, and not of a value. */
static void options_choose_lines(void **state)
{
    static const char inputs[] = "env UNIT_DIR\nfor @kind=one @deep.er\nworkload\n"
                                 "unless @kind=two\nregistry\n";
    static const struct {
        const char *options;
        bool workload, registry;
    } rows[] = {
        { "{\"kind\":\"one\"}", true, true },
        { "{\"kind\":\"two\"}", false, false },
        { "{\"kind\":\"two\",\"deep\":{\"er\":0}}", true, false },
        { "{\"deep\":\"er\"}", false, true },
        { "{}", false, true },
    };
    cleanup_cache struct cache *cache = open_cache();
    struct cache_key key = make_key();

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        cleanup_json struct json options = { 0 };
        struct pullkey_error error;

        assert_fine(
            json_parse(&options, "options", rows[i].options, strlen(rows[i].options), 0, &error),
            error);
        assert_int_equal(cache_declares(inputs, options.root, "workload"), rows[i].workload);
        assert_int_equal(cache_declares(inputs, options.root, "registry"), rows[i].registry);
        assert_true(cache_declares(inputs, options.root, "env UNIT_DIR"));
        assert_false(cache_declares(inputs, options.root, "env UNIT"));
    }
    assert_true(cache_declares(inputs, NULL, "registry"));
    assert_false(cache_declares(inputs, NULL, "workload"));
    assert_false(cache_declares("", NULL, "registry"));
    assert_false(cache_declares("registr", NULL, "registry"));
    assert_true(cache_declares("registry", NULL, "registry"));
    /* What cannot be read declares nothing, and nothing is kept. */
    assert_false(cache_declares("for kind\nregistry\n", NULL, "registry"));
    key.inputs = "env UNIT_DIR\nfor @kind\nregistry\nworkload\n";
    key.options = "{\"kind\":1}";
    assert_true(misses(cache, &key));
    assert_false(misses(cache, &key));
    key.inputs = "env UNIT_DIR\nregistry \n";
    assert_true(misses(cache, &key));
    assert_true(misses(cache, &key));
}

/* A file whose name is an option, in a directory that is not. */
static void options_name_files(void **state)
{
    static const char *const refused[] = { "file /x/{@name", "file /x/{@name}{@name}",
                                           "file /x/{@}", "file /x/{@name=x}", "file x{@name}" };
    cleanup_cache struct cache *cache = open_cache();
    struct cache_key key = make_key();

    (void)state;
    setenv("UNIT_DIR", place, 1);
    key.inputs = "file $UNIT_DIR/{@name}\nfile SYSCONFDIR/x/{@name}.json\nfile DATADIR/{@name}\n"
                 "file @name\n";
    key.options = "{\"name\":\"identity\"}";
    unit_write(identity, "one", 3, 0600);
    assert_true(misses(cache, &key));
    assert_false(misses(cache, &key));
    unit_write(identity, "four", 4, 0600);
    assert_true(misses(cache, &key));
    assert_false(misses(cache, &key));
    /* What is no name is no file there. */
    for (size_t i = 0; i < 3; i++) {
        static const char *const others[] = { "{\"name\":\"../identity\"}",
                                              "{\"name\":[\"identity\"]}", "{}" };

        key.options = others[i];
        assert_true(misses(cache, &key));
        unit_write(identity, i % 2 ? "four" : "one", i % 2 ? 4 : 3, 0600);
        assert_false(misses(cache, &key));
    }
    key.options = "{\"name\":\"identity\"}";
    for (size_t i = 0; i < UNIT_COUNT(refused); i++) {
        key.inputs = refused[i];
        assert_true(misses(cache, &key));
        assert_true(misses(cache, &key));
    }
}

static void home_counts_in_paths(void **state)
{
    cleanup_cache struct cache *cache = open_cache();
    struct cache_key key = make_key();

    (void)state;
    key.inputs = "file ~/identity";
    setenv("HOME", "/nonexistent", 1);
    assert_true(misses(cache, &key));
    assert_false(misses(cache, &key));
    setenv("HOME", place, 1);
    assert_true(misses(cache, &key));
    assert_false(misses(cache, &key));
}

/* The file that a variable names, as it is. */
static void named_file_counts(void **state)
{
    cleanup_cache struct cache *cache = open_cache();
    struct cache_key key = make_key();

    (void)state;
    key.inputs = "file $UNIT_FILE";
    unsetenv("UNIT_FILE");
    assert_true(misses(cache, &key));
    assert_false(misses(cache, &key));
    setenv("UNIT_FILE", identity, 1);
    unit_write(identity, "one", 3, 0600);
    assert_true(misses(cache, &key));
    assert_false(misses(cache, &key));
    unit_write(identity, "four", 4, 0600);
    assert_true(misses(cache, &key));
    unsetenv("UNIT_FILE");
    assert_false(misses(cache, &key));
    /* In the home, if it says so. */
    setenv("HOME", place, 1);
    setenv("UNIT_FILE", "~/identity", 1);
    assert_false(misses(cache, &key));
    unit_write(identity, "one", 3, 0600);
    assert_true(misses(cache, &key));
    unsetenv("UNIT_FILE");
}

/* One that is replaced at each use counts by whose it is. */
static void rotated_file_counts(void **state)
{
    cleanup_cache struct cache *cache = open_cache();
    struct cache_key key = make_key();
    struct file_family family;
    struct pullkey_error error;
    char options[FILE_PATH_MAX + 128], path[FILE_PATH_MAX + 8];

    (void)state;
    (void)snprintf(options, sizeof(options), "{\"a\":{\"file\":\"%s\"}}", identity);
    key.options = options;
    key.inputs = "env UNIT_DIR\nrotated @a.file\n";
    unit_write(identity, "one", 3, 0600);
    assert_true(misses(cache, &key));
    assert_false(misses(cache, &key));
    /* By us: before it takes the place of the old one, and then. */
    (void)snprintf(path, sizeof(path), "%s.tmp", identity);
    unit_write(path, "four", 4, 0600);
    file_family(identity, &family);
    file_state(path, &family.next);
    (void)snprintf(path, sizeof(path), "%s.family", identity);
    assert_fine(file_replace(path, (const char *)&family, sizeof(family), 0600, &error), error);
    assert_false(misses(cache, &key));
    (void)snprintf(path, sizeof(path), "%s.tmp", identity);
    assert_int_equal(rename(path, identity), 0);
    assert_false(misses(cache, &key));
    /* By somebody else. */
    unit_write(identity, "three", 5, 0600);
    assert_true(misses(cache, &key));
    assert_false(misses(cache, &key));
    assert_int_equal(unlink(identity), 0);
    assert_true(misses(cache, &key));
    key.inputs = "env UNIT_DIR\nrotated /a/file\n";
    assert_true(misses(cache, &key));
    assert_true(misses(cache, &key));
}

static void no_value_of_the_environment_is_written(void **state)
{
    cleanup_cache struct cache *cache = open_cache();
    struct cache_key key = make_key();
    char path[FILE_PATH_MAX];
    char text[4096];

    (void)state;
    assert_true(misses(cache, &key));
    slot_path(cache, &key, path);
    read_all(path, text, sizeof(text));
    assert_null(strstr(text, "hunter2"));
    assert_non_null(strstr(text, "registry.example.com"));
}

static void names_are_hashes(void **state)
{
    cleanup_cache struct cache *cache = open_cache();
    struct cache_key key = make_key();
    DIR *list;
    struct dirent *item;

    (void)state;
    assert_true(misses(cache, &key));
    list = opendir(directory);
    assert_non_null(list);
    while ((item = readdir(list)))
        if (item->d_name[0] != '.')
            assert_int_equal(strspn(item->d_name, "0123456789abcdef-"), 65);
    closedir(list);
}

static void untrusted_files_are_misses(void **state)
{
    cleanup_cache struct cache *cache = open_cache();
    struct cache_key key = make_key();
    char path[FILE_PATH_MAX], other[FILE_PATH_MAX + 8];

    (void)state;
    assert_true(misses(cache, &key));
    slot_path(cache, &key, path);
    for (mode_t mode = 0; mode <= 07777; mode = mode == 0 ? 1 : mode << 1) {
        assert_int_equal(chmod(path, 0600 ^ mode), 0);
        if (mode != 0)
            check_replaced(cache, &key, "another mode");
    }
    (void)snprintf(other, sizeof(other), "%s.hard", path);
    assert_int_equal(link(path, other), 0);
    check_replaced(cache, &key, "a hard link");
    assert_int_equal(unlink(other), 0);
    assert_int_equal(rename(path, other), 0);
    assert_int_equal(symlink(other, path), 0);
    check_replaced(cache, &key, "a link");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    check_replaced(cache, &key, "a FIFO");
    if (geteuid() == 0) {
        assert_int_equal(chown(path, 12345, 0), 0);
        check_replaced(cache, &key, "a foreign file");
    }
}

static void every_partial_file_is_a_miss(void **state)
{
    cleanup_cache struct cache *cache = open_cache();
    struct cache_key key = make_key();
    struct cache_slot slot;
    struct pullkey_error error;
    char path[FILE_PATH_MAX];
    char text[4096];

    (void)state;
    assert_true(misses(cache, &key));
    slot_path(cache, &key, path);
    read_all(path, text, sizeof(text));
    assert_fine(cache_slot_make(cache, &key, &slot, &error), error);
    /* Less its last line end it is still whole. */
    for (size_t length = 0; length <= strlen(text); length++) {
        cleanup_entry struct cache_entry entry = { 0 };

        unit_write(path, text, length, 0600);
        cache_entry_read(cache, &slot, &entry);
        assert_int_equal(entry.outcome, length + 1 >= strlen(text) ? CACHE_TOKEN : CACHE_NOTHING);
    }
    unit_write(path, text, strlen(text) / 2, 0600);
    check_replaced(cache, &key, "half a file");
}

/* Replaces a part of the text of a fresh outcome. */
static void check_edited(const char *from, const char *to)
{
    cleanup_cache struct cache *cache = open_cache();
    struct cache_key key = make_key();
    char path[FILE_PATH_MAX];
    char text[4096], edited[8192];
    const char *at;

    (void)misses(cache, &key);
    slot_path(cache, &key, path);
    read_all(path, text, sizeof(text));
    at = strstr(text, from);
    assert_non_null(at);
    (void)snprintf(edited, sizeof(edited), "%.*s%s%s", (int)(at - text), text, to,
                   at + strlen(from));
    unit_write(path, edited, strlen(edited), 0600);
    check_replaced(cache, &key, to);
}

static void edited_files_are_misses(void **state)
{
    (void)state;
    check_edited("\"version\":2", "\"version\":1");
    check_edited("\"version\":2,", "");
    check_edited("\"aws\"", "\"awt\"");
    check_edited("\"aws\",", "");
    check_edited("\"aws\"", "\"aws\",\"aws\"");
    check_edited("\"aws\"", "7");
    check_edited("\"token\":{", "\"failure\":{},\"token\":{");
    check_edited("\"expiry\":1700003600", "\"expiry\":\"never\"");
    check_edited("\"expiry\":1700003600", "\"expiry\":1700003500");
    check_edited("\"end\":1700003540", "\"end\":1e300");
    check_edited("\"end\":1700003540", "\"end\":1800003540");
    check_edited("\"fetched\":1700000000", "\"fetched\":-1");
    check_edited("\"fetched\":1700000000", "\"fetched\":1700000061");
    check_edited("\"secret\":\"x\"", "\"secret\":null");
    check_edited("\"username\":\"robot\"", "\"username\":\"robot\",\"username\":\"root\"");
    check_edited("\"identity_token\":false", "\"identity_token\":0");
    check_edited("}}\n", "}} {}");
}

static void place_is_made(void **state)
{
    cleanup_cache struct cache *cache = NULL;
    char deep[FILE_PATH_MAX + 16];
    struct stat status;

    (void)state;
    (void)snprintf(deep, sizeof(deep), "%s/run", place);
    assert_int_equal(mkdir(deep, 0700), 0);
    unsetenv("PULLKEY_CACHE_DIR");
    setenv("XDG_RUNTIME_DIR", deep, 1);
    cache = open_cache();
    assert_non_null(cache);
    (void)snprintf(deep, sizeof(deep), "%s/run/pullkey/cache", place);
    assert_string_equal(cache->path, deep);
    assert_int_equal(stat(deep, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0700);
    (void)snprintf(deep, sizeof(deep), "%s/run/pullkey", place);
    assert_int_equal(stat(deep, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0700);
}

static void no_place_is_no_error(void **state)
{
    static const char *const places[] = { "relative/place", "/proc/nothing/here", "/dev/null/x",
                                          "/nonexistent/a/b" };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(places); i++) {
        setenv("PULLKEY_CACHE_DIR", places[i], 1);
        assert_null(open_cache());
    }
    unsetenv("PULLKEY_CACHE_DIR");
    unsetenv("XDG_RUNTIME_DIR");
    assert_null(open_cache());
    setenv("XDG_RUNTIME_DIR", "relative", 1);
    assert_null(open_cache());
    assert_int_not_equal(access("relative", F_OK), 0);
}

static void bad_places_are_not_used(void **state)
{
    static const mode_t modes[] = { 0755, 0750, 0701, 0770, 0777, 0500 };
    cleanup_cache struct cache *cache = NULL;
    char link_path[FILE_PATH_MAX];

    (void)state;
    assert_int_equal(mkdir(directory, 0700), 0);
    for (size_t i = 0; i < UNIT_COUNT(modes); i++) {
        assert_int_equal(chmod(directory, modes[i]), 0);
        assert_null(open_cache());
    }
    assert_int_equal(chmod(directory, 0700), 0);
    cache = open_cache();
    assert_non_null(cache);
    (void)snprintf(link_path, sizeof(link_path), "%.4000s/link", place);
    assert_int_equal(symlink(directory, link_path), 0);
    setenv("PULLKEY_CACHE_DIR", link_path, 1);
    assert_null(open_cache());
    unit_write(identity, "", 0, 0700);
    setenv("PULLKEY_CACHE_DIR", identity, 1);
    assert_null(open_cache());
}

static void nothing_is_made_where_others_write(void **state)
{
    (void)state;
    assert_int_equal(chmod(place, 0777), 0);
    assert_null(open_cache());
    assert_int_not_equal(access(directory, F_OK), 0);
    assert_int_equal(chmod(place, 01777), 0);
    {
        cleanup_cache struct cache *cache = open_cache();

        assert_non_null(cache);
    }
}

static void foreign_places_are_not_used(void **state)
{
    (void)state;
    only_as_root(true);
    assert_int_equal(mkdir(directory, 0700), 0);
    assert_int_equal(chown(directory, 12345, 0), 0);
    assert_null(open_cache());
    /* Nor is anything of root's left in a user's directory. */
    assert_int_equal(rmdir(directory), 0);
    assert_int_equal(chown(place, 12345, 0), 0);
    assert_null(open_cache());
    assert_int_not_equal(access(directory, F_OK), 0);
}

static void vanished_place_is_no_error(void **state)
{
    cleanup_cache struct cache *cache = open_cache();
    struct cache_key key = make_key();

    (void)state;
    assert_int_equal(rmdir(directory), 0);
    assert_true(misses(cache, &key));
    assert_true(misses(cache, &key));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(each_part_of_the_key_counts),
        CASE(identity_is_part_of_the_key),
        CASE(options_name_inputs),
        CASE(options_choose_inputs),
        CASE(options_rule_inputs_out),
        CASE(options_choose_lines),
        CASE(options_name_files),
        CASE(home_counts_in_paths),
        CASE(named_file_counts),
        CASE(rotated_file_counts),
        CASE(no_value_of_the_environment_is_written),
        CASE(names_are_hashes),
        CASE(untrusted_files_are_misses),
        CASE(every_partial_file_is_a_miss),
        CASE(edited_files_are_misses),
        CASE(place_is_made),
        CASE(no_place_is_no_error),
        CASE(bad_places_are_not_used),
        CASE(nothing_is_made_where_others_write),
        CASE(foreign_places_are_not_used),
        CASE(vanished_place_is_no_error),
    };

    json_start();
    return cmocka_run_group_tests_name("cache files", tests, NULL, NULL);
}
