/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of `pullkey doctor` share: the steps towards an image, as one of its callers takes
 * them, and the verdict that is made of them. doctor.c takes the steps, doctor-around.c looks at
 * what is not on the way and may be the reason, doctor-callers.c asks as others, doctor-verdict.c
 * judges, doctor-show.c prints.
 */
#ifndef PULLKEY_ADMIN_DOCTOR_H
#define PULLKEY_ADMIN_DOCTOR_H

#include "admin.h"
#include "core/resolve-chain.h"
#include "run-image.h"

#define DOCTOR_STEPS_MAX 96
#define DOCTOR_WORD_SIZE 64
#define DOCTOR_SENTENCE_SIZE (2 * PULLKEY_ERROR_SIZE)
/* The cause where it cannot be seen what a caller does. */
#define DOCTOR_NOT_KNOWN "not-known"

struct doctor_step {
    char name[DOCTOR_WORD_SIZE]; /* "rule", "tls", ..., or that of an instance */
    char cause[DOCTOR_WORD_SIZE];
    enum pullkey_step_state state;
    int64_t took_ms; /* -1: it means nothing */
    char text[PULLKEY_ERROR_SIZE];
};

/* Who pulls. */
struct doctor_caller {
    const char *name; /* "docker", "containerd", "kubelet" */
    struct doctor_step steps[DOCTOR_STEPS_MAX];
    size_t count;
    bool has_credential; /* there is one, and it was used */
    bool can_log_in;     /* `pullkey login` would replace it */
    bool is_system;      /* of the system's configuration */
    bool is_containerd;  /* its files say whom to trust and who has a credential, not docker's */
    /* What another program says of its steps, which doctor_judge takes over; "": nothing. */
    char judged_cause[DOCTOR_WORD_SIZE];
    char judged_sentence[DOCTOR_SENTENCE_SIZE];
    bool judged_works;
};

/* What is pulled. */
struct doctor_image {
    struct registry_reference registry; /* without a path */
    struct run_image image; /* repository and tag; "" where the registry alone was named */
    char name[REGISTRY_CANONICAL_MAX]; /* for people */
};

struct doctor_verdict {
    const char *cause; /* a stable word; "works" where a pull works */
    bool works;
    char sentence[DOCTOR_SENTENCE_SIZE];
};

/* Past DOCTOR_STEPS_MAX nothing is kept. */
__attribute__((format(printf, 6, 7))) void
doctor_tell(struct doctor_caller *caller, const char *name, enum pullkey_step_state state,
            int64_t took_ms, const char *cause, const char *format, ...);

/*
 * What docker would take the word for: a registry ("registry.example.com", "localhost:5000"), or an
 * image, of Docker Hub where it names no registry. -PULLKEY_INVALID for what is neither.
 */
int doctor_read_image(const char *text, struct doctor_image *ret, struct pullkey_error *error);

/* As the argument of others: an image is its repository, without the tag; what is none, or a URL,
 * is what admin_reference() makes of it. */
int doctor_read_reference(const char *text, struct registry_reference *ret,
                          struct pullkey_error *error);

/* Without a credential: whether another backend has one, or a rule would for the image's path. */
void doctor_look_around(struct doctor_caller *caller, const struct resolve *resolve,
                        const struct doctor_image *image);

/* Whether docker asks pullkey, or where there is no docker, podman. */
void doctor_look_at_docker(struct doctor_caller *caller, const struct doctor_image *image);

/* The first step that failed is the cause, unless another one explains it. Pure. */
void doctor_judge(const struct doctor_caller *caller, const struct doctor_image *image,
                  struct doctor_verdict *ret);

/* Of all callers: what the first says whose pull fails, with its name where others' work. Pure. */
void doctor_join(const struct doctor_caller *callers, const struct doctor_verdict *verdicts,
                 size_t count, const struct doctor_image *image, struct doctor_verdict *ret);

/* The rule and its backends, as this caller asks them: the kubelet alone names a path. */
void doctor_find_credential(struct doctor_caller *caller, const struct config *config,
                            enum config_caller who, const struct doctor_image *image,
                            struct pullkey_credential *ret);

/* From the name of the registry to the manifest, with the credential where the caller has one. */
int doctor_walk(const struct admin_call *call, struct doctor_caller *caller,
                const struct doctor_image *image, const struct pullkey_credential *credential,
                struct pullkey_error *error);

/* A kubelet runs here, or is configured. */
bool doctor_has_kubelet(const struct admin_call *call);
/* Its configuration, and what our plugin answers it; then the registry. */
int doctor_kubelet(const struct admin_call *call, const struct doctor_image *image,
                   struct doctor_caller *caller, struct pullkey_error *error);

/* What containerd does, as root: what pullkey-hosts says of it, and then its hosts. */
int doctor_ask_hosts(struct doctor_caller *caller, const struct doctor_image *image,
                     struct pullkey_error *error);

/* The "hosts" of that JSON, asked as containerd asks them, up to the first that has the image:
 * their steps, and what is to be said of the pull where that is more than pullkey-hosts says. */
int doctor_ask_mirrors(struct doctor_caller *caller, const struct doctor_image *image,
                       const cJSON *hosts, struct pullkey_error *error);

/* Makes this process that user's, with the environment of a login and nothing else. */
int doctor_become(const char *name, struct pullkey_error *error);

#define DOCTOR_CALLERS_MAX 3

int doctor_show(const struct doctor_image *image, const struct doctor_caller *callers, size_t count,
                bool as_json, struct pullkey_error *error);

#endif
