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

#define MIRROR_FAILED "mirror-failed"

enum outcome { HAS_IT, FAILS, NOT_TRIED };

struct round {
    const struct doctor_image *image;
    struct doctor_caller *caller;
    struct doctor_caller *host;    /* the steps of the one that is asked */
    struct doctor_verdict verdict; /* of that one */
    const cJSON *server;           /* the last of all */
    struct failure {
        const char *url; /* NULL: it did not */
        const char *file;
        char cause[DOCTOR_WORD_SIZE], reason[DOCTOR_SENTENCE_SIZE];
    } mirror, last;        /* the first mirror, and the server */
    bool has_proxy;        /* somebody has one: containerd, the daemon or this shell */
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

/* Where another credential, or another proxy, than what was tried may change the answer. */
static bool depends_on_caller(const struct round *round, const cJSON *host, const char *cause)
{
    static const char *const network[] = { "proxy",       "unknown-host",      "name-server",
                                           "timeout",     "no-answer",         "connection-refused",
                                           "unreachable", "broken-connection", NULL };

    static const char *const causes[] = {
        "no-credential", "no-right",          "no-tag", "no-repository",
        "forbidden",     "too-many-requests", NULL
    };

    /* containerd sends it to whatever token server the registry names. */
    if (strcmp(cause, "token-server") == 0)
        return true;
    for (size_t i = 0; round->has_proxy && network[i]; i++)
        if (strcmp(network[i], cause) == 0)
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
            step->state == PULLKEY_STEP_FAILED && depends_on_caller(round, host, step->cause);

        doctor_tell(round->caller, step->name, is_note ? PULLKEY_STEP_NOTE : step->state,
                    step->took_ms, step->cause, "%s%s", step->text,
                    !is_note           ? ""
                    : round->has_proxy ? "; containerd has its own proxy, which is not tried here"
                                       : "; containerd sends a header that is not tried here");
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
    round->host->name = round->caller->name;
    round->host->is_containerd = true;
    r = walk(round, host, &at, error);
    if (r == 0)
        *ret = judge(round, host);
    return r;
}

/* Another verdict than that of pullkey-hosts; its sentence is made of parts. */
static void conclude(struct doctor_caller *caller, bool works, const char *cause)
{
    (void)snprintf(caller->judged_cause, sizeof(caller->judged_cause), "%s", cause);
    caller->judged_works = works;
    caller->judged_sentence[0] = '\0';
}

__attribute__((format(printf, 2, 3))) static void say(struct doctor_caller *caller,
                                                      const char *format, ...)
{
    const size_t used = strlen(caller->judged_sentence);
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(caller->judged_sentence + used, sizeof(caller->judged_sentence) - used, format,
                    arguments);
    va_end(arguments);
}

static void conclude_works(struct round *round, const char *url)
{
    const struct failure *mirror = &round->mirror;
    struct doctor_caller *caller = round->caller;

    conclude(caller, true, mirror->url ? MIRROR_FAILED : "works");
    caller->has_credential = round->host->has_credential;
    if (round->image->image.repository[0] != '\0')
        say(caller, "a pull of %s will work, from %s", round->image->name, url);
    else
        say(caller, "%s: %s", url, round->verdict.sentence);
    if (mirror->url)
        say(caller, "; but the mirror %s fails: %s: start it, or take it out of %s", mirror->url,
            mirror->reason, mirror->file ? mirror->file : "containerd's configuration");
}

static void conclude_fails(const struct round *round)
{
    const struct failure *mirror = &round->mirror, *last = &round->last;
    struct doctor_caller *caller = round->caller;

    if (!mirror->url && !last->url) {
        if (round->not_tried)
            say(caller, "; whether %s has it is not tried here", round->not_tried);
        return;
    }
    conclude(caller, false,
             round->not_tried ? DOCTOR_NOT_KNOWN
             : mirror->url    ? MIRROR_FAILED
                              : last->cause);
    if (mirror->url)
        say(caller, "the mirror %s fails: %s", mirror->url, mirror->reason);
    if (mirror->url && last->url)
        say(caller, "; and %s: ", last->url);
    if (last->url)
        say(caller, "%s", last->reason);
    if (round->not_tried)
        say(caller, "; whether %s has it is not tried here", round->not_tried);
}

static void remember(struct round *round, const cJSON *host)
{
    const char *url = json_text(host, "url"), *server = json_text(round->server, "url");
    struct failure *failure = server && strcmp(url, server) == 0 ? &round->last : &round->mirror;

    if (failure->url)
        return;
    failure->url = url;
    failure->file = json_text(host, "file");
    (void)snprintf(failure->cause, sizeof(failure->cause), "%s", round->verdict.cause);
    (void)snprintf(failure->reason, sizeof(failure->reason), "%s", round->verdict.sentence);
}

/* What is rendered may have the server as a mirror too. */
static bool was_before(const cJSON *hosts, const cJSON *host)
{
    const char *url = json_text(host, "url");

    for (const cJSON *item = hosts->child; url && item != host; item = item->next)
        if (json_text(item, "url") && strcmp(json_text(item, "url"), url) == 0)
            return true;
    return false;
}

/* As pullkey-hosts tells it of each process. */
static bool has_proxy(const struct doctor_caller *caller)
{
    for (size_t i = 0; i < caller->count; i++)
        if (strcmp(caller->steps[i].name, "proxy") == 0 &&
            strstr(caller->steps[i].text, " through "))
            return true;
    return false;
}

int doctor_ask_mirrors(struct doctor_caller *caller, const struct doctor_image *image,
                       const cJSON *hosts, struct pullkey_error *error)
{
    cleanup_release struct doctor_caller *steps = secret_alloc(sizeof(*steps));
    struct round round = { .image = image, .caller = caller, .host = steps };
    const cJSON *host;
    enum outcome outcome;
    int r;

    if (!steps)
        return error_memory(error);
    round.has_proxy = has_proxy(caller);
    cJSON_ArrayForEach(host, hosts) {
        round.server = host;
    }
    cJSON_ArrayForEach(host, hosts) {
        if (!can(host, "pull") || !can(host, "resolve") || was_before(hosts, host))
            continue;
        r = ask(&round, host, &outcome, error);
        if (r < 0)
            return r;
        if (outcome == HAS_IT) {
            conclude_works(&round, json_text(host, "url"));
            return 0;
        }
        if (outcome == FAILS)
            remember(&round, host);
        else if (!round.not_tried)
            round.not_tried = json_text(host, "url");
    }
    conclude_fails(&round);
    return 0;
}
