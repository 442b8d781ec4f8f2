/* SPDX-License-Identifier: Apache-2.0 */
#include "admin.h"

#include <string.h>

#include "core/module.h"
#include "base/output.h"
#include "pullkey-build.h"

/*
 * What pullkey knows by name; others may be installed, and are used when a configuration names
 * them.
 */
static const struct part {
    const char *name;
    enum pullkey_kind kind;
    const char *purpose;
} parts[] = {
    { "file", PULLKEY_KIND_BACKEND, "credentials in a file" },
    { "env", PULLKEY_KIND_BACKEND, "credentials in the environment" },
    { "exec", PULLKEY_KIND_BACKEND, "other credential helpers" },
    { "cms", PULLKEY_KIND_CODEC, "encryption of the file" },
    { "keyring", PULLKEY_KIND_BACKEND, "credentials in the desktop's keyring" },
    { "kubernetes", PULLKEY_KIND_BACKEND, "secrets of Kubernetes" },
    { "token", PULLKEY_KIND_BACKEND, "tokens of clouds and others" },
    { "probe", PULLKEY_KIND_PROBE, "asks a registry at login" },
    { "yaml", PULLKEY_KIND_READER, "reads kubeconfigs and registries.yaml" },
};
#define PART_COUNT (sizeof(parts) / sizeof(parts[0]))

#if PULLKEY_BUILTIN
#define LINKAGE "builtin"
#define MODULES ""
#define WHERE "modules built in"
#else
#define LINKAGE "modules"
#define MODULES PULLKEY_MODULE_DIR
#define WHERE "modules in " PULLKEY_MODULE_DIR
#endif

/* Sets *ret to "present", "absent" or "broken"; *why says what is broken. */
static int state_of(const struct part *part, const char **ret, struct pullkey_error *why)
{
    const struct pullkey_backend *backend;
    const struct pullkey_codec *codec;
    const struct pullkey_probe *probe;
    const struct pullkey_reader *reader;
    int r;

    if (part->kind == PULLKEY_KIND_CODEC)
        r = module_find_codec(part->name, &codec, why);
    else if (part->kind == PULLKEY_KIND_PROBE)
        r = module_find_probe(part->name, &probe, why);
    else if (part->kind == PULLKEY_KIND_READER)
        r = module_find_reader(part->name, &reader, why);
    else
        r = module_find_backend(part->name, &backend, why);
    /* Not for lack of memory: that says nothing about the part. */
    if (r == -PULLKEY_INTERNAL)
        return r;
    if (r == 0)
        *ret = "present";
    else
        *ret = r == -PULLKEY_UNSUPPORTED ? "absent" : "broken";
    return 0;
}

static int print_json(struct pullkey_error *error)
{
    cleanup_buffer struct buffer json = BUFFER_INIT(JSON_SIZE_MAX);

    buffer_append_text(&json, "{\"version\":\"" PULLKEY_VERSION "\",\"linkage\":\"" LINKAGE
                              "\",\"modules\":");
    json_write_string(&json, MODULES, strlen(MODULES));
    buffer_append_text(&json, ",\"parts\":{");
    for (size_t i = 0; i < PART_COUNT; i++) {
        const char *state;
        int r = state_of(&parts[i], &state, error);

        if (r < 0)
            return r;
        buffer_printf(&json, "%s\"%s\":\"%s\"", i > 0 ? "," : "", parts[i].name, state);
    }
    buffer_append_text(&json, "}}\n");
    return output_buffer(&json, error);
}

int admin_version(const struct admin_call *call, struct pullkey_error *error)
{
    if (call->values[ADMIN_JSON])
        return print_json(error);
    output_line("pullkey " PULLKEY_VERSION " (" WHERE ")");
    for (size_t i = 0; i < PART_COUNT; i++) {
        const char *state;
        int r = state_of(&parts[i], &state, error);

        if (r < 0)
            return r;
        output_line("  %-6s  %-8s %s", parts[i].name, state,
                    strcmp(state, "broken") == 0 ? error->message : parts[i].purpose);
    }
    return 0;
}
