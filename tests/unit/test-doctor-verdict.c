/* SPDX-License-Identifier: Apache-2.0 */
/* What is made of the steps towards an image: the cause, and the last sentence. */
#include "unit.h"

#include "admin/doctor.h"

#define STEPS_MAX 4

static const struct doctor_image image = {
    .registry = { .text = "r.example.com" },
    .image = { .repository = "team/app", .tag = "1" },
    .name = "r.example.com/team/app:1",
};
static const struct doctor_image registry = {
    .registry = { .text = "r.example.com" },
    .name = "r.example.com",
};

#define LOGIN "\"pullkey login r.example.com\""

static const struct {
    const char *causes[STEPS_MAX]; /* of the steps; "!" before that of one that failed */
    const char *cause, *sentence;
    bool has_no_login, has_credential, is_system;
} cases[] = {
    { { "" }, "works", "a pull of r.example.com/team/app:1 will work, without a credential" },
    { { "!no-right" }, "no-right", "text of no-right" },
    { { "", "!no-tag", "" }, "no-tag", "text of no-tag; is the tag right?" },
    { { "!timeout", "!no-tag" },
      "timeout",
      "text of timeout; is a firewall in between, or is a proxy needed?" },
    { { "!wrong-password" }, "wrong-password", "text of wrong-password; log in again with " LOGIN },
    { { "!wrong-password" },
      "wrong-password",
      "text of wrong-password; set it right where it comes from",
      true },
    { { "!no-credential" }, "no-credential", "text of no-credential; log in with " LOGIN },
    { { "!no-credential" },
      "no-credential",
      "text of no-credential; log in with \"pullkey --system login r.example.com\"",
      .is_system = true },
    /* What is noted explains one failure and not another. */
    { { "wrong-rule", "!no-credential" }, "wrong-rule", "text of wrong-rule" },
    { { "rule-with-path", "!no-credential" }, "rule-with-path", "text of rule-with-path" },
    { { "wrong-rule", "!no-right" }, "no-right", "text of no-right" },
    { { "wrong-rule" },
      "works",
      "a pull of r.example.com/team/app:1 will work, without a credential" },
    { { "clock", "!refused-by-token-server" }, "clock", "text of clock" },
    { { "clock", "!no-tag" }, "no-tag", "text of no-tag; is the tag right?" },
    { { "expired-token", "clock", "!identity-token-refused" },
      "expired-token",
      "text of expired-token; log in again with " LOGIN },
    /* docker is to blame where nobody else is. */
    { { "docker-asks-another" },
      "docker-asks-another",
      "text of docker-asks-another",
      .has_credential = true },
    { { "docker-plain-entry" },
      "works",
      "a pull of r.example.com/team/app:1 will work, without a credential" },
    { { "docker-plain-entry", "!no-credential" },
      "docker-plain-entry",
      "text of docker-plain-entry" },
    { { "docker-asks-nobody", "!no-credential" },
      "no-credential",
      "text of no-credential; log in with " LOGIN },
    { { "!too-many-requests" },
      "too-many-requests",
      "text of too-many-requests; who is logged in may ask more often" },
    { { "!too-many-requests" },
      "too-many-requests",
      "text of too-many-requests",
      .has_credential = true },
    { { "docker-asks-another", "!no-right" }, "no-right", "text of no-right" },
};

static void tell(struct doctor_caller *caller, const char *cause)
{
    struct doctor_step *step = &caller->steps[caller->count++];

    step->state = cause[0] == '!'    ? PULLKEY_STEP_FAILED
                  : cause[0] != '\0' ? PULLKEY_STEP_NOTE
                                     : PULLKEY_STEP_FINE;
    cause += cause[0] == '!';
    (void)snprintf(step->cause, sizeof(step->cause), "%s", cause);
    (void)snprintf(step->text, sizeof(step->text), "text of %s", cause);
}

static void verdicts(void **state)
{
    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(cases); i++) {
        struct doctor_caller caller = { .can_log_in = !cases[i].has_no_login,
                                        .has_credential = cases[i].has_credential,
                                        .is_system = cases[i].is_system };
        struct doctor_verdict verdict;

        for (size_t k = 0; k < STEPS_MAX && cases[i].causes[k]; k++)
            tell(&caller, cases[i].causes[k]);
        doctor_judge(&caller, &image, &verdict);
        assert_string_equal(verdict.cause, cases[i].cause);
        assert_string_equal(verdict.sentence, cases[i].sentence);
        assert_int_equal(verdict.works, strcmp(verdict.cause, "works") == 0);
    }
}

static void joined(void **state)
{
    const struct doctor_caller callers[] = { { .name = "docker" }, { .name = "containerd" } };
    const struct doctor_verdict fine = { "works", true, "fine" }, bad = { "clock", false, "late" };
    const struct doctor_verdict pairs[][2] = { { fine, fine }, { fine, bad }, { bad, bad } };
    static const char *const sentences[] = {
        "a pull of r.example.com/team/app:1 will work for all of them", "containerd: late", "late"
    };
    struct doctor_verdict all;

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(pairs); i++) {
        doctor_join(callers, pairs[i], 2, &image, &all);
        assert_string_equal(all.sentence, sentences[i]);
        assert_int_equal(all.works, i == 0);
        assert_string_equal(all.cause, i == 0 ? "works" : "clock");
    }
    doctor_join(callers, &fine, 1, &image, &all);
    assert_string_equal(all.sentence, "fine");
}

static void a_pull_that_works(void **state)
{
    struct doctor_caller caller = { .has_credential = true };
    struct doctor_verdict verdict;

    (void)state;
    doctor_judge(&caller, &image, &verdict);
    assert_string_equal(verdict.sentence, "a pull of r.example.com/team/app:1 will work");
    doctor_judge(&caller, &registry, &verdict);
    assert_string_equal(verdict.sentence, "r.example.com answers as it should and takes the "
                                          "credential; name an image to see whether it can be "
                                          "pulled");
    caller.has_credential = false;
    doctor_judge(&caller, &registry, &verdict);
    assert_string_equal(verdict.sentence, "r.example.com answers as it should, without a "
                                          "credential; name an image to see whether it can be "
                                          "pulled");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(verdicts),
        cmocka_unit_test(joined),
        cmocka_unit_test(a_pull_that_works),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
