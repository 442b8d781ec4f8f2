/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store of the system, or the one of a template below a root directory: there the file backend
 * gets paths below it, those that its configuration names or the usual ones.
 */
#include "migrate.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/secret.h"
#include "core/credential.h"
#include "core/resolve-chain.h"
#include "hosts.h"
#include "pullkey-build.h"

#define OPTIONS_MAX 65536

int migrate_store_open(struct migrate *migrate, struct pullkey_error *error)
{
    struct config_source source = { .system = true };
    char directory[FILE_PATH_MAX];
    int r;

    if (migrate->is_live)
        return hosts_load(&migrate->config, error);
    r = migrate_real_path(migrate->node, PULLKEY_SYSCONFDIR, directory, error);
    source.system_directory = directory;
    return r < 0 ? r : config_load(&source, &migrate->config, error);
}

static struct resolve make_resolve(const struct config *config)
{
    return (struct resolve){
        .config = config,
        .asker = { .caller = CONFIG_HOSTS },
        .deadline_ms = clock_monotonic_ms() + RESOLVE_DEADLINE_MS,
    };
}

static bool is_store(const struct config_instance *instance)
{
    return strcmp(instance->type, "file") == 0 && !json_member(instance->options, "sources") &&
           !json_member(instance->options, "credential");
}

static const char *option(const struct config_instance *instance, const char *name)
{
    const cJSON *item = instance->options ? json_member(instance->options, name) : NULL;

    return cJSON_IsString(item) ? item->valuestring : NULL;
}

static bool is_plain(const struct config_instance *instance)
{
    const char *encryption = option(instance, "encryption");

    return encryption && strcmp(encryption, "none") == 0;
}

/* The instance that a login on the node would write to. */
static int find_store(const struct migrate *migrate, const struct registry_reference *reference,
                      const struct config_instance **ret, struct pullkey_error *error)
{
    const struct resolve resolve = make_resolve(&migrate->config);
    char place[CONFIG_RULE_NAME_MAX];
    struct resolve_chain chain;

    resolve_chain_find(&resolve, reference, &chain);
    for (size_t i = 0; i < chain.count; i++) {
        *ret = chain.items[i];
        if (is_store(*ret))
            return 0;
        if (!chain.items[i]->implicit)
            break;
    }
    config_rule_name(chain.rule, place);
    return error_set(error, PULLKEY_UNSUPPORTED,
                     "on this node it comes from elsewhere (%s), not from an own file of pullkey",
                     place);
}

/* Writes "NAME": "PATH" with the path of a file of the node. */
static int add_path(const struct migrate *migrate, const char *name, const char *inner,
                    struct buffer *text, struct pullkey_error *error)
{
    char path[FILE_PATH_MAX];
    int r = inner[0] == '/' ? migrate_real_path(migrate->node, inner, path, error)
                            : error_set(error, PULLKEY_UNSUPPORTED,
                                        "the path %s of the store is not absolute", inner);

    if (r < 0)
        return r;
    buffer_printf(text, ",\"%s\":", name);
    json_write_string(text, path, strlen(path));
    return 0;
}

/* A configuration with that store alone, below the root. */
static int load_below(const struct migrate *migrate, const struct registry_reference *reference,
                      struct config *ret, struct pullkey_error *error)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(OPTIONS_MAX);
    struct config_source source = { 0 };
    const struct config_instance *instance = NULL;
    const char *path, *key;
    int r = find_store(migrate, reference, &instance, error);

    if (r < 0)
        return r;
    path = option(instance, "path");
    key = option(instance, "key");
    buffer_printf(&text,
                  "{\"version\":1,\"default\":[\"file\"],\"backends\":{\"file\":{"
                  "\"type\":\"file\",\"encryption\":\"%s\"",
                  is_plain(instance) ? "none" : "cms");
    if (!path)
        path =
            is_plain(instance) ? PULLKEY_SYSCONFDIR "/auth.json" : PULLKEY_SYSCONFDIR "/auth.cms";
    r = add_path(migrate, "path", path, &text, error);
    if (r == 0 && !is_plain(instance))
        r = add_path(migrate, "key", key ? key : PULLKEY_STATEDIR "/store.key", &text, error);
    buffer_append_text(&text, "}}}");
    if (r < 0 || buffer_check(&text, error) < 0)
        return -(int)error->code;
    source.text = text.data;
    return config_load(&source, ret, error);
}

/* `own` is emptied by the caller; it is used below a root. */
static int get_config(const struct migrate *migrate, const struct registry_reference *reference,
                      struct config *own, const struct config **ret, struct pullkey_error *error)
{
    *ret = migrate->is_live ? &migrate->config : own;
    return migrate->is_live ? 0 : load_below(migrate, reference, own, error);
}

static bool is_equal(const struct pullkey_credential *a, const struct pullkey_credential *b)
{
    return strcmp(a->username, b->username) == 0 && secret_equal(&a->secret, &b->secret);
}

/* A key of the same registry and path: not a shorter path, which a get falls back to. */
static int has_key(const struct resolve *resolve, const struct registry_reference *reference,
                   bool *ret, struct pullkey_error *error)
{
    cleanup_resolve_list struct resolve_list list = { 0 };
    struct registry_request request;
    int r = resolve_list(resolve, &list, error);

    registry_request(reference, resolve->deadline_ms, &request);
    *ret = false;
    for (size_t i = 0; r == 0 && i < list.count; i++)
        *ret = *ret || registry_is_alias(&request.request, list.entries[i].server);
    return r;
}

int migrate_store_check(struct migrate *migrate, struct migrate_credential *credential,
                        struct pullkey_error *error)
{
    cleanup_credential struct pullkey_credential answer = { 0 };
    cleanup_config struct config own = { 0 };
    const struct config *config;
    struct resolve resolve;
    char source[RESOLVE_SOURCE_MAX] = "";
    bool is_there;
    int r = get_config(migrate, &credential->reference, &own, &config, error);

    if (r < 0)
        return r;
    resolve = make_resolve(config);
    r = resolve_get(&resolve, &credential->reference, &answer, source, error);
    if (r == 0 && is_equal(&answer, &credential->credential)) {
        credential->is_stored = true;
        return 0;
    }
    if (r == 0) {
        r = has_key(&resolve, &credential->reference, &is_there, error);
        if (r == 0 && is_there)
            return error_set(error, PULLKEY_INVALID,
                             "%s has another credential for it, of %s: remove this one by hand, or "
                             "that one with \"pullkey logout\"",
                             source, answer.username);
    }
    if (r == 0 || r == -PULLKEY_NOT_FOUND) {
        cleanup_opened struct resolve_opened opened = { 0 };

        r = resolve_find_store(&resolve, &credential->reference, NULL, &opened, error);
        if (r == 0 && !opened.backend)
            r = error_set(error, PULLKEY_UNSUPPORTED, "its rule ignores logins");
    }
    return r;
}

int migrate_store_put(struct migrate *migrate, const struct migrate_credential *credential,
                      struct pullkey_error *error)
{
    cleanup_credential struct pullkey_credential answer = { 0 };
    cleanup_config struct config own = { 0 };
    const struct config *config;
    struct resolve resolve;
    char source[RESOLVE_SOURCE_MAX] = "";
    int r = get_config(migrate, &credential->reference, &own, &config, error);

    if (r < 0)
        return r;
    resolve = make_resolve(config);
    /* A bare template may lack /var, which is for everybody. */
    if (!migrate->is_live)
        r = migrate_make_above(migrate->node, PULLKEY_STATEDIR, error);
    if (r == 0 && !migrate->is_live)
        r = migrate_make_above(migrate->node, PULLKEY_SYSCONFDIR, error);
    if (r == 0 && !credential->is_stored)
        r = resolve_store(&resolve, &credential->reference, &credential->credential, source, error);
    if (r == 0)
        r = resolve_get(&resolve, &credential->reference, &answer, source, error);
    if (r < 0)
        return error_wrap(error, "the credential for %s", credential->reference.text);
    if (!is_equal(&answer, &credential->credential))
        return error_set(error, PULLKEY_INVALID,
                         "the credential for %s was stored, but %s answers with another one",
                         credential->reference.text, source);
    return 0;
}

int migrate_store_name(struct migrate *migrate, const struct registry_reference *reference,
                       struct buffer *ret, struct pullkey_error *error)
{
    cleanup_config struct config own = { 0 };
    const struct config *config;
    struct resolve_chain chain;
    struct resolve resolve;
    int r = get_config(migrate, reference, &own, &config, error);

    if (r < 0)
        return r;
    resolve = make_resolve(config);
    resolve_chain_find(&resolve, reference, &chain);
    for (size_t i = 0; i < chain.count; i++) {
        const struct config_instance *instance = chain.items[i];

        if (instance->implicit && !is_store(instance) && i + 1 < chain.count)
            continue;
        buffer_printf(ret, "the store \"%s\"%s", instance->name,
                      !is_store(instance)  ? ""
                      : is_plain(instance) ? ", not encrypted"
                                           : ", encrypted");
        break;
    }
    return buffer_check(ret, error);
}
