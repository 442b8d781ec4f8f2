/* SPDX-License-Identifier: Apache-2.0 */
#include "module.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/secret.h"
#include "base/text.h"
#include "core/credential.h"
#include "core/person.h"
#include "core/registry.h"
#include "pullkey-build.h"

#if !PULLKEY_BUILTIN
#include <dlfcn.h>
#endif

#define TYPE_MAX 31

/* What is linked in; ends with NULL. Stands in backends/builtin.c. */
extern const struct pullkey_module *const module_builtin_table[];

const struct pullkey_host module_host = {
    .size = sizeof(module_host),
    .alloc = secret_alloc,
    .release = secret_release,
    .log = log_line,
    .wall_seconds = clock_wall_seconds,
    .monotonic_ms = clock_monotonic_ms,
    .match = registry_match,
    .list_add = list_add,
    .codec = module_find_codec,
    .reader = module_find_reader,
    .wait_for_person = person_wait,
};

static const struct pullkey_module *find_builtin(const char *type)
{
    for (size_t i = 0; module_builtin_table[i]; i++)
        if (strcmp(module_builtin_table[i]->type, type) == 0)
            return module_builtin_table[i];
    return NULL;
}

#if PULLKEY_BUILTIN
static int load(const char *type, const struct pullkey_module **ret, struct pullkey_error *error)
{
    (void)ret;
    return error_set(error, PULLKEY_UNSUPPORTED, "this build of pullkey has no \"%s\"", type);
}

static int read_inputs(const char *type, struct buffer *ret, struct pullkey_error *error)
{
    (void)type;
    (void)ret;
    (void)error;
    return 0;
}
#else
static int installed_path(char *ret, const char *type, const char *suffix,
                          struct pullkey_error *error)
{
    char name[TYPE_MAX + 16];

    memcpy(mempcpy(name, type, strlen(type)), suffix, strlen(suffix) + 1);
    return file_join(ret, PULLKEY_MODULE_DIR, name, error);
}

static int check_head(const struct pullkey_module *module, const char *type, const char *path,
                      struct pullkey_error *error)
{
    if (module->abi_major != PULLKEY_ABI_MAJOR)
        return error_set(error, PULLKEY_INVALID,
                         "%s has ABI %u and this pullkey has ABI %u: install the two from the same "
                         "release",
                         path, module->abi_major, PULLKEY_ABI_MAJOR);
    if (module->size < sizeof(*module) || !module->type ||
        strnlen(module->type, TYPE_MAX + 1) > TYPE_MAX || strcmp(module->type, type) != 0)
        return error_set(error, PULLKEY_INVALID,
                         "%s does not describe itself as \"%s\": install it again", path, type);
    return 0;
}

/*
 * libcurl of Debian brings GnuTLS along, by way of librtmp, which starts itself when it is loaded:
 * a megabyte and a few milliseconds for what is never used. A libcurl that uses it starts it. No
 * child shall see the variable, as another program may rely on it.
 *
 * Lazy, for its thirty libraries: a tenth of their loading. Modules are linked with -z now, so what
 * they lack is still found here.
 */
static void *open_object(const char *path)
{
    static const char variable[] = "GNUTLS_NO_IMPLICIT_INIT";
    const bool is_ours = !secure_getenv(variable) && setenv(variable, "1", 1) == 0;
    void *object;

    errno = 0;
    object = dlopen(path, RTLD_LAZY | RTLD_LOCAL | RTLD_NODELETE);
    if (is_ours) {
        const int saved = errno;

        (void)unsetenv(variable);
        errno = saved;
    }
    return object;
}

/*
 * The file of a module. Those of ours that ask servers share one, with a symbol for each; a backend
 * in it is there if its file of inputs is, so that packages can part them.
 */
static const char *file_of(const char *type)
{
    static const char *const in_net[] = { "kubernetes", "probe", "token" };

    for (size_t i = 0; i < sizeof(in_net) / sizeof(in_net[0]); i++)
        if (strcmp(type, in_net[i]) == 0)
            return "net";
    return type;
}

static const struct pullkey_module *find_module(void *object, const char *type)
{
    const struct pullkey_module *const *symbol;
    char name[sizeof("pullkey_module_") + TYPE_MAX] = "pullkey_module";

    if (strcmp(file_of(type), type) != 0)
        (void)snprintf(name, sizeof(name), "pullkey_module_%s", type);
    symbol = dlsym(object, name);
    return symbol ? *symbol : NULL;
}

static int check_installed(char *ret, const char *type, const char *name, const char *suffix,
                           struct pullkey_error *error)
{
    int r = installed_path(ret, name, suffix, error);

    if (r < 0)
        return r;
    r = file_check(ret, FILE_LINKED, error);
    if (r == -PULLKEY_NOT_FOUND)
        return error_set(error, PULLKEY_UNSUPPORTED,
                         "the module \"%s\" is not installed: there is no %s", type, ret);
    return r < 0 ? error_wrap(error, "the module \"%s\" is refused", type) : 0;
}

static int load(const char *type, const struct pullkey_module **ret, struct pullkey_error *error)
{
    const struct pullkey_module *module;
    const char *file = file_of(type);
    char path[FILE_PATH_MAX];
    void *object;
    int r = 0;

    if (file != type && strcmp(type, "probe") != 0)
        r = check_installed(path, type, type, ".inputs", error);
    if (r == 0)
        r = check_installed(path, type, file, ".so", error);
    if (r < 0)
        return r;
    object = open_object(path);
    if (!object && errno == ENOMEM)
        return error_memory(error);
    if (!object)
        return error_set(error, PULLKEY_INVALID, "the module \"%s\" cannot be loaded: %s", type,
                         dlerror());
    module = find_module(object, type);
    if (!module)
        return error_set(error, PULLKEY_INVALID, "%s is not a module of pullkey: install it again",
                         path);
    r = check_head(module, type, path, error);
    if (r == 0)
        *ret = module;
    return r;
}

/*
 * The directory is checked when the module is loaded, which is what fills the cache: the text is a
 * part of each key in it, so another text finds nothing.
 */
static int read_inputs(const char *type, struct buffer *ret, struct pullkey_error *error)
{
    char path[FILE_PATH_MAX];
    int r = installed_path(path, type, ".inputs", error);

    if (r == 0)
        r = file_read(path, FILE_INPUT, 0, ret, NULL, error);
    return r == -PULLKEY_NOT_FOUND ? 0 : r;
}
#endif

static int check_type(const char *type, struct pullkey_error *error)
{
    if (!text_is_name(type, TYPE_MAX) || strchr(type, '_') || type[0] < 'a')
        return error_set(error, PULLKEY_INVALID, "\"%s\" is no name of a backend", type);
    return 0;
}

static int find(const char *type, enum pullkey_kind kind, size_t size,
                const struct pullkey_module **ret, struct pullkey_error *error)
{
    const struct pullkey_module *module;
    int r = check_type(type, error);

    if (r < 0)
        return r;
    module = find_builtin(type);
    if (!module) {
        r = load(type, &module, error);
        if (r < 0)
            return r;
    }
    if (module->kind != kind)
        return error_set(error, PULLKEY_INVALID, "\"%s\" cannot be used for this purpose", type);
    if (module->size < size)
        return error_set(error, PULLKEY_INVALID,
                         "the module \"%s\" is older than its ABI: install it again", type);
    *ret = module;
    return 0;
}

static int refuse_hollow(const char *type, struct pullkey_error *error)
{
    return error_set(error, PULLKEY_INVALID,
                     "the module \"%s\" lacks an operation that it must have: report it to its "
                     "makers",
                     type);
}

/* What the kind requires and the capabilities promise must be there. */
static bool has_operations(const struct pullkey_backend *backend)
{
    uint32_t can = backend->module.capabilities;

    if (!(can & PULLKEY_CAN_GET) || !backend->open || !backend->close || !backend->get)
        return false;
    if ((can & PULLKEY_CAN_STORE) && (!backend->store || !backend->erase))
        return false;
    return !(can & PULLKEY_CAN_LIST) || backend->list;
}

/* A descriptor begins with its head, so the head's address is the descriptor's. */
int module_find_backend(const char *type, const struct pullkey_backend **ret,
                        struct pullkey_error *error)
{
    const struct pullkey_module *module;
    const struct pullkey_backend *backend;
    /* What minor 0 has. */
    int r =
        find(type, PULLKEY_KIND_BACKEND, offsetof(struct pullkey_backend, verify), &module, error);

    if (r < 0)
        return r;
    backend = (const struct pullkey_backend *)(const void *)module;
    if (!has_operations(backend))
        return refuse_hollow(type, error);
    *ret = backend;
    return 0;
}

int module_find_codec(const char *type, const struct pullkey_codec **ret,
                      struct pullkey_error *error)
{
    const struct pullkey_module *module;
    const struct pullkey_codec *codec;
    int r = find(type, PULLKEY_KIND_CODEC, sizeof(**ret), &module, error);

    if (r < 0)
        return r;
    codec = (const struct pullkey_codec *)(const void *)module;
    if (!codec->seal || !codec->unseal)
        return refuse_hollow(type, error);
    *ret = codec;
    return 0;
}

int module_find_probe(const char *type, const struct pullkey_probe **ret,
                      struct pullkey_error *error)
{
    const struct pullkey_module *module;
    const struct pullkey_probe *probe;
    /* What minor 0 has. */
    int r = find(type, PULLKEY_KIND_PROBE, offsetof(struct pullkey_probe, walk), &module, error);

    if (r < 0)
        return r;
    probe = (const struct pullkey_probe *)(const void *)module;
    if (!probe->check)
        return refuse_hollow(type, error);
    *ret = probe;
    return 0;
}

int module_find_reader(const char *type, const struct pullkey_reader **ret,
                       struct pullkey_error *error)
{
    const struct pullkey_module *module;
    const struct pullkey_reader *reader;
    int r = find(type, PULLKEY_KIND_READER, sizeof(**ret), &module, error);

    if (r < 0)
        return r;
    reader = (const struct pullkey_reader *)(const void *)module;
    if (!reader->read)
        return refuse_hollow(type, error);
    *ret = reader;
    return 0;
}

int module_inputs(const char *type, struct buffer *ret, struct pullkey_error *error)
{
    const struct pullkey_module *module;
    int r = check_type(type, error);

    if (r < 0)
        return r;
    module = find_builtin(type);
    if (!module)
        return read_inputs(type, ret, error);
    if (module->inputs && (module->capabilities & (PULLKEY_EXPIRES | PULLKEY_COALESCES)))
        buffer_append_text(ret, module->inputs);
    return buffer_check(ret, error);
}
