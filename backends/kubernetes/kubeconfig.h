/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A kubeconfig: one API server, and who asks it. YAML or JSON, as kubectl reads it
 * (k8s.io/client-go/tools/clientcmd/api/v1/types.go); `current-context` chooses, or a name that is
 * given.
 *
 * Where kubectl takes data and a file, the data win; a tokenFile wins over a token. Paths are
 * relative to the kubeconfig's directory. What would change who asks, and is not done here, is an
 * error and not passed over: auth-provider, as and its kin.
 */
#ifndef PULLKEY_KUBERNETES_KUBECONFIG_H
#define PULLKEY_KUBERNETES_KUBECONFIG_H

#include "base/file.h"
#include "base/json.h"

#define KUBECONFIG_MAX (1024 * 1024)

/* Data, or the path of the file that holds them, or neither. */
struct kubeconfig_pem {
    const char *data; /* base64 */
    const char *path; /* as the kubeconfig has it */
};

struct kubeconfig {
    struct json json; /* what the pointers below point into */
    char path[FILE_PATH_MAX];
    const char *context; /* its name */
    const char *user;    /* the name of the context's */

    const char *server; /* URL */
    const char *server_name;
    const char *proxy; /* URL; NULL: as the environment has it */
    const char *namespace_name;
    bool insecure; /* insecure-skip-tls-verify */
    struct kubeconfig_pem authority;

    struct kubeconfig_pem certificate, key;
    const char *token, *token_path;
    const char *username, *password;
    const cJSON *exec;        /* an exec plugin, or NULL */
    const cJSON *exec_config; /* what the cluster has for it, or NULL */
};

/*
 * Reads the file (FILE_INPUT in base/file.h's sense) and finds the context; `context` NULL: the
 * current one. -PULLKEY_NOT_FOUND if there is no file. -PULLKEY_INVALID with the line.
 */
int kubeconfig_read(const struct pullkey_host *host, const char *path, const char *context,
                    struct kubeconfig *ret, struct pullkey_error *error);
void kubeconfig_done(struct kubeconfig *config);

/* The same for text; `path` is what messages call it, and where relative paths begin. */
int kubeconfig_parse(const struct pullkey_host *host, const char *path, const char *text,
                     size_t length, const char *context, struct kubeconfig *ret,
                     struct pullkey_error *error);

/* A path in it, absolute, in a buffer of FILE_PATH_MAX bytes. */
int kubeconfig_resolve(const struct kubeconfig *config, const char *path, char *ret,
                       struct pullkey_error *error);

/*
 * What a pair of data and path holds; `ret` stays empty where there is neither. Files are read anew
 * at each call: they are rotated.
 */
int kubeconfig_load(const struct kubeconfig *config, const struct kubeconfig_pem *pem,
                    const char *what, struct pullkey_secret *ret, struct pullkey_error *error);

#define cleanup_kubeconfig __attribute__((cleanup(kubeconfig_done)))

#endif
