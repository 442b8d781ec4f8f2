/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a node has that decides where containerd pulls from, and with which credentials: the
 * config.toml of containerd, k3s and RKE2 with what it imports, registries.yaml, and hosts
 * directories. All of it is read below a root directory, and links are followed within that, as
 * containerd would that runs there. Nothing is changed. Nothing of the node is run, except
 * `containerd --version` and `nerdctl --version` where the root is "/".
 *
 * Paths are of two kinds: "inner" ones are absolute and what the node itself calls the file
 * ("/etc/containerd/config.toml"), the others have the root in front and are for messages.
 */
#ifndef PULLKEY_HOSTS_NODE_H
#define PULLKEY_HOSTS_NODE_H

#include <sys/stat.h>

#include "base/json.h"
#include "hosts-file.h"

#define NODE_FILES_MAX 64    /* config.toml and what it imports */
#define NODE_NAMES_MAX 65536 /* entries of a directory; of a source no fewer than watch takes */

enum node_owner {
    NODE_CONTAINERD,
    NODE_K3S,
    NODE_RKE2,
    NODE_OWNER_MAX,
};

/* A release of containerd. */
struct node_version {
    bool is_known;
    int major, minor, patch;
};

struct node_file {
    char *inner;
    char *path;
    struct toml_document toml;    /* root is NULL where there is a problem */
    struct pullkey_error problem; /* code is PULLKEY_OK where there is none */
    int64_t version;              /* of its schema: 1 where it names none */
    const struct toml_item *version_item;
};

/* The tables that have held the settings of image pulls. */
enum node_plugin {
    NODE_PLUGIN_SHORT,  /* plugins.cri, schema 1 */
    NODE_PLUGIN_CRI,    /* plugins."io.containerd.grpc.v1.cri", schema 2 */
    NODE_PLUGIN_IMAGES, /* plugins."io.containerd.cri.v1.images", from schema 3 on */
};

struct node_table {
    const struct node_file *file;
    enum node_plugin plugin;
    const struct toml_item *table;    /* of the plugin */
    const struct toml_item *registry; /* the table of this name in it, or NULL */
    bool is_read;                     /* containerd of this version reads it, as far as is known */
};

/* [...registry.mirrors."docker.io"] */
struct node_mirror {
    const struct node_table *in;
    const struct toml_item *table;
    const struct toml_item *endpoint; /* or NULL; of whatever type */
};

/* [...registry.configs."HOST"], or (is_url) [...registry.auths."URL"]. Members are NULL where the
 * file does not have them, and of whatever type. */
struct node_auth {
    const struct node_table *in;
    bool is_url;
    const struct toml_item *table; /* its key is the host or the URL */
    const struct toml_item *auth;  /* the table of the next four: [...auth], or `table` of a URL */
    const struct toml_item *username, *password, *encoded, *identity_token;
    const struct toml_item *tls; /* a table, only up to 1.7 */
};

/* A setting and where it comes from. */
struct node_setting {
    const struct node_file *file;
    const struct toml_item *item; /* NULL: no file has it */
};

/* One containerd. */
struct node_config {
    enum node_owner owner;
    char *inner, *path; /* of config.toml */
    struct node_version version;
    struct node_file *files; /* in the order in which containerd loads them; none: no config.toml */
    size_t file_count;
    struct node_table *tables;
    size_t table_count;
    struct node_mirror *mirrors;
    size_t mirror_count;
    struct node_auth *auths;
    size_t auth_count;
};

/* registries.yaml of k3s or RKE2. */
struct node_yaml {
    enum node_owner owner;
    char *inner, *path;
    struct json json;             /* root is NULL where there is a problem. json_line is the line of
                                     the YAML */
    struct pullkey_place *places; /* of each value in the order of the document, see node_place */
    size_t place_count;
    char *text; /* the YAML */
    size_t length;
    struct pullkey_error problem;
};

struct node {
    int root_fd;
    char *root; /* without a slash at its end: "" for "/" */
    struct node_config *configs;
    size_t config_count; /* at least one */
    struct node_yaml *yamls;
    size_t yaml_count;
};

/* `root` must be a directory. What is broken on the node is a problem of a file, not an error. */
int node_open(const char *root, struct node *ret, struct pullkey_error *error);
void node_done(struct node *node);

/* With the root in front; NULL when out of memory. Release with secret_release. */
char *node_path(const struct node *node, const char *inner);

/* A regular file, at most `ret->limit` bytes. -PULLKEY_NOT_FOUND if it does not exist. */
int node_read(const struct node *node, const char *inner, struct buffer *ret,
              struct pullkey_error *error);

/* -PULLKEY_NOT_FOUND if it does not exist. */
int node_stat(const struct node *node, const char *inner, struct stat *ret,
              struct pullkey_error *error);

/* True also where it cannot be told. */
bool node_exists(const struct node *node, const char *inner);

/* O_PATH or O_DIRECTORY and the like, close-on-exec; a descriptor or the negative class. */
int node_open_at(const struct node *node, const char *inner, int flags,
                 struct pullkey_error *error);

/* Names in a directory, sorted, without "." and "..". -PULLKEY_INVALID if there are too many. */
struct node_names {
    char **items;
    size_t count, capacity;
};
int node_list(const struct node *node, const char *inner, struct node_names *ret,
              struct pullkey_error *error);
void node_names_done(struct node_names *names);
bool node_name_ends(const char *name, const char *suffix);

/* The last of the files of a containerd that sets a member of "registry" ("config_path"), or of
 * the plugin's table ("max_concurrent_downloads"), as the releases merge them. */
struct node_setting node_registry_setting(const struct node_config *config, const char *key);
struct node_setting node_image_setting(const struct node_config *config, const char *key);

/* From 2.1 on: what makes containerd pull without its transfer service. `item` is NULL if nothing
 * does. */
struct node_setting node_local_pull(const struct node_config *config);

/* True where it may be so: of an unknown release both are. */
bool node_version_may_be_before(const struct node_version *version, int major, int minor,
                                int patch);
bool node_may_be_before(const struct node_config *config, int major, int minor, int patch);
bool node_may_be_from(const struct node_config *config, int major, int minor, int patch);

/* Where a value of registries.yaml stands in the text. */
const struct pullkey_place *node_place(const struct node_yaml *yaml, const cJSON *item);

/* A directory below certs.d. */
struct node_host_directory {
    char *name;
    char *inner, *path; /* of hosts.toml */
    bool has_file;
    bool has_certificates;        /* *.crt, *.cert or *.key, as docker has them */
    struct hosts_file file;       /* empty where there is a problem, or no file */
    struct toml_document toml;    /* of a file that is TOML, and that containerd refuses */
    struct buffer text;           /* of a file that is no TOML */
    struct pullkey_error problem; /* code is PULLKEY_OK where there is none */
};

struct node_hosts {
    char *inner, *path;
    bool exists;
    struct node_host_directory *directories; /* sorted by name */
    size_t count;
};

/* `settings` may be NULL. Without the directory: 0, and it does not exist. */
int node_hosts_read(const struct node *node, const char *inner, const struct settings *settings,
                    struct node_hosts *ret, struct pullkey_error *error);
void node_hosts_done(struct node_hosts *hosts);

/* Where this machine has its containerd; NULL: nowhere that is known. */
const char *node_containerd(enum node_owner owner);

/* The program of a node's containerd, to be read: a descriptor, or -1 where it is not known. */
int node_open_containerd(const struct node *node, enum node_owner owner, const char **ret_inner);

/* For the parts of node: node-config.c, node-version.c, node-yaml.c. */
int node_config_read(const struct node *node, struct node_config *config,
                     struct pullkey_error *error);
void node_config_done(struct node_config *config);
void node_version_find(const struct node *node, enum node_owner owner, struct node_version *ret);
/* The containerd of this machine, or one of several, is known to be older. */
bool node_machine_is_before(int major, int minor);

/* False: the node has no nerdctl. Its version may be unknown. */
bool node_nerdctl_find(const struct node *node, struct node_version *ret);
int node_version_parse(const char *text, struct node_version *ret);
int node_yaml_read(const struct node *node, struct node_yaml *yaml, struct pullkey_error *error);
void node_yaml_done(struct node_yaml *yaml);

#define cleanup_node __attribute__((cleanup(node_done)))
#define cleanup_names __attribute__((cleanup(node_names_done)))
#define cleanup_node_hosts __attribute__((cleanup(node_hosts_done)))

#endif
