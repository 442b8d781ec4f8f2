/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the commands "kubelet check" and "kubelet config" share. The rules of a
 * CredentialProviderConfig are those of k8s.io/kubernetes/pkg/credentialprovider/plugin (config.go,
 * plugin.go); the kubelet reads it once, when it starts, and ends if anything is wrong in it.
 */
#ifndef PULLKEY_ADMIN_KUBELET_H
#define PULLKEY_ADMIN_KUBELET_H

#include "admin.h"
#include "base/file.h"
#include "base/findings.h"
#include "kubelet-text.h"

#define KUBELET_PROGRAM "pullkey-kubelet" /* ours; links to it have names that begin so */
#define KUBELET_GROUP "kubelet.config.k8s.io/"
#define KUBELET_PLUGIN_GROUP "credentialprovider.kubelet.k8s.io/"
#define KUBELET_GATE "KubeletServiceAccountTokenForCredentialProviders"

enum {
    KUBELET_STRICT = 32,      /* unknown fields are refused from 1.32 on */
    KUBELET_TOKENS = 33,      /* tokenAttributes, behind a feature gate */
    KUBELET_TOKENS_BETA = 34, /* the gate is on, cacheType is required; directories */
};

/* A release of Kubernetes 1. */
struct kubelet_version {
    bool is_known;
    int minor;
};

enum kubelet_gate { KUBELET_GATE_DEFAULT, KUBELET_GATE_ON, KUBELET_GATE_OFF };

/* The kubelet of this machine, and what was asked for in place of it. */
struct kubelet_node {
    pid_t pid;                    /* 0: none runs that can be seen */
    char config[FILE_PATH_MAX];   /* a file or a directory, "" where it is not known */
    char bin_dir[FILE_PATH_MAX];  /* the same */
    char program[FILE_PATH_MAX];  /* of the one that runs */
    bool has_config, has_bin_dir; /* the one that runs has these flags */
    struct kubelet_version version;
    enum kubelet_gate gate; /* for tokens of service accounts, by its flags */
};

/* "1.34", "v1.34.2", "Kubernetes v1.31.0-eks-1234567". False: it is none of Kubernetes 1. */
bool kubelet_version_parse(const char *text, struct kubelet_version *ret);

/* Looks at flags of the kubelet that runs, and asks it for its version; else at the usual places.
 */
int kubelet_node_find(const struct admin_call *call, struct kubelet_node *ret,
                      struct pullkey_error *error);

/* /proc/PID/NAME of a process that is root's or our own; false if it is not, or cannot be read. */
bool kubelet_process_read(pid_t pid, const char *name, struct buffer *ret);

/* True if it is surely older, or (at_least) as new or newer. */
static inline bool kubelet_is_before(const struct kubelet_version *version, int minor)
{
    return version->is_known && version->minor < minor;
}
static inline bool kubelet_is_since(const struct kubelet_version *version, int minor)
{
    return version->is_known && version->minor >= minor;
}

/* One file of a configuration. */
struct kubelet_file {
    char *path;
    struct json json; /* root is NULL where it cannot be read */
    bool is_yaml;
    char *text; /* of YAML, with the places of its values */
    struct pullkey_place *places;
    size_t place_count;
};

enum kubelet_type {
    KUBELET_TYPE_NULL,
    KUBELET_TYPE_BOOL,
    KUBELET_TYPE_NUMBER,
    KUBELET_TYPE_STRING,
    KUBELET_TYPE_LIST,
    KUBELET_TYPE_OBJECT,
};

/* Content that begins with '{' is JSON, all else YAML, whatever the name of the file. */
int kubelet_file_parse(const char *path, const char *text, size_t length, struct kubelet_file *ret,
                       struct pullkey_error *error);
int kubelet_file_read(const char *path, struct kubelet_file *ret, struct pullkey_error *error);
void kubelet_file_done(struct kubelet_file *file);

#define cleanup_kubelet_file __attribute__((cleanup(kubelet_file_done)))

/* As the kubelet reads it: "yes" without quotes is no string in YAML. NULL is null. */
enum kubelet_type kubelet_type(const struct kubelet_file *file, const cJSON *item);

/* A member of that type, or NULL. `object` may be NULL. */
const cJSON *kubelet_member(const struct kubelet_file *file, const cJSON *object, const char *key,
                            enum kubelet_type type);
/* A string that is not empty, or NULL. */
const char *kubelet_string(const struct kubelet_file *file, const cJSON *object, const char *key);
/* True: the member is there and true. */
bool kubelet_is_true(const struct kubelet_file *file, const cJSON *object, const char *key);

struct kubelet_provider {
    const struct kubelet_file *file;
    const cJSON *item;
    const char *name;    /* or NULL */
    const cJSON *match;  /* the list, or NULL */
    const cJSON *tokens; /* tokenAttributes, or NULL */
    bool is_ours;
};

#define KUBELET_PROVIDERS_MAX 256

struct kubelet_check {
    struct findings findings;
    struct kubelet_node node;
    struct kubelet_file *files;
    size_t file_count;
    struct kubelet_provider providers[KUBELET_PROVIDERS_MAX];
    size_t provider_count;
    const struct config *config; /* of pullkey, or NULL where it cannot be read */
    const char *kubeconfig;      /* or NULL */
    bool is_given;               /* the file was named by whoever asks */
};

/* Finds all that is wrong; `config` is the system's configuration of pullkey, and has to outlive
 * `check`. */
int kubelet_check_run(const struct admin_call *call, struct kubelet_check *check,
                      struct config *config, struct pullkey_error *error);
void kubelet_check_done(struct kubelet_check *check);

#define cleanup_kubelet_check __attribute__((cleanup(kubelet_check_done)))

/* A finding at an item of a file, or about the whole file where that is NULL. */
void kubelet_find(struct kubelet_check *check, const struct kubelet_file *file, const cJSON *item,
                  enum output_level level, const char *id, const char *fix, const char *format, ...)
    __attribute__((format(printf, 7, 8)));

/* Reads the files, and finds what the kubelet could not decode. Fills the providers. */
int kubelet_check_files(struct kubelet_check *check, struct pullkey_error *error);
void kubelet_check_document(struct kubelet_check *check, const struct kubelet_file *file);

/* What it refuses, and what is in vain. */
void kubelet_check_provider(struct kubelet_check *check, const struct kubelet_provider *provider);
void kubelet_check_tokens(struct kubelet_check *check, const struct kubelet_provider *provider);
/* "never matches: ..." */
const char *kubelet_flaw_text(enum kubelet_flaw flaw);
void kubelet_check_patterns(struct kubelet_check *check, const struct kubelet_provider *provider);
void kubelet_check_programs(struct kubelet_check *check);
void kubelet_check_rules(struct kubelet_check *check);
void kubelet_check_audiences(struct kubelet_check *check);

/* What `kubelet config` prints for these options. */
int kubelet_config_text(const struct admin_call *call, struct buffer *ret,
                        struct pullkey_error *error);

/* True if the kubelet asks for an image ("registry.example.com/team/app", without its tag) a plugin
 * that has this pattern in its matchImages. */
bool kubelet_pattern_matches(const char *pattern, const char *image);

/* A rule's pattern in the kubelet's form. -PULLKEY_UNSUPPORTED: the kubelet has none, with why. */
int kubelet_pattern_write(const char *rule, struct buffer *ret, struct pullkey_error *error);

#endif
