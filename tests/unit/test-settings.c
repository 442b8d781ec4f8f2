/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "hosts/settings.h"

/* Owns a configuration and what was read of it. */
struct loaded {
    struct config config;
    struct settings settings;
};

static void load(struct loaded *loaded, const char *containerd)
{
    struct pullkey_error error;
    char text[2000];

    *loaded = (struct loaded){ 0 };
    (void)snprintf(text, sizeof(text), "{\"version\": 1%s%s}",
                   containerd ? ", \"containerd\": " : "", containerd ? containerd : "");
    assert_fine(config_load(&(struct config_source){ .text = text }, &loaded->config, &error),
                error);
    assert_fine(settings_load(&loaded->config, &loaded->settings, &error), error);
}

static void done(struct loaded *loaded)
{
    settings_done(&loaded->settings);
    assert_null(loaded->settings.hosts);
    config_done(&loaded->config);
}

static void defaults(void **state)
{
    static const char *const rows[] = { NULL, "{}", "{\"hosts\": {}}" };

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        struct loaded loaded;

        load(&loaded, rows[i]);
        assert_int_equal(loaded.settings.host_count, 0);
        assert_string_equal(loaded.settings.helper_user, SETTINGS_USER_DEFAULT);
        assert_int_equal(loaded.settings.helper_timeout, SETTINGS_TIMEOUT_DEFAULT);
        assert_int_equal(loaded.settings.readers_policy, SETTINGS_READERS_LOG);
        assert_null(loaded.settings.readers);
        assert_false(loaded.settings.scrub);
        done(&loaded);
    }
}

static void all_of_them(void **state)
{
    struct loaded loaded;

    (void)state;
    load(&loaded, "{\"helper_user\": \"helpers\", \"helper_timeout\": 30, \"scrub\": true,"
                  " \"readers_policy\": \"deny\", \"readers\": [\"/usr/bin/containerd\"]}");
    assert_string_equal(loaded.settings.helper_user, "helpers");
    assert_int_equal(loaded.settings.helper_timeout, 30);
    assert_int_equal(loaded.settings.readers_policy, SETTINGS_READERS_DENY);
    assert_int_equal(cJSON_GetArraySize(loaded.settings.readers), 1);
    assert_true(loaded.settings.scrub);
    done(&loaded);
    load(&loaded, "{\"readers_policy\": \"log\", \"scrub\": false}");
    assert_int_equal(loaded.settings.readers_policy, SETTINGS_READERS_LOG);
    assert_false(loaded.settings.scrub);
    done(&loaded);
}

static void helpers(void **state)
{
    static const char *const rows[][2] = {
        { "https://a.example", "whole" },
        { "a.example", "whole" },
        { "https://A.EXAMPLE:443/v2/", "whole" },
        { "https://a.example/v2/one", "one" },
        { "https://a.example/one", "one" },
        { "https://a.example/one/two", "whole" },
        { "https://a.example:5000", "port" },
        { "https://a.example:5000/x", "port" },
        { "http://a.example", NULL },
        { "https://sub.a.example", NULL },
        { "https://b.example/only", "only" },
        { "https://b.example", NULL },
        { "https://b.example/only/more", NULL },
        { "http://plain.example", "plain" },
        { "https://plain.example", NULL },
        { "http://plain.example:8080", NULL },
    };
    struct loaded loaded;

    (void)state;
    load(&loaded,
         "{\"hosts\": {\"https://a.example/v2/one\": \"one\", \"https://a.example\": \"whole\","
         " \"https://a.example:5000\": \"port\", \"https://b.example/only\": \"only\","
         " \"http://plain.example\": \"plain\"}}");
    assert_int_equal(loaded.settings.host_count, 5);
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        struct registry_reference reference;
        struct pullkey_error error;
        const char *helper;

        assert_fine(registry_parse(rows[i][0], strlen(rows[i][0]), &reference, &error), error);
        helper = settings_helper(&loaded.settings, &reference);
        if (!helper != !rows[i][1] || (helper && strcmp(helper, rows[i][1]) != 0))
            fail_msg("%s: %s", rows[i][0], helper ? helper : "none");
    }
    done(&loaded);
}

/* Of two files the nearer one wins, for each member by itself; their hosts come together. */
static void two_files(void **state)
{
    static const char near[] =
        "{\"version\": 1, \"containerd\": {\"helper_timeout\": 5, \"hosts\": "
        "{\"https://a.example\": \"near\", \"https://a.example/x\": \"path\"}}}";
    static const char far[] =
        "{\"version\": 1, \"containerd\": {\"helper_timeout\": 7, \"scrub\": true,"
        " \"hosts\": {\"https://a.example/\": \"far\", "
        "\"https://b.example\": \"far\"}}}";
    cleanup_config struct config config = { 0 };
    cleanup_settings struct settings settings = { 0 };
    char directory[512], path[700];
    struct registry_reference reference;
    struct pullkey_error error;

    (void)state;
    unit_make_directory(directory);
    (void)snprintf(path, sizeof(path), "%s/config.d", directory);
    assert_int_equal(mkdir(path, 0755), 0);
    (void)snprintf(path, sizeof(path), "%s/config.d/near.json", directory);
    unit_write(path, near, strlen(near), 0644);
    (void)snprintf(path, sizeof(path), "%s/config.json", directory);
    unit_write(path, far, strlen(far), 0644);
    assert_fine(
        config_load(&(struct config_source){ .system = true, .system_directory = directory },
                    &config, &error),
        error);
    assert_fine(settings_load(&config, &settings, &error), error);
    assert_int_equal(settings.host_count, 4);
    assert_int_equal(settings.helper_timeout, 5);
    assert_true(settings.scrub);
    assert_fine(registry_parse("a.example", 9, &reference, &error), error);
    assert_string_equal(settings_helper(&settings, &reference), "near");
    assert_fine(registry_parse("b.example", 9, &reference, &error), error);
    assert_string_equal(settings_helper(&settings, &reference), "far");
    unit_remove_directory(directory);
}

/* The configuration's own check looks at the form of a URL only. */
static void bad_urls(void **state)
{
    static const char text[] = "{\"version\": 1, \"containerd\": {\"hosts\":\n"
                               "{\"https://user:secret@a.example\": \"x\"}}}";
    cleanup_config struct config config = { 0 };
    struct settings settings;
    struct pullkey_error error;

    (void)state;
    if (config_load(&(struct config_source){ .text = text }, &config, &error) == 0)
        assert_refused(settings_load(&config, &settings, &error), PULLKEY_INVALID,
                       "user name or password", error);
    assert_null(strstr(error.message, "secret"));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),  cmocka_unit_test(all_of_them), cmocka_unit_test(helpers),
        cmocka_unit_test(two_files), cmocka_unit_test(bad_urls),
    };

    json_start();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
