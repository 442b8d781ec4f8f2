/* SPDX-License-Identifier: Apache-2.0 */
/* `render`: one pass. */
#include "hosts.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/output.h"
#include "crew.h"
#include "tree.h"

static void append_member(struct buffer *text, const char *key, const char *value)
{
    buffer_append_text(text, key);
    json_write_name(text, value);
}

static void report(const struct tree *tree, bool json, struct buffer *text, size_t *ret_problems)
{
    size_t managed = 0;

    *ret_problems = 0;
    buffer_append_text(text, "{\"problems\":[");
    for (size_t i = 0; i < tree->count; i++) {
        const struct tree_entry *entry = tree->entries[i];

        managed += entry->is_managed;
        if (entry->problem) {
            append_member(text,
                          *ret_problems > 0 ? ",{\"registry\":" : "{\"registry\":", entry->name);
            append_member(text, ",\"message\":", entry->problem);
            buffer_append_text(text, "}");
            ++*ret_problems;
            if (!json)
                output_note("%s: %s", entry->name, entry->problem);
        }
        for (size_t k = 0; k < entry->use_count; k++) {
            const struct need *need = entry->uses[k].need;

            if (need->error.code == PULLKEY_OK)
                continue;
            append_member(text,
                          *ret_problems > 0 ? ",{\"registry\":" : "{\"registry\":", entry->name);
            append_member(text, ",\"host\":", need->url);
            append_member(text, ",\"class\":", error_class_name(need->error.code));
            append_member(text, ",\"message\":", needs_message(need));
            buffer_append_text(text, "}");
            ++*ret_problems;
            if (!json)
                output_note("%s: %s: no header from \"%s\": %s", entry->name, need->url,
                            need->helper, needs_message(need));
        }
    }
    buffer_printf(text, "],\"rendered\":%zu,\"linked\":%zu}\n", managed, tree->count - managed);
    if (!json)
        output_line("registries: %zu rendered, %zu linked", managed, tree->count - managed);
}

static int render(const struct hosts_call *call, struct tree *tree, struct crew *crew,
                  struct pullkey_error *error)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(64 * 1024 * 1024);
    const struct moment now = crew_now();
    size_t problems;
    int r = tree_scan(tree, true, &now, error);

    if (r == 0)
        r = crew_ask_all(crew, tree->needs, error);
    if (r < 0)
        return r;
    tree_mark_changed(tree);
    r = tree_publish(tree, error);
    if (r < 0)
        return r;
    report(tree, call->values[HOSTS_JSON] != NULL, &text, &problems);
    if (call->values[HOSTS_JSON])
        r = output_buffer(&text, error);
    return r < 0 ? r : problems > 0 ? HOSTS_PROBLEM : 0;
}

int hosts_render(const struct hosts_call *call, struct pullkey_error *error)
{
    cleanup_config struct config config = { 0 };
    cleanup_settings struct settings settings = { 0 };
    cleanup_publish struct publish publish = { .target = -1 };
    char source[FILE_PATH_MAX], target[FILE_PATH_MAX];
    struct needs needs = { 0 };
    struct crew crew = { 0 };
    struct tree tree;
    int r = hosts_source(call, source, error);

    if (r == 0)
        r = hosts_target(call, target, error);
    if (r == 0 && access(source, F_OK) < 0)
        r = error_errno(error, errno, "cannot read %s", source);
    if (r == 0 && !call->values[HOSTS_TARGET])
        r = hosts_make_place(target, source, error);
    if (r == 0)
        r = hosts_load(&config, error);
    if (r == 0)
        r = settings_load(&config, &settings, error);
    if (r == 0)
        r = publish_open(target, source, &publish, error);
    if (r == 0)
        r = publish_check_source(&publish, error);
    if (r < 0)
        return r;
    crew.timeout_ms = settings.helper_timeout * 1000;
    tree = (struct tree){
        .source = source, .settings = &settings, .publish = &publish, .needs = &needs
    };
    r = render(call, &tree, &crew, error);
    crew_end(&crew);
    tree_done(&tree);
    needs_done(&needs);
    return r;
}
