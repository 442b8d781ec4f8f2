/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `migrate` is about to do: the credentials that go to the store, the files that change, and
 * what people are told. It is planned as a whole, shown, and then done: credentials first, read
 * back, then the files, each by one rename.
 */
#ifndef PULLKEY_HOSTS_MIGRATE_H
#define PULLKEY_HOSTS_MIGRATE_H

#include "core/resolve.h"
#include "edit.h"
#include "mask.h"
#include "node.h"

/* Where overmount keeps the real directory. */
#define MIGRATE_OVERMOUNT_SOURCE "/run/pullkey/source"

enum migrate_level {
    MIGRATE_DONE = 0, /* what is moved or written */
    MIGRATE_NOTE,     /* what people should know */
    MIGRATE_PROBLEM,  /* what stays as it is and should not */
};

/* One line of the summary. */
struct migrate_row {
    enum migrate_level level;
    char *file;  /* as the node calls it */
    size_t line; /* 0: none */
    char *what;
    char *where; /* where it goes, or what to do */
};

struct migrate_credential {
    struct registry_reference reference;
    struct pullkey_credential credential;
    char *file; /* where it was found first */
    size_t line;
    bool is_stored; /* the store has it already */
};

enum migrate_restart {
    MIGRATE_RESTART_CONTAINERD = 1,
    MIGRATE_RESTART_K3S = 2,
    MIGRATE_RESTART_RKE2 = 4,
};

/* The order in which files are written: at each point in between the node works. */
enum migrate_order {
    MIGRATE_ADDS,    /* what nobody reads yet, or what stock containerd ignores */
    MIGRATE_CONFIG,  /* config.toml */
    MIGRATE_REMOVES, /* hosts.toml that lose a header */
    MIGRATE_YAML,    /* registries.yaml */
    MIGRATE_ORDER_MAX,
};

struct migrate_file {
    char *inner;
    bool is_new;
    struct buffer old, new;
    enum migrate_order order;
    unsigned int restart;
    bool is_yaml; /* else TOML or JSON */
};

struct migrate {
    const struct node *node;
    bool is_live; /* the root is "/" */
    struct config config;
    struct mask mask;  /* all secrets that were seen */
    struct mask moved; /* those that leave the files */
    struct migrate_row *rows;
    size_t row_count, row_capacity;
    struct migrate_credential *credentials;
    size_t credential_count, credential_capacity;
    struct migrate_file *files;
    size_t file_count, file_capacity;
};

void migrate_done(struct migrate *migrate);

/* Adds a row; `where` may be NULL. Secrets in the texts are masked when they are printed. */
int migrate_row(struct migrate *migrate, enum migrate_level level, const char *file, size_t line,
                const char *where, struct pullkey_error *error, const char *format, ...)
    __attribute__((format(printf, 7, 8)));
bool migrate_has_problem(const struct migrate *migrate);

/* What was planned up to here; all that came after is dropped again, but for problems. */
struct migrate_mark {
    size_t rows, credentials, files;
};
struct migrate_mark migrate_mark(const struct migrate *migrate);
void migrate_rollback(struct migrate *migrate, const struct migrate_mark *mark);

/* The answer to an offer that is not an error. */
enum { MIGRATE_TAKEN = 0, MIGRATE_LEFT = 1 };

/*
 * A credential that was found in a file: MIGRATE_TAKEN if it can go to the store, MIGRATE_LEFT if
 * it must stay where it is, which a row then says. It is taken over, and emptied.
 */
int migrate_offer(struct migrate *migrate, const char *file, size_t line,
                  const struct registry_reference *reference, struct pullkey_credential *credential,
                  struct pullkey_error *error);

/*
 * A file that changes, or appears. `new` is taken over. Where a secret that moves would stay in it
 * (in a comment), a row says so. Texts that are equal are no change.
 */
int migrate_change(struct migrate *migrate, const char *inner, const char *old, size_t old_length,
                   struct buffer *new, enum migrate_order order, unsigned int restart,
                   struct pullkey_error *error);
int migrate_create(struct migrate *migrate, const char *inner, struct buffer *new,
                   enum migrate_order order, struct pullkey_error *error);

/* "Basic ...", as a string or a list of one. NULL with *ret filled, or why it is none. Blanks and
 * line ends in the base64 are passed over: `base64` without -w0 puts them there. */
const char *migrate_read_basic(const struct toml_item *item, struct pullkey_credential *ret,
                               struct pullkey_error *error);
/* A user name and a password that stand apart. NULL with *ret filled, or why no header can carry
 * them. */
const char *migrate_read_pair(const char *username, size_t username_length, const char *password,
                              size_t password_length, struct pullkey_credential *ret,
                              struct pullkey_error *error);
/* The base64 of "user:password", likewise. */
const char *migrate_read_encoded(const char *text, size_t length, struct pullkey_credential *ret,
                                 struct pullkey_error *error);

/* -- Where credentials go (migrate-store.c) -- */

/* Loads the configuration, the system's or the one below the root. */
int migrate_store_open(struct migrate *migrate, struct pullkey_error *error);

/* MIGRATE_TAKEN, with is_stored set, or why the credential cannot be stored: a negative class. */
int migrate_store_check(struct migrate *migrate, struct migrate_credential *credential,
                        struct pullkey_error *error);

/* Stores it and reads it back. `ret_place` says where it is then. */
int migrate_store_put(struct migrate *migrate, const struct migrate_credential *credential,
                      struct pullkey_error *error);

/* "file, encrypted": what would hold the credential. */
int migrate_store_name(struct migrate *migrate, const struct registry_reference *reference,
                       struct buffer *ret, struct pullkey_error *error);

/* -- Files (migrate-write.c) -- */

/* What a path of the node is called here, with no link in it; what does not exist is appended. */
int migrate_real_path(const struct node *node, const char *inner, char ret[4096],
                      struct pullkey_error *error);

/* Makes the directories above a path, for everybody to read. */
int migrate_make_above(const struct node *node, const char *inner, struct pullkey_error *error);

/* Why a file cannot be replaced by rename: a negative class. */
int migrate_check_file(const struct node *node, const char *inner, struct pullkey_error *error);

/* The same of a hosts.toml, which keeps its mode and owner: the daemon must read it then. */
int migrate_check_hosts_file(const struct node *node, const char *inner,
                             struct pullkey_error *error);

/*
 * Replaces a file whole, with its mode and owner kept, or makes it and its directory. `check`, if
 * not NULL, sees the path of the new text before it takes the file's place.
 */
int migrate_write_file(const struct node *node, const struct migrate_file *file,
                       int (*check)(const char *path, struct pullkey_error *error),
                       struct pullkey_error *error);

/* A containerd that can look at a config.toml, that of k3s or RKE2 too; NULL: there is none. */
const char *migrate_containerd(void);

/* It takes a config.toml; without one every file is taken. */
int migrate_check_config(const char *path, struct pullkey_error *error);

/* -- What is shown (migrate-show.c) -- */

/* The difference of a file with all secrets masked. -PULLKEY_INTERNAL rather than one that shows a
 * secret. */
int migrate_show_diff(const struct migrate *migrate, const struct migrate_file *file,
                      struct buffer *ret, struct pullkey_error *error);

/* What looks like a secret in a document, although nothing is done with it, is masked too. */
int migrate_learn_toml(struct migrate *migrate, const struct toml_document *toml,
                       struct pullkey_error *error);
int migrate_learn_json(struct migrate *migrate, const cJSON *tree, struct pullkey_error *error);

/* -- The parts -- */

/* The directory of hosts.toml that pullkey serves. */
const char *migrate_source(const struct migrate *migrate);

/* That is what is mounted below pullkey's own directory, which hides it. */
bool migrate_is_overmounted(const struct migrate *migrate);

/* Why a credential that works must stay for now, and what to do; all NULL where it need not. */
struct migrate_wait {
    const char *why, *hint;
};

/* Until the daemon runs with that source, and what containerd is told to read is what it makes. Of
 * a node that does not run nothing of that is known: nothing waits. */
struct migrate_wait migrate_wait_for_daemon(const struct migrate *migrate, const char *source);

/* The same, or until containerd no longer reads the source itself. */
struct migrate_wait migrate_wait_for_reader(const struct migrate *migrate);

/* `ret_moves`: a header goes, so containerd must read what pullkey makes of the directory. With
 * `wait` it goes with the next run. */
int migrate_hosts(struct migrate *migrate, const struct node_hosts *hosts,
                  const struct migrate_wait *wait, bool *ret_moves, struct pullkey_error *error);
int migrate_config(struct migrate *migrate, const struct node_hosts *hosts, bool needs_target,
                   struct pullkey_error *error);
int migrate_yaml(struct migrate *migrate, const struct node_yaml *yaml,
                 struct pullkey_error *error);

#define cleanup_migrate __attribute__((cleanup(migrate_done)))

#endif
