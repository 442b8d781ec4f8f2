/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "hosts/doctor.h"

#define URL "https://registry.example.com"
#define NONE                                                                                       \
    "containerd asks " URL " without a credential, and no file names one for it; if it needs "     \
    "one, run \"pullkey setup containerd\", then set credHelper in its hosts.toml"

static const struct doctor_host without = { .url = URL };
static const struct doctor_host with = { .url = URL, .has_header = true, .expires = 1000000000 };

static void add(struct findings *findings, enum output_level level, const char *id)
{
    findings_add(findings, level, id, "/f", 7, "do this", "it is so");
}

static void assert_judged(const struct findings *findings, const struct doctor_host *hosts,
                          size_t count, bool is_read, const char *cause, bool is_problem,
                          const char *sentence)
{
    struct doctor_verdict verdict;

    doctor_judge(findings, hosts, count, is_read, &verdict);
    assert_string_equal(verdict.cause, cause);
    assert_int_equal(verdict.is_problem, is_problem);
    assert_string_equal(verdict.sentence, sentence);
}

static void test_fine(void **state)
{
    struct findings none = { 0 };
    const struct doctor_host both[] = { without, with };

    (void)state;
    assert_judged(&none, &with, 1, true, "credential", false,
                  "containerd has a credential for " URL ", good until 2001-09-09T01:46:40Z");
    assert_judged(&none, both, 2, true, "credential", false,
                  "containerd has a credential for " URL ", good until 2001-09-09T01:46:40Z");
    assert_judged(&none, &without, 1, true, "none", false, NONE);
}

/* What comes earlier on the way is the cause, in whatever order it was found. */
static void test_order(void **state)
{
    static const char *const way[] = { "config-refused",        "config-path-list",
                                       "target-missing",        "config-path-not-target",
                                       "directory-unread",      "default-shadowed",
                                       "hosts-file-refused",    "helper-problem",
                                       "daemon-without-header", "environment-not-in-daemon",
                                       "proxy-not-in-daemon",   "helper-failed",
                                       "plaintext-header",      "daemon-not-running" };
    const size_t count = sizeof(way) / sizeof(way[0]);

    (void)state;
    for (size_t i = 0; i < count; i++) {
        for (int is_reverse = 0; is_reverse < 2; is_reverse++) {
            cleanup_findings struct findings findings = { 0 };

            for (size_t k = i; k < count; k++)
                add(&findings, OUTPUT_ERROR, way[is_reverse ? count - 1 - k + i : k]);
            assert_judged(&findings, &with, 1, true, way[i], true, "/f:7: it is so; do this");
        }
    }
}

static void test_ignored(void **state)
{
    cleanup_findings struct findings findings = { 0 };

    (void)state;
    add(&findings, OUTPUT_ERROR, "target-swappable");
    assert_null(doctor_step_of("target-swappable", true));
    assert_judged(&findings, &without, 1, true, "none", false, NONE);
    /* Where another table is the one that is read, this one does not matter. */
    add(&findings, OUTPUT_ERROR, "table-not-read");
    assert_null(doctor_step_of("table-not-read", true));
    assert_judged(&findings, &without, 1, true, "none", false, NONE);
    assert_string_equal(doctor_step_of("table-not-read", false), "containerd");
    assert_judged(&findings, &without, 1, false, "table-not-read", true, "/f:7: it is so; do this");
}

static void test_note(void **state)
{
    cleanup_findings struct findings findings = { 0 };

    (void)state;
    add(&findings, OUTPUT_NOTE, "credential-in-unit");
    add(&findings, OUTPUT_NOTE, "mirror-without-credential");
    assert_judged(&findings, &with, 1, true, "mirror-without-credential", false,
                  "containerd has a credential for " URL ", good until 2001-09-09T01:46:40Z; but "
                  "/f:7: it is so; do this");
}

static void test_until(void **state)
{
    char text[DOCTOR_TIME_SIZE];

    (void)state;
    doctor_until(0, text);
    assert_string_equal(text, "for a time that is not known");
    doctor_until(INT64_MAX, text);
    assert_string_equal(text, "for a time that is not known");
    doctor_until(1, text);
    assert_string_equal(text, "until 1970-01-01T00:00:01Z");
}

static void test_registry(void **state)
{
    static const struct {
        const char *text, *registry; /* NULL: refused */
    } cases[] = {
        { "nginx", "docker.io" },
        { "nginx:1.25.3", "docker.io" },
        { "nginx@sha256:00", "docker.io" },
        { "redis:7", "docker.io" },
        { "team/app:1.0", "docker.io" },
        { "docker.io", "docker.io" },
        { "index.docker.io/library/nginx", "docker.io" },
        { "registry-1.docker.io/x", "registry-1.docker.io" },
        { "registry.example.com", "registry.example.com" },
        { "registry.example.com:5000", "registry.example.com:5000" },
        { "registry.example.com:5000/a/b:c@d", "registry.example.com:5000" },
        { "registry:5000/", "registry:5000" },
        { "registry:5000", "docker.io" },
        { "localhost", "localhost" },
        { "localhost/x", "localhost" },
        { "[::1]:5000/x", "[::1]:5000" },
        { "https://registry/v2/", "registry" },
        { "https://registry.example.com/v2/", "registry.example.com" },
        { "", NULL },
        { "/", NULL },
        { "https://", NULL },
        { "a b", NULL },
        { "a.example:x/y", NULL },
        { "user:word@a.example/x", NULL },
        { "a.example\n/x", NULL },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char registry[DOCTOR_NAME_MAX] = "";
        struct pullkey_error error;
        int r = doctor_registry(cases[i].text, registry, &error);

        assert_int_equal(r, cases[i].registry ? 0 : -PULLKEY_INVALID);
        if (cases[i].registry)
            assert_string_equal(registry, cases[i].registry);
    }
}

/* A name that is as long as it may be, and one that is longer. */
static void test_long(void **state)
{
    char text[400], registry[DOCTOR_NAME_MAX];
    struct pullkey_error error;

    (void)state;
    memset(text, 'a', sizeof(text));
    for (size_t i = 50; i < sizeof(text); i += 50)
        text[i] = '.';
    text[253] = '\0';
    assert_int_equal(doctor_registry(text, registry, &error), 0);
    assert_string_equal(registry, text);
    text[253] = 'a';
    text[sizeof(text) - 1] = '\0';
    assert_int_equal(doctor_registry(text, registry, &error), -PULLKEY_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fine), cmocka_unit_test(test_order), cmocka_unit_test(test_ignored),
        cmocka_unit_test(test_note), cmocka_unit_test(test_until), cmocka_unit_test(test_registry),
        cmocka_unit_test(test_long),
    };

    return cmocka_run_group_tests_name("doctor-verdict", tests, NULL, NULL);
}
