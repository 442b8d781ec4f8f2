/* SPDX-License-Identifier: Apache-2.0 */
/* What answers who asks for keys, and ECR: bytes in, a structure out. No message quotes them. */
#ifndef PULLKEY_TOKEN_AWS_REPLY_H
#define PULLKEY_TOKEN_AWS_REPLY_H

#include "aws-sign.h"
#include "base/json.h"

enum aws_json {
    AWS_JSON_METADATA, /* of a machine or a container: AccessKeyId, SecretAccessKey, Token */
    AWS_JSON_PROCESS,  /* of credential_process: the same, but SessionToken, and Version 1 */
    AWS_JSON_SSO,      /* roleCredentials: accessKeyId, secretAccessKey, sessionToken */
    AWS_JSON_LOGIN,    /* accessToken: the same, of a file of "aws login" */
};

/* Puts keys together; -PULLKEY_INVALID for what could not be in a header or is too long. */
int aws_keys_set(struct aws_keys *ret, const char *id, const char *secret, const char *session,
                 struct pullkey_error *error);

/*
 * Fills all but ret->what. *ret_expiration is what the answer calls its end, or ""; a number of
 * milliseconds of SSO is left out. -PULLKEY_DENIED where the metadata service has a code other than
 * Success, which the message names.
 */
#define AWS_EXPIRATION_SIZE 40
int aws_read_json(enum aws_json kind, const struct buffer *body, struct aws_keys *ret,
                  char ret_expiration[AWS_EXPIRATION_SIZE], struct pullkey_error *error);

/* The header of a session with the metadata of a machine, whose token is of visible characters. */
#define AWS_SESSION_MAX 4096
int aws_read_session(const struct buffer *body, struct buffer *line, struct pullkey_error *error);

/* The first of the roles of a machine, which has but one: a name that may be a part of a path. */
#define AWS_ROLE_SIZE 65
int aws_read_role(const struct buffer *body, char ret[AWS_ROLE_SIZE], struct pullkey_error *error);

/* `action` is "AssumeRole" or "AssumeRoleWithWebIdentity". */
int aws_read_sts(const char *action, const struct buffer *body, struct aws_keys *ret,
                 struct pullkey_error *error);

/* A token of GetWebIdentityToken, as identity.h has it. */
int aws_read_web_token(const struct buffer *body, struct pullkey_secret *ret,
                       struct pullkey_error *error);

struct aws_token {
    char username[64];
    struct pullkey_secret password;
    int64_t expiry; /* seconds since 1970; may be over */
};

/* What GetAuthorizationToken answers: an array for private registries, an object for public ones.
 */
int aws_read_token(bool is_public, const struct buffer *body, struct aws_token *ret,
                   struct pullkey_error *error);

void aws_token_done(struct aws_token *token);

#define cleanup_aws_token __attribute__((cleanup(aws_token_done)))

#endif
