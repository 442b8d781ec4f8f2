/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happens to each entry. What the store has is kept unless it is to be replaced: whoever
 * logged in with pullkey did it later than with what was used before. Of several entries for one
 * registry that of the first source is taken, and in a file the last one.
 */
#include "import.h"

#include <string.h>

#include "base/error.h"
#include "base/secret.h"
#include "file/rekey.h"
#include "file/store.h"

#define PREFIX "docker-credential-"

/* -- The store -------------------------------------------------------------------------------- */

/* True if it has this key or an alias of it: an answer alone might be that of a shorter path. */
static bool has_key(const struct resolve_opened *opened, const struct pullkey_request *request)
{
    cleanup_list struct pullkey_list list = { 0 };
    struct pullkey_error ignored;

    if (request->path[0] == '\0' || !(opened->backend->module.capabilities & PULLKEY_CAN_LIST))
        return true;
    if (opened->backend->list(opened->state, request->deadline_ms, &list, &ignored) < 0)
        return false;
    for (size_t i = 0; i < list.count; i++)
        if (registry_is_alias(request, list.entries[i].server))
            return true;
    return false;
}

/* What an instance has for the key itself. */
static int get_stored(const struct resolve_opened *opened, const struct resolve *resolve,
                      const struct registry_reference *reference, struct pullkey_credential *ret,
                      struct pullkey_error *error)
{
    struct registry_request request;
    int r;

    registry_request(reference, resolve->deadline_ms, &request);
    r = opened->backend->get(opened->state, &request.request, ret, error);
    if (r < 0 || has_key(opened, &request.request))
        return r;
    credential_done(ret);
    return error_set(error, PULLKEY_NOT_FOUND, "it has none");
}

static bool is_equal(const struct pullkey_credential *a, const struct pullkey_credential *b)
{
    return strcmp(a->username, b->username) == 0 && secret_equal(&a->secret, &b->secret);
}

struct resolve import_resolve(const struct import *import, const struct import_item *item)
{
    struct resolve resolve = admin_resolve(&import->config);

    resolve.store = item->store;
    return resolve;
}

bool import_is_stored(const struct import *import, const struct import_item *item)
{
    const struct resolve resolve = import_resolve(import, item);
    cleanup_credential struct pullkey_credential stored = { 0 };
    cleanup_opened struct resolve_opened opened = { 0 };
    struct registry_reference reference;
    struct pullkey_error ignored;

    return item->credential.username && item->store &&
           registry_parse(item->server, strlen(item->server), &reference, &ignored) == 0 &&
           resolve_open(&resolve, item->store, &opened, &ignored) == 0 &&
           get_stored(&opened, &resolve, &reference, &stored, &ignored) == 0 &&
           is_equal(&stored, &item->credential);
}

/* -- A source that is the store --------------------------------------------------------------- */

/* The helper of this name, under whichever of its options. */
static bool is_helper(const struct config_instance *instance, const char *name)
{
    const cJSON *helper = json_member(instance->options, "helper");
    const cJSON *path = json_member(instance->options, "path");
    const char *program = cJSON_IsString(path) ? strrchr(path->valuestring, '/') : NULL;

    if (cJSON_IsString(helper))
        return strcmp(helper->valuestring, name) == 0;
    return program && strncmp(program + 1, PREFIX, sizeof(PREFIX) - 1) == 0 &&
           strcmp(program + sizeof(PREFIX), name) == 0;
}

static bool is_here(const struct import_source *source, const struct resolve_opened *opened)
{
    const char *type = opened->instance->type;

    if (source->helper && strcmp(type, "exec") == 0)
        return is_helper(opened->instance, source->helper);
    if (source->helper)
        return source->opened.backend == opened->backend;
    /* What the file backend's open() gives is a struct store. */
    return source->path && strcmp(type, "file") == 0 &&
           rekey_is_same(((const struct store *)opened->state)->paths[0], source->path);
}

/* With the older ones of its key. */
static void leave_here(struct import_item *item)
{
    item->action = IMPORT_HERE;
    for (struct import_item *older = item->next; older; older = older->next)
        if (older->source == item->source && older->action == IMPORT_OLDER &&
            strcmp(older->server, item->server) == 0)
            older->action = IMPORT_HERE;
}

/* -- Several entries for one registry --------------------------------------------------------- */

static bool is_same_registry(const struct import_item *a, const struct import_item *b)
{
    return a->registry && b->registry && strcmp(a->registry, b->registry) == 0;
}

/* The entry that is taken in place of this one; NULL: none is. */
static const struct import_item *find_taken(const struct import *import,
                                            const struct import_item *item)
{
    for (const struct import_item *other = import->first; other != item; other = other->next)
        if (is_same_registry(other, item) &&
            (other->action == IMPORT_STORE || other->action == IMPORT_REPLACE ||
             other->action == IMPORT_SAME) &&
            !(other->source == item->source && !item->source->helper))
            return other;
    for (const struct import_item *other = item->next; other && !item->source->helper;
         other = other->next)
        if (other->source == item->source && other->credential.username &&
            other->action == IMPORT_STORE && is_same_registry(other, item))
            return other;
    return NULL;
}

static int leave_out(struct import_item *item, const struct import_item *taken,
                     struct pullkey_error *error)
{
    const char *where = taken->source == item->source ? "" : taken->source->name;
    const bool same = is_equal(&taken->credential, &item->credential);

    return import_decide(item, same ? IMPORT_SAME : IMPORT_OTHER, error,
                         same ? "the same as that of %s%s%s" : "left out: that of %s%s%s is taken",
                         where, where[0] != '\0' ? "'s " : "", taken->server);
}

/* -- Deciding --------------------------------------------------------------------------------- */

/* Compares with what the store has. 0 with the action still open: it turned out to be none. */
static int compare(const struct import *import, struct import_item *item,
                   const struct resolve_opened *opened, const struct registry_reference *reference,
                   struct pullkey_error *error)
{
    const struct resolve resolve = admin_resolve(&import->config);
    cleanup_credential struct pullkey_credential there = { 0 };
    struct pullkey_error why;
    int r = get_stored(opened, &resolve, reference, &there, &why);

    if (r == 0)
        item->action = is_equal(&there, &item->credential)   ? IMPORT_SAME
                       : import->call->values[ADMIN_REPLACE] ? IMPORT_REPLACE
                                                             : IMPORT_KEEP;
    else if (r == -PULLKEY_LOCKED)
        return import_decide(item, IMPORT_REFUSE, error, "%s", why.message);
    else if (r != -PULLKEY_NOT_FOUND)
        *error = why;
    return r == -PULLKEY_NOT_FOUND ? 0 : r;
}

static int decide(struct import *import, struct import_item *item,
                  const struct registry_reference *reference, struct pullkey_error *error)
{
    const struct resolve resolve = admin_resolve(&import->config);
    const struct import_item *taken;
    struct pullkey_error why;
    int r = -PULLKEY_UNSUPPORTED;

    while (r == -PULLKEY_UNSUPPORTED) {
        cleanup_opened struct resolve_opened opened = { 0 };

        r = resolve_find_store(&resolve, reference, item->store, &opened, &why);
        if (r == -PULLKEY_UNSUPPORTED) {
            item->store = NULL;
            return import_decide(item, IMPORT_REFUSE, error, "%s", why.message);
        }
        if (r < 0)
            break;
        if (!opened.backend)
            return import_decide(item, IMPORT_IGNORE, error, "left out: its rule ignores logins");
        item->store = opened.instance;
        if (is_here(item->source, &opened)) {
            leave_here(item);
            return 0;
        }
        if (item->source->helper && !item->credential.username) {
            r = import_helper_get(import, item, error);
            if (r < 0 || item->action == IMPORT_REFUSE)
                return r;
        }
        taken = find_taken(import, item);
        if (taken)
            return leave_out(item, taken, error);
        r = compare(import, item, &opened, reference, &why);
    }
    if (r < 0)
        *error = why;
    return r < 0 ? error_wrap(error, "%s", reference->text) : 0;
}

/* What can be said of an entry alone. */
static int check_item(struct import_item *item, struct pullkey_error *error)
{
    char name[REGISTRY_CANONICAL_MAX];
    struct registry_reference reference;
    struct pullkey_error why;

    if (registry_parse(item->server, strlen(item->server), &reference, &why) < 0)
        return import_decide(item, IMPORT_REFUSE, error, "%s", why.message);
    registry_canonical(&reference, name);
    item->registry = secret_copy(name, strlen(name));
    if (!item->registry)
        return error_memory(error);
    if (!item->source->helper && credential_check(&item->credential, &why) < 0)
        return import_decide(item, IMPORT_REFUSE, error, "%s", why.message);
    return 0;
}

int import_plan(struct import *import, struct pullkey_error *error)
{
    struct registry_reference reference;
    int r = 0;

    for (struct import_item *item = import->first; r == 0 && item; item = item->next)
        if (item->action == IMPORT_STORE)
            r = check_item(item, error);
    for (struct import_item *item = import->first; r == 0 && item; item = item->next) {
        if (item->action != IMPORT_STORE)
            continue;
        r = registry_parse(item->server, strlen(item->server), &reference, error);
        if (r == 0)
            r = decide(import, item, &reference, error);
    }
    return r;
}
