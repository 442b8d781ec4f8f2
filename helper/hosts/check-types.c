/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values in config.toml whose type is not the one that containerd has for the key: with each of
 * them it does not start. Seen with containerd 1.6, 2.0 and 2.3 ("containerd config dump"); what
 * one of them lets pass is not among them.
 */
#include "check.h"

#include "base/text.h"
#include "hosts.h"

enum type { TYPE_STRING, TYPE_INTEGER, TYPE_STRINGS, TYPE_TABLE };

static const struct {
    const char *name, *fix;
} types[] = {
    [TYPE_STRING] = { "a string", "make it a string, or remove it" },
    [TYPE_INTEGER] = { "an integer", "make it an integer, or remove it" },
    [TYPE_STRINGS] = { "a list of strings", "make it a list of strings, or remove it" },
    [TYPE_TABLE] = { "a table", "make it a table, or remove it" },
};

struct key {
    const char *name;
    enum type type;
};

static const struct key root_keys[] = {
    { "version", TYPE_INTEGER },
    { "root", TYPE_STRING },
    { "state", TYPE_STRING },
    { "temp", TYPE_STRING },
    { "oom_score", TYPE_INTEGER },
    { "imports", TYPE_STRINGS },
    { "disabled_plugins", TYPE_STRINGS },
    { "required_plugins", TYPE_STRINGS },
    { "plugins", TYPE_TABLE },
    { "grpc", TYPE_TABLE },
    { "ttrpc", TYPE_TABLE },
    { "debug", TYPE_TABLE },
    { "metrics", TYPE_TABLE },
    { "cgroup", TYPE_TABLE },
    { "timeouts", TYPE_TABLE },
    { "proxy_plugins", TYPE_TABLE },
    { "stream_processors", TYPE_TABLE },
    { NULL, 0 },
};
static const struct key plugin_keys[] = { { "registry", TYPE_TABLE }, { NULL, 0 } };
static const struct key registry_keys[] = {
    { "config_path", TYPE_STRING }, { "mirrors", TYPE_TABLE }, { "configs", TYPE_TABLE },
    { "auths", TYPE_TABLE },        { "headers", TYPE_TABLE }, { NULL, 0 },
};
static const struct key mirror_keys[] = { { "endpoint", TYPE_STRINGS }, { NULL, 0 } };
static const struct key host_keys[] = { { "auth", TYPE_TABLE }, { NULL, 0 } };
static const struct key auth_keys[] = {
    { "username", TYPE_STRING },
    { "password", TYPE_STRING },
    { "auth", TYPE_STRING },
    { "identitytoken", TYPE_STRING },
    { NULL, 0 },
};

static bool is_of(const struct toml_item *item, enum type type)
{
    switch (type) {
    case TYPE_STRING: return item->kind == TOML_STRING;
    case TYPE_INTEGER: return item->kind == TOML_INTEGER;
    case TYPE_TABLE: return item->kind == TOML_TABLE;
    case TYPE_STRINGS:
    default: break;
    }
    if (item->kind != TOML_ARRAY)
        return false;
    for (const struct toml_item *text = item->first; text; text = text->next)
        if (text->kind != TOML_STRING)
            return false;
    return true;
}

static void check_value(struct check *check, const struct node_file *file,
                        const struct toml_item *item, enum type type)
{
    if (!is_of(item, type))
        check_at(check, OUTPUT_ERROR, "config-type", file->path, item, types[type].fix,
                 "%s is not %s: containerd does not start", check_host_name(item->key),
                 types[type].name);
}

static const struct toml_item *first_of(const struct toml_item *table)
{
    return table && table->kind == TOML_TABLE ? table->first : NULL;
}

static void check_keys(struct check *check, const struct node_file *file,
                       const struct toml_item *table, const struct key *keys)
{
    for (const struct toml_item *item = first_of(table); item; item = item->next)
        for (const struct key *key = keys; key->name; key++)
            if (text_equal_any_case(item->key, key->name))
                check_value(check, file, item, key->type);
}

/* Of a map whose keys are hosts or URLs. */
static void check_members(struct check *check, const struct node_file *file,
                          const struct toml_item *map, enum type type, const struct key *keys)
{
    for (const struct toml_item *item = first_of(map); item; item = item->next) {
        check_value(check, file, item, type);
        if (keys)
            check_keys(check, file, item, keys);
    }
}

static void check_registry(struct check *check, const struct node_table *table)
{
    const struct node_file *file = table->file;
    const struct toml_item *hosts = hosts_member(table->registry, "configs");

    check_keys(check, file, table->table, plugin_keys);
    check_keys(check, file, table->registry, registry_keys);
    check_members(check, file, hosts_member(table->registry, "mirrors"), TYPE_TABLE, mirror_keys);
    check_members(check, file, hosts_member(table->registry, "auths"), TYPE_TABLE, auth_keys);
    check_members(check, file, hosts_member(table->registry, "headers"), TYPE_STRINGS, NULL);
    check_members(check, file, hosts, TYPE_TABLE, host_keys);
    for (const struct toml_item *host = first_of(hosts); host; host = host->next)
        check_keys(check, file, hosts_member(host, "auth"), auth_keys);
}

/* containerd 2 takes whatever it has no plugin for, and a list for some that it has. */
static void check_plugins(struct check *check, const struct node_config *config,
                          const struct node_file *file)
{
    static const struct key cri[] = { { "io.containerd.grpc.v1.cri", TYPE_TABLE }, { NULL, 0 } };
    static const struct key images[] = { { "io.containerd.cri.v1.images", TYPE_TABLE },
                                         { NULL, 0 } };
    const struct toml_item *plugins = hosts_member(file->toml.root, "plugins");
    const struct toml_item *item = toml_member(plugins, images->name);

    if (!node_may_be_from(config, 2, 0, 0)) {
        check_members(check, file, plugins, TYPE_TABLE, NULL);
        return;
    }
    check_keys(check, file, plugins, cri);
    if (item && item->kind != TOML_ARRAY)
        check_keys(check, file, plugins, images);
}

void check_types(struct check *check, const struct node_config *config)
{
    for (size_t i = 0; i < config->file_count; i++) {
        check_keys(check, &config->files[i], config->files[i].toml.root, root_keys);
        check_plugins(check, config, &config->files[i]);
    }
    for (size_t i = 0; i < config->table_count; i++)
        if (config->tables[i].is_read)
            check_registry(check, &config->tables[i]);
}
