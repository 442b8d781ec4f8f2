/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of docker and podman: what their "auths" hold is read, and taken out again. They are
 * written as docker and podman write them: a link is followed, the mode stays, members are indented
 * by tabs, and the file is replaced whole.
 */
#include "import.h"

#include <string.h>
#include <unistd.h>

#include "auths/auths.h"
#include "base/error.h"
#include "base/file.h"
#include "base/secret.h"
#include "base/output.h"
#include "change.h"
#include "core/module.h"
#include "file/rekey.h"
#include "setup.h"

static int read_document(const struct import_source *source, struct json *ret,
                         struct pullkey_error *error)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(JSON_SIZE_MAX);
    int r = source->path ? file_read(source->path, FILE_GIVEN, 0, &text, NULL, error)
                         : buffer_read(&text, STDIN_FILENO, error);

    if (r < 0)
        return r;
    /* Of stdin it would be an accident. */
    if (source->path && text.length == 0)
        buffer_append_text(&text, "{}");
    return json_parse(ret, source->path ? source->path : source->name, text.data ? text.data : "",
                      text.length, 0, error);
}

/* -- Reading ---------------------------------------------------------------------------------- */

static bool is_member_text(const cJSON *object, const char *name)
{
    const cJSON *member = json_member(object, name);

    return cJSON_IsString(member) && member->valuestring[0] != '\0';
}

/* One that pullkey is asked for is nobody's to import, and those of others that are read too are
 * listed there. */
static int add_in_helper(struct import *import, struct import_source *source, const char *server,
                         const char *helper, struct pullkey_error *error)
{
    const bool is_source = import_knows_helper(helper);
    struct import_item *item;
    int r;

    /* A set-up for all registries has read docker's store by itself. */
    if (strcmp(helper, "pullkey") == 0 || (is_source && import->from_all) ||
        (import->is_setup && import->call->item_count == 0))
        return 0;
    r = import_add(import, source, server, "", &item, error);
    if (r < 0)
        return r;
    return import_decide(item, IMPORT_HELPER, error,
                         is_source ? "docker-credential-%s has it: run \"pullkey import --from %s\""
                                   : "docker-credential-%s has it: log in again with \"pullkey "
                                     "login\"",
                         helper, helper);
}

/* One of others that goes before all else: docker asks it, or with --for asked it. */
static bool has_own_helper(const struct json *document, const char *server)
{
    const char *helper = json_text(json_member(document->root, "credHelpers"), server);

    return helper && helper[0] != '\0' && strcmp(helper, "pullkey") != 0;
}

static int add_entry(struct import *import, struct import_source *source,
                     const struct json *document, const cJSON *entry, const char *helper,
                     struct pullkey_error *error)
{
    const bool is_absent = auths_is_absent(&module_host, entry);
    struct import_item *item;
    struct pullkey_error why;
    int r;

    if (import->is_setup && has_own_helper(document, entry->string))
        return import->call->item_count > 0
                   ? add_in_helper(import, source, entry->string, helper, error)
                   : 0;
    if (is_absent && !is_member_text(entry, "registrytoken") && helper)
        return add_in_helper(import, source, entry->string, helper, error);
    r = import_add(import, source, entry->string, "", &item, error);
    if (r < 0)
        return r;
    if (is_absent)
        return is_member_text(entry, "registrytoken")
                   ? import_decide(item, IMPORT_REFUSE, error,
                                   "it is a \"registrytoken\", which nobody can renew: log in with "
                                   "\"pullkey login\", and remove it")
                   : import_decide(item, IMPORT_EMPTY, error, "it has no secret");
    r = auths_read(&module_host, document, entry, &item->credential, &why);
    if (r == -PULLKEY_INVALID)
        return import_decide(item, IMPORT_REFUSE, error, "%s", why.message);
    if (r < 0)
        *error = why;
    return r;
}

const char *import_helper_of(const struct json *document, const char *server)
{
    const cJSON *helpers = setup_member(document->root, "credHelpers");
    const cJSON *helper = json_member(helpers, server);

    if (!helper)
        helper = setup_member(document->root, "credsStore");
    return cJSON_IsString(helper) && helper->valuestring[0] != '\0' ? helper->valuestring : NULL;
}

/* Those of the helpers that "auths" says nothing of. */
static int add_helpers(struct import *import, struct import_source *source,
                       const struct json *document, const cJSON *map, struct pullkey_error *error)
{
    const cJSON *helpers = setup_member(document->root, "credHelpers");
    const char *store = import_helper_of(document, "");
    int r = 0;

    for (const struct import_item *item = import->first; item; item = item->next)
        if (item->source == source && item->action == IMPORT_HELPER &&
            !json_member(helpers, item->server))
            store = NULL; /* it was named */
    for (const cJSON *helper = helpers ? helpers->child : NULL; r == 0 && helper;
         helper = helper->next)
        if (cJSON_IsString(helper) && helper->valuestring[0] != '\0' &&
            !json_member(map, helper->string))
            r = add_in_helper(import, source, helper->string, helper->valuestring, error);
    return r == 0 && store ? add_in_helper(import, source, "*", store, error) : r;
}

int import_file_read(struct import *import, struct import_source *source,
                     struct pullkey_error *error)
{
    cleanup_json struct json document = { 0 };
    cJSON *map = NULL;
    int r = read_document(source, &document, error);

    if (r == 0)
        r = auths_map(&document, &map, error);
    if (r < 0)
        return r;
    /* docker's own may have none. */
    if (!map && (!source->path || strcmp(source->path, source->name) == 0) &&
        !setup_member(document.root, "credHelpers") && !setup_member(document.root, "credsStore"))
        return json_error(&document, document.root, error,
                          "there is no \"auths\": this is no file of docker or podman");
    for (const cJSON *entry = map ? map->child : NULL; r == 0 && entry; entry = entry->next)
        r = add_entry(import, source, &document, entry, import_helper_of(&document, entry->string),
                      error);
    if (import->is_setup && import->call->item_count == 0)
        cJSON_DeleteItemFromObjectCaseSensitive(document.root, "credHelpers");
    return r < 0 ? r : add_helpers(import, source, &document, map, error);
}

/* -- Removing --------------------------------------------------------------------------------- */

/* As Go indents: no tab behind a colon, and nothing inside of what is empty. A tab or a line end is
 * never in a string. */
static int write_document(const struct json *document, struct buffer *ret,
                          struct pullkey_error *error)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(2 * JSON_SIZE_MAX);
    int r = json_write_tree(&text, document->root, true, error);

    for (size_t i = 0; r == 0 && i < text.length; i++) {
        const bool is_gap = text.data[i] == '\t' && text.data[i - 1] == ':';

        buffer_append(ret, is_gap ? " " : text.data + i, 1);
        if (text.data[i] == '{' || text.data[i] == '[') {
            const size_t blank = strspn(text.data + i + 1, "\n\t");

            if (blank > 0 && strchr("}]", text.data[i + 1 + blank]))
                i += blank;
        }
    }
    if (document->length > 0 && document->text[document->length - 1] == '\n')
        buffer_append_text(ret, "\n");
    return r < 0 ? r : buffer_check(ret, error);
}

/* True if the document still has what was read. */
static bool has_entry(const struct json *document, cJSON *map, const struct import_item *item,
                      cJSON **ret)
{
    cleanup_credential struct pullkey_credential now = { 0 };
    struct pullkey_error ignored;

    *ret = json_member(map, item->server);
    return *ret && !auths_is_absent(&module_host, *ret) &&
           auths_read(&module_host, document, *ret, &now, &ignored) == 0 &&
           strcmp(now.username, item->credential.username) == 0 &&
           secret_equal(&now.secret, &item->credential.secret);
}

static int edit_document(struct import *import, const struct import_source *source,
                         struct json *document, size_t *ret_count, struct pullkey_error *error)
{
    cJSON *map, *entry;
    int r = json_keep_numbers(document, error);

    if (r == 0)
        r = auths_map(document, &map, error);
    for (struct import_item *item = import->first; r == 0 && item; item = item->next) {
        if (item->source != source || !item->is_safe)
            continue;
        if (has_entry(document, map, item, &entry)) {
            cJSON_Delete(cJSON_DetachItemViaPointer(map, entry));
            ++*ret_count;
        } else if (entry) {
            item->is_safe = false;
            r = import_decide(item, item->action, error, "it has changed meanwhile");
        }
    }
    return r;
}

int import_file_remove(struct import *import, struct import_source *source,
                       struct pullkey_error *error)
{
    cleanup_change struct change change = CHANGE_INIT(0600);
    cleanup_json struct json document = { 0 };
    size_t count = 0;
    int r = change_open(source->path, &change, error);

    /* Somebody may have removed it. */
    if (r == 0 && change.old.length > 0) {
        change_tidy(&change);
        r = json_parse(&document, source->path, change.old.data, change.old.length, 0, error);
        if (r == 0)
            r = edit_document(import, source, &document, &count, error);
        if (r == 0)
            r = write_document(&document, &change.new, error);
        if (r == 0 && count > 0)
            r = change_write(&change, error);
    }
    for (struct import_item *item = import->first; r == 0 && item; item = item->next)
        if (item->source == source)
            item->is_removed = item->is_safe;
    return r;
}

/* -- Afterwards ------------------------------------------------------------------------------- */

void import_file_advise(const struct import *import)
{
    cleanup_json struct json document = { 0 };
    struct pullkey_error ignored;
    char path[FILE_PATH_MAX];
    const struct import_source docker = { .name = "docker", .path = path };

    if (import_docker_path(path, &ignored) < 0)
        return;
    (void)read_document(&docker, &document, &ignored);
    for (const struct import_item *item = import->first; item; item = item->next) {
        const char *helper = import_helper_of(&document, item->server);

        if (!item->is_removed || (helper && strcmp(helper, "pullkey") == 0) ||
            !(item->source->helper || rekey_is_same(item->source->path, path)))
            continue;
        output_note("docker does not ask pullkey yet: run \"pullkey setup docker --write\"");
        return;
    }
}
