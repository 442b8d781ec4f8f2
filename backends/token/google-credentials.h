/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files with Google credentials: what gcloud and the console write (AIP-4110, and AIP-4117 for
 * external_account). Only their shape is looked at here; the addresses in them are google-host.c's
 * to allow.
 */
#ifndef PULLKEY_TOKEN_GOOGLE_CREDENTIALS_H
#define PULLKEY_TOKEN_GOOGLE_CREDENTIALS_H

#include "base/json.h"

#define GOOGLE_FILE_MAX 65536

enum google_kind {
    GOOGLE_SERVICE_ACCOUNT,
    GOOGLE_AUTHORIZED_USER,
    GOOGLE_EXTERNAL_ACCOUNT,
    GOOGLE_IMPERSONATED,
};

/* Where the token of an external account comes from: exactly one of the first five. */
struct google_source {
    const char *file, *url, *command;
    const char *verification_url; /* of keys of AWS: what Google is to ask, in their name */
    const cJSON *certificate;     /* of this machine, which STS itself verifies */
    bool has_machine;             /* of AWS: it may be the machine that has the keys */
    const cJSON *headers;         /* of the URL: an object of texts, or NULL */
    int64_t timeout_ms;           /* of the command */
    const char *field; /* what is read is an object of JSON with the token in it; NULL: text */
};

/* NULL is what a kind does not have, or a file leaves out. Everything points into the JSON. */
struct google_credentials {
    enum google_kind kind;
    const char *universe;
    const char *token_url;
    const char *email, *private_key, *key_id;                 /* of a service account */
    const char *client_id, *client_secret, *refresh_token;    /* of a user */
    const char *audience, *subject_token_type, *user_project; /* of an external account */
    struct google_source source;
    const char *impersonation_url;
    int lifetime; /* of the token of who is impersonated, in seconds */
    const cJSON *delegates;
    const cJSON *source_credentials; /* another object like this one */
};

/*
 * Reads such an object. -PULLKEY_INVALID with what is missing, and for kinds that are not known
 * here: a file says that there is somebody. Messages name the document and the key.
 */
int google_credentials_read(const struct json *json, const cJSON *object,
                            struct google_credentials *ret, struct pullkey_error *error);

/* The token in what a credential_source gave: the text itself, or a member of it. */
int google_subject_read(const struct google_source *source, const struct buffer *text,
                        struct pullkey_secret *ret, struct pullkey_error *error);

/* The same for the answer of an executable (AIP-4117). */
int google_executable_read(const struct buffer *text, int64_t now, struct pullkey_secret *ret,
                           struct pullkey_error *error);

#endif
