/* SPDX-License-Identifier: Apache-2.0 */
#include "admin.h"

#include <string.h>

#include "output.h"

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

int admin_logout(const struct admin_call *call, struct pullkey_error *error)
{
    cleanup_config struct config config = { 0 };
    struct registry_reference reference;
    struct resolve resolve;
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
    return report(call, &reference, r == 0, error);
}
