/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests to an API server, and what its answers mean. A failure is an object of kind Status
 * (k8s.io/apimachinery/pkg/apis/meta/v1); a proxy in between may answer anything.
 */
#ifndef PULLKEY_KUBERNETES_API_H
#define PULLKEY_KUBERNETES_API_H

#include "access.h"

#define API_BODY_MAX                                                                               \
    (4u * 1024 * 1024)   /* a secret has 1 MiB at most, in base64, and its history                 \
                          */
#define API_NAME_MAX 253 /* RFC 1123 subdomain, as most names are */

struct keep;

#define API_SOURCE "kubernetes" /* begins the log lines */

struct api {
    const struct pullkey_host *host;
    struct access access;
    struct buffer reader; /* access_describe, for what is kept */
    struct http_options options;
    struct http *http;
    long status;             /* of the last answer, 0 if there was none */
    bool is_stale;           /* some answer was what is kept */
    const struct keep *keep; /* for what is read; NULL: nothing is kept */
};

/* What a request is about: for the path, and for the sentence that says which right is missing. */
struct api_object {
    const char *verb;           /* as RBAC has it: "get", "list", "update", "create" */
    const char *resource;       /* "secrets" */
    const char *namespace_name; /* checked by api_is_name */
    const char *name;           /* NULL: all of them */
    const char *part;           /* of that object, as "token" of a service account; or NULL */
    const char *query;          /* made by http_query_add, or NULL */
    const char *path;           /* of what is in no namespace, whole; the two names are NULL then */
};

/*
 * `ret` must stay where it is until api_close. An exec plugin that may fail, and does, may need the
 * network as well, or have nobody who is logged in; it does not say which. So the API server
 * counts: if that is not reached either, each call ends as if it was not, else the failure is
 * returned.
 */
int api_open(const struct pullkey_host *host, const struct access_settings *settings,
             int64_t deadline_ms, struct api *ret, struct pullkey_error *error);
void api_close(struct api *api);

bool api_is_name(const char *text);

/*
 * GET, or PUT or POST with a body of JSON. 0 with the object for 200 and 201.
 * -PULLKEY_NOT_FOUND for 404; -PULLKEY_DENIED for 401 and 403, with what to do;
 * What is kept of a named object (keep.h) stands in where the server cannot be reached, or answers
 * that it, or one behind it, is out of order: 408, 500, 502, 503, 504. After 401, 403 and 404 it is
 * kept no more.
 * API_CONFLICT for 409 to a body: somebody else was faster. The rest as http_send has it.
 */
#define API_CONFLICT 1
int api_call(struct api *api, const struct api_object *object, const struct pullkey_secret *body,
             struct json *ret, struct pullkey_error *error);

#define cleanup_api __attribute__((cleanup(api_close)))

#endif
