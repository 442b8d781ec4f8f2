/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The contract between pullkey and a module. This is the only header that a module needs;
 * docs/BACKENDS.md is the guide.
 *
 * A module is a shared object, NAME.so in pullkey's module directory, that exports one symbol,
 * `pullkey_module`: a pointer to a descriptor. The descriptor begins with struct pullkey_module,
 * which the loader checks before it calls anything. The same descriptors stand in a static table
 * when pullkey is built with -Dbackends_linkage=builtin.
 *
 * Versions: abi_major must equal PULLKEY_ABI_MAJOR. Structures only grow at their end, and each
 * growth raises the minor number. `size` says how much of a structure its maker knows; members past
 * it are not there. A module finds what its host knows in pullkey_host.size.
 *
 * Memory: what a module hands out (strings, secrets, lists) comes from host->alloc, and the host
 * releases it. What it is handed stays the host's and is valid during the call, the host table
 * itself until close().
 *
 * Results: operations return 0, or the negative of an error class with *error filled. A message is
 * one line, says what to do, and never holds a secret. Outputs are set only on success.
 *
 * Threads: one thread calls a module. A module may block until the deadline it is given, not
 * longer.
 */
#ifndef PULLKEY_BACKEND_H
#define PULLKEY_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PULLKEY_ABI_MAJOR 1
#define PULLKEY_ABI_MINOR 6

/* Limits, in bytes without the terminating NUL. */
#define PULLKEY_SECRET_MAX 65536
#define PULLKEY_USERNAME_MAX 4096
#define PULLKEY_KEY_MAX 2048
#define PULLKEY_ERROR_SIZE 768

enum pullkey_kind {
    PULLKEY_KIND_BACKEND = 1, /* struct pullkey_backend: a source or store of credentials */
    PULLKEY_KIND_CODEC = 2,   /* struct pullkey_codec: seals and unseals a store file */
    PULLKEY_KIND_PROBE = 3, /* struct pullkey_probe: asks a registry whether a credential is good */
    PULLKEY_KIND_READER = 4, /* struct pullkey_reader: turns another file format into JSON */
};

enum pullkey_error_class {
    PULLKEY_OK = 0,
    PULLKEY_NOT_FOUND,   /* there is no credential; the next instance is asked */
    PULLKEY_NO_IDENTITY, /* nothing on this machine to identify itself with */
    PULLKEY_LOCKED,      /* there is one, and somebody must unlock it */
    PULLKEY_DENIED,      /* the other side, or the kernel, refuses */
    PULLKEY_UNREACHABLE, /* the other side does not answer, or not in time */
    PULLKEY_INVALID,     /* input, configuration, file or reply is not well-formed */
    PULLKEY_UNSUPPORTED, /* this backend, instance or build cannot do that */
    PULLKEY_INTERNAL,    /* out of memory, disk full, a bug */
    PULLKEY_ERROR_CLASS_MAX,
};

/* An error as a value. The message is a single line of printable text without a final full stop. */
struct pullkey_error {
    enum pullkey_error_class code;
    char message[PULLKEY_ERROR_SIZE];
};

/* A secret of known length. A NUL follows the last byte and is not counted; there is none inside.
 */
struct pullkey_secret {
    char *bytes;
    size_t length;
};

enum pullkey_credential_kind {
    PULLKEY_PASSWORD = 0,
    PULLKEY_IDENTITY_TOKEN =
        1, /* an OAuth 2 refresh token; the docker protocol writes the user name "<token>" */
};

/* What else a credential that was asked for one image is good for. */
enum pullkey_scope {
    PULLKEY_SCOPE_UNKNOWN = 0,
    /* Every path of the registry: it was found without looking at the path, and its source has
     * nothing for a path of that registry. */
    PULLKEY_SCOPE_REGISTRY = 1,
    PULLKEY_SCOPE_IMAGE = 2, /* another path may need another credential */
};

struct pullkey_credential {
    char *username; /* "<token>" where kind is PULLKEY_IDENTITY_TOKEN */
    struct pullkey_secret secret;
    enum pullkey_credential_kind kind;
    int64_t expiry;           /* seconds since 1970, 0 where it is not known */
    enum pullkey_scope scope; /* since minor 2 */
    bool per_pod; /* since minor 2: only the pod of the request's workload is to have it */
    bool stale; /* since minor 3: its source cannot be asked whether it is right; nobody keeps it */
};

/*
 * The workload that an image is pulled for, as the kubelet describes it: the claims of a service
 * account token (k8s.io/kubernetes/pkg/serviceaccount/claims.go), decoded and not verified, so they
 * must not choose a credential before somebody has verified them. Text that the token does not
 * have is "".
 */
struct pullkey_workload {
    size_t size;
    struct pullkey_secret token; /* for the audience that the kubelet's configuration names */
    int64_t token_expiry;        /* seconds since 1970, 0 where it is not known */
    const char *namespace_name;
    const char *service_account, *service_account_uid;
    const char *pod, *pod_uid;
    const char *node, *node_uid;
    const char *annotations; /* of the service account: a JSON object of strings */
    const char *audiences;   /* of the token: a JSON array of strings */
};

/* What is asked for: a registry reference, parsed and normalised by the host. */
struct pullkey_request {
    size_t size;
    const char *text; /* as the client gave it, outer blanks trimmed */
    const char *host; /* lower case, "docker.io" for Docker Hub, IPv6 in brackets; "" where text is
                         an opaque key */
    uint16_t port;    /* 0 is the default port */
    const char *path; /* without slashes at either end; often "" */
    /*
     * The names to try in a store that knows only exact ones, in this order: the text, its alias
     * forms (alias_count names so far), then shorter paths, which only get may use.
     */
    const char *const *names;
    size_t name_count;
    size_t alias_count;
    int64_t deadline_ms; /* on the clock of host->monotonic_ms; no wait goes past it */
    bool http;           /* text began with http://, which is never the same registry as https:// */
    /* Since minor 2. NULL unless the kubelet asks and sent a token. */
    const struct pullkey_workload *workload;
};

struct pullkey_entry {
    char *server; /* a key that get and erase accept */
    char *username;
};

struct pullkey_list {
    struct pullkey_entry *entries;
    size_t count;
};

/* One use of a backend, as the configuration describes it. */
struct pullkey_instance {
    size_t size;
    const char *name; /* for messages: the configuration's name, or the type */
    const char
        *options; /* a JSON object with the options of the descriptor's table; checked against it */
    bool system;  /* serve from the system's places, not from the caller's home */
    uint32_t depth; /* how many exec backends stand above this process */
};

struct pullkey_codec;
struct pullkey_reader;

/* What a module may call. */
struct pullkey_host {
    size_t size;
    void *(*alloc)(size_t size);   /* zeroed; NULL when out of memory */
    void (*release)(void *memory); /* wipes, then frees; NULL is allowed */
    void (*log)(const char *source, const char *format, ...) __attribute__((format(printf, 2, 3)));
    int64_t (*wall_seconds)(void); /* since 1970; only to compare with an expiry */
    int64_t (*monotonic_ms)(void); /* for waits */
    /*
     * How well a stored key serves a request: 0 not at all, else the higher the better. The exact
     * text wins, then the alias forms of the same path, then (only if `shorten`) shorter paths, the
     * longest first.
     */
    int (*match)(const struct pullkey_request *request, const char *stored_key, bool shorten);
    /* Copies one entry to the end of a list. */
    int (*list_add)(struct pullkey_list *list, const char *server, const char *username,
                    struct pullkey_error *error);
    /* Finds and loads the codec of that name. */
    int (*codec)(const char *name, const struct pullkey_codec **ret, struct pullkey_error *error);
    /* Since minor 1. Finds and loads the reader of that name. */
    int (*reader)(const char *name, const struct pullkey_reader **ret, struct pullkey_error *error);
    /* Since minor 4. Takes what an operation does, step by step, where a person watches: one JSON
     * object of one line with the member "step", and with no secret. NULL: nobody watches. */
    void (*trace)(const char *json);
    /*
     * Since minor 5. Goes around a wait for a person, whom a prompt asks: before it with the most
     * that it may take, after it with 0. That time does not count: the operation's deadline is
     * later by what the second call returns, for the module and for the host. NULL: nobody is to be
     * asked.
     */
    int64_t (*wait_for_person)(int64_t at_most_ms);
};

enum pullkey_option_type {
    PULLKEY_OPTION_STRING = 1, /* never empty */
    PULLKEY_OPTION_BOOL,
    PULLKEY_OPTION_NUMBER,  /* a whole number that is not negative, of at most 15 digits */
    PULLKEY_OPTION_STRINGS, /* a list of strings that are not empty; the list may be */
    PULLKEY_OPTION_OBJECT,  /* its members are the module's own to check */
};

/* One option that the configuration may give to an instance. A table ends with a NULL name. */
struct pullkey_option {
    const char *name;
    enum pullkey_option_type type;
    bool required;
};

enum {
    PULLKEY_CAN_GET = 1 << 0,
    PULLKEY_CAN_STORE =
        1
        << 1, /* store and erase; an instance may still answer PULLKEY_UNSUPPORTED, see writable */
    PULLKEY_CAN_LIST = 1 << 2,
    PULLKEY_EXPIRES = 1 << 3, /* get yields tokens with an expiry, which the host caches */
    /* Since minor 2. What get yields without an expiry is kept for the few seconds of the option
     * "coalesce", so that many who start at once ask once. */
    PULLKEY_COALESCES = 1 << 4,
};

/* The head of every descriptor. */
struct pullkey_module {
    uint16_t abi_major;
    uint16_t abi_minor;
    uint32_t size; /* of the whole descriptor */
    enum pullkey_kind kind;
    const char *type; /* equals NAME of NAME.so; [a-z][a-z0-9-]{0,30} */
    uint32_t capabilities;
    const struct pullkey_option *options; /* NULL: none */
    /*
     * What chooses the identity behind an expiring token, one line each: "env NAME" or "file PATH",
     * where PATH may begin with "~/" or "$NAME/", or be "$NAME" alone, or "workload": what the
     * kubelet sent (since minor 2). Since minor 4: "env @OPTION.MEMBER" and "file @OPTION.MEMBER",
     * which an option of the instance names, one text or a list; "rotated @OPTION.MEMBER", files
     * that the module replaces itself, of which PATH.family tells whose they are: 12 numbers of 64
     * bits in the machine's order, which are device, inode, size and modification time in ns, of
     * the file as it is, as the module is about to make it, and as somebody else wrote it last; and
     * "for CONDITION...", after which lines count only where a condition is met, until the next
     * "for" or "unless": "@OPTION.MEMBER" where the instance has that option,
     * "@OPTION.MEMBER=TEXT" where it is that text. After "unless CONDITION..." they count only
     * where none is met. PATH may begin with "SYSCONFDIR/" or "DATADIR/", pullkey's own, and hold
     * one "{@OPTION.MEMBER}": an option that is a name (a-z, 0-9, - and _), else there is no such
     * file.
     *
     * Since minor 4: "registry": no answer depends on the path of the request, so that all paths of
     * a registry share one.
     *
     * The same text is installed as NAME.inputs beside NAME.so, so that a cached token is found
     * without loading the module. NULL: nothing, and nothing is cached.
     */
    const char *inputs;
};

/* What came of unlocking. */
enum pullkey_unlock {
    PULLKEY_WAS_OPEN = 1,      /* nothing was locked */
    PULLKEY_UNLOCKED = 2,      /* it was, and is not any more */
    PULLKEY_ASKS_PASSWORD = 3, /* it is locked still: call again with its password */
};

/* open, get and close must be there; store, erase and list where the capabilities say so. */
struct pullkey_backend {
    struct pullkey_module module;
    int (*open)(const struct pullkey_host *host, const struct pullkey_instance *instance,
                void **ret, struct pullkey_error *error);
    int (*get)(void *state, const struct pullkey_request *request, struct pullkey_credential *ret,
               struct pullkey_error *error);
    /* Replaces every key that is equal to the request's or an alias of it with the same path. */
    int (*store)(void *state, const struct pullkey_request *request,
                 const struct pullkey_credential *credential, struct pullkey_error *error);
    /* Removes the same keys as store replaces, never a shorter path; PULLKEY_NOT_FOUND where there
     * was none. */
    int (*erase)(void *state, const struct pullkey_request *request, struct pullkey_error *error);
    /* Keys as stored. Never prompts, never reads a secret where that can be avoided. */
    int (*list)(void *state, int64_t deadline_ms, struct pullkey_list *ret,
                struct pullkey_error *error);
    void (*close)(void *state);
    /* 0 if store and erase can work on this instance, else what they would answer
     * (PULLKEY_UNSUPPORTED where it is only for reading). NULL: they can. */
    int (*writable)(void *state, struct pullkey_error *error);
    /* Since minor 2. 0 if what the request's workload claims is true; PULLKEY_DENIED if it is not.
     * NULL: this backend cannot tell. */
    int (*verify)(void *state, const struct pullkey_request *request, struct pullkey_error *error);
    /* Since minor 3. 0 if the other side lets this identity do that, as RBAC of Kubernetes has it;
     * PULLKEY_DENIED if it does not. NULL: this backend cannot tell. */
    int (*review)(void *state, const char *verb, const char *resource, int64_t deadline_ms,
                  struct pullkey_error *error);
    /*
     * Since minor 5. Makes readable what the store holds. Without a password (NULL) a prompt of the
     * store's own may ask for it; with one nobody is asked. PULLKEY_DENIED where the password is
     * wrong, PULLKEY_UNSUPPORTED where this store takes none. NULL: nothing here is ever locked.
     */
    int (*unlock)(void *state, const struct pullkey_secret *password, int64_t deadline_ms,
                  enum pullkey_unlock *ret, struct pullkey_error *error);
};

/* A codec turns the bytes of a store into a sealed file and back. The key has
 * PULLKEY_CODEC_KEY_SIZE bytes. */
#define PULLKEY_CODEC_KEY_SIZE 32

struct pullkey_codec {
    struct pullkey_module module;
    int (*seal)(const struct pullkey_host *host, const struct pullkey_secret *key,
                const struct pullkey_secret *plain, struct pullkey_secret *ret,
                struct pullkey_error *error);
    int (*unseal)(const struct pullkey_host *host, const struct pullkey_secret *key,
                  const struct pullkey_secret *sealed, struct pullkey_secret *ret,
                  struct pullkey_error *error);
};

/* How a registry answered a credential. */
enum pullkey_verdict {
    PULLKEY_ACCEPTED = 1, /* the registry asked for a credential and took this one */
    PULLKEY_OPEN = 2,     /* the registry asks for none, or takes any, so nothing was proved */
    PULLKEY_ASKS = 3,     /* the registry asks for a credential, and none was given */
};

struct pullkey_probe_result {
    enum pullkey_verdict verdict;
    char scheme[16];      /* "Basic", "Bearer", or "" */
    char realm_host[256]; /* host[:port] of the token server where it is not the registry's own,
                             else "" */
};

enum pullkey_step_state {
    PULLKEY_STEP_FINE = 1,
    PULLKEY_STEP_NOTE = 2,   /* it may matter */
    PULLKEY_STEP_FAILED = 3, /* a pull fails for this */
};

/* Since minor 6. One step towards an image, for a person: a line of text that holds no secret. */
struct pullkey_step {
    size_t size;
    const char *name; /* "dns", "tls", "token", ... */
    enum pullkey_step_state state;
    int64_t took_ms;   /* -1 where that means nothing */
    const char *text;  /* without a final full stop */
    const char *cause; /* a stable word such as "wrong-password", "" where nothing is wrong */
};

/* Since minor 6. What a walk is for; all but `credential` is there, perhaps as "". */
struct pullkey_walk {
    size_t size;
    const struct pullkey_request *request;
    const struct pullkey_credential *credential; /* NULL: none */
    const char *options;                         /* as for check */
    const char *repository;                      /* "library/alpine"; "": the registry alone */
    const char *tag; /* or the digest, with its algorithm; "": no manifest is asked for */
    void (*step)(void *context, const struct pullkey_step *step);
    void *context;
};

struct pullkey_probe {
    struct pullkey_module module;
    /*
     * PULLKEY_DENIED where the registry refuses the credential. Without one (NULL) the registry is
     * asked what it wants, and nobody is sent anything: the token server that it names is reported,
     * whoever that is.
     */
    int (*check)(const struct pullkey_host *host, const struct pullkey_request *request,
                 const struct pullkey_credential *credential, const char *options,
                 struct pullkey_probe_result *ret, struct pullkey_error *error);
    /*
     * Since minor 6. Does what a client does before it pulls, and hands over each step as it is
     * done, up to the first that fails. 0 also where one did: an error says that the walk itself
     * was not possible. NULL: this probe cannot.
     */
    int (*walk)(const struct pullkey_host *host, const struct pullkey_walk *walk,
                struct pullkey_error *error);
};

/* Where a value stands in the text that a reader was given: byte offsets, and the line from 1. */
struct pullkey_place {
    size_t key_begin,
        key_end;       /* of a member of an object, quotes included; else both are `begin` */
    size_t begin, end; /* the value, quotes and brackets included */
    size_t line;       /* of the key, else of the value */
};

/*
 * A reader turns text in another format into one JSON value, which is as strict as what the host
 * itself takes: no duplicate keys, at most 32 levels. Each member and each element of the JSON
 * begins on the line on which it begins in the text, so that errors about the JSON name the right
 * line. `places` has the place of each value, in the order of the JSON, a container before what is
 * in it. Errors begin with `name` and ":LINE: ", and quote nothing.
 */
struct pullkey_reader {
    struct pullkey_module module;
    int (*read)(const struct pullkey_host *host, const char *name, const char *text, size_t length,
                struct pullkey_secret *ret_json, struct pullkey_place **ret_places,
                size_t *ret_count, struct pullkey_error *error);
};

/* Defines the one exported symbol of a module; nothing in a builtin program. */
#ifdef PULLKEY_MODULE_OBJECT
#define PULLKEY_EXPORT_MODULE(descriptor)                                                          \
    __attribute__((                                                                                \
        visibility("default"))) extern const struct pullkey_module *const pullkey_module;          \
    const struct pullkey_module *const pullkey_module = &(descriptor).module
#else
#define PULLKEY_EXPORT_MODULE(descriptor) extern const struct pullkey_module *const pullkey_module
#endif

#ifdef __cplusplus
}
#endif

#endif
