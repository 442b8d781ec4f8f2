/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How an API server is reached, and as whom. In this order: what the options name (a server with
 * its authority and a token file, or a kubeconfig), the service account of a pod, a user's own
 * kubeconfig ($KUBECONFIG, ~/.kube/config), the kubelet's (access.c lists its places; "auto" asks
 * for it by name).
 */
#ifndef PULLKEY_KUBERNETES_ACCESS_H
#define PULLKEY_KUBERNETES_ACCESS_H

#include "base/file.h"
#include "http/http.h"
#include "kubeconfig.h"

/* NULL where an option is not given. */
struct access_settings {
    const char *kubeconfig; /* a path, or "auto" */
    const char *context;
    const char *server; /* URL, with ca_file and token_file */
    const char *ca_file;
    const char *token_file;
    const struct pullkey_secret *bearer; /* sent in place of whatever the others have */
    bool insecure;        /* "insecure_skip_tls_verify": allows a kubeconfig to say it */
    bool system;          /* no kubeconfig of a user */
    bool plugin_may_fail; /* an exec plugin of a kubeconfig: see plugin_failure */
    uint32_t depth;
};

struct access {
    struct kubeconfig config;   /* empty where there is none */
    struct url url;             /* of the server; its target ends without a slash, "" for none */
    char origin[FILE_PATH_MAX]; /* where all this comes from, for messages */
    char namespace_name[254];   /* the default one, "" if it is not known */
    struct pullkey_secret authority, certificate, key;
    struct pullkey_secret token; /* sent as Bearer, if it is not empty */
    const char *username;        /* sent as Basic with the next, if there is no token */
    struct pullkey_secret password;
    char ca_file[FILE_PATH_MAX];         /* "" for none */
    const char *token_file;              /* of the settings */
    struct pullkey_error plugin_failure; /* if it has a code: nobody is known to ask as */
    bool insecure;
};

/*
 * Everything is read anew: tokens and certificates are rotated. An exec plugin of a kubeconfig is
 * run, at most until the deadline. -PULLKEY_NO_IDENTITY where nothing here leads to a Kubernetes:
 * it is remembered, so a file that is missing or empty is -PULLKEY_INVALID.
 */
int access_open(const struct pullkey_host *host, const struct access_settings *settings,
                int64_t deadline_ms, struct access *ret, struct pullkey_error *error);
void access_done(struct access *access);

/* For the HTTP client; points into the access. */
void access_fill_options(const struct access *access, struct http_options *options);
void access_fill_request(const struct access *access, struct http_request *request);

/*
 * Which server, and who asks it, for what is kept: where the identity comes from, and nothing of it
 * that is rotated.
 */
void access_describe(const struct access *access, struct buffer *ret);

/* The kubeconfig that "auto" finds, or NULL. */
const char *access_auto(void);

#define cleanup_access __attribute__((cleanup(access_done)))

#endif
