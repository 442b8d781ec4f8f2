/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entries of docker-credential-secretservice, read from the keyring itself, and those of another
 * helper of docker's, which is asked for them.
 */
#include "import.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/secret.h"
#include "run-process.h"

/* What pass(1) prints in place of a secret where a folder has the name: of a user with a slash. */
#define FOLDER "\xe2\x94\x80\xe2\x94\x80 "

/* gpg may ask for one, and somebody has to type it. */
#define PASSPHRASE_MS 100000

static bool is_asked(const struct import_source *source)
{
    return strcmp(source->helper, "secretservice") != 0;
}

/* A newer entry with this key. */
static struct import_item *find_newer(const struct import *import,
                                      const struct import_source *source, const char *server)
{
    for (struct import_item *item = import->first; item; item = item->next)
        if (item->source == source && strcmp(item->server, server) == 0)
            return item;
    return NULL;
}

static int add_listed(struct import *import, struct import_source *source,
                      const struct pullkey_entry *entry, struct pullkey_error *error)
{
    struct import_item *newer = find_newer(import, source, entry->server), *item;
    int r = import_add(import, source, entry->server, entry->username, &item, error);

    if (r < 0 || !newer)
        return r;
    item->taken = newer;
    return import_decide(item, IMPORT_OLDER, error, "left out: there is a newer one");
}

/* A name; for `setup`, the program that docker finds. */
static int write_program(const struct import *import, const char *helper, struct buffer *ret,
                         struct pullkey_error *error)
{
    char name[FILE_PATH_MAX];
    char *const program[] = { name, NULL };
    struct run_program found;
    const char *value = helper;
    int r = 0;

    (void)snprintf(name, sizeof(name), "docker-credential-%s", helper);
    if (import->is_setup) {
        r = run_program_find(program, &found, error);
        value = found.path;
    }
    if (r < 0)
        return r;
    buffer_append_text(ret, import->is_setup ? "\"path\":" : "\"helper\":");
    json_write_string(ret, value, strlen(value));
    return 0;
}

int import_helper_read(struct import *import, struct import_source *source,
                       struct pullkey_error *error)
{
    const struct resolve resolve = admin_resolve(&import->nothing);
    cleanup_buffer struct buffer options = BUFFER_INIT(JSON_SIZE_MAX);
    cleanup_list struct pullkey_list list = { 0 };
    int r = 0;

    buffer_append_text(&options, "{");
    if (is_asked(source))
        r = write_program(import, source->helper, &options, error);
    buffer_append_text(&options, "}");
    if (r == 0)
        r = buffer_check(&options, error);
    if (r == 0)
        r = resolve_open_with(&resolve, is_asked(source) ? "exec" : "keyring", options.data,
                              &source->opened, error);

    if (r == 0)
        r = source->opened.backend->list(source->opened.state, resolve.deadline_ms, &list, error);
    for (size_t i = 0; r == 0 && i < list.count; i++)
        r = add_listed(import, source, &list.entries[i], error);
    return r;
}

static int get(const struct import *import, const struct import_item *item,
               struct pullkey_credential *ret, struct pullkey_error *error)
{
    const struct resolve resolve = admin_resolve(&import->nothing);
    const struct resolve_opened *opened = &item->source->opened;
    struct registry_reference reference;
    struct registry_request request;
    int r = registry_parse(item->server, strlen(item->server), &reference, error);

    if (r < 0)
        return r;
    registry_request(&reference, resolve.deadline_ms + (is_asked(item->source) ? PASSPHRASE_MS : 0),
                     &request);
    r = opened->backend->get(opened->state, &request.request, ret, error);
    if (r == 0 && strcmp(item->source->helper, "pass") == 0 && strstr(ret->secret.bytes, FOLDER))
        return error_set(error, PULLKEY_INVALID,
                         "its user name has a slash, so docker-credential-pass cannot read it");
    return r;
}

/* The list may have had an older one first. */
static int name_user(struct import_item *item, struct pullkey_error *error)
{
    const char *username = item->credential.username;
    char *copy;

    for (struct import_item *older = item->next; older; older = older->next)
        if (older->source == item->source && older->action == IMPORT_OLDER &&
            strcmp(older->server, item->server) == 0 && strcmp(older->username, username) == 0) {
            copy = older->username;
            older->username = item->username;
            item->username = copy;
            return 0;
        }
    copy = secret_copy(username, strlen(username));
    if (!copy)
        return error_memory(error);
    secret_release(item->username);
    item->username = copy;
    return 0;
}

int import_helper_get(struct import *import, struct import_item *item, struct pullkey_error *error)
{
    struct import_source *source = item->source;
    struct pullkey_error why = source->locked;
    int r = why.code ? -(int)why.code : get(import, item, &item->credential, &why);

    if (r == 0)
        r = admin_check_username(item->credential.username, &why);
    if (r == 0)
        return name_user(item, error);
    credential_done(&item->credential);
    if (r == -PULLKEY_INTERNAL) {
        *error = why;
        return r;
    }
    /* Whoever did not unlock it once is not asked for each entry. */
    if (r == -PULLKEY_LOCKED || r == -PULLKEY_UNREACHABLE)
        source->locked = why;
    return import_decide(item, IMPORT_REFUSE, error, "%s", why.message);
}

/* -- Removing --------------------------------------------------------------------------------- */

/* Who removes an entry removes all of its registry: with a docker.io also index.docker.io's. */
const struct import_item *import_helper_tie(const struct import *import,
                                            const struct import_item *item, bool is_planned)
{
    for (const struct import_item *other = import->first; other; other = other->next)
        if (item->source->helper && other->source == item->source && other != item &&
            other->registry && item->registry && strcmp(other->registry, item->registry) == 0 &&
            strcmp(other->server, item->server) != 0 &&
            !(is_planned ? import_is_wanted(other) || import_is_hidden(other) : other->is_safe))
            return other;
    return NULL;
}

static int remove_item(struct import *import, struct import_item *item, struct pullkey_error *error)
{
    const struct resolve resolve = admin_resolve(&import->nothing);
    const struct resolve_opened *opened = &item->source->opened;
    cleanup_credential struct pullkey_credential now = { 0 };
    const struct import_item *other;
    struct registry_reference reference;
    struct registry_request request;
    int r = get(import, item, &now, error);

    if (r == -PULLKEY_NOT_FOUND)
        return 0;
    if (r < 0)
        return r;
    if (strcmp(now.username, item->credential.username) != 0 ||
        !secret_equal(&now.secret, &item->credential.secret))
        return error_set(error, PULLKEY_INVALID, "somebody has changed it meanwhile");
    other = import_helper_tie(import, item, false);
    if (other)
        return error_set(error, PULLKEY_INVALID, "%s would go with it", import_server(other));
    r = registry_parse(item->server, strlen(item->server), &reference, error);
    if (r < 0)
        return r;
    registry_request(&reference, resolve.deadline_ms, &request);
    r = opened->backend->erase(opened->state, &request.request, error);
    return r == -PULLKEY_NOT_FOUND ? 0 : r;
}

/* What it lists still is there, whatever it said. */
static int check_list(struct import *import, struct import_source *source,
                      struct pullkey_error *error)
{
    const struct resolve resolve = admin_resolve(&import->nothing);
    cleanup_list struct pullkey_list list = { 0 };
    int r = source->opened.backend->list(source->opened.state, resolve.deadline_ms, &list, error);

    for (size_t i = 0; r == 0 && i < list.count; i++)
        for (struct import_item *item = import->first; item; item = item->next)
            if (r == 0 && item->source == source && item->is_removed &&
                strcmp(item->server, list.entries[i].server) == 0) {
                item->is_removed = false;
                r = import_decide(item, item->action, error, "%s lists it still", source->name);
            }
    return r;
}

int import_helper_remove(struct import *import, struct import_source *source,
                         struct pullkey_error *error)
{
    int r = 0;

    for (struct import_item *item = import->first; item; item = item->next) {
        struct pullkey_error why;

        if (item->source != source || !item->is_safe)
            continue;
        if (remove_item(import, item, &why) < 0)
            r = import_decide(item, item->action, error, "%s", why.message);
        else
            for (struct import_item *same = import->first; same; same = same->next)
                if (same->source == source && strcmp(same->server, item->server) == 0)
                    same->is_removed = true;
        if (r < 0)
            return r;
    }
    return check_list(import, source, error);
}
