/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is set up on this machine: where pullkey looks and stores, and which tools ask it. Files of
 * TOML and YAML are only searched for a setting: `pullkey hosts check` and `pullkey kubelet check`
 * read them as containerd and the kubelet do.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "admin.h"
#include "base/error.h"
#include "base/file.h"
#include "import.h"
#include "instances.h"
#include "kubelet.h"
#include "pullkey-build.h"
#include "run-process.h"
#include "setup.h"
#include "table.h"

#define TEXT_MAX 65536
#define OURS "pullkey"
#define CONTAINERS "/etc/containers"
#define TARGET "/run/pullkey/certs.d"

/* True if a line that is no comment has the key and, up to the end of its list, the word.
 * *ret_has_key says whether the key was there. */
static bool is_set(struct table *table, const char *path, const char *key, const char *word,
                   bool *ret_has_key)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(JSON_SIZE_MAX);
    struct pullkey_error ignored;
    bool found = false;

    if (file_read(path, FILE_INPUT, 0, &text, NULL, &ignored) < 0) {
        if (text.state == BUFFER_NO_MEMORY)
            table->text.state = BUFFER_NO_MEMORY;
        return false;
    }
    for (const char *line = text.data; line && *line != '\0'; line += *line == '\n') {
        size_t length = strcspn(line, "\n");
        const char *begin = line + strspn(line, " \t");

        if (*begin != '#' && memmem(line, length, key, strlen(key))) {
            if (memchr(line, '[', length))
                length = strcspn(line, "]");
            *ret_has_key = true;
            found = memmem(line, length, word, strlen(word)) != NULL;
        }
        line += length;
        line += strcspn(line, "\n");
    }
    return found;
}

static int list(struct table *table, const char *directory, struct dirent ***ret)
{
    int count = scandir(directory, ret, NULL, alphasort);

    if (count < 0 && errno == ENOMEM)
        table->text.state = BUFFER_NO_MEMORY;
    return count;
}

static void add_row(struct table *table, const char *tool, const char *uses, const char *where)
{
    table_add(table, "%s", tool);
    table_add(table, "%s", uses);
    table_add(table, "%s", where);
}

bool admin_has_program(const char *names)
{
    char name[32];
    char *const program[] = { name, NULL };
    struct run_program found;
    struct pullkey_error ignored;

    for (size_t length; *names != '\0'; names += length + (names[length] == ' ')) {
        length = strcspn(names, " ");
        (void)snprintf(name, sizeof(name), "%.*s", (int)length, names);
        if (run_program_find(program, &found, &ignored) != -PULLKEY_NOT_FOUND)
            return true;
    }
    return false;
}

/* Of programs that have no file which says so. */
static const char *no(const char *programs)
{
    return admin_has_program(programs) ? "no" : "not installed";
}

/* credHelpers decide for their registries, then credsStore for all. */
static void write_docker(const struct json *document, struct buffer *uses)
{
    const cJSON *store = setup_member(document->root, "credsStore");
    const cJSON *helpers = setup_member(document->root, "credHelpers");
    bool all = cJSON_IsString(store) && strcmp(store->valuestring, OURS) == 0;

    buffer_append_text(uses, all ? "yes" : "");
    for (const cJSON *item = helpers ? helpers->child : NULL; item; item = item->next) {
        bool ours = cJSON_IsString(item) && strcmp(item->valuestring, OURS) == 0;

        if (ours != all)
            buffer_printf(uses, "%s%s",
                          uses->length == 0 ? "for "
                          : all             ? ", not for "
                                            : ", ",
                          item->string);
    }
    if (uses->length == 0)
        buffer_append_text(uses, "no");
}

static int add_docker(struct table *table, struct pullkey_error *error)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(JSON_SIZE_MAX);
    cleanup_buffer struct buffer uses = BUFFER_INIT(TEXT_MAX);
    cleanup_json struct json document = { 0 };
    char path[FILE_PATH_MAX] = "";
    struct pullkey_error why;
    int r = import_docker_path(path, &why);

    if (r == 0)
        r = file_read(path, FILE_INPUT, 0, &text, NULL, &why);
    if (r == 0)
        r = json_parse(&document, path, text.data, text.length, JSON_ANY_CASE, &why);
    if (r == -PULLKEY_INTERNAL) {
        *error = why;
        return r;
    }
    if (r == 0)
        write_docker(&document, &uses);
    else
        buffer_append_text(&uses, r == -PULLKEY_NOT_FOUND ? no("docker nerdctl") : "no");
    add_row(table, "docker", uses.data ? uses.data : "",
            r == 0 || r == -PULLKEY_NOT_FOUND ? path : why.message);
    return buffer_check(&uses, error);
}

/* A later file of registries.conf(5) takes the place of an earlier one's list. */
static void look_at(struct table *table, const char *path, bool *uses, char where[FILE_PATH_MAX])
{
    bool has_key = false;
    bool found = is_set(table, path, "credential-helpers", "\"" OURS "\"", &has_key);

    if (!has_key)
        return;
    *uses = found;
    memcpy(where, path, strlen(path) + 1);
}

static void look_into(struct table *table, const char *directory, bool *uses,
                      char where[FILE_PATH_MAX])
{
    struct pullkey_error ignored;
    struct dirent **items = NULL;
    char path[FILE_PATH_MAX];
    int count = list(table, directory, &items);

    for (int i = 0; i < count; i++) {
        size_t length = strlen(items[i]->d_name);

        if (length > 5 && strcmp(items[i]->d_name + length - 5, ".conf") == 0 &&
            file_join(path, directory, items[i]->d_name, &ignored) == 0)
            look_at(table, path, uses, where);
        free(items[i]);
    }
    free(items);
}

static bool ask_podman(struct table *table, char where[FILE_PATH_MAX])
{
    char own[FILE_PATH_MAX] = "", path[FILE_PATH_MAX];
    struct pullkey_error ignored;
    bool uses = false;

    where[0] = '\0';
    if (file_home(path, &ignored) == 0)
        (void)file_join(own, path, ".config/containers", &ignored);
    if (own[0] == '\0' || file_join(path, own, "registries.conf", &ignored) < 0 ||
        access(path, F_OK) < 0)
        memcpy(path, CONTAINERS "/registries.conf", sizeof(CONTAINERS "/registries.conf"));
    look_at(table, path, &uses, where);
    look_into(table, CONTAINERS "/registries.conf.d", &uses, where);
    if (own[0] != '\0' && file_join(path, own, "registries.conf.d", &ignored) == 0)
        look_into(table, path, &uses, where);
    return uses;
}

bool admin_podman_asks(char where[FILE_PATH_MAX])
{
    cleanup_table struct table table = TABLE_INIT;

    return ask_podman(&table, where);
}

static void add_podman(struct table *table)
{
    char where[FILE_PATH_MAX];
    bool uses = ask_podman(table, where);

    add_row(table, "podman",
            uses               ? "yes"
            : where[0] != '\0' ? "no"
                               : no("podman buildah skopeo"),
            where);
}

/* Until the daemon has run, the target is a link to the source; while it runs it holds a lock. */
static const char *daemon_state(void)
{
    int fd = open(TARGET, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    bool is_at_work;

    if (fd < 0)
        return errno == EACCES ? "yes; root sees whether the daemon runs"
                               : "not yet: the daemon of pullkey-hosts has not run";
    is_at_work = flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
    (void)close(fd);
    return is_at_work ? "yes" : "yes, but the daemon does not run";
}

static void add_containerd(struct table *table)
{
    static const char *const files[] = {
        "/etc/containerd/config.toml",
        "/var/lib/rancher/k3s/agent/etc/containerd/config.toml",
        "/var/lib/rancher/rke2/agent/etc/containerd/config.toml",
    };
    const char *where = "";
    bool uses = false, ignored;

    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]) && !uses; i++) {
        uses = is_set(table, files[i], "config_path", TARGET, &ignored);
        if (uses || access(files[i], F_OK) == 0)
            where = files[i];
    }
    add_row(table, "containerd",
            uses               ? daemon_state()
            : where[0] != '\0' ? "no"
                               : no("containerd k3s rke2"),
            where);
}

/* Of the kubelet's configuration, a file or a directory of files. */
static int add_kubelet(struct table *table, struct pullkey_error *error)
{
    /* With a release the program is not run, to be asked for its own. */
    const struct admin_call call = { .values = { [ADMIN_KUBELET_VERSION] = "1.34" } };
    struct kubelet_node node;
    struct dirent **items = NULL;
    struct pullkey_error ignored;
    char path[FILE_PATH_MAX];
    bool uses, has_name;
    int r = kubelet_node_find(&call, &node, error), count;

    if (r < 0)
        return r;
    uses = node.config[0] != '\0' && is_set(table, node.config, "name", KUBELET_PROGRAM, &has_name);
    count = uses || node.config[0] == '\0' ? 0 : list(table, node.config, &items);
    for (int i = 0; i < count; i++) {
        if (file_join(path, node.config, items[i]->d_name, &ignored) == 0)
            uses = uses || is_set(table, path, "name", KUBELET_PROGRAM, &has_name);
        free(items[i]);
    }
    free(items);
    add_row(table, "kubelet",
            uses                     ? "yes"
            : node.config[0] != '\0' ? "no"
                                     : no("kubelet k3s rke2"),
            node.config);
    return 0;
}

static int find_tools(struct table *table, struct pullkey_error *error)
{
    int r = add_docker(table, error);

    if (r < 0)
        return r;
    add_podman(table);
    add_containerd(table);
    return add_kubelet(table, error);
}

static void find_files(const struct config *config, struct table *table)
{
    for (size_t i = 0; i < config->document_count; i++) {
        const struct json *document = &config->documents[i];

        table_add(table, "configuration");
        table_add(table, "rules: %d", cJSON_GetArraySize(json_member(document->root, "rules")));
        table_add(table, "%s", document->name);
    }
    if (config->document_count == 0)
        add_row(table, "configuration", "none", "");
}

static int find_stored(const struct resolve *resolve, const struct resolve_opened *store,
                       struct table *table, struct pullkey_error *error)
{
    cleanup_list struct pullkey_list list = { 0 };
    const struct pullkey_backend *backend = store->backend;
    int r = 0;

    if (backend->module.capabilities & PULLKEY_CAN_LIST)
        r = backend->list(store->state, resolve->deadline_ms, &list, error);
    if (r == -PULLKEY_INTERNAL)
        return r;
    table_add(table, "stored");
    if (r < 0 && r != -PULLKEY_NOT_FOUND) {
        table_add(table, "cannot be read");
        table_add(table, "%s", error->message);
        return 0;
    }
    table_add(table, "%zu", list.count);
    table_add(table, "%s", "");
    return 0;
}

/* Who is asked where no rule matches, and what login writes to. */
static int find_default(const struct config *config, struct table *table,
                        struct pullkey_error *error)
{
    static const char name[] = "registry.invalid";
    cleanup_buffer struct buffer text = BUFFER_INIT(TEXT_MAX);
    cleanup_opened struct resolve_opened store = { 0 };
    struct registry_reference reference;
    struct config plain = *config;
    struct resolve resolve = admin_resolve(&plain);
    struct resolve_chain chain;
    int r = registry_parse(name, strlen(name), &reference, error);

    if (r < 0)
        return r;
    plain.rule_count = 0;
    resolve_chain_find(&resolve, &reference, &chain);
    for (size_t i = 0; i < chain.count; i++)
        buffer_printf(&text, "%s%s", i > 0 ? ", " : "", chain.items[i]->name);
    add_row(table, "without a rule", text.data ? text.data : "nobody", "");
    r = resolve_find_store(&resolve, &reference, NULL, &store, error);
    if (r == -PULLKEY_INTERNAL || buffer_check(&text, error) < 0)
        return -(int)error->code;
    buffer_done(&text);
    if (r == 0)
        instances_place(&store, &text);
    add_row(table, "login", r == 0 ? store.instance->name : error->message,
            text.data ? text.data : "");
    r = r < 0 ? 0 : find_stored(&resolve, &store, table, error);
    return r < 0 ? r : buffer_check(&text, error);
}

int admin_status(const struct admin_call *call, struct pullkey_error *error)
{
    cleanup_config struct config config = { 0 };
    cleanup_table struct table table = TABLE_INIT;
    int r = admin_load(call, &config, error);
    bool is_broken = r < 0;

    if (r == -PULLKEY_INTERNAL)
        return r;
    table_begin(&table, "WHAT|PULLKEY|WHERE");
    add_row(&table, "version", PULLKEY_VERSION, "");
    if (is_broken) {
        add_row(&table, "configuration", "cannot be read", error->message);
        r = 0;
    } else {
        find_files(&config, &table);
        r = find_default(&config, &table, error);
    }
    if (r == 0)
        r = find_tools(&table, error);
    if (r == 0)
        r = table_show(&table, call->values[ADMIN_JSON] != NULL, error);
    return r == 0 && is_broken ? ADMIN_PROBLEM : r;
}
