/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `pullkey hosts doctor`: what happens when the containerd of this node pulls one image. It goes
 * the way that containerd goes, and each part adds steps, which say how things are, and findings,
 * whose names are causes: those of `check` that are about this registry, and some of its own. The
 * verdict is the finding that comes first on that way. Nothing here uses the network.
 */
#ifndef PULLKEY_HOSTS_DOCTOR_H
#define PULLKEY_HOSTS_DOCTOR_H

#include "check.h"
#include "mirrors.h"

#define DOCTOR_NAME_MAX (REGISTRY_HOST_MAX + 8)
#define DOCTOR_SENTENCE_MAX 2048

/* Steps are kept as findings; their levels mean this. */
enum doctor_state {
    DOCTOR_PROBLEM = OUTPUT_ERROR,
    DOCTOR_OK = OUTPUT_WARNING,
    DOCTOR_NOTE = OUTPUT_NOTE,
};

/* A host that containerd would ask, in its order. */
struct doctor_host {
    const struct hosts_host *host; /* NULL where no hosts.toml says anything */
    bool is_mirror;
    const char *url; /* for messages */
    bool has_header;
    int64_t expires;         /* of the header, wall seconds; 0: not known */
    int64_t last_success;    /* of the helper; 0: never, as far as is known */
    const char *last_answer; /* class of the error of the helper's last answer, or NULL */
    const char *message;     /* of that error */
};

struct doctor_verdict {
    const char *cause; /* the name of a finding, "credential" or "none"; never changes */
    bool is_problem;
    char sentence[DOCTOR_SENTENCE_MAX];
};

/* The part of the way that a cause is in ("directory"), or NULL: it is not the cause of anything
 * that a pull comes to. `is_read`: containerd reads a directory that is there. */
const char *doctor_step_of(const char *id, bool is_read);

/* What is wrong and what to do, or that containerd has a credential. At least one host. */
void doctor_judge(const struct findings *findings, const struct doctor_host *hosts, size_t count,
                  bool is_read, struct doctor_verdict *ret);

/* "registry.example.com:5000", an image, or a URL: its registry as containerd looks for it, which
 * is docker.io where none is named. A word without a dot, a port and a slash is an image;
 * "name:5000" as well, and "name:5000/" is a registry. -PULLKEY_INVALID for what is neither. */
int doctor_registry(const char *text, char ret[DOCTOR_NAME_MAX], struct pullkey_error *error);

/* "until 2026-11-30T12:00:00Z", or "for a time that is not known". */
#define DOCTOR_TIME_SIZE 64
void doctor_until(int64_t expires, char ret[DOCTOR_TIME_SIZE]);

struct doctor {
    struct check check;
    char registry[DOCTOR_NAME_MAX];
    struct registry_reference reference; /* of the registry */
    const struct node_config *config;    /* of the containerd that pulls */
    struct check_paths paths;
    /* What containerd reads, and what the daemon makes that of, which may be the same. NULL: there
     * is none. */
    const struct check_root *read_root, *source_root;
    const struct node_host_directory *read, *source;
    struct check_root other; /* a source that no check knows of */
    struct doctor_host *hosts;
    size_t host_count;
    struct mirrors *mirrors; /* of config.toml; NULL where it does not say which hosts are asked */
    struct buffer status_text;
    struct json status;        /* of the daemon; root is NULL where it has none */
    bool is_running;           /* the daemon, on what containerd reads */
    struct buffer environment; /* of the daemon, as proc(5) has it; empty where it is not known */
    struct findings steps;
};

/* The parts of the way, in its order. */
#define DOCTOR_PARTS 9
extern const char *const doctor_parts[DOCTOR_PARTS];

void doctor_step(struct doctor *doctor, enum doctor_state state, const char *part,
                 const char *format, ...) __attribute__((format(printf, 4, 5)));

/* A finding about a host of the source's file. */
void doctor_find(struct doctor *doctor, enum output_level level, const char *id,
                 const struct hosts_host *host, const char *fix, const char *format, ...)
    __attribute__((format(printf, 6, 7)));

/* Which hosts, in which order, with which credentials. */
int doctor_hosts(struct doctor *doctor, struct pullkey_error *error);
/* NULL: containerd does not ask it. */
const struct doctor_host *doctor_find_host(const struct doctor *doctor, const char *name);
void doctor_write_hosts(const struct doctor *doctor, struct buffer *json);

/* Whether the daemon is at work on what containerd reads, and what it says. */
void doctor_daemon(struct doctor *doctor);

/* --ask: the helpers, as the daemon asks them. After doctor_environment. */
int doctor_ask(struct doctor *doctor, struct pullkey_error *error);

/* What the processes have in their environment that this depends on. After doctor_hosts. */
void doctor_environment(struct doctor *doctor);

#endif
