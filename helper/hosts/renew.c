/* SPDX-License-Identifier: Apache-2.0 */
#include "renew.h"

#include <string.h>

#include "base/error.h"
#include "edit.h"

#define LINE_MAX_BYTES (128 * 1024)

bool renew_helper(const struct hosts_file *rendered, const struct hosts_host *host,
                  char ret[RENEW_HELPER_SIZE])
{
    struct pullkey_secret ignored;
    struct render_header header;
    const char *helper;
    size_t length;

    if (!render_recover(rendered, host, &helper, &length, &header, &ignored) ||
        length >= RENEW_HELPER_SIZE)
        return false;
    memcpy(mempcpy(ret, helper, length), "", 1);
    return true;
}

/* A header of ours has a line for itself. */
static int renew_line(const struct hosts_file *rendered, const struct hosts_host *host,
                      const struct render_header *header, struct edits *edits,
                      struct pullkey_error *error)
{
    cleanup_buffer struct buffer line = BUFFER_INIT(LINE_MAX_BYTES);
    const struct toml_document *toml = &rendered->toml;
    const struct toml_item *item = host->authorization;
    size_t end = edit_line_end(toml->text, toml->length, item->end);
    int r;

    if (!header)
        return edits_add(edits, edit_line_begin(toml->text, item->begin), end, "", 0, error);
    toml_write_string(&line, header->value->bytes, header->value->length);
    buffer_printf(&line, RENDER_COMMENT "%s %lld\n", host->helper, (long long)header->expiry);
    r = buffer_check(&line, error);
    return r < 0 ? r : edits_add(edits, item->begin, end, line.data, line.length, error);
}

static int check(const struct hosts_file *rendered, const char *registry, const struct buffer *text,
                 struct pullkey_error *error)
{
    cleanup_hosts_file struct hosts_file again = { 0 };
    int r = hosts_file_parse(rendered->toml.name, registry, text->data ? text->data : "",
                             text->length, NULL, &again, error);
    bool is_same = r == 0 && again.host_count == rendered->host_count;

    for (size_t i = 0; is_same && i < again.host_count; i++) {
        const char *name = again.hosts[i].name, *old = rendered->hosts[i].name;

        is_same = strcmp(name ? name : "", old ? old : "") == 0;
    }
    if (r == 0 && !is_same)
        r = error_set(error, PULLKEY_INVALID, "%s: its headers cannot be renewed",
                      rendered->toml.name);
    return r;
}

int renew_text(const struct hosts_file *rendered, const char *registry, render_lookup *lookup,
               void *context, struct buffer *ret, struct pullkey_error *error)
{
    const struct toml_document *toml = &rendered->toml;
    cleanup_edits struct edits edits = { 0 };
    int r = 0;

    for (size_t i = 0; r == 0 && i < rendered->host_count; i++) {
        struct hosts_host host = rendered->hosts[i];
        char helper[RENEW_HELPER_SIZE];
        struct render_header header;

        if (!host.name || !renew_helper(rendered, &host, helper))
            continue;
        host.helper = helper;
        r = renew_line(rendered, &host, lookup(context, &host, &header) ? &header : NULL, &edits,
                       error);
    }
    if (r == 0)
        r = edits_apply(&edits, toml->text, toml->length, ret, error);
    return r < 0 ? r : check(rendered, registry, ret, error);
}
