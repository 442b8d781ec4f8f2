/* SPDX-License-Identifier: Apache-2.0 */
#include "doctor.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* What explains what, though it is no failure itself. "": no step failed, with a credential. */
static const struct {
    const char *note, *failure;
} explanations[] = {
    { "wrong-rule", "no-credential" },
    { "rule-with-path", "no-credential" },
    { "backend-forgiven", "no-credential" },
    { "expired-token", "identity-token-refused" },
    { "expired-token", "refused-by-token-server" },
    { "expired-token", "wrong-password" },
    { "clock", "identity-token-refused" },
    { "clock", "refused-by-token-server" },
    { "docker-plain-entry", "no-credential" },
    { "docker-asks-another", "no-credential" },
    { "kubelet-flags", "no-credential" },
    { "no-config", "no-credential" },
    { "image-not-matched", "no-credential" },
    { "kubelet-asks-another", "no-credential" },
    { "no-kubelet-rule", "no-credential" },
    { "not-in-kubelet", "no-credential" },
    { "not-in-kubelet", "no-identity" },
    { "not-in-kubelet", "backend-unreachable" },
    { "docker-asks-nobody", "" },
    { "docker-asks-another", "" },
    { "docker-plain-entry", "" },
    { "docker-finds-no-helper", "" },
};

/* What to do where the step itself does not say it; "%s" is the command of a login. */
static const struct {
    const char *cause, *advice;
} advices[] = {
    { "no-credential", "log in with \"%s\"" },
    { "wrong-password", "log in again with \"%s\"" },
    { "refused-by-token-server", "log in again with \"%s\"" },
    { "identity-token-refused", "it has expired or was revoked: \"%s\"" },
    { "expired-token", "log in again with \"%s\"" },
    { "connection-refused", "does the registry run there, and on this port?" },
    { "name-server", "does the name server of this machine answer?" },
    { "timeout", "is a firewall in between, or is a proxy needed?" },
    { "no-answer", "is it overloaded, or is this the port of something else?" },
    { "no-tag", "is the tag right?" },
    { "too-many-requests", "who is logged in may ask more often" },
};

static const struct doctor_step *find_step(const struct doctor_caller *caller, const char *cause)
{
    for (size_t i = 0; i < caller->count; i++)
        if (strcmp(caller->steps[i].cause, cause) == 0)
            return &caller->steps[i];
    return NULL;
}

static const struct doctor_step *find_reason(const struct doctor_caller *caller)
{
    const struct doctor_step *failed = NULL, *note;

    for (size_t i = 0; !failed && i < caller->count; i++)
        if (caller->steps[i].state == PULLKEY_STEP_FAILED)
            failed = &caller->steps[i];
    for (size_t i = 0; i < sizeof(explanations) / sizeof(explanations[0]); i++) {
        note = find_step(caller, explanations[i].note);
        if (note && (failed || caller->has_credential) &&
            strcmp(explanations[i].failure, failed ? failed->cause : "") == 0)
            return note;
    }
    return failed;
}

__attribute__((format(printf, 2, 0))) static void add(struct doctor_verdict *verdict,
                                                      const char *format, va_list arguments)
{
    const size_t used = strlen(verdict->sentence);

    (void)vsnprintf(verdict->sentence + used, sizeof(verdict->sentence) - used, format, arguments);
}

__attribute__((format(printf, 2, 3))) static void say(struct doctor_verdict *verdict,
                                                      const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    add(verdict, format, arguments);
    va_end(arguments);
}

/* A credential that no login replaces is to be put right where it comes from. */
static void advise(const struct doctor_caller *caller, const char *registry,
                   struct doctor_verdict *verdict)
{
    for (size_t i = 0; i < sizeof(advices) / sizeof(advices[0]); i++) {
        const char *advice = advices[i].advice;
        const char *gap = strstr(advice, "%s");

        if (strcmp(advices[i].cause, verdict->cause) != 0 ||
            (caller->has_credential && strcmp(verdict->cause, "too-many-requests") == 0))
            continue;
        if (!gap)
            say(verdict, "; %s", advice);
        else if (caller->can_log_in)
            say(verdict, "; %.*spullkey %slogin %s%s", (int)(gap - advice), advice,
                caller->is_system ? "--system " : "", registry, gap + 2);
        else if (caller->is_containerd && !caller->has_credential)
            say(verdict, "; %s for it, unless pods have an imagePullSecret",
                strcmp(caller->name, "kubelet") == 0 ? "have a backend of its rule get one"
                                                     : "name a credHelper");
        else
            say(verdict, "; set it right where it comes from");
    }
}

void doctor_judge(const struct doctor_caller *caller, const struct doctor_image *image,
                  struct doctor_verdict *ret)
{
    const struct doctor_step *reason = find_reason(caller);

    *ret = (struct doctor_verdict){ .cause = "works", .works = !reason };
    if (caller->judged_sentence[0] != '\0') {
        ret->cause = caller->judged_cause;
        ret->works = caller->judged_works;
        say(ret, "%s", caller->judged_sentence);
    } else if (reason) {
        ret->cause = reason->cause;
        say(ret, "%s", reason->text);
        advise(caller, image->registry.text, ret);
    } else if (image->image.repository[0] != '\0') {
        say(ret, "a pull of %s will work%s", image->name,
            caller->has_credential ? "" : ", without a credential");
    } else {
        say(ret, "%s answers as it should%s; name an image to see whether it can be pulled",
            image->name,
            caller->has_credential ? " and takes the credential" : ", without a credential");
    }
}

void doctor_join(const struct doctor_caller *callers, const struct doctor_verdict *verdicts,
                 size_t count, const struct doctor_image *image, struct doctor_verdict *ret)
{
    size_t failed = count, works = 0;
    bool is_same;

    for (size_t i = 0; i < count; i++) {
        works += verdicts[i].works;
        if (!verdicts[i].works && failed == count)
            failed = i;
    }
    is_same = works == 0;
    *ret = (struct doctor_verdict){ .cause = "works", .works = failed == count };
    if (count == 1) {
        *ret = verdicts[0];
    } else if (failed == count) {
        say(ret, "a pull of %s will work for all of them", image->name);
        for (size_t i = 0; i < count; i++)
            if (strcmp(verdicts[i].cause, "mirror-failed") == 0)
                say(ret, "; %s: %s", callers[i].name, verdicts[i].sentence);
    } else {
        ret->cause = verdicts[failed].cause;
        for (size_t i = failed; i < count; i++)
            is_same = is_same && strcmp(verdicts[i].sentence, verdicts[failed].sentence) == 0;
        say(ret, "%s%s%s", is_same ? "" : callers[failed].name, is_same ? "" : ": ",
            verdicts[failed].sentence);
    }
}
