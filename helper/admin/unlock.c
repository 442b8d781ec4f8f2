/* SPDX-License-Identifier: Apache-2.0 */
#include "admin.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/output.h"
#include "base/secret.h"
#include "core/module.h"
#include "core/resolve-chain.h"
#include "instances.h"
#include "prompt.h"

#define TYPE "keyring"

/* What all stores share, and what is said of them. */
struct unlocking {
    const struct admin_call *call;
    struct pullkey_secret given; /* the password from stdin */
    struct buffer json;
    size_t count; /* stores that can be locked */
};

/* Since minor 5. */
bool admin_can_unlock(const struct pullkey_backend *backend)
{
    return backend->module.size >= offsetof(struct pullkey_backend, unlock) + sizeof(void *) &&
           backend->unlock;
}

static int ask_password(const char *name, struct pullkey_secret *ret, struct pullkey_error *error)
{
    char question[RESOLVE_SOURCE_MAX + 32];

    (void)snprintf(question, sizeof(question),
                   "Password of %s: ", strcmp(name, TYPE) == 0 ? "the keyring" : name);
    output_wait_end();
    return prompt_line(question, true, ret, error);
}

static int unlock(const struct unlocking *unlocking, const char *name,
                  const struct resolve_opened *opened, enum pullkey_unlock *ret,
                  struct pullkey_error *error)
{
    const bool is_given = unlocking->call->values[ADMIN_PASSWORD_STDIN];
    cleanup_secret struct pullkey_secret typed = { 0 };
    int r = opened->backend->unlock(opened->state, is_given ? &unlocking->given : NULL,
                                    clock_monotonic_ms() + RESOLVE_DEADLINE_MS, ret, error);

    if (r < 0 || *ret != PULLKEY_ASKS_PASSWORD)
        return r;
    r = ask_password(name, &typed, error);
    if (r == 0)
        r = opened->backend->unlock(opened->state, &typed,
                                    clock_monotonic_ms() + RESOLVE_DEADLINE_MS, ret, error);
    return r;
}

static void report(struct unlocking *unlocking, const char *name, bool was_locked)
{
    if (unlocking->call->values[ADMIN_JSON]) {
        buffer_append_text(&unlocking->json, unlocking->count > 0 ? ",\n {" : "[{");
        buffer_append_text(&unlocking->json, "\"source\":");
        json_write_string(&unlocking->json, name, strlen(name));
        buffer_printf(&unlocking->json, ",\"was_locked\":%s}", was_locked ? "true" : "false");
    } else {
        output_line(was_locked ? "Unlocked %s" : "%s is not locked", name);
    }
    unlocking->count++;
}

static int unlock_opened(struct unlocking *unlocking, const char *name,
                         const struct resolve_opened *opened, struct pullkey_error *error)
{
    enum pullkey_unlock outcome = PULLKEY_WAS_OPEN;
    int r = unlock(unlocking, name, opened, &outcome, error);

    if (r < 0)
        return error_wrap(error, "%s", name);
    report(unlocking, name, outcome == PULLKEY_UNLOCKED);
    return 0;
}

/* Nothing is done for one that is never locked, or whose module is not to be had. */
static int unlock_instance(struct unlocking *unlocking, const struct resolve *resolve,
                           const struct config_instance *instance, struct pullkey_error *error)
{
    cleanup_opened struct resolve_opened opened = { 0 };
    const struct pullkey_backend *backend;
    int r = module_find_backend(instance->type, &backend, error);

    if (r < 0) {
        log_line(instance->name, "not unlocked: %s", error->message);
        return 0;
    }
    if (!admin_can_unlock(backend))
        return 0;
    r = resolve_open(resolve, instance, &opened, error);
    return r < 0 ? error_wrap(error, "%s", instance->name)
                 : unlock_opened(unlocking, instance->name, &opened, error);
}

/* Where the configuration has none, as there is no session bus: then the module says so. */
static int unlock_default(struct unlocking *unlocking, const struct resolve *resolve,
                          struct pullkey_error *error)
{
    cleanup_opened struct resolve_opened opened = { 0 };
    int r = resolve_open_with(resolve, TYPE, "{}", &opened, error);

    if (r == 0 && !admin_can_unlock(opened.backend))
        r = error_set(error, PULLKEY_UNSUPPORTED,
                      "the module \"" TYPE "\" is of an older release: install it again");
    return r < 0 ? r : unlock_opened(unlocking, TYPE, &opened, error);
}

static int unlock_all(struct unlocking *unlocking, const struct config *config,
                      struct pullkey_error *error)
{
    cleanup_instances struct instances instances = { 0 };
    const struct resolve resolve = admin_resolve(config);
    int r = instances_collect(config, &instances, error);

    for (size_t i = 0; r == 0 && i < instances.count; i++)
        r = unlock_instance(unlocking, &resolve, &instances.items[i], error);
    if (r == 0 && unlocking->count == 0)
        r = unlock_default(unlocking, &resolve, error);
    if (r < 0 || !unlocking->call->values[ADMIN_JSON])
        return r;
    buffer_append_text(&unlocking->json, "]\n");
    return output_buffer(&unlocking->json, error);
}

int admin_unlock(const struct admin_call *call, struct pullkey_error *error)
{
    struct unlocking unlocking = { .call = call, .json = BUFFER_INIT(JSON_SIZE_MAX) };
    cleanup_config struct config config = { 0 };
    int r = admin_load(call, &config, error);

    if (r == 0 && call->values[ADMIN_PASSWORD_STDIN])
        r = admin_read_password(&unlocking.given, error);
    if (r == 0)
        r = unlock_all(&unlocking, &config, error);
    secret_done(&unlocking.given);
    buffer_done(&unlocking.json);
    return r;
}
