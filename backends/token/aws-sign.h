/* SPDX-License-Identifier: Apache-2.0 */
/* Signature Version 4 of AWS, for requests with a body that is sent whole. */
#ifndef PULLKEY_TOKEN_AWS_SIGN_H
#define PULLKEY_TOKEN_AWS_SIGN_H

#include "base/buffer.h"
#include "http/url.h"

#define AWS_KEY_ID_SIZE 129
#define AWS_WHAT_SIZE 256
#define AWS_DATE_SIZE 17 /* 20150830T123600Z */
#define AWS_SIGN_HEADERS_MAX 16

/* A pair of keys, with the session that temporary ones belong to. */
struct aws_keys {
    char id[AWS_KEY_ID_SIZE];
    struct pullkey_secret secret;
    struct pullkey_secret session; /* empty: none */
    char what[AWS_WHAT_SIZE];      /* for messages: whose they are, and from where */
};

void aws_keys_done(struct aws_keys *keys);

#define cleanup_aws_keys __attribute__((cleanup(aws_keys_done)))

struct aws_sign {
    const char *method;
    const struct url *url; /* its target may have a query */
    const char *query;     /* more of it, encoded; NULL: none */
    const char *service, *region;
    const char *date; /* as in the line X-Amz-Date, which must be one of: */
    const char *const
        *headers; /* "Name: value" lines, all are signed; Host is added; ends with NULL */
    const struct pullkey_secret *body; /* NULL: none */
};

/* The seconds since 1970, as X-Amz-Date has them. */
void aws_sign_date(int64_t seconds, char ret[AWS_DATE_SIZE]);

/* The canonical request, and the names of its headers. */
int aws_sign_canonical(const struct aws_sign *what, struct buffer *ret, struct buffer *ret_names,
                       struct pullkey_error *error);

/* Appends the line "Authorization: AWS4-HMAC-SHA256 ...". */
int aws_sign(const struct aws_keys *keys, const struct aws_sign *what, struct buffer *ret,
             struct pullkey_error *error);

#endif
