/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pullkey-hosts: makes credHelper in containerd's hosts.toml work. What main.c and the commands
 * share. Each command is a function that returns 0, HOSTS_USAGE, HOSTS_PROBLEM or the negative of
 * an error class with *error filled; main.c turns that into a message and an exit status.
 */
#ifndef PULLKEY_HOSTS_HOSTS_H
#define PULLKEY_HOSTS_HOSTS_H

#include "settings.h"

/* Beside the negative error classes. */
enum {
    HOSTS_USAGE = -100,   /* *error says what is wrong with the command line; exit 2 */
    HOSTS_PROBLEM = -101, /* everything is said already; exit 1 */
};

enum hosts_option {
    HOSTS_SOURCE,
    HOSTS_TARGET,
    HOSTS_LINK,
    HOSTS_ON_OPEN,
    HOSTS_OVERMOUNT,
    HOSTS_ROOT,
    HOSTS_WRITE,
    HOSTS_ASK,
    HOSTS_JSON,
    HOSTS_HELP,
    HOSTS_OPTION_MAX,
};

struct hosts_option_text {
    const char *name;  /* "source" of --source */
    const char *value; /* "DIR", or NULL for an option without a value */
    const char *help;
};

extern const struct hosts_option_text hosts_options[HOSTS_OPTION_MAX];

/*
 * Where they are for root, unless the command line says otherwise. Others have
 * $XDG_CONFIG_HOME/containerd/certs.d and $XDG_RUNTIME_DIR/pullkey/hosts.
 */
#define HOSTS_SOURCE_DEFAULT "/etc/containerd/certs.d"
#define HOSTS_TARGET_DEFAULT "/run/pullkey/hosts"
/* What containerd's config_path names: a link, to the source until the target is complete. */
#define HOSTS_CONFIG_PATH "/run/pullkey/certs.d"
#define HOSTS_SOURCE_OVERMOUNTED "/run/pullkey/source" /* where the target hides the source */

struct hosts_call {
    const char *values[HOSTS_OPTION_MAX]; /* NULL: not given; "" for an option without a value */
    const char *argument;                 /* NULL: not given */
};

struct hosts_command {
    const char *name;
    const char *argument; /* "HOST" where it needs one, or NULL */
    unsigned int options; /* bits 1 << HOSTS_... */
    int (*run)(const struct hosts_call *call, struct pullkey_error *error);
    const char *summary; /* one line of at most 54 columns */
    const char *details; /* for `help COMMAND`: lines of at most 80 columns with their line ends */
};

extern const struct hosts_command hosts_commands[];
extern const size_t hosts_command_count;

/* HOSTS_USAGE, with *error filled. */
int hosts_usage(struct pullkey_error *error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The whole help (NULL), or that of a command. False: there is none of that name. */
bool hosts_help(const char *command, struct buffer *text);

/* What may follow these words: lines of WORD, a tab and what it is. For the shells' completion. */
void hosts_complete(int count, char **words, struct buffer *text);

/* The system's configuration for root, one's own for others (a containerd of their own). */
int hosts_load(struct config *ret, struct pullkey_error *error);

/* An absolute path, without slashes at its end. `ret` has FILE_PATH_MAX bytes. */
int hosts_absolute(const char *path, char *ret, struct pullkey_error *error);

/* The source and the target of a call, in buffers of FILE_PATH_MAX bytes. */
int hosts_source(const struct hosts_call *call, char *ret, struct pullkey_error *error);
int hosts_target(const struct hosts_call *call, char *ret, struct pullkey_error *error);

/* What is to be started, for messages. */
const char *hosts_daemon(void);

/* What the daemon of a target said last; `text` holds it. */
int hosts_read_status(const char *target, struct json *ret, struct buffer *text,
                      struct pullkey_error *error);

/* Makes the directory that the target stands in, with mode 0755, where it is missing. Refused where
 * that is in the source. */
int hosts_make_place(const char *target, const char *source, struct pullkey_error *error);

int hosts_show(const struct hosts_call *call, struct pullkey_error *error);
int hosts_status(const struct hosts_call *call, struct pullkey_error *error);
int hosts_watch(const struct hosts_call *call, struct pullkey_error *error);
int hosts_check(const struct hosts_call *call, struct pullkey_error *error);
int hosts_doctor(const struct hosts_call *call, struct pullkey_error *error);
int hosts_migrate(const struct hosts_call *call, struct pullkey_error *error);
int hosts_render(const struct hosts_call *call, struct pullkey_error *error);

#endif
