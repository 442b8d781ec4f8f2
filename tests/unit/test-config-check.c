/* SPDX-License-Identifier: Apache-2.0 */
/* What one document may hold, and what an instance hands to its backend. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "core/config.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void load_text(const char *text, struct config *ret)
{
    struct config_source source = { .text = text };
    struct pullkey_error error = { 0 };
    int r = config_load(&source, ret, &error);

    if (r < 0)
        print_error("%s\n", error.message);
    assert_int_equal(r, 0);
}

/* The expected text comes after "PULLKEY_CONFIG_JSON:". */
static void refuse_text(const char *text, const char *expected)
{
    struct config_source source = { .text = text };
    struct pullkey_error error = { 0 };
    struct config config = { 0 };
    char whole[PULLKEY_ERROR_SIZE];

    assert_int_equal(config_load(&source, &config, &error), -(int)PULLKEY_INVALID);
    assert_int_equal(error.code, PULLKEY_INVALID);
    (void)snprintf(whole, sizeof(whole), "PULLKEY_CONFIG_JSON:%s", expected);
    assert_string_equal(error.message, whole);
}

static void comments_and_commas(void **state)
{
    cleanup_config struct config config = { 0 };

    (void)state;
    load_text("// a comment\n{ /* and\n another */ \"version\": 1, \"default\": [\"file\",], }\n",
              &config);
    assert_int_equal(config.default_count, 1);
}

static void refused_texts(void **state)
{
    static const struct {
        const char *text;
        const char *message;
    } cases[] = {
        { "[]", "1: expected an object" },
        { "{}", "1: \"version\" is missing: begin with \"version\": 1" },
        { "{\"version\": 2, \"new\": 1}", "1: version: this pullkey reads version 1 only" },
        { "{\"version\": \"1\"}", "1: version: this pullkey reads version 1 only" },
        { "{\"version\": 1,\n\n \"version\": 1}", "3: version: the key is there twice" },
        { "{\"version\": 1,\n \"rule\": []}",
          "2: rule: unknown key: use one of version, backends, rules, default, store, containerd, kubelet, "
          "$schema (keys of your own begin with x-)" },
        { "{\"version\": 1, \"rules\": {}}", "1: rules: expected a list of rules" },
        { "{\"version\": 1, \"rules\": [\n\"file\"]}", "2: rules[0]: expected an object" },
        { "{\"version\": 1, \"rules\": [{\"use\": []}]}", "1: rules[0]: \"match\" is missing" },
        { "{\"version\": 1, \"rules\": [{\"match\": \"**\"}]}", "1: rules[0]: \"use\" is missing" },
        { "{\"version\": 1, \"rules\": [{\"match\": []}]}",
          "1: rules[0].match: the list is empty: name at least one, or leave the key out" },
        { "{\"version\": 1, \"rules\": [{\"match\": [\"a.example\",\n 1]}]}",
          "2: rules[0].match[1]: expected a string" },
        { "{\"version\": 1, \"rules\": [{\"match\": true}]}",
          "1: rules[0].match: expected a string or a list of strings" },
        { "{\"version\": 1, \"rules\": [{\"match\": \"**\", \"use\": [\n\"fil\"]}]}",
          "2: rules[0].use[0]: unknown backend \"fil\": declare it under \"backends\", or use "
          "\"file\"" },
        { "{\"version\": 1, \"backends\": {\"a\": {\"type\": \"env\"}, \"b\": {\"type\": "
          "\"env\"}},\n"
          "\"default\": [\"c\"]}",
          "2: default[0]: unknown backend \"c\": declare it under \"backends\", or use \"a\", "
          "\"b\", \"file\"" },
        { "{\"version\": 1, \"default\": \"env\"}",
          "1: default: unknown backend \"env\": declare it under \"backends\", or use \"file\"" },
        { "{\"version\": 1, \"default\": [\"File\"]}",
          "1: default[0]: not a name: lower-case letters, digits, '-' and '_', at most 63, a "
          "letter or digit first" },
        { "{\"version\": 1, \"default\": {\"type\": \"env\"}}",
          "1: default: expected a list of backends" },
        { "{\"version\": 1, \"default\": [null]}",
          "1: default[0]: expected the name of a backend, or an object with a \"type\"" },
        { "{\"version\": 1, \"default\": [{}]}", "1: default[0]: \"type\" is missing" },
        { "{\"version\": 1, \"default\": [{\"type\": \"../evil\"}]}",
          "1: default[0].type: not a backend type: lower-case letters, digits and '-', at most "
          "31, a letter first" },
        { "{\"version\": 1, \"default\": [{\"type\": \"env\", \"on_error\": \"ignore\"}]}",
          "1: default[0].on_error: expected \"stop\" or \"next\"" },
        { "{\"version\": 1, \"default\": [{\"type\": \"env\", \"optional\": \"true\"}]}",
          "1: default[0].optional: expected true or false" },
        { "{\"version\": 1, \"default\": [\"file\",\"file\",\"file\",\"file\",\"file\",\"file\","
          "\"file\",\"file\",\"file\",\"file\",\"file\",\"file\",\"file\",\"file\",\"file\","
          "\"file\",\n\"file\"]}",
          "2: default[16]: more than 16 backends in one list" },
        { "{\"version\": 1, \"backends\": []}", "1: backends: expected an object" },
        { "{\"version\": 1, \"backends\": {\"my robot\": {\"type\": \"env\"}}}",
          "1: backends.my robot: not a name: lower-case letters, digits, '-' and '_', at most 63, "
          "a letter or digit first" },
        { "{\"version\": 1, \"backends\": {\"robot\":\n \"env\"}}",
          "2: backends.robot: expected an object" },
        { "{\"version\": 1, \"backends\": {\"robot\": {\"type\": 1}}}",
          "1: backends.robot.type: expected a string" },
        { "{\"version\": 1, \"store\": [\"file\"]}", "1: store: expected a string" },
        { "{\"version\": 1, \"store\": \"robot\"}",
          "1: store: \"robot\" is not in the default chain: add it to \"default\"" },
        { "{\"version\": 1, \"default\": [], \"store\": \"file\"}",
          "1: store: \"file\" is not in the default chain: add it to \"default\"" },
        { "{\"version\": 1, \"rules\": [{\"match\": \"**\", \"use\": [], \"when\": {\"user\": "
          "1}}]}",
          "1: rules[0].when.user: unknown key: use one of caller, namespace, service_account "
          "(keys of your own begin with x-)" },
        { "{\"version\": 1, \"rules\": [{\"match\": \"**\", \"use\": [], \"when\": []}]}",
          "1: rules[0].when: expected an object" },
        { "{\"version\": 1, \"rules\": [{\"match\": \"**\", \"use\": [],\n"
          " \"when\": {\"caller\": [\"docker\", \"podman\"]}}]}",
          "2: rules[0].when.caller[1]: expected \"docker\", \"hosts\" or \"kubelet\"" },
        { "{\"version\": 1, \"rules\": [{\"match\": \"**\", \"use\": [],\n"
          " \"when\": {\"namespace\": [\"prod\"]}}]}",
          "2: rules[0].when.namespace: only the kubelet tells it: add \"caller\": [\"kubelet\"] "
          "beside it" },
        { "{\"version\": 1, \"rules\": [{\"match\": \"**\", \"use\": [],\n"
          " \"when\": {\"caller\": \"docker\", \"service_account\": \"default\"}}]}",
          "2: rules[0].when.service_account: only the kubelet tells it: add \"caller\": "
          "[\"kubelet\"] beside it" },
        { "{\"version\": 1, \"rules\": [{\"match\": \"**\", \"use\": [],\n"
          " \"when\": {\"caller\": \"kubelet\", \"namespace\": \"team-*\"}}]}",
          "2: rules[0].when.namespace: not a name in Kubernetes (names here are literal, without "
          "'*')" },
        { "{\"version\": 1, \"rules\": [{\"match\": \"**\", \"use\": [], \"on_store\": \"fail\"}]}",
          "1: rules[0].on_store: expected \"ignore\"" },
        { "{\"version\": 1, \"rules\": [{\"match\": \"**\", \"use\": [], \"on_error\": \"next\"}]}",
          "1: rules[0].on_error: unknown key: use one of match, use, when, on_store, kubelet (keys of your "
          "own begin with x-)" },
        { "{\"version\": 1, \"containerd\": {\"host\": {}}}",
          "1: containerd.host: unknown key: use one of hosts, helper_user, helper_timeout, "
          "readers_policy, readers, scrub (keys of your own begin with x-)" },
        { "{\"version\": 1, \"containerd\": {\"hosts\": {\"registry.example.com\": \"pullkey\"}}}",
          "1: containerd.hosts.registry.example.com: the key must be a URL as hosts.toml has it, "
          "like \"https://registry.example.com\"" },
        { "{\"version\": 1, \"containerd\": {\"hosts\": {\"https://r.example\": \"../sh\"}}}",
          "1: containerd.hosts.https://r.example: not a name: lower-case letters, digits, '-' and "
          "'_', at most 63, a letter or digit first" },
        { "{\"version\": 1, \"$schema\": 1}", "1: $schema: expected a string" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        refuse_text(cases[i].text, cases[i].message);
}

static void patterns_are_checked(void **state)
{
    static const char *const patterns[] = {
        "", "a b", "https://a.example", "a.example:x", "*:*", "a.example/*", "user@a.example"
    };

    (void)state;
    for (size_t i = 0; i < COUNT(patterns); i++) {
        struct pullkey_error error = { 0 };
        struct config config = { 0 };
        char text[256];

        (void)snprintf(text, sizeof(text),
                       "{\"version\": 1, \"rules\": [{\"match\": [\"**\",\n\"%s\"], \"use\": []}]}",
                       patterns[i]);
        assert_int_equal(config_load(&(struct config_source){ .text = text }, &config, &error),
                         -(int)PULLKEY_INVALID);
        assert_ptr_equal(strstr(error.message, "PULLKEY_CONFIG_JSON:2: rules[0].match[1]: "),
                         error.message);
    }
}

static const struct pullkey_option every_kind[] = {
    { "text", PULLKEY_OPTION_STRING, true },    { "flag", PULLKEY_OPTION_BOOL, false },
    { "number", PULLKEY_OPTION_NUMBER, false }, { "list", PULLKEY_OPTION_STRINGS, false },
    { "object", PULLKEY_OPTION_OBJECT, false }, { 0 },
};
static const struct pullkey_module every_kind_module = { .type = "sample", .options = every_kind };
static const struct pullkey_module no_options_module = { .type = "plain" };

static void options_of_an_instance(void **state)
{
    static const struct {
        const char *members; /* after "type" */
        const char *options;
        const char *message;
    } cases[] = {
        { ",\"text\":\"a\\u003cb\"", "{\"text\":\"a<b\"}", NULL },
        { ",\"text\":\"t\",\"on_error\":\"next\",\"optional\":true,\"x-note\":[1],\"flag\":false",
          "{\"text\":\"t\",\"flag\":false}", NULL },
        { ",\"number\":999999999999999,\"list\":[\"a\",\"b\"],\"object\":{\"deep\":[null]},"
          "\"text\":\"t\"",
          "{\"number\":999999999999999,\"list\":[\"a\",\"b\"],\"object\":{\"deep\":[null]},"
          "\"text\":\"t\"}",
          NULL },
        { "", NULL, "1: backends.b: sample needs the option \"text\"" },
        { ",\n\"text\":null", NULL, "2: backends.b.text: expected a string that is not empty" },
        { ",\"text\":\"\"", NULL, "1: backends.b.text: expected a string that is not empty" },
        { ",\"text\":\"t\",\"list\":[\"\"]", NULL,
          "1: backends.b.list: expected a list of strings that are not empty" },
        { ",\"text\":\"t\",\"flag\":\"true\"", NULL, "1: backends.b.flag: expected true or false" },
        { ",\"text\":\"t\",\"number\":-1", NULL, "1: backends.b.number: expected a whole number" },
        { ",\"text\":\"t\",\"number\":1.5", NULL, "1: backends.b.number: expected a whole number" },
        { ",\"text\":\"t\",\"number\":1e15", NULL,
          "1: backends.b.number: expected a whole number" },
        { ",\"text\":\"t\",\"list\":\"a\"", NULL,
          "1: backends.b.list: expected a list of strings that are not empty" },
        { ",\"text\":\"t\",\"list\":[1]", NULL,
          "1: backends.b.list: expected a list of strings that are not empty" },
        { ",\"text\":\"t\",\"object\":[]", NULL, "1: backends.b.object: expected an object" },
        { ",\"text\":\"t\",\n\n\"txt\":\"t\"", NULL,
          "3: backends.b.txt: sample has no such option: it has text, flag, number, list, object" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        cleanup_config struct config config = { 0 };
        cleanup_buffer struct buffer options = BUFFER_INIT(4096);
        struct pullkey_error error = { 0 };
        char text[512], expected[512];
        int r;

        (void)snprintf(
            text, sizeof(text),
            "{\"version\":1,\"default\":\"b\",\"backends\":{\"b\":{\"type\":\"sample\"%s}}}",
            cases[i].members);
        load_text(text, &config);
        r = config_instance_options(&config.default_chain[0], &every_kind_module, &options, &error);
        if (cases[i].options) {
            assert_int_equal(r, 0);
            assert_string_equal(options.data, cases[i].options);
        } else {
            assert_int_equal(r, -(int)PULLKEY_INVALID);
            assert_int_equal(options.length, 0);
            (void)snprintf(expected, sizeof(expected), "PULLKEY_CONFIG_JSON:%s", cases[i].message);
            assert_string_equal(error.message, expected);
        }
    }
}

static void options_of_plain_instances(void **state)
{
    cleanup_config struct config config = { 0 };
    cleanup_buffer struct buffer options = BUFFER_INIT(4096);
    struct pullkey_error error = { 0 };

    (void)state;
    load_text("{\"version\": 1, \"default\": [\"file\", {\"type\": \"plain\", \"a\": 1}]}",
              &config);
    assert_int_equal(
        config_instance_options(&config.default_chain[0], &no_options_module, &options, &error), 0);
    assert_string_equal(options.data, "{}");
    assert_int_equal(
        config_instance_options(&config.default_chain[0], &every_kind_module, &options, &error),
        -(int)PULLKEY_INVALID);
    assert_string_equal(error.message,
                        "file needs the option \"text\": declare it under \"backends\"");
    assert_int_equal(
        config_instance_options(&config.default_chain[1], &no_options_module, &options, &error),
        -(int)PULLKEY_INVALID);
    assert_string_equal(error.message,
                        "PULLKEY_CONFIG_JSON:1: default[1].a: plain takes no options");

    /* Without a descriptor nothing is checked, and core's keys are left out all the same. */
    buffer_done(&options);
    assert_int_equal(config_instance_options(&config.default_chain[1], NULL, &options, &error), 0);
    assert_string_equal(options.data, "{\"a\":1}");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(comments_and_commas),        cmocka_unit_test(refused_texts),
        cmocka_unit_test(patterns_are_checked),       cmocka_unit_test(options_of_an_instance),
        cmocka_unit_test(options_of_plain_instances),
    };

    json_start();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
