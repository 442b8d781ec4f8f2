/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of `pullkey import` share. A run has three steps: the sources are read
 * (import-source.c, import-file.c, import-helper.c), it is worked out what happens to each entry
 * (import-plan.c), and, once somebody has agreed, it is done (import.c, import-move.c).
 *
 * A credential is stored and read back before it is removed where it was, so that whatever ends the
 * process, it is in one place at least.
 */
#ifndef PULLKEY_ADMIN_IMPORT_H
#define PULLKEY_ADMIN_IMPORT_H

#include "admin.h"
#include "base/file.h"
#include "core/resolve-chain.h"

#define IMPORT_SOURCES_MAX 5

struct import_source {
    const char *name;   /* "docker", or what --from says */
    char *path;         /* of a file; NULL: standard input, or a helper */
    bool is_one_of_two; /* of that name, so that its path tells which */
    const char *helper; /* docker-credential-NAME that has these entries too; NULL: a file */
    struct resolve_opened opened; /* of a helper */
    struct pullkey_error error;   /* why it cannot be read, or emptied; code 0: it can */
    struct pullkey_error locked;  /* the first entry was, and nobody unlocked it */
};

enum import_action {
    IMPORT_STORE,   /* the store has none */
    IMPORT_REPLACE, /* the store has another, which --replace gives up */
    IMPORT_KEEP,    /* the store has another, which stays */
    IMPORT_SAME,    /* the store has it, or will have it by another entry */
    IMPORT_HERE,    /* the source is the store */
    IMPORT_OTHER,   /* another entry is for the same registry */
    IMPORT_OLDER,   /* a newer entry has the same key; who removes that one removes this one */
    IMPORT_IGNORE,  /* its rule ignores logins */
    IMPORT_HELPER,  /* the file names a helper that has it */
    IMPORT_EMPTY,   /* without a secret */
    IMPORT_REFUSE,
    IMPORT_ACTION_MAX,
};

struct import_item {
    struct import_item *next;
    struct import_source *source;
    char *server; /* the key in the source */
    char *username;
    struct pullkey_credential credential; /* empty unless there is one to be stored */
    char *registry;                       /* canonical; NULL: the key names none */
    const struct config_instance *store;
    enum import_action action;
    char *why;                 /* what goes with the action, or NULL */
    struct import_item *taken; /* in place of this one, or NULL */
    bool is_decided;
    bool is_stored;  /* by this run */
    bool is_safe;    /* the store answers with it */
    bool is_removed; /* from the source */
};

struct import {
    const struct admin_call *call;
    struct config config;
    struct config nothing; /* the sources are the caller's, and no configuration speaks of them */
    struct import_source sources[IMPORT_SOURCES_MAX];
    size_t source_count;
    bool is_setup;                             /* for `setup`: what credHelpers name is theirs */
    bool from_all;                             /* no --from */
    const struct config_instance *passed_over; /* a store that could not store; it was said */
    struct import_item *first, **end;
};

void import_done(struct import *import);

#define cleanup_import __attribute__((cleanup(import_done)))

/* Finds the sources that --from names, or all. What is not there is none of them. */
int import_find_sources(struct import *import, struct pullkey_error *error);

/* Adds a helper of docker's. */
void import_add_helper(struct import *import, const char *name);

/* One that --from takes. */
bool import_knows_helper(const char *name);

/* Reads them all. An error is that of the one that --from names; one of several keeps its own. */
int import_read_sources(struct import *import, struct pullkey_error *error);

/* The source for people. */
const char *import_source_name(const struct import_source *source);

/* Where docker keeps its file. -PULLKEY_NOT_FOUND without a home. */
int import_docker_path(char ret[FILE_PATH_MAX], struct pullkey_error *error);

/* Adds an entry; *ret, if not NULL, is it. */
int import_add(struct import *import, struct import_source *source, const char *server,
               const char *username, struct import_item **ret, struct pullkey_error *error);

/* Takes an item out of the list. */
void import_drop(struct import *import, struct import_item **at);

/* What happens to it, and why. */
int import_decide(struct import_item *item, enum import_action action, struct pullkey_error *error,
                  const char *format, ...) __attribute__((format(printf, 4, 5)));

/*
 * For `setup`: shows what docker's file, or with a name that helper of docker's, holds for the
 * registries of --for, or for all, and with --write stores it. ADMIN_PROBLEM if something could not
 * be stored. With --json it is appended, as import_list has it, with a comma behind what is there.
 */
int import_hidden(const struct admin_call *call, const char *helper, struct buffer *json,
                  struct pullkey_error *error);

/* The document of docker's or podman's that the source is; its entries, and helpers it names. */
int import_file_read(struct import *import, struct import_source *source,
                     struct pullkey_error *error);

/* The helper that docker's file names for a key, or NULL. */
const char *import_helper_of(const struct json *document, const char *server);

/* Says what docker's file needs, if docker had what was removed and asks somebody else now. */
void import_file_advise(const struct import *import);

/* Removes the entries of the items that are safe, if they are as they were read, and marks them. */
int import_file_remove(struct import *import, struct import_source *source,
                       struct pullkey_error *error);

int import_helper_read(struct import *import, struct import_source *source,
                       struct pullkey_error *error);
/* Its credential; or it is refused. */
int import_helper_get(struct import *import, struct import_item *item, struct pullkey_error *error);
int import_helper_remove(struct import *import, struct import_source *source,
                         struct pullkey_error *error);

/* Another entry for the registry, which stays, and would go with this one; or NULL. `is_planned`:
 * by what is planned, else by what is safe. */
const struct import_item *import_helper_tie(const struct import *import,
                                            const struct import_item *item, bool is_planned);

/* Decides about all items. An error is one that every entry would meet. */
int import_plan(struct import *import, struct pullkey_error *error);

/* The item's store could not store it, for this reason: decides again, about the next one. */
int import_pass_over(struct import *import, struct import_item *item,
                     const struct pullkey_error *why, struct pullkey_error *error);

/* The request that a docker client would make, with the item's own store. */
struct resolve import_resolve(const struct import *import, const struct import_item *item);

/* True if the item's store answers with its credential. */
bool import_is_stored(const struct import *import, const struct import_item *item);

/* True if the store is to have its credential. */
bool import_is_wanted(const struct import_item *item);

/* Whether an item is to be removed where it is, once the store has it. */
bool import_can_move(const struct import *import, const struct import_item *item);

/* True if the one that is taken hides it from those who read the source. */
bool import_is_hidden(const struct import_item *item);

/* Whether it is to be removed without a copy, with the one that hides it. */
bool import_is_dropped(const struct import *import, const struct import_item *item);

/* What a message may show of a key: a password may stand before an '@'. */
const char *import_server(const struct import_item *item);

/* JSON: the entries, with commas between them. */
int import_list(const struct import *import, struct buffer *json, struct pullkey_error *error);

/* The table, or with --json all there is to know; `is_done`: somebody agreed. */
int import_show(const struct import *import, bool is_done, struct pullkey_error *error);

/* Empties the sources of what the stores have, and says what stays. */
int import_move(struct import *import, size_t *ret_left, struct pullkey_error *error);

#endif
