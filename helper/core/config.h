/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration: which backends exist, and which are asked for which registry. JSON
 * with comments; pullkey.conf(5) is the manual.
 *
 * Files, nearest first: $XDG_CONFIG_HOME/pullkey/config.json, /etc/pullkey/config.d/NAME.json (last
 * name first), /etc/pullkey/config.json. PULLKEY_CONFIG names one file instead of all of them,
 * PULLKEY_CONFIG_JSON holds the text itself. System mode leaves the user's file and
 * PULLKEY_CONFIG_JSON out. A backend of the same name is replaced whole by the nearer file, rules
 * are tried in the order of the files, of scalars the nearest wins.
 *
 * The tree of JSON documents stays in memory: what the structures below point to lives until
 * config_done.
 */
#ifndef PULLKEY_CORE_CONFIG_H
#define PULLKEY_CORE_CONFIG_H

#include "base/json.h"
#include "core/registry.h"

#define CONFIG_FILE_MAX (256 * 1024)
#define CONFIG_DOCUMENTS_MAX 64
#define CONFIG_CHAIN_MAX 16      /* instances in one "use" */
#define CONFIG_CACHE_SECONDS 300 /* "cache_seconds" of a rule for the kubelet, by default */
#define CONFIG_EMPTY_SECONDS 15  /* "empty_seconds", by default */

enum config_caller {
    CONFIG_DOCKER = 1 << 0,
    CONFIG_HOSTS = 1 << 1,
    CONFIG_KUBELET = 1 << 2,
};

/* Where the configuration is read from; config_source_default fills it from the environment. Points
 * into itself: do not copy. */
struct config_source {
    bool system;
    bool session_bus;             /* a keyring may run: the built-in default chain asks it first */
    const char *user_directory;   /* NULL: there is none */
    const char *system_directory; /* PULLKEY_SYSCONFDIR: /etc/pullkey as distributions build it */
    const char *only_file;        /* PULLKEY_CONFIG, or NULL; must be absolute and exist */
    const char *text;             /* PULLKEY_CONFIG_JSON, or NULL; wins over only_file */
    char user_directory_path[4096];
};

/* A file as it would be: for who is about to write it. */
struct config_draft {
    const char *path; /* one that config_load would read, whether or not it is there */
    const char *text;
    size_t length;
};

/* One use of a backend. */
struct config_instance {
    const char *name; /* as the configuration names it; an inline instance has its type here */
    const char *type;
    const struct json *document; /* for positions in errors; NULL for one that no file declares */
    const cJSON *options;        /* the whole object, core's keys included; NULL: no options */
    bool implicit;               /* no configuration names it */
    bool on_error_next;          /* "on_error": "next" */
    bool optional;               /* having no identity is having no credential */
};

/* How a rule answers the kubelet: "kubelet" in the rule. */
struct config_kubelet_rule {
    int64_t cache_seconds; /* at most so long the kubelet keeps an answer without an expiry */
    bool image_scope;      /* an answer is for one image, also where it is known to serve more */
    bool anonymous_last;   /* the kubelet pulls without a credential if it fails with one */
    bool fail_closed;      /* no credential is an error */
};

struct config_rule {
    const struct json *document;
    const cJSON *item;
    size_t number;                 /* within its document, from 0; messages count from 1 */
    const cJSON *match;            /* a string or a list of strings */
    unsigned int callers;          /* of enum config_caller */
    const cJSON *namespaces;       /* NULL: any */
    const cJSON *service_accounts; /* NULL: any */
    struct config_instance chain[CONFIG_CHAIN_MAX];
    size_t chain_count; /* 0: nobody is asked */
    bool ignore_store;  /* "on_store": "ignore" */
    struct config_kubelet_rule kubelet;
};

/* "kubelet" at the top. */
struct config_kubelet {
    bool token_cache;              /* cacheType of the CredentialProviderConfig is Token */
    int64_t empty_seconds;         /* how long the kubelet keeps "no credential" */
    struct config_instance verify; /* of type kubernetes; name NULL: not configured */
    const char *audience;          /* of the tokens; NULL: any */
};

struct config {
    struct json *documents; /* nearest first */
    size_t document_count;
    struct config_rule *rules;
    size_t rule_count;
    struct config_instance default_chain[CONFIG_CHAIN_MAX];
    size_t default_count; /* 0: nobody is asked */
    const char
        *store; /* the name, in the default chain, where login writes; NULL: not configured */
    struct config_kubelet kubelet;
    bool session_bus;      /* as in config_source: a keyring may run */
    bool is_builtin_chain; /* no file has a "default": core/cloud.h adds to it */
    bool system;
};

/* Who asks, for rules with "when". */
struct config_asker {
    enum config_caller caller;
    const char *namespace_name; /* NULL unless the kubelet asks */
    const char *service_account;
};

/*
 * Empty variables count as unset. session_bus is a guess that never holds for root or in system
 * mode. -PULLKEY_NOT_FOUND cannot happen: a missing user directory is simply not used.
 */
int config_source_default(bool system, struct config_source *ret, struct pullkey_error *error);

/*
 * Reads and checks everything that can be checked without loading a module: structure, names,
 * patterns, references between rules and backends. No file at all is a valid configuration. Errors
 * name file, line and key; never -PULLKEY_NOT_FOUND.
 *
 * Without a "default" in any file the chain is: keyring (if source->session_bus, or if "store"
 * names it), then file; they are implicit unless declared or named by "store". A "store" that is
 * not in the default chain is an error, except where it stands in a file farther than the one that
 * replaced the chain: then it is not used.
 */
int config_load(const struct config_source *source, struct config *ret,
                struct pullkey_error *error);
/* The same with one file more, or in place of the one that is there. */
int config_load_draft(const struct config_source *source, const struct config_draft *draft,
                      struct config *ret, struct pullkey_error *error);
void config_done(struct config *config);

/* Whether a rule serves an asker for a reference, or else the first reason why it does not; of
 * several patterns the one counts that comes nearest. */
enum config_fit {
    CONFIG_OTHER_CALLER,
    CONFIG_OTHER_NAMESPACE,
    CONFIG_OTHER_ACCOUNT,
    CONFIG_OTHER_REGISTRY, /* and those after it: with a registry_fit added */
    CONFIG_FITS = CONFIG_OTHER_REGISTRY + REGISTRY_FITS,
};
int config_rule_fit(const struct config_rule *rule, const struct registry_reference *reference,
                    const struct config_asker *asker);

/* The first rule that matches, or NULL: then the default chain serves. */
const struct config_rule *config_find_rule(const struct config *config,
                                           const struct registry_reference *reference,
                                           const struct config_asker *asker);

/* The instance that an object of a checked document declares. Without a name it has its type's. */
void config_set_instance(const struct json *document, const char *name, const cJSON *options,
                         struct config_instance *ret);

/*
 * The options of an instance for its backend: a JSON object without core's own keys (type,
 * on_error, optional, x-...), checked against the descriptor's table, or unchecked if `module` is
 * NULL (for the key of a cached token). Appended to `ret`. -PULLKEY_INVALID names file, line and
 * key.
 */
int config_instance_options(const struct config_instance *instance,
                            const struct pullkey_module *module, struct buffer *ret,
                            struct pullkey_error *error);

/* True if another path of the reference's registry may be another rule's, or nobody's, for this
 * asker. */
bool config_divides_registry(const struct config *config,
                             const struct registry_reference *reference,
                             const struct config_asker *asker);

/* "rule 3 of /etc/pullkey/config.json" or (rule is NULL) "the default chain": for messages. */
#define CONFIG_RULE_NAME_MAX (PULLKEY_ERROR_SIZE / 2)
void config_rule_name(const struct config_rule *rule, char ret[CONFIG_RULE_NAME_MAX]);

/* Walk over "a string or a list of strings"; a missing value is an empty list. */
const cJSON *config_first(const cJSON *value);
const cJSON *config_next(const cJSON *value, const cJSON *item);

#define cleanup_config __attribute__((cleanup(config_done)))

#endif
