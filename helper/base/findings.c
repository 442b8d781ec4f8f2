/* SPDX-License-Identifier: Apache-2.0 */
#include "findings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "json.h"
#include "secret.h"
#include "text.h"

#define FIRST_CAPACITY 32
#define LINE_MAX_LENGTH 16384

static struct finding *next_item(struct findings *findings)
{
    if (findings->count == findings->capacity) {
        size_t capacity = findings->capacity == 0 ? FIRST_CAPACITY : 2 * findings->capacity;
        struct finding *items =
            capacity <= 2 * (size_t)FINDINGS_MAX ? secret_alloc(capacity * sizeof(*items)) : NULL;

        if (!items) {
            findings->has_failed = true;
            return NULL;
        }
        if (findings->count > 0)
            memcpy(items, findings->items, findings->count * sizeof(*items));
        secret_release(findings->items);
        findings->items = items;
        findings->capacity = capacity;
    }
    return &findings->items[findings->count];
}

static void add(struct findings *findings, enum output_level level, const char *id,
                const char *file, size_t line, const char *fix, const char *text)
{
    struct finding *finding = next_item(findings);

    if (!finding)
        return;
    *finding = (struct finding){
        .id = id,
        .level = level,
        .file = file ? secret_copy(file, strlen(file)) : NULL,
        .line = line,
        .text = secret_copy(text, strlen(text)),
        .fix = fix,
    };
    findings->count++;
    findings->levels[level]++;
    if (!finding->text || (file && !finding->file)) {
        findings->has_failed = true;
        return;
    }
    text_make_printable(finding->text);
    if (finding->file)
        text_make_printable(finding->file);
}

void findings_add_list(struct findings *findings, enum output_level level, const char *id,
                       const char *file, size_t line, const char *fix, const char *format,
                       va_list arguments)
{
    char text[2 * PULLKEY_ERROR_SIZE];

    if (vsnprintf(text, sizeof(text), format, arguments) < 0)
        text[0] = '\0';
    add(findings, level, id, file, line, fix, text);
}

void findings_add(struct findings *findings, enum output_level level, const char *id,
                  const char *file, size_t line, const char *fix, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    findings_add_list(findings, level, id, file, line, fix, format, arguments);
    va_end(arguments);
}

void findings_add_error(struct findings *findings, enum output_level level, const char *id,
                        const char *file, const char *fix, const struct pullkey_error *why)
{
    const char *text = why->message;
    size_t length = strlen(file), line = 0;

    if (strncmp(text, file, length) == 0 && text[length] == ':') {
        const char *at = text + length + 1;
        char *end;

        if (*at >= '0' && *at <= '9') {
            line = strtoul(at, &end, 10);
            at = *end == ':' ? end + 1 : end;
        }
        text = at + strspn(at, " ");
    }
    add(findings, level, id, file, line, fix, text);
}

static int order(const void *a, const void *b)
{
    const struct finding *first = a, *second = b;
    int r = strcmp(first->file ? first->file : "", second->file ? second->file : "");

    if (r == 0 && first->line != second->line)
        return first->line < second->line ? -1 : 1;
    if (r == 0 && first->level != second->level)
        return first->level < second->level ? -1 : 1;
    if (r == 0)
        r = strcmp(first->id, second->id);
    return r != 0 ? r : strcmp(first->text, second->text);
}

static void release(struct finding *finding)
{
    secret_release(finding->file);
    secret_release(finding->text);
}

int findings_sort(struct findings *findings, struct pullkey_error *error)
{
    size_t kept = 0;

    if (findings->has_failed && findings->count >= FINDINGS_MAX)
        return error_set(error, PULLKEY_INVALID, "there are more than %d findings", FINDINGS_MAX);
    if (findings->has_failed)
        return error_memory(error);
    if (findings->count > 0)
        qsort(findings->items, findings->count, sizeof(*findings->items), order);
    for (size_t i = 0; i < findings->count; i++) {
        if (kept > 0 && order(&findings->items[kept - 1], &findings->items[i]) == 0) {
            findings->levels[findings->items[i].level]--;
            release(&findings->items[i]);
        } else {
            findings->items[kept++] = findings->items[i];
        }
    }
    findings->count = kept;
    return 0;
}

int findings_print(const struct findings *findings, struct pullkey_error *error)
{
    for (size_t i = 0; i < findings->count; i++) {
        const struct finding *finding = &findings->items[i];
        cleanup_buffer struct buffer text = BUFFER_INIT(LINE_MAX_LENGTH);

        if (finding->file)
            buffer_append_text(&text, finding->file);
        if (finding->line > 0)
            buffer_printf(&text, ":%zu", finding->line);
        buffer_printf(&text, "%s%s [%s]", finding->file ? ": " : "", finding->text, finding->id);
        if (buffer_check(&text, error) < 0)
            return -(int)error->code;
        output_finding(finding->level, text.data);
        output_line("    %s", finding->fix);
    }
    return 0;
}

void findings_write(const struct findings *findings, struct buffer *json)
{
    buffer_append_text(json, "[");
    for (size_t i = 0; i < findings->count; i++) {
        const struct finding *finding = &findings->items[i];

        buffer_printf(json, "%s{\"id\":\"%s\",\"level\":\"%s\"", i > 0 ? ",\n " : "", finding->id,
                      output_level_name(finding->level));
        json_write_member(json, "file", finding->file);
        if (finding->line > 0)
            buffer_printf(json, ",\"line\":%zu", finding->line);
        else
            buffer_append_text(json, ",\"line\":null");
        json_write_member(json, "text", finding->text);
        json_write_member(json, "fix", finding->fix);
        buffer_append_text(json, "}");
    }
    buffer_append_text(json, "]");
}

void findings_done(struct findings *findings)
{
    for (size_t i = 0; i < findings->count; i++)
        release(&findings->items[i]);
    secret_release(findings->items);
    *findings = (struct findings){ 0 };
}
