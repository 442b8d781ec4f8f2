/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happens to each entry. What the store has is kept unless it is to be replaced: whoever
 * logged in with pullkey did it later than with what was used before. Of several entries for one
 * registry that of the first source is taken, and of one source the one that its clients use.
 */
#include "import.h"

#include <string.h>

#include "base/error.h"
#include "base/secret.h"
#include "file/rekey.h"
#include "file/store.h"

#define PREFIX "docker-credential-"
#define HUB_KEY "https://index.docker.io/v1/"

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
        if (older->taken == item && older->action == IMPORT_OLDER)
            older->action = IMPORT_HERE;
}

/* -- Several entries for one registry --------------------------------------------------------- */

static bool is_same_registry(const struct import_item *a, const struct import_item *b)
{
    return a->registry && b->registry && strcmp(a->registry, b->registry) == 0;
}

/* Clients look for their own key first, which for Docker Hub is an old one of docker's. 0: one that
 * they take if none of those is there. */
static int key_rank(const struct import_item *item)
{
    if (strcmp(item->server, HUB_KEY) == 0)
        return strcmp(item->source->name, "podman") == 0 ? 1 : 3;
    return strcmp(item->server, item->registry) == 0 ? 2 : 0;
}

/* True if clients of the source use another entry rather than this one. */
static bool has_better(const struct import *import, const struct import_item *item)
{
    bool is_before = true;

    for (const struct import_item *other = import->first; other; other = other->next) {
        const int ahead = is_same_registry(other, item) ? key_rank(other) - key_rank(item) : -1;

        if (other == item)
            is_before = false;
        else if (other->source == item->source && other->action == IMPORT_STORE &&
                 (ahead > 0 || (ahead == 0 && is_before)))
            return true;
    }
    return false;
}

bool import_is_wanted(const struct import_item *item)
{
    return item->action == IMPORT_STORE || item->action == IMPORT_REPLACE ||
           item->action == IMPORT_SAME;
}

/* The entry that is taken in place of this one; NULL: none is. */
static struct import_item *find_taken(const struct import *import, const struct import_item *item)
{
    for (struct import_item *other = import->first; other; other = other->next)
        if (other->is_decided && import_is_wanted(other) && is_same_registry(other, item))
            return other->taken ? other->taken : other;
    return NULL;
}

static int leave_out(struct import_item *item, struct import_item *taken,
                     struct pullkey_error *error)
{
    const char *where = taken->source == item->source ? "" : import_source_name(taken->source);
    const bool same = is_equal(&taken->credential, &item->credential);

    item->taken = taken;
    return import_decide(item, same ? IMPORT_SAME : IMPORT_OTHER, error,
                         same ? "the same as that of %s%s%s" : "left out: that of %s%s%s is taken",
                         taken->server, where[0] != '\0' ? " in " : "", where);
}

bool import_is_hidden(const struct import_item *item)
{
    const struct import_item *taken = item->taken;

    if (!taken || item->action != IMPORT_OTHER)
        return item->action == IMPORT_OLDER;
    /* podman reads its first file alone if that has one. */
    return taken->source == item->source ? key_rank(item) == 0 && key_rank(taken) > 0
                                         : strcmp(taken->source->name, item->source->name) == 0;
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

/* `why` the item's store is not for it, if it has one. */
static int decide(struct import *import, struct import_item *item,
                  const struct registry_reference *reference, struct pullkey_error why,
                  struct pullkey_error *error)
{
    const struct resolve resolve = admin_resolve(&import->config);
    struct import_item *taken;
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
        taken = item->is_decided ? NULL : find_taken(import, item);
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
    if (!item->source->helper && (credential_check(&item->credential, &why) < 0 ||
                                  admin_check_username(item->credential.username, &why) < 0))
        return import_decide(item, IMPORT_REFUSE, error, "%s", why.message);
    return 0;
}

int import_pass_over(struct import *import, struct import_item *item,
                     const struct pullkey_error *why, struct pullkey_error *error)
{
    struct registry_reference reference;
    int r = registry_parse(item->server, strlen(item->server), &reference, error);

    return r < 0 ? r : decide(import, item, &reference, *why, error);
}

/* Those that clients use, and then the others of the same registries. */
static int decide_all(struct import *import, bool others, struct pullkey_error *error)
{
    const struct pullkey_error none = { 0 };
    int r = 0;

    for (struct import_item *item = import->first; r == 0 && item; item = item->next) {
        if (item->action != IMPORT_STORE || item->is_decided ||
            (!others && has_better(import, item)))
            continue;
        r = import_pass_over(import, item, &none, error);
        item->is_decided = true;
    }
    return r;
}

int import_plan(struct import *import, struct pullkey_error *error)
{
    int r = 0;

    for (struct import_item *item = import->first; r == 0 && item; item = item->next)
        if (item->action == IMPORT_STORE)
            r = check_item(item, error);
    if (r == 0)
        r = decide_all(import, false, error);
    return r < 0 ? r : decide_all(import, true, error);
}
