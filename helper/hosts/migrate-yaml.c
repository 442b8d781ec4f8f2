/* SPDX-License-Identifier: Apache-2.0 */
/*
 * registries.yaml: k3s and RKE2 write config.toml and hosts.toml from it at each start, so a helper
 * cannot be named there. The credentials go to the store, and pullkey's configuration names the
 * helper of the hosts.
 */
#include "migrate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/secret.h"
#include "core/credential.h"
#include "core/module.h"
#include "helper-text.h"
#include "hosts.h"
#include "pullkey-build.h"
#include "settings.h"
#include "yaml-text.h"

#define HOSTS_MAX 1024

static const struct {
    const char *settings, *name;
    const char *templates[3], *source;
    unsigned int restart;
} owners[NODE_OWNER_MAX] = {
    [NODE_K3S] = { PULLKEY_SYSCONFDIR "/config.d/60-k3s-registries.json",
                   "k3s",
                   { "/var/lib/rancher/k3s/agent/etc/containerd/config.toml.tmpl",
                     "/var/lib/rancher/k3s/agent/etc/containerd/config-v3.toml.tmpl", NULL },
                   "/var/lib/rancher/k3s/agent/etc/containerd/certs.d",
                   MIGRATE_RESTART_K3S },
    [NODE_RKE2] = { PULLKEY_SYSCONFDIR "/config.d/60-rke2-registries.json",
                    "RKE2",
                    { "/var/lib/rancher/rke2/agent/etc/containerd/config.toml.tmpl",
                      "/var/lib/rancher/rke2/agent/etc/containerd/config-v3.toml.tmpl", NULL },
                    "/var/lib/rancher/rke2/agent/etc/containerd/certs.d",
                    MIGRATE_RESTART_RKE2 },
};

struct work {
    struct migrate *migrate;
    const struct node_yaml *yaml;
    const cJSON *gone[HOSTS_MAX]; /* members that are taken out */
    size_t gone_count;
    char *urls[HOSTS_MAX]; /* of hosts that get the helper */
    size_t url_count;
};

static const cJSON *member(const cJSON *object, const char *key)
{
    return cJSON_IsObject(object) ? json_member(object, key) : NULL;
}

static const char *text_of(const cJSON *object, const char *key)
{
    const cJSON *item = member(object, key);

    return cJSON_IsString(item) && item->valuestring[0] != '\0' ? item->valuestring : NULL;
}

static size_t line_of(const struct work *work, const cJSON *item)
{
    const struct pullkey_place *place = node_place(work->yaml, item);

    return place ? place->line : 0;
}

static const char *read_credential(const cJSON *auth, struct pullkey_credential *ret,
                                   struct pullkey_error *error)
{
    const char *username = text_of(auth, "username"), *password = text_of(auth, "password");
    const char *encoded = text_of(auth, "auth");

    if (username && !password)
        return "there is a user name without a password";
    if (username)
        return migrate_read_pair(username, strlen(username), password, strlen(password), ret,
                                 error);
    if (text_of(auth, "identity_token"))
        return "an identity token cannot be sent in a header: log in with a password, and run this "
               "again";
    return encoded ? migrate_read_encoded(encoded, strlen(encoded), ret, error)
                   : "there is no credential in it";
}

/* An endpoint with http://, over which a helper needs a permission that cannot be written here. */
static bool is_sent_openly(const struct work *work, const char *host)
{
    const cJSON *mirrors = member(work->yaml->json.root, "mirrors");

    for (const cJSON *item = mirrors ? mirrors->child : NULL; item; item = item->next) {
        const cJSON *list = member(item, "endpoint");

        for (const cJSON *url = list ? list->child : NULL; url; url = url->next)
            if (cJSON_IsString(url) && strncmp(url->valuestring, "http://", 7) == 0 &&
                strncmp(url->valuestring + 7, host, strlen(host)) == 0 &&
                strchr("/", url->valuestring[7 + strlen(host)]))
                return true;
    }
    return false;
}

static const char *find_reason(const struct work *work, const cJSON *host)
{
    const cJSON *skip = member(member(host, "tls"), "insecure_skip_verify");

    if (is_sent_openly(work, host->string) || cJSON_IsTrue(skip) ||
        (cJSON_IsString(skip) && strcmp(skip->valuestring, "true") == 0))
        return "over http:// or with insecure_skip_verify anybody on the way can read it, and a "
               "helper is not asked for such a host: give it a certificate";
    return NULL;
}

static int add_url(struct work *work, const struct registry_reference *reference,
                   struct pullkey_error *error)
{
    char name[REGISTRY_CANONICAL_MAX], url[REGISTRY_CANONICAL_MAX + 8];

    registry_canonical(reference, name);
    (void)snprintf(url, sizeof(url), "https://%s",
                   strcmp(name, "docker.io") == 0 ? "registry-1.docker.io" : name);
    work->urls[work->url_count] = secret_copy(url, strlen(url));
    return work->urls[work->url_count++] ? 0 : error_memory(error);
}

static int examine_host(struct work *work, const cJSON *host, struct pullkey_error *error)
{
    cleanup_credential struct pullkey_credential credential = { 0 };
    const cJSON *auth = member(host, "auth");
    const char *reason = find_reason(work, host);
    struct registry_reference reference;
    struct pullkey_error why;
    int r;

    if (!cJSON_IsObject(auth) || !auth->child)
        return 0;
    if (registry_parse(host->string, strlen(host->string), &reference, &why) < 0)
        reason = why.message;
    if (!reason)
        reason = read_credential(auth, &credential, error);
    if (reason)
        return migrate_row(work->migrate, MIGRATE_PROBLEM, work->yaml->inner, line_of(work, auth),
                           reason, error, "the credential for %s stays", host->string);
    if (work->gone_count == HOSTS_MAX)
        return error_set(error, PULLKEY_INVALID, "%s: there are too many hosts", work->yaml->path);
    r = migrate_offer(work->migrate, work->yaml->inner, line_of(work, auth), &reference,
                      &credential, error);
    if (r != MIGRATE_TAKEN)
        return r < 0 ? r : 0;
    work->gone[work->gone_count++] = auth;
    return add_url(work, &reference, error);
}

/* -- The new text -- */

static bool is_gone(const struct work *work, const cJSON *item)
{
    for (size_t i = 0; i < work->gone_count; i++)
        if (work->gone[i] == item)
            return true;
    return false;
}

/* What holds nothing else goes as a whole. */
static void widen(struct work *work, const cJSON *object)
{
    size_t count = 0, gone = 0, kept = 0;

    for (const cJSON *item = object->child; item; item = item->next) {
        count++;
        gone += is_gone(work, item);
    }
    if (count == 0 || gone < count)
        return;
    for (size_t i = 0; i < work->gone_count; i++) {
        const cJSON *item = object->child;

        while (item && item != work->gone[i])
            item = item->next;
        if (!item)
            work->gone[kept++] = work->gone[i];
    }
    work->gone[kept++] = object;
    work->gone_count = kept;
}

static int order_places(const void *a, const void *b)
{
    const struct pullkey_place *first = *(const struct pullkey_place *const *)a;
    const struct pullkey_place *second = *(const struct pullkey_place *const *)b;

    return first->key_begin < second->key_begin ? -1 : first->key_begin > second->key_begin;
}

/* The same, but for what is gone. */
static bool is_same(const struct work *work, const cJSON *old, const cJSON *new)
{
    const cJSON *a = old->child, *b = new->child;

    if (cJSON_IsObject(old) && !cJSON_IsObject(new)) {
        /* Everything in it is gone: null is the same. */
        while (a && is_gone(work, a))
            a = a->next;
        return !a && cJSON_IsNull(new);
    }
    if ((old->type & 0xff) != (new->type & 0xff))
        return false;
    if (cJSON_IsString(old))
        return strcmp(old->valuestring, new->valuestring) == 0;
    for (; a; a = a->next) {
        if (is_gone(work, a))
            continue;
        if (!b || (a->string && strcmp(a->string, b->string) != 0) || !is_same(work, a, b))
            return false;
        b = b->next;
    }
    return !b;
}

static int check_text(const struct work *work, const struct buffer *text,
                      struct pullkey_error *error)
{
    cleanup_secret struct pullkey_secret json = { 0 };
    cleanup_release struct pullkey_place *places = NULL;
    cleanup_json struct json tree = { 0 };
    const struct pullkey_reader *reader;
    size_t count;
    int r = module_find_reader("yaml", &reader, error);

    if (r == 0)
        r = reader->read(&module_host, work->yaml->path, text->data ? text->data : "", text->length,
                         &json, &places, &count, error);
    if (r == 0)
        r = json_parse(&tree, work->yaml->path, json.bytes, json.length, 0, error);
    if (r == 0 && !is_same(work, work->yaml->json.root, tree.root))
        r = error_set(error, PULLKEY_INVALID,
                      "%s: the credentials cannot be taken out without changing the rest",
                      work->yaml->path);
    return r;
}

static int make_text(struct work *work, struct buffer *ret, struct pullkey_error *error)
{
    const struct pullkey_place *places[HOSTS_MAX];
    const cJSON *configs = member(work->yaml->json.root, "configs");
    int r;

    for (const cJSON *host = configs->child; host; host = host->next)
        widen(work, host);
    widen(work, configs);
    for (size_t i = 0; i < work->gone_count; i++) {
        places[i] = node_place(work->yaml, work->gone[i]);
        if (!places[i])
            return error_set(error, PULLKEY_INTERNAL, "%s: a place is not known", work->yaml->path);
    }
    qsort(places, work->gone_count, sizeof(*places), order_places);
    r = yaml_text_remove(work->yaml->text, work->yaml->length, places, work->gone_count, ret,
                         error);
    return r < 0 ? r : check_text(work, ret, error);
}

/* -- pullkey's configuration -- */

static void write_settings(const struct work *work, const cJSON *before, struct buffer *ret)
{
    const char *separator = "";

    buffer_append_text(ret, "{\n  \"version\": 1,\n  \"containerd\": {\n    \"hosts\": {\n");
    for (const cJSON *item = before ? before->child : NULL; item; item = item->next) {
        buffer_printf(ret, "%s      ", separator);
        json_write_string(ret, item->string, strlen(item->string));
        buffer_append_text(ret, ": ");
        json_write_string(ret, item->valuestring, strlen(item->valuestring));
        separator = ",\n";
    }
    for (size_t i = 0; i < work->url_count; i++) {
        if (member(before, work->urls[i]))
            continue;
        buffer_printf(ret, "%s      ", separator);
        json_write_string(ret, work->urls[i], strlen(work->urls[i]));
        buffer_append_text(ret, ": \"" HELPER_TEXT_NAME "\"");
        separator = ",\n";
    }
    buffer_append_text(ret, "\n    }\n  }\n}\n");
}

/* An earlier run's, and nothing else. */
static bool is_own(const cJSON *root, const cJSON **ret_hosts)
{
    const cJSON *containerd = member(root, "containerd");

    *ret_hosts = member(containerd, "hosts");
    if (!*ret_hosts || cJSON_GetArraySize(root) != 2 || cJSON_GetArraySize(containerd) != 1 ||
        !member(root, "version"))
        return false;
    for (const cJSON *item = (*ret_hosts)->child; item; item = item->next)
        if (!cJSON_IsString(item))
            return false;
    return true;
}

static int change_settings(struct work *work, struct pullkey_error *error)
{
    const char *inner = owners[work->yaml->owner].settings;
    cleanup_buffer struct buffer old = BUFFER_INIT(CONFIG_FILE_MAX);
    cleanup_buffer struct buffer new = BUFFER_INIT(CONFIG_FILE_MAX);
    cleanup_json struct json tree = { 0 };
    const cJSON *hosts = NULL;
    int r = node_read(work->migrate->node, inner, &old, error);
    bool is_new = r == -PULLKEY_NOT_FOUND;

    if (is_new)
        r = 0;
    else if (r == 0)
        r = json_parse(&tree, inner, old.data ? old.data : "", old.length, 0, error);
    if (r == 0 && !is_new && !is_own(tree.root, &hosts))
        r = error_set(error, PULLKEY_INVALID, "%s has other settings than this writes: rename it",
                      inner);
    if (r < 0)
        return r;
    write_settings(work, hosts, &new);
    r = buffer_check(&new, error);
    if (r < 0)
        return r;
    return is_new ? migrate_create(work->migrate, inner, &new, MIGRATE_ADDS, error)
                  : migrate_change(work->migrate, inner, old.data, old.length, &new, MIGRATE_ADDS,
                                   0, error);
}

/* -- All of it -- */

/* containerd reads what pullkey makes: a drop-in or a template says so. */
static bool is_served(const struct work *work)
{
    const struct node *node = work->migrate->node;

    for (size_t i = 0; i < node->config_count; i++) {
        const struct node_config *config = &node->configs[i];
        const struct node_setting setting = node_registry_setting(config, "config_path");

        if (config->owner == work->yaml->owner && setting.item &&
            setting.item->kind == TOML_STRING &&
            strcmp(setting.item->string, HOSTS_CONFIG_PATH) == 0)
            return true;
    }
    for (size_t i = 0; owners[work->yaml->owner].templates[i]; i++) {
        cleanup_buffer struct buffer text = BUFFER_INIT(TOML_SIZE_MAX);
        struct pullkey_error ignored;

        if (node_read(node, owners[work->yaml->owner].templates[i], &text, &ignored) == 0 &&
            text.data && strstr(text.data, HOSTS_CONFIG_PATH))
            return true;
    }
    return false;
}

/* `mark` is from before the offers: if the file stays, they do not happen either. */
static int change(struct work *work, const struct migrate_mark *mark, struct pullkey_error *error)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(JSON_SIZE_MAX);
    const char *name = owners[work->yaml->owner].name;
    struct pullkey_error why;
    int r = migrate_check_file(work->migrate->node, work->yaml->inner, &why);

    if (r == 0)
        r = make_text(work, &text, &why);
    if (r == 0)
        r = change_settings(work, &why);
    if (r < 0) {
        migrate_rollback(work->migrate, mark);
        return migrate_row(work->migrate, MIGRATE_PROBLEM, work->yaml->inner, 0, why.message, error,
                           "the file stays as it is, with its credentials");
    }
    r = migrate_change(work->migrate, work->yaml->inner, work->yaml->text, work->yaml->length,
                       &text, MIGRATE_YAML, owners[work->yaml->owner].restart, error);
    if (r == 0)
        r = migrate_row(work->migrate, MIGRATE_DONE, work->yaml->inner, 0,
                        owners[work->yaml->owner].settings, error, "credHelper of %zu host%s",
                        work->url_count, work->url_count == 1 ? "" : "s");
    if (r == 0 && !is_served(work))
        r = migrate_row(work->migrate, MIGRATE_NOTE, work->yaml->inner, 0,
                        "set config_path = \"" HOSTS_CONFIG_PATH "\" in its template or in a "
                        "drop-in of it",
                        error, "containerd of %s must read what pullkey makes", name);
    return r;
}

/* A running k3s would write the next config.toml without credentials, and pulls would fail. */
static int refuse(struct work *work, const struct migrate_wait *wait, struct pullkey_error *error)
{
    if (wait->why)
        return migrate_row(work->migrate, MIGRATE_PROBLEM, work->yaml->inner, 0, wait->hint, error,
                           "the credentials stay, because %s", wait->why);
    return migrate_row(work->migrate, MIGRATE_PROBLEM, work->yaml->inner, 0,
                       "set config_path = \"" HOSTS_CONFIG_PATH "\" in its template or in a "
                       "drop-in of it, restart it, and run this again",
                       error,
                       "the credentials stay, because containerd of %s does not read what pullkey "
                       "makes",
                       owners[work->yaml->owner].name);
}

static int examine(struct work *work, struct pullkey_error *error)
{
    const struct migrate_wait wait =
        migrate_wait_for_daemon(work->migrate, owners[work->yaml->owner].source);
    const struct migrate_mark mark = migrate_mark(work->migrate);
    const cJSON *configs = member(work->yaml->json.root, "configs");
    int r = migrate_learn_json(work->migrate, work->yaml->json.root, error);

    for (const cJSON *host = cJSON_IsObject(configs) ? configs->child : NULL; r == 0 && host;
         host = host->next)
        r = examine_host(work, host, error);
    if (r < 0 || work->gone_count == 0)
        return r;
    if (wait.why || (work->migrate->is_live && !is_served(work))) {
        migrate_rollback(work->migrate, &mark);
        return refuse(work, &wait, error);
    }
    return change(work, &mark, error);
}

int migrate_yaml(struct migrate *migrate, const struct node_yaml *yaml, struct pullkey_error *error)
{
    cleanup_release struct work *work = secret_alloc(sizeof(*work));
    int r;

    if (yaml->problem.code != PULLKEY_OK)
        return migrate_row(migrate, MIGRATE_PROBLEM, yaml->inner, 0, yaml->problem.message, error,
                           "the file cannot be read");
    if (!work)
        return error_memory(error);
    work->migrate = migrate;
    work->yaml = yaml;
    r = examine(work, error);
    for (size_t i = 0; i < work->url_count; i++)
        secret_release(work->urls[i]);
    return r;
}
