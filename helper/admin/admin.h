/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pullkey, the command that people type: what main.c and the subcommands share. Each subcommand is
 * one file with one function that reads its options from struct admin_call and returns 0,
 * ADMIN_USAGE, ADMIN_PROBLEM or the negative of an error class with *error filled. main.c turns
 * that into a message and an exit status; base/output.c prints everything else.
 */
#ifndef PULLKEY_ADMIN_ADMIN_H
#define PULLKEY_ADMIN_ADMIN_H

#include "base/file.h"
#include "base/process.h"
#include "core/config.h"
#include "core/resolve.h"

#define ADMIN_ARGUMENTS_MAX 32
#define ADMIN_ITEMS_MAX 64

/* Beside the negative error classes. */
enum {
    ADMIN_USAGE = -100,   /* *error says what is wrong with the command line; exit 2 */
    ADMIN_PROBLEM = -101, /* everything is said already; exit 1 */
    ADMIN_STATUS = -1000, /* -1000 - N: exit N; *error has a message, or an empty one */
};

/* Every option of every command; a command lists those that it takes. */
enum admin_option {
    ADMIN_SYSTEM,
    ADMIN_JSON,
    ADMIN_HELP,
    ADMIN_USERNAME,
    ADMIN_PASSWORD_STDIN,
    ADMIN_IDENTITY_TOKEN,
    ADMIN_NO_VERIFY,
    ADMIN_CA_FILE,
    ADMIN_REALM,
    ADMIN_PLAIN_HTTP,
    ADMIN_FROM,
    ADMIN_MOVE,
    ADMIN_REPLACE,
    ADMIN_YES,
    ADMIN_FOR,
    ADMIN_CONFIG,
    ADMIN_BIN_DIR,
    ADMIN_KUBELET_VERSION,
    ADMIN_KUBECONFIG,
    ADMIN_AUDIENCE,
    ADMIN_CACHE_TYPE,
    ADMIN_NAME,
    ADMIN_MATCH,
    ADMIN_HOST,
    ADMIN_CALLER,
    ADMIN_NAMESPACE,
    ADMIN_SERVICE_ACCOUNT,
    ADMIN_FORMAT,
    ADMIN_OUTPUT,
    ADMIN_PROFILE,
    ADMIN_REGION,
    ADMIN_ROLE_ARN,
    ADMIN_TENANT,
    ADMIN_CLIENT_ID,
    ADMIN_SECRET,
    ADMIN_HELPER,
    ADMIN_ENV,
    ADMIN_WRITE,
    ADMIN_UNDO,
    ADMIN_AS,
    ADMIN_OPTION_MAX,
};

/* In sets of options. */
#define ADMIN_BIT(option) (UINT64_C(1) << (option))
_Static_assert(ADMIN_OPTION_MAX <= 64, "a set of options has 64 bits");

struct admin_option_text {
    const char *name;  /* "--username" */
    char letter;       /* 'u', or 0 */
    const char *value; /* "USER", or NULL for an option without a value */
    const char *help;
    bool is_list;       /* may be given often */
    const char *values; /* "A|B": one of these and nothing else, but for "@list" at the end: or
                           several with commas; or "@files": or anything, files offered; or "@any":
                           or what the command takes beside them. NULL:
                           anything */
};

extern const struct admin_option_text admin_options[ADMIN_OPTION_MAX];

/* What login and logout mean without an argument. */
#define ADMIN_DEFAULT_REGISTRY "docker.io"

struct admin_call {
    const char *values[ADMIN_OPTION_MAX]; /* NULL: not given; "" for an option without a value */
    const char *arguments[ADMIN_ARGUMENTS_MAX];
    size_t argument_count;
    const char *items[ADMIN_ITEMS_MAX]; /* of the one option of a command that may be given often */
    size_t item_count;
    char *const *command; /* behind "--", with NULL at its end; NULL: not given */
    const struct process_caller *caller;
};

/* The overview has the commands in the order of the table, in which a group stands together. */
enum admin_group { ADMIN_CREDENTIALS, ADMIN_FAILURES, ADMIN_SETUP };

struct admin_command {
    const char *name;      /* "login", or two words: "config check" */
    const char *arguments; /* for the usage line: "[REGISTRY]" or "" */
    size_t at_least, at_most;
    uint64_t options;   /* of ADMIN_BIT */
    bool takes_command; /* what stands behind "--" is a command of the caller's, to be run */
    int (*run)(const struct admin_call *call, struct pullkey_error *error);
    const char *summary; /* one line of at most 54 columns */
    const char *details; /* for `help COMMAND`: lines of at most 80 columns with their line ends */
    enum admin_group group;
    /* Of the first of those that share a first word: what they are about, for the one line that
     * they have together in the overview. 57 columns, less the second words and two. */
    const char *topic;
};

extern const struct admin_command admin_commands[];
extern const size_t admin_command_count;

/* ADMIN_USAGE, with *error filled. */
int admin_usage(struct pullkey_error *error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The command that the first word, or the first two, name; *ret_words is how many. NULL: none. */
const struct admin_command *admin_find(const char *const *words, size_t count, size_t *ret_words);
/* True if a command has this name, or begins with it as its first of two words. */
bool admin_is_word(const char *word);
/* The option of that name, "--name" or "-n"; -1: there is none. */
int admin_find_option(const char *text, size_t length);
/* True if the `length` bytes at `value` are one of "A|B". */
bool admin_is_choice(const char *choices, const char *value, size_t length);

/* 'did you mean "NAME"?', of what is most like the words, or like the option, of these; else where
 * to look. */
void admin_suggest(const char *const *words, size_t count, struct buffer *ret);
void admin_suggest_option(const char *text, size_t length, uint64_t options, struct buffer *ret);

/* Another program beside the modules gives the command `hosts`. */
bool admin_has_hosts(void);
#define ADMIN_HOSTS_SUMMARY "make credHelper in containerd's hosts.toml work"

/*
 * What may follow these words: one candidate a line, "WORD<TAB>DESCRIPTION" or "WORD"; "@files" for
 * names of files. For the shells' completion: what fails is no candidate.
 */
void admin_complete(int count, char **words, struct buffer *text);

/* Loads the caller's configuration, or with --system the system's. */
int admin_load(const struct admin_call *call, struct config *ret, struct pullkey_error *error);

/* A request as a docker client makes it, with a fresh deadline. From here on it may take its time
 * (output_wait_begin). */
struct resolve admin_resolve(const struct config *config);

/* Parses an argument; an empty one is refused too. */
int admin_reference(const char *text, struct registry_reference *ret, struct pullkey_error *error);

/* All of stdin, less one line end, and checked. */
int admin_read_password(struct pullkey_secret *ret, struct pullkey_error *error);
/* One line that is not empty, within the limits. */
int admin_check_password(const struct pullkey_secret *secret, struct pullkey_error *error);

/* As RFC 7617 has it. */
int admin_check_username(const char *username, struct pullkey_error *error);

/* The options of the module that asks registries, as --ca-file, --realm and --plain-http say. */
int admin_probe_options(const struct admin_call *call, const struct registry_reference *reference,
                        struct buffer *options, struct pullkey_error *error);

/* False for a backend whose stores are never locked. */
bool admin_can_unlock(const struct pullkey_backend *backend);

/* Prints what `config check` finds in a configuration, or with --json appends it, with commas
 * between. ADMIN_PROBLEM if there is an error, or without --yes if the first rule of the file
 * `added` is never reached, or another because of it. */
int admin_check_config(const struct admin_call *call, const struct config *config,
                       const char *added, struct buffer *json, struct pullkey_error *error);

int admin_login(const struct admin_call *call, struct pullkey_error *error);
int admin_logout(const struct admin_call *call, struct pullkey_error *error);
int admin_unlock(const struct admin_call *call, struct pullkey_error *error);
int admin_list(const struct admin_call *call, struct pullkey_error *error);
int admin_config_check(const struct admin_call *call, struct pullkey_error *error);
int admin_config_add(const struct admin_call *call, struct pullkey_error *error);
int admin_config_show(const struct admin_call *call, struct pullkey_error *error);
int admin_backends(const struct admin_call *call, struct pullkey_error *error);
int admin_cache_list(const struct admin_call *call, struct pullkey_error *error);
int admin_cache_clear(const struct admin_call *call, struct pullkey_error *error);
int admin_explain(const struct admin_call *call, struct pullkey_error *error);
/* True if one of these, "docker nerdctl", is in the PATH. */
bool admin_has_program(const char *names);
/* True if podman asks pullkey; *where is the file that decides, or "". */
bool admin_podman_asks(char where[FILE_PATH_MAX]);
int admin_status(const struct admin_call *call, struct pullkey_error *error);
int admin_store_rekey(const struct admin_call *call, struct pullkey_error *error);
int admin_import(const struct admin_call *call, struct pullkey_error *error);
int admin_export(const struct admin_call *call, struct pullkey_error *error);
int admin_run(const struct admin_call *call, struct pullkey_error *error);
int admin_kubelet_check(const struct admin_call *call, struct pullkey_error *error);
int admin_kubelet_config(const struct admin_call *call, struct pullkey_error *error);
int admin_recipe_test(const struct admin_call *call, struct pullkey_error *error);
int admin_doctor(const struct admin_call *call, struct pullkey_error *error);
int admin_setup(const struct admin_call *call, struct pullkey_error *error);
int admin_version(const struct admin_call *call, struct pullkey_error *error);
int admin_show_help(const struct admin_call *call, struct pullkey_error *error);

#endif
