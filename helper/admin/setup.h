/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of `pullkey setup` share. A tool's own function (setup-TOOL.c) says how its files
 * change, and setup.c shows that, makes it, and keeps a record of it with which it can be undone.
 */
#ifndef PULLKEY_ADMIN_SETUP_H
#define PULLKEY_ADMIN_SETUP_H

#include "admin.h"
#include "change.h"

#define SETUP_FILES_MAX 2

struct setup {
    const struct admin_call *call;
    bool system;    /* the files and the record are the system's */
    bool is_masked; /* values are not shown: the files are JSON that may hold passwords */
    struct change files[SETUP_FILES_MAX];
    size_t count;
    struct buffer record; /* the entries of what is changed, each with a comma in front */
    struct buffer logins; /* JSON: what import_hidden has listed */
    struct buffer notes;  /* lines: what somebody has to know or to do besides */
};

/* The next file of those that may change, as it is now. */
int setup_open(struct setup *setup, const char *path, mode_t mode, struct change **ret,
               struct pullkey_error *error);

/*
 * Bytes of the file's text, as changed so far, that go, and what comes in their place. With a key,
 * the change is that of this member of a JSON object (of the one that is the root's member
 * `parent`, if not NULL), and can be undone by it where the file was written anew since.
 */
int setup_edit(struct setup *setup, struct change *file, size_t begin, size_t end, const char *text,
               size_t length, const char *parent, const char *key, struct pullkey_error *error);

/* A line. */
void setup_note(struct setup *setup, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The member of an object whose name differs in case at most: Go reads it as that. */
cJSON *setup_member(const cJSON *object, const char *key);

/* They fill the files. `hides`, of docker alone, imports what the change hides, or shows it. */
int setup_docker(struct setup *setup, struct pullkey_error *error);
int setup_docker_hides(struct setup *setup, struct pullkey_error *error);
int setup_podman(struct setup *setup, struct pullkey_error *error);

int setup_containerd(struct setup *setup, struct pullkey_error *error);
int setup_kubelet(struct setup *setup, struct pullkey_error *error);

/* What the record knows a content of a file by. */
#define SETUP_STATE_SIZE 80
void setup_state(const struct file_state *state, char ret[SETUP_STATE_SIZE]);

/* The record, in setup-undo.c. Nobody else writes it while the lock is held. */
int setup_record(const struct setup *setup, struct pullkey_error *error);
int setup_undo(const struct setup *setup, struct pullkey_error *error);

#endif
