/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `pullkey hosts check`: what is wrong with the way a node pulls. Its parts, one a kind of file.
 * What each finding rests on was measured with containerd 1.7 to 2.2 and read in its sources up to
 * 2.3.
 */
#ifndef PULLKEY_HOSTS_CHECK_H
#define PULLKEY_HOSTS_CHECK_H

#include "base/findings.h"
#include "node.h"

#define CHECK_ROOTS_MAX 16
#define CHECK_ANSWERS_MAX 64
#define CHECK_RUN "/run/pullkey/"
#define CHECK_WHY_MAX 199

/* A directory that containerd is told to look into, or looks into by itself. */
struct check_root {
    struct node_hosts hosts;
    const struct node_config *config; /* whose config_path names it; NULL: none */
    bool is_target;                   /* made by pullkey: secrets are meant to be there */
};

/* What a registry asks for. */
struct check_answer {
    const struct registry_reference *reference;
    bool is_asked;
    bool is_known;               /* it has answered */
    char why[CHECK_WHY_MAX + 1]; /* it has not */
    struct pullkey_probe_result result;
};

struct check {
    struct node node;
    const struct config *config;     /* NULL: the configuration cannot be read */
    const struct settings *settings; /* the same */
    const char *target;              /* as the command line names it, or NULL */
    struct findings findings;
    struct check_root roots[CHECK_ROOTS_MAX];
    size_t root_count;
    struct check_answer *answers;
    size_t answer_count;
    bool has_helpers;  /* a host names one */
    bool is_running;   /* the daemon is at work on a target of this machine */
    bool is_overmount; /* the target is mounted over /etc/containerd/certs.d */
    bool reads_target; /* the config_path of a containerd is the target */
};

#define CHECK_INIT                                                                                 \
    {                                                                                              \
        .node = {.root_fd = -1 }                                                                   \
    }

/* Reads the node of --root with all its hosts directories, and pullkey's configuration, which
 * lives in the two that are handed in. To be released also after an error. */
struct hosts_call;
int check_open(const struct hosts_call *call, struct config *config, struct settings *settings,
               struct check *ret, struct pullkey_error *error);
void check_done(struct check *check);

#define cleanup_check __attribute__((cleanup(check_done)))

/* config_path of one containerd as a list; what is used where none is set. */
struct check_paths {
    char *items[CHECK_ROOTS_MAX];
    size_t count;
    bool is_default;  /* nobody set it: 2.2 has one of its own */
    bool is_one;      /* 2.1 and later take the whole text for one directory */
    const char *text; /* as it is set */
    struct node_setting setting;
    char *memory;
};

int check_paths_read(const struct node_config *config, struct check_paths *ret,
                     struct pullkey_error *error);
void check_paths_done(struct check_paths *paths);

bool check_is_target(const struct check *check, const char *inner);

/* The hosts directories that the daemon reads; without an overmount it may see them twice. */
const char *check_source(const struct check *check);

/* What containerd gets is what pullkey makes of this file. */
bool check_is_rendered(const struct check *check, const struct check_root *root,
                       const struct hosts_file *file);

/* Adds a finding at an item of a file. */
#define check_at(check, level, id, path, item, ...)                                                \
    findings_add(&(check)->findings, level, id, path, (item)->line, __VA_ARGS__)

void check_config(struct check *check, const struct node_config *config);
void check_types(struct check *check, const struct node_config *config);
void check_config_path(struct check *check, const struct node_config *config,
                       const struct check_paths *paths);
void check_hosts(struct check *check, const struct check_root *root);
void check_host_files(struct check *check, const struct check_root *root,
                      const struct node_host_directory *directory);
/* What stands in its way, or is kept from being read by it. */
void check_shadows(struct check *check, const struct check_root *root,
                   const struct node_host_directory *directory);
/* Of a file that containerd reads, and of one that it refuses. */
void check_host_tables(struct check *check, const struct check_root *root,
                       const struct node_host_directory *directory);
void check_no_table(struct check *check, const struct check_root *root,
                    const struct node_host_directory *directory);
void check_entries(struct check *check, const struct check_root *root);
void check_secrets(struct check *check, const struct node_host_directory *directory);
void check_trust(struct check *check, const struct check_root *root);
void check_yaml(struct check *check, const struct node_yaml *yaml);
void check_target(struct check *check);
/* What config_path names is filled by a service; `setting` is that key. */
void check_service(struct check *check, const struct node_config *config,
                   const struct node_setting *setting);
/* A tmpfs without noswap; the target of this machine, and that of a template. */
void check_swap_of_machine(struct check *check, const char *path);
void check_swap_of_template(struct check *check);
bool check_is_selinux_enforcing(const struct check *check);
void check_nerdctl(struct check *check);
void check_program(struct check *check);
/* To be called when the registries were asked. */
void check_pull_secrets(struct check *check);
void check_helpers(struct check *check);
void check_rules(struct check *check);
void check_system(struct check *check);
void check_settings(struct check *check);

/* Asks CHECK_ANSWERS_MAX registries, if the root is "/", within fifteen seconds. What is left is a
 * finding. */
int check_network(struct check *check, struct pullkey_error *error);
/* NULL: it was not asked. */
const struct check_answer *check_find_answer(const struct check *check,
                                             const struct registry_reference *reference);

/* A JSON array of the hosts with a helper or a header, and what is known of their credentials. */
void check_write_hosts(const struct check *check, struct buffer *json);

/* A host has a helper or a header. */
bool check_has_credential(const struct check *check);

/* Those of them whose password stays good, with the token server that gets it, for people: a line
 * for each host. */
int check_print_hosts(const struct check *check, struct pullkey_error *error);

/* NULL: the root has no directory of this name. */
const struct node_host_directory *check_find_directory(const struct check_root *root,
                                                       const char *name);

/* Units of systemd, from whichever of its directories. */
enum check_unit { CHECK_UNIT_MISSING, CHECK_UNIT_MASKED, CHECK_UNIT_THERE };
enum check_unit check_unit_state(const struct check *check, const char *unit);
/* A line "KEY=..." of it, or of a drop-in, has this word. */
bool check_unit_says(const struct check *check, const char *unit, const char *key,
                     const char *word);

/* The configuration that the releases of containerd on this node may share the directory by. */
bool check_may_be_before(const struct check *check, const struct check_root *root, int major,
                         int minor, int patch);
bool check_may_be_from(const struct check *check, const struct check_root *root, int major,
                       int minor, int patch);
bool check_release_is_known(const struct check *check, const struct check_root *root);
/* What is wrong with some releases is a note where the release is not known. */
enum output_level check_level(const struct check *check, const struct check_root *root,
                              enum output_level level);

/* A value of a header: what people get wrong in it. */
enum check_value {
    CHECK_VALUE_BASIC,      /* well-formed */
    CHECK_VALUE_IDENTITY,   /* the same, with a token that is to be exchanged for another */
    CHECK_VALUE_TOKEN,      /* of another scheme */
    CHECK_VALUE_EXPRESSION, /* text that a shell was to expand */
    CHECK_VALUE_BROKEN,     /* a line break or a blank in it */
    CHECK_VALUE_MALFORMED,  /* no base64 of USER:PASSWORD */
    CHECK_VALUE_NO_SCHEME,
    CHECK_VALUE_EMPTY,
};
enum check_value check_authorization(const char *text, size_t length);

/* A host or URL of a file as it may be printed: without a user name and password in it. Of one with
 * a query, which may be a token, nothing. */
const char *check_host_name(const char *url);
bool check_has_user(const char *url);

/* A header whose name says that its value is one to keep. */
bool check_is_secret_name(const char *name);

#define cleanup_paths __attribute__((cleanup(check_paths_done)))

#endif
