/* SPDX-License-Identifier: Apache-2.0 */
#include "notes.h"

#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "base/log.h"
#include "base/output.h"
#include "helper-text.h"
#include "hosts-file.h"
#include "sandbox.h"

/* A host that is in a file with a problem is a problem, and not a note as well. */
static bool is_problem(const struct tree *tree, const struct settings_host *host)
{
    char registry[REGISTRY_HOST_MAX + 8];
    struct registry_reference reference;
    struct pullkey_error ignored;

    for (size_t i = 0; i < tree->count; i++) {
        if (!tree->entries[i]->problem)
            continue;
        hosts_directory_registry(tree->entries[i]->name, registry);
        if (registry_parse(registry, strlen(registry), &reference, &ignored) == 0 &&
            strcmp(reference.host, host->reference.host) == 0)
            return true;
    }
    return false;
}

static bool is_served(const struct tree *tree, const struct settings_host *host)
{
    struct registry_reference reference;
    struct pullkey_error ignored;

    for (const struct need *need = tree->needs->first; need; need = need->next)
        if (registry_parse(need->url, strlen(need->url), &reference, &ignored) == 0 &&
            settings_is_about(host, &reference))
            return true;
    return false;
}

static void add_idle_hosts(const struct tree *tree, struct buffer *notes)
{
    for (size_t i = 0; i < tree->settings->host_count; i++) {
        const struct settings_host *host = &tree->settings->hosts[i];

        if (!is_served(tree, host) && !is_problem(tree, host))
            buffer_printf(notes,
                          "containerd.hosts names a helper for %s, which no hosts.toml of the "
                          "source has: \"pullkey hosts check\" says which file to write\n",
                          host->reference.text);
    }
}

void notes_collect(const struct tree *tree, struct buffer *ret)
{
    bool asks_itself = false;

    if (tree->is_sourceless)
        buffer_printf(ret, "there is no %s: make it, with a directory for each registry\n",
                      tree->source);
    for (const struct need *need = tree->needs->first; need && !asks_itself; need = need->next)
        asks_itself = strcmp(need->helper, HELPER_TEXT_NAME) == 0;
    if (asks_itself && !sandbox_has_landlock())
        buffer_append_text(ret, SANDBOX_NO_LANDLOCK "\n");
    add_idle_hosts(tree, ret);
}

/* FNV-1a (draft-eastlake-fnv). */
static uint64_t hash_of(const struct buffer *text)
{
    uint64_t hash = 0xcbf29ce484222325;

    for (size_t i = 0; i < text->length; i++)
        hash = (hash ^ (unsigned char)text->data[i]) * 0x100000001b3;
    return hash;
}

static size_t line_length(const struct buffer *notes, size_t at)
{
    return (size_t)((const char *)memchr(notes->data + at, '\n', notes->length - at) -
                    (notes->data + at));
}

void notes_say(const struct buffer *notes, uint64_t *said)
{
    const uint64_t hash = hash_of(notes);

    if (hash == *said)
        return;
    *said = hash;
    for (size_t at = 0, length; at < notes->length; at += length + 1) {
        length = line_length(notes, at);
        output_note("%.*s", (int)length, notes->data + at);
        log_line("hosts", "%.*s", (int)length, notes->data + at);
    }
}

void notes_write(const struct buffer *notes, struct buffer *json)
{
    buffer_append_text(json, "[");
    for (size_t at = 0, length; at < notes->length; at += length + 1) {
        length = line_length(notes, at);
        buffer_append_text(json, at > 0 ? "," : "");
        json_write_string(json, notes->data + at, length);
    }
    buffer_append_text(json, "]");
}
