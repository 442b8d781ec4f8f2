/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which backends there are, and what each finds on this machine. Nothing is asked over the network:
 * stores are listed, which never prompts, and of what chooses an identity it is said what is there.
 */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin.h"
#include "base/error.h"
#include "base/file.h"
#include "core/module.h"
#include "core/resolve-chain.h"
#include "instances.h"
#include "pullkey-build.h"
#include "table.h"

#define TEXT_MAX 65536
#define HELPER "docker-credential-"

static const char *const types[] = { "file", "env", "exec", "keyring", "kubernetes", "token" };
#define TYPE_COUNT (sizeof(types) / sizeof(types[0]))
#define LINKED_COUNT (PULLKEY_BUILTIN ? TYPE_COUNT : 3) /* those are in every program */

static void append(struct buffer *text, const char *name)
{
    buffer_printf(text, "%s%s", text->length > 0 ? ", " : "", name);
}

/* Names of files, less what they begin with; returns how many. The one that is ourselves is no
 * helper of ours. Only want of memory is a failure. */
static size_t list_files(const char *path, const char *begin, const char *end, struct buffer *text)
{
    size_t length = strlen(begin), end_length = strlen(end), count = 0;
    DIR *directory = opendir(path);
    struct dirent *item;

    while (directory && (item = readdir(directory))) {
        size_t name = strlen(item->d_name);

        if (name <= length + end_length || strncmp(item->d_name, begin, length) != 0 ||
            strcmp(item->d_name + name - end_length, end) != 0 ||
            strcmp(item->d_name, HELPER "pullkey") == 0)
            continue;
        count++;
        append(text, item->d_name + length);
    }
    if (!directory && errno == ENOMEM)
        text->state = BUFFER_NO_MEMORY;
    if (directory)
        (void)closedir(directory);
    return count;
}

static void find_helpers(struct buffer *text)
{
    static const char *const places[] = { PULLKEY_BINDIR, "/usr/local/bin", "/usr/bin" };

    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
        (void)list_files(places[i], HELPER, "", text);
}

/* "env NAME" that is set, "file PATH" that is there. */
static void find_input(const char *line, struct buffer *text)
{
    char home[FILE_PATH_MAX], path[FILE_PATH_MAX];
    struct pullkey_error ignored;
    const char *name = line + 4;
    const char *value;

    if (strncmp(line, "env ", 4) == 0) {
        value = secure_getenv(name);
        if (value && value[0] != '\0')
            append(text, name);
        return;
    }
    if (strncmp(line, "file ", 5) != 0)
        return;
    name = line + 5;
    if (strncmp(name, "~/", 2) == 0 && file_home(home, &ignored) == 0 &&
        file_join(path, home, name + 2, &ignored) == 0 && access(path, F_OK) == 0)
        append(text, name);
    else if (name[0] == '/' && access(name, F_OK) == 0)
        append(text, name);
}

/* What the backend declares to choose its identity by; the same may be declared in two places. */
static int find_inputs(const char *type, struct buffer *text, struct pullkey_error *error)
{
    cleanup_buffer struct buffer inputs = BUFFER_INIT(RESOLVE_INPUTS_MAX);
    int r = module_inputs(type, &inputs, error);

    for (char *line = r == 0 ? inputs.data : NULL; line && *line != '\0';) {
        char *end = line + strcspn(line, "\n");
        char *next = end + (*end != '\0');
        char *before;

        *end = '\0';
        before = memmem(inputs.data, (size_t)(line - inputs.data), line, strlen(line) + 1);
        if (!before)
            find_input(line, text);
        line = next;
    }
    return r;
}

/* Stores are listed. */
static int count_entries(const struct resolve *resolve, const struct config_instance *instance,
                         struct buffer *text, struct pullkey_error *error)
{
    cleanup_opened struct resolve_opened opened = { 0 };
    cleanup_list struct pullkey_list list = { 0 };
    struct pullkey_error why;
    int r = resolve_open(resolve, instance, &opened, &why);

    if (r == 0)
        r = opened.backend->list(opened.state, resolve->deadline_ms, &list, &why);
    if (r == -PULLKEY_INTERNAL)
        *error = why;
    if (r == -PULLKEY_INTERNAL)
        return r;
    if (r < 0 && r != -PULLKEY_NOT_FOUND)
        buffer_append_text(text, why.message);
    else
        buffer_printf(text, "%zu entr%s", list.count, list.count == 1 ? "y" : "ies");
    return buffer_check(text, error);
}

static int look_here(const struct resolve *resolve, const struct pullkey_module *module,
                     const struct config_instance *instance, struct buffer *text,
                     struct pullkey_error *error)
{
    cleanup_buffer struct buffer recipes = BUFFER_INIT(TEXT_MAX);
    int r;

    if (strcmp(module->type, "exec") == 0)
        find_helpers(text);
    else if (strcmp(module->type, "env") == 0)
        find_input("env DOCKER_AUTH_CONFIG", text);
    else if (module->capabilities & (PULLKEY_EXPIRES | PULLKEY_COALESCES)) {
        r = find_inputs(module->type, text, error);
        if (r < 0)
            return r;
    } else if (module->capabilities & PULLKEY_CAN_LIST) {
        return count_entries(resolve, instance, text, error);
    }
    if (strcmp(module->type, "token") == 0) {
        size_t count = list_files(PULLKEY_DATADIR "/recipes", "", ".json", &recipes) +
                       list_files(PULLKEY_SYSCONFDIR "/recipes", "", ".json", &recipes);

        buffer_printf(text, "%s%zu recipes", text->length > 0 ? "; " : "", count);
        r = buffer_check(&recipes, error);
        if (r < 0)
            return r;
    }
    if (text->length == 0)
        buffer_append_text(text, "nothing");
    return buffer_check(text, error);
}

static void add_capabilities(struct table *table, uint32_t set)
{
    table_add(table, "get%s%s%s", set & PULLKEY_CAN_STORE ? ", store" : "",
              set & PULLKEY_CAN_LIST ? ", list" : "", set & PULLKEY_EXPIRES ? ", expires" : "");
}

/* The instance is the first that the configuration has of a type, or one without options. */
static int add_type(const struct resolve *resolve, const struct config_instance *instance,
                    bool is_linked, struct table *table, struct pullkey_error *error)
{
    const char *type = instance->type;
    cleanup_buffer struct buffer here = BUFFER_INIT(TEXT_MAX);
    const struct pullkey_backend *backend;
    struct pullkey_error why;
    int r = module_find_backend(type, &backend, &why);

    if (r == -PULLKEY_INTERNAL) {
        *error = why;
        return r;
    }
    table_add(table, "%s", type);
    if (r < 0) {
        table_add(table, "%s", r == -PULLKEY_UNSUPPORTED ? "absent" : "broken");
        table_add(table, "%s", "");
        table_add(table, "%s", why.message);
        return 0;
    }
    table_add(table, "%s", is_linked ? "built in" : "module");
    add_capabilities(table, backend->module.capabilities);
    r = look_here(resolve, &backend->module, instance, &here, error);
    if (r == 0)
        table_add(table, "%s", here.data);
    return r;
}

static bool is_added(const struct table *table, const char *type)
{
    const char *cell = table->text.data;

    for (size_t i = 0; table->text.state == BUFFER_FINE && i < table->count;
         i++, cell = table_next(cell))
        if (i % table->columns == 0 && strcmp(cell, type) == 0)
            return true;
    return false;
}

int admin_backends(const struct admin_call *call, struct pullkey_error *error)
{
    cleanup_config struct config config = { 0 };
    cleanup_instances struct instances instances = { 0 };
    cleanup_table struct table table = TABLE_INIT;
    struct resolve resolve;
    int r = admin_load(call, &config, error);

    if (r == 0)
        r = instances_collect(&config, &instances, error);
    if (r < 0)
        return r;
    resolve = admin_resolve(&config);
    table_begin(&table, "TYPE|STATE|CAN|HERE");
    for (size_t i = 0; r == 0 && i < TYPE_COUNT; i++) {
        const struct config_instance plain = { .name = types[i], .type = types[i] };
        const struct config_instance *instance = &plain;

        for (size_t j = instances.count; j > 0; j--)
            if (strcmp(instances.items[j - 1].type, types[i]) == 0)
                instance = &instances.items[j - 1];
        r = add_type(&resolve, instance, i < LINKED_COUNT, &table, error);
    }
    /* Those of others are known once they are named. */
    for (size_t i = 0; r == 0 && i < instances.count; i++)
        if (!is_added(&table, instances.items[i].type))
            r = add_type(&resolve, &instances.items[i], false, &table, error);
    return r < 0 ? r : table_show(&table, call->values[ADMIN_JSON] != NULL, error);
}
