/* SPDX-License-Identifier: Apache-2.0 */
/* The hosts that containerd asks for an image, asked as it does: one after the other, until one has
 * it. What is set for each is what pullkey-hosts says. */
#include "admin.h"
#include "doctor.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/secret.h"
#include "core/credential.h"

enum outcome { HAS_IT, FAILS, NOT_TRIED };

struct round {
    const struct doctor_image *image;
    struct doctor_caller *caller;
    struct doctor_caller *host;    /* the steps of the one that is asked */
    struct doctor_verdict verdict; /* of that one */
    const cJSON *failed;           /* the first mirror that does */
    char reason[DOCTOR_SENTENCE_SIZE];
    const char *not_tried; /* URL of the first that is not */
};

static bool is_set(const cJSON *host, const char *name)
{
    return cJSON_IsTrue(json_member(host, name));
}

static bool can(const cJSON *host, const char *capability)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, json_member(host, "capabilities")) {
        if (cJSON_IsString(item) && strcmp(item->valuestring, capability) == 0)
            return true;
    }
    return false;
}

/* What containerd does there and the walk does not; NULL: nothing. */
static const char *find_obstacle(const cJSON *host, const struct registry_reference *reference)
{
    if (is_set(host, "client"))
        return "a client certificate";
    if (is_set(host, "skip_verify"))
        return "skip_verify";
    if (is_set(host, "override_path") || reference->path[0] != '\0')
        return "a path";
    if (is_set(host, "ca") && !json_text(host, "ca_file"))
        return "certificates that are more than one file";
    return NULL;
}

static bool asks_pullkey(const cJSON *host)
{
    const char *helper = json_text(host, "helper");

    return is_set(host, "credential") && helper && strcmp(helper, "pullkey") == 0;
}

/* Where another credential than the one that was tried may change the answer. */
static bool depends_on_credential(const struct round *round, const cJSON *host, const char *cause)
{
    static const char *const causes[] = {
        "no-credential", "no-right",          "no-tag", "no-repository",
        "forbidden",     "too-many-requests", NULL
    };

    /* containerd sends it to whatever token server the registry names. */
    if (strcmp(cause, "token-server") == 0)
        return true;
    for (size_t i = 0; causes[i]; i++)
        if (strcmp(causes[i], cause) == 0)
            return is_set(host, "credential") && !round->host->has_credential;
    return false;
}

/* The steps of a host below its name; the first host that has it ends this. */
static enum outcome judge(struct round *round, const cJSON *host)
{
    struct doctor_caller *steps = round->host;
    bool is_open = false;

    doctor_judge(steps, round->image, &round->verdict);
    for (size_t i = 0; i < steps->count; i++) {
        const struct doctor_step *step = &steps->steps[i];
        const bool is_note =
            step->state == PULLKEY_STEP_FAILED && depends_on_credential(round, host, step->cause);

        doctor_tell(round->caller, step->name, is_note ? PULLKEY_STEP_NOTE : step->state,
                    step->took_ms, step->cause, "%s%s", step->text,
                    is_note ? "; containerd sends a header that is not tried here" : "");
        is_open = is_open || is_note;
    }
    return is_open ? NOT_TRIED : round->verdict.works ? HAS_IT : FAILS;
}

static int walk(struct round *round, const cJSON *host, struct doctor_image *at,
                struct pullkey_error *error)
{
    const char *url = json_text(host, "url");
    cleanup_credential struct pullkey_credential credential = { 0 };
    cleanup_config struct config config = { 0 };
    struct admin_call call = { .values = { [ADMIN_SYSTEM] = "" } };
    struct pullkey_error why;

    call.values[ADMIN_CA_FILE] = json_text(host, "ca_file");
    call.values[ADMIN_PLAIN_HTTP] = strncmp(url, "http://", 7) == 0 ? "" : NULL;
    if (asks_pullkey(host) && admin_load(&call, &config, &why) < 0) {
        doctor_tell(round->host, "rule", PULLKEY_STEP_FAILED, -1, "configuration", "%s",
                    why.message);
        return 0;
    }
    if (asks_pullkey(host))
        doctor_find_credential(round->host, &config, CONFIG_HOSTS, at, &credential);
    round->host->is_system = true;
    return doctor_walk(&call, round->host, at, &credential, error);
}

static int ask(struct round *round, const cJSON *host, enum outcome *ret,
               struct pullkey_error *error)
{
    const char *url = json_text(host, "url"), *role = json_text(host, "role"), *obstacle;
    struct doctor_image at = *round->image;
    struct pullkey_error why;
    int r;

    *ret = NOT_TRIED;
    if (!url || !role)
        return error_set(error, PULLKEY_INVALID, "pullkey-hosts names no host");
    if (admin_reference(url, &at.registry, &why) < 0) {
        doctor_tell(round->caller, role, PULLKEY_STEP_NOTE, -1, "", "%s: %s", url, why.message);
        return 0;
    }
    obstacle = find_obstacle(host, &at.registry);
    doctor_tell(round->caller, role, obstacle ? PULLKEY_STEP_NOTE : PULLKEY_STEP_FINE, -1, "",
                obstacle ? "%s is not tried: it has %s" : "%s%s", url, obstacle ? obstacle : "");
    if (obstacle)
        return 0;
    (void)snprintf(at.name, sizeof(at.name), "%s", round->image->name);
    memset(round->host, 0, sizeof(*round->host));
    round->host->has_own_trust = true;
    r = walk(round, host, &at, error);
    if (r == 0)
        *ret = judge(round, host);
    return r;
}

/* What the caller's verdict is, if it is another than that of pullkey-hosts. */
__attribute__((format(printf, 4, 5))) static void
conclude(struct doctor_caller *caller, bool works, const char *cause, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(caller->judged_sentence, sizeof(caller->judged_sentence), format, arguments);
    va_end(arguments);
    (void)snprintf(caller->judged_cause, sizeof(caller->judged_cause), "%s", cause);
    caller->judged_works = works;
}

static void conclude_works(struct round *round, const cJSON *host)
{
    const char *url = json_text(host, "url"), *file = json_text(round->failed, "file");
    const bool is_image = round->image->image.repository[0] != '\0';

    round->caller->has_credential = round->host->has_credential;
    if (round->failed)
        conclude(round->caller, true, "mirror-failed",
                 "%s %s %s, from %s; but the mirror %s fails: %s: start it, or take it out of %s",
                 is_image ? "a pull of" : "", round->image->name,
                 is_image ? "will work" : "answers as it should", url,
                 json_text(round->failed, "url"), round->reason,
                 file ? file : "containerd's configuration");
    else if (is_image)
        conclude(round->caller, true, "works", "a pull of %s will work, from %s",
                 round->image->name, url);
    else
        conclude(round->caller, true, "works", "%s: %s", url, round->verdict.sentence);
}

static void conclude_fails(struct round *round, const cJSON *last, bool last_failed)
{
    const char *mirror = json_text(round->failed, "url");

    if (round->not_tried && (round->failed || last_failed))
        conclude(round->caller, false, DOCTOR_NOT_KNOWN,
                 "%s fails: %s; whether %s has it is not tried here",
                 round->failed ? mirror : json_text(last, "url"),
                 round->failed ? round->reason : round->verdict.sentence, round->not_tried);
    else if (round->failed && last_failed)
        conclude(round->caller, false, "mirror-failed", "the mirror %s fails: %s; and %s: %s",
                 mirror, round->reason, json_text(last, "url"), round->verdict.sentence);
    else if (round->failed)
        conclude(round->caller, false, "mirror-failed", "the mirror %s fails: %s", mirror,
                 round->reason);
    else if (last_failed)
        conclude(round->caller, false, round->verdict.cause, "%s", round->verdict.sentence);
}

int doctor_ask_mirrors(struct doctor_caller *caller, const struct doctor_image *image,
                       const cJSON *hosts, struct pullkey_error *error)
{
    cleanup_release struct doctor_caller *steps = secret_alloc(sizeof(*steps));
    struct round round = { .image = image, .caller = caller, .host = steps };
    const cJSON *host, *last = NULL;
    enum outcome outcome = NOT_TRIED;
    int r = steps ? 0 : error_memory(error);

    cJSON_ArrayForEach(host, hosts) {
        if (!can(host, "pull") || !can(host, "resolve"))
            continue;
        if (r == 0)
            r = ask(&round, host, &outcome, error);
        if (r < 0)
            return r;
        last = host;
        if (outcome == HAS_IT) {
            conclude_works(&round, host);
            return 0;
        }
        if (outcome == NOT_TRIED && !round.not_tried)
            round.not_tried = json_text(host, "url");
        if (outcome == FAILS && !round.failed && strcmp(json_text(host, "role"), "mirror") == 0) {
            round.failed = host;
            (void)snprintf(round.reason, sizeof(round.reason), "%s", round.verdict.sentence);
        }
    }
    conclude_fails(&round, last,
                   last && outcome == FAILS && strcmp(json_text(last, "role"), "server") == 0);
    return r;
}
