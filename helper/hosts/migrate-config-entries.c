/* SPDX-License-Identifier: Apache-2.0 */
#include "migrate-config.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/secret.h"
#include "core/credential.h"
#include "helper-text.h"
#include "hosts.h"

int config_fail(struct config_work *work, const char *file, size_t line, const char *hint,
                struct pullkey_error *error, const char *what)
{
    work->failed = true;
    return migrate_row(work->migrate, MIGRATE_PROBLEM, file, line, hint, error, "%s", what);
}

/* -- What there is -- */

const char *config_text_of(const struct toml_item *item)
{
    return item && item->kind == TOML_STRING && item->string[0] != '\0' ? item->string : NULL;
}

/* Counted by its length: a text may begin with a NUL. */
static const struct toml_item *value_of(const struct toml_item *item)
{
    return item && item->kind == TOML_STRING && item->string_length > 0 ? item : NULL;
}

/* Which of the spellings counts: ParseAuth in containerd's CRI plugin. */
static const char *read_credential(const struct node_auth *auth, struct config_entry *entry,
                                   struct pullkey_error *error)
{
    const struct toml_item *username = value_of(auth->username);
    const struct toml_item *password = value_of(auth->password);
    const struct toml_item *encoded = value_of(auth->encoded);
    const char *reason;

    if (username) {
        if (!password)
            return "there is a user name without a password";
        reason = migrate_read_pair(username->string, username->string_length, password->string,
                                   password->string_length, &entry->credential, error);
        entry->has_secret = !reason;
        return reason;
    }
    if (value_of(auth->identity_token))
        return "an identity token cannot be sent in a header: log in with a password, and run this "
               "again";
    if (!encoded)
        return NULL;
    reason =
        migrate_read_encoded(encoded->string, encoded->string_length, &entry->credential, error);
    entry->has_secret = !reason;
    return reason;
}

static int note_others(struct config_work *work, const struct toml_item *table,
                       const char *const *known, struct pullkey_error *error)
{
    int r = 0;

    for (const struct toml_item *item = table->first; r == 0 && item; item = item->next) {
        size_t i = 0;

        while (known[i] && strcasecmp(item->key, known[i]) != 0)
            i++;
        if (!known[i])
            r = migrate_row(work->migrate, MIGRATE_NOTE, work->file->inner, item->line,
                            "it goes with the rest", error, "containerd does not know %s here",
                            item->key);
    }
    return r;
}

/* Keys that containerd never had, and that guides contain. */
int config_note_unknown(struct config_work *work, struct pullkey_error *error)
{
    static const char *const of_mirror[] = { "endpoint", NULL };
    static const char *const of_host[] = { "auth", "tls", NULL };
    static const char *const of_auth[] = { "username", "password", "auth", "identitytoken", NULL };
    const struct node_config *config = work->config;
    int r = 0;

    for (size_t i = 0; r == 0 && i < config->mirror_count; i++)
        if (config->mirrors[i].in->is_read)
            r = note_others(work, config->mirrors[i].table, of_mirror, error);
    for (size_t i = 0; r == 0 && i < config->auth_count; i++) {
        const struct node_auth *auth = &config->auths[i];

        if (auth->in->is_read && !auth->is_url)
            r = note_others(work, auth->table, of_host, error);
        if (r == 0 && auth->in->is_read && auth->auth)
            r = note_others(work, auth->auth, of_auth, error);
    }
    return r;
}

static struct config_entry *find_entry(struct config_work *work, const char *host)
{
    for (size_t i = 0; i < work->entry_count; i++)
        if (strcmp(work->entries[i].host, host) == 0)
            return &work->entries[i];
    return NULL;
}

/* registry.auths has URLs, of which containerd takes the host. */
static const char *host_of(const struct node_auth *auth, struct config_entry *entry)
{
    const char *key = auth->table->key, *scheme = auth->is_url ? strstr(key, "://") : NULL;

    if (!scheme)
        return key;
    (void)snprintf(entry->own_host, sizeof(entry->own_host), "%.*s", (int)strcspn(scheme + 3, "/"),
                   scheme + 3);
    return NULL;
}

/* The credential in registry.auths, the rest in registry.configs: containerd takes both. */
static bool merge(struct config_entry *known, const struct node_auth *auth)
{
    const struct node_auth *of_url = auth->is_url ? auth : known->auth;
    const struct node_auth *of_host = auth->is_url ? known->auth : auth;

    if (known->more || !of_url->is_url || of_host->is_url || of_host->auth)
        return false;
    known->auth = of_url;
    known->more = of_host;
    known->tls = of_host->tls;
    return true;
}

static int read_entry(struct config_work *work, const struct node_auth *auth,
                      struct pullkey_error *error)
{
    struct config_entry *entry = &work->entries[work->entry_count];
    struct config_entry *known;
    const char *reason;
    int r = 0;

    entry->host = host_of(auth, entry);
    if (!entry->host)
        entry->host = entry->own_host;
    entry->auth = auth;
    entry->tls = auth->tls;
    known = find_entry(work, entry->host);
    if (!known)
        work->entry_count++;
    else if (merge(known, auth))
        entry = known;
    else
        return config_fail(work, work->file->inner, auth->table->line,
                           "keep one of them in the file, and run this again", error,
                           "there are two settings for one host");
    /* Of two tables one has a credential. */
    reason = auth->auth ? read_credential(auth, entry, error) : NULL;
    if (reason) {
        entry->stays = true;
        r = migrate_row(work->migrate, MIGRATE_PROBLEM, work->file->inner, auth->auth->line, reason,
                        error, "the credential for %s stays", entry->host);
    }
    return r;
}

int config_read_entries(struct config_work *work, struct pullkey_error *error)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < work->config->auth_count; i++)
        if (work->config->auths[i].in->is_read)
            r = read_entry(work, &work->config->auths[i], error);
    return r;
}

const struct node_mirror *config_find_mirror(const struct config_work *work, const char *registry)
{
    for (size_t i = 0; i < work->config->mirror_count; i++)
        if (work->config->mirrors[i].in->is_read &&
            strcmp(work->config->mirrors[i].table->key, registry) == 0)
            return &work->config->mirrors[i];
    return NULL;
}

/* -- Registries -- */

bool config_is_hub(const char *host)
{
    return strcmp(host, "docker.io") == 0 || strcmp(host, "registry-1.docker.io") == 0 ||
           strcmp(host, "index.docker.io") == 0;
}

static int add_name(struct config_work *work, const char *name, struct pullkey_error *error)
{
    for (size_t i = 0; i < work->name_count; i++)
        if (strcmp(work->names[i], name) == 0)
            return 0;
    if (work->name_count == CONFIG_NAMES_MAX)
        return error_set(error, PULLKEY_INVALID, "%s: there are too many registries in it",
                         work->file->path);
    work->names[work->name_count++] = name;
    return 0;
}

/* Those that have mirrors, and those that have settings of their own. */
int config_collect_names(struct config_work *work, struct pullkey_error *error)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < work->config->mirror_count; i++)
        if (work->config->mirrors[i].in->is_read)
            r = add_name(work, work->config->mirrors[i].table->key, error);
    for (size_t i = 0; r == 0 && i < work->entry_count; i++) {
        const struct config_entry *entry = &work->entries[i];

        if (entry->has_secret || entry->tls)
            r = add_name(work, config_is_hub(entry->host) ? "docker.io" : entry->host, error);
    }
    return r;
}

/* containerd looks for the host of the URL; docker.io is none. */
struct config_entry *config_entry_of(struct config_work *work, const char *host)
{
    struct config_entry *entry = find_entry(work, host);

    if (!entry && config_is_hub(host))
        entry = find_entry(work, "registry-1.docker.io");
    return entry || !config_is_hub(host) ? entry : find_entry(work, "docker.io");
}

/* A credential is for the host, whatever the paths of URLs; http:// is a key of its own. */
int config_offer(struct config_work *work, struct config_entry *entry, bool is_http,
                 struct pullkey_error *error)
{
    cleanup_credential struct pullkey_credential copy = { 0 };
    struct registry_reference reference;
    char url[REGISTRY_HOST_MAX + 32];
    int r;

    if (entry->offered[is_http])
        return 0;
    entry->offered[is_http] = true;
    (void)snprintf(url, sizeof(url), "%s://%s", is_http ? "http" : "https", entry->host);
    r = registry_parse(url, strlen(url), &reference, error);
    if (r < 0)
        return config_fail(work, work->file->inner, entry->auth->table->line, error->message, error,
                           "the credential of a host stays");
    copy.username = secret_copy(entry->credential.username, strlen(entry->credential.username));
    if (!copy.username || secret_set(&copy.secret, entry->credential.secret.bytes,
                                     entry->credential.secret.length, error) < 0)
        return error_memory(error);
    r = migrate_offer(work->migrate, work->file->inner, entry->auth->auth->line, &reference, &copy,
                      error);
    if (r == MIGRATE_LEFT)
        work->failed = true;
    return r < 0 ? r : 0;
}
