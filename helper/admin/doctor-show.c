/* SPDX-License-Identifier: Apache-2.0 */
#include "admin.h"
#include "doctor.h"

#include <stdio.h>
#include <string.h>

#include "base/output.h"

#define TIME_SIZE 24
#define JSON_MAX (4u * JSON_SIZE_MAX)

static const char *state_name(enum pullkey_step_state state)
{
    static const char *const names[] = { "", "ok", "note", "FAILED" };

    return names[state];
}

static int show_table(const struct doctor_caller *caller, struct pullkey_error *error)
{
    const char *cells[4 * (DOCTOR_STEPS_MAX + 1)] = { "STEP", "", "TIME", "RESULT" };
    char times[DOCTOR_STEPS_MAX][TIME_SIZE];

    for (size_t i = 0; i < caller->count; i++) {
        const struct doctor_step *step = &caller->steps[i];
        const char **row = cells + 4 * (i + 1);

        times[i][0] = '\0';
        if (step->took_ms >= 0)
            (void)snprintf(times[i], TIME_SIZE, "%lld ms", (long long)step->took_ms);
        row[0] = step->name;
        row[1] = state_name(step->state);
        row[2] = times[i];
        row[3] = step->text;
    }
    return output_table(cells, 4, caller->count + 1, error);
}

static void write_member(struct buffer *json, const char *name, const char *value)
{
    buffer_printf(json, "\"%s\":", name);
    json_write_name(json, value);
}

static void write_step(struct buffer *json, const struct doctor_step *step)
{
    buffer_append_text(json, "{");
    write_member(json, "step", step->name);
    buffer_append_text(json, ",");
    write_member(json, "state",
                 step->state == PULLKEY_STEP_FAILED ? "failed" : state_name(step->state));
    if (step->took_ms >= 0)
        buffer_printf(json, ",\"ms\":%lld", (long long)step->took_ms);
    if (step->cause[0] != '\0') {
        buffer_append_text(json, ",");
        write_member(json, "cause", step->cause);
    }
    buffer_append_text(json, ",");
    write_member(json, "text", step->text);
    buffer_append_text(json, "}");
}

static void write_caller(struct buffer *json, const struct doctor_caller *caller,
                         const struct doctor_verdict *verdict)
{
    buffer_append_text(json, "{");
    write_member(json, "caller", caller->name);
    buffer_append_text(json, ",\"steps\":[");
    for (size_t i = 0; i < caller->count; i++) {
        buffer_append_text(json, i > 0 ? ",\n" : "\n");
        write_step(json, &caller->steps[i]);
    }
    buffer_printf(json, "],\n\"works\":%s,", verdict->works ? "true" : "false");
    write_member(json, "cause", verdict->cause);
    buffer_append_text(json, ",");
    write_member(json, "text", verdict->sentence);
    buffer_append_text(json, "}");
}

static void write_image(struct buffer *json, const struct doctor_image *image)
{
    buffer_append_text(json, "{");
    write_member(json, "registry", image->registry.text);
    if (image->image.repository[0] != '\0') {
        buffer_append_text(json, ",");
        write_member(json, "repository", image->image.repository);
        buffer_append_text(json, ",");
        write_member(json, "tag", image->image.tag);
    }
    buffer_append_text(json, ",\"callers\":[");
}

static int show_callers(const struct doctor_caller *callers, const struct doctor_verdict *verdicts,
                        size_t count, struct pullkey_error *error)
{
    const char *cells[3 * (DOCTOR_CALLERS_MAX + 1)] = { "CALLER", "CREDENTIAL", "PULL" };

    for (size_t i = 0; i < count; i++) {
        const char **row = cells + 3 * (i + 1);
        const bool is_known = strcmp(verdicts[i].cause, DOCTOR_NOT_KNOWN) != 0;

        row[0] = callers[i].name;
        row[1] = !is_known ? "" : callers[i].has_credential ? "yes" : "none";
        row[2] = !is_known ? "not known" : verdicts[i].works ? "works" : verdicts[i].cause;
    }
    return output_table(cells, 3, count + 1, error);
}

static int show_text(const struct doctor_caller *callers, const struct doctor_verdict *verdicts,
                     size_t count, struct pullkey_error *error)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < count; i++) {
        if (count > 1)
            output_line("%s:", callers[i].name);
        r = show_table(&callers[i], error);
        if (count > 1)
            output_line("%s", "");
    }
    return r < 0 || count == 1 ? r : show_callers(callers, verdicts, count, error);
}

int doctor_show(const struct doctor_image *image, const struct doctor_caller *callers, size_t count,
                bool as_json, struct pullkey_error *error)
{
    cleanup_buffer struct buffer json = BUFFER_INIT(JSON_MAX);
    struct doctor_verdict verdicts[DOCTOR_CALLERS_MAX], all;
    int r;

    write_image(&json, image);
    for (size_t i = 0; i < count; i++) {
        doctor_judge(&callers[i], image, &verdicts[i]);
        buffer_append_text(&json, i > 0 ? ",\n" : "");
        write_caller(&json, &callers[i], &verdicts[i]);
    }
    doctor_join(callers, verdicts, count, image, &all);
    buffer_printf(&json, "],\n\"works\":%s", all.works ? "true" : "false");
    json_write_member(&json, "cause", all.cause);
    json_write_member(&json, "text", all.sentence);
    buffer_append_text(&json, "}\n");
    r = as_json ? output_buffer(&json, error) : show_text(callers, verdicts, count, error);
    if (r == 0 && !as_json)
        output_line("%s", all.sentence);
    return r < 0 ? r : all.works ? 0 : ADMIN_PROBLEM;
}
