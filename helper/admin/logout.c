/* SPDX-License-Identifier: Apache-2.0 */
#include "admin.h"

#include <string.h>

#include "base/error.h"
#include "base/output.h"

static int report(const struct admin_call *call, const struct registry_reference *reference,
                  bool removed, struct pullkey_error *error)
{
    cleanup_buffer struct buffer json = BUFFER_INIT(JSON_SIZE_MAX);

    if (!call->values[ADMIN_JSON]) {
        if (removed)
            output_line("Removed the credential for %s", reference->text);
        else
            output_line("There was no credential for %s", reference->text);
        return 0;
    }
    buffer_append_text(&json, "{\"registry\":");
    json_write_string(&json, reference->text, strlen(reference->text));
    buffer_printf(&json, ",\"removed\":%s}\n", removed ? "true" : "false");
    return output_buffer(&json, error);
}

/*
 * What clients get from now on must be nothing: an instance that is only read may still answer. For
 * a path the credential of its registry may, which is not what was asked to be removed.
 */
static int confirm(const struct resolve *resolve, const struct registry_reference *reference,
                   bool removed, struct pullkey_error *error)
{
    cleanup_credential struct pullkey_credential answer = { 0 };
    char source[RESOLVE_SOURCE_MAX] = "";
    struct pullkey_error why;
    int r = resolve_get(resolve, reference, &answer, source, &why);

    if (r == -PULLKEY_NOT_FOUND)
        return 0;
    if (r < 0)
        output_note("Whether clients still get one cannot be said: %s", why.message);
    else if (reference->path[0] != '\0')
        output_note("Clients get one for it from %s still, perhaps that of its registry", source);
    else
        return error_set(error, PULLKEY_UNSUPPORTED,
                         "%s, but clients still get a credential for %s from %s: remove it there",
                         removed ? "the stored credential is removed" : "nothing was removed",
                         reference->text, source);
    return 0;
}

int admin_logout(const struct admin_call *call, struct pullkey_error *error)
{
    cleanup_config struct config config = { 0 };
    struct registry_reference reference;
    struct resolve resolve;
    bool removed;
    int r = admin_reference(call->argument_count > 0 ? call->arguments[0] : ADMIN_DEFAULT_REGISTRY,
                            &reference, error);

    if (r == 0)
        r = admin_load(call, &config, error);
    if (r < 0)
        return r;
    resolve = admin_resolve(&config);
    r = resolve_erase(&resolve, &reference, error);
    if (r < 0 && r != -PULLKEY_NOT_FOUND)
        return r;
    removed = r == 0;
    r = confirm(&resolve, &reference, removed, error);
    return r < 0 ? r : report(call, &reference, removed, error);
}
