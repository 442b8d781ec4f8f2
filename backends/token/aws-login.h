/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file of the SSO cache, which AWS's programs share: bytes in, a structure out, and back. No
 * message quotes it. Members that nobody here knows stay as they are.
 */
#ifndef PULLKEY_TOKEN_AWS_LOGIN_H
#define PULLKEY_TOKEN_AWS_LOGIN_H

#include "base/json.h"

struct aws_login {
    struct json json;
    const char *token; /* points into json */
    int64_t end;       /* seconds since 1970, and at most a week from now; may be over */
    bool is_renewable; /* it has a refresh token, and a registration that is not over */
};

/* Release with aws_login_done. */
int aws_login_read(const struct buffer *text, int64_t now, struct aws_login *ret,
                   struct pullkey_error *error);
void aws_login_done(struct aws_login *login);

/* The body of CreateToken for one that is renewable. */
int aws_login_ask(const struct aws_login *login, struct pullkey_secret *ret,
                  struct pullkey_error *error);

/* Takes over what CreateToken answers. Without memory for it, token is NULL. */
int aws_login_renew(struct aws_login *login, const struct buffer *reply, int64_t now,
                    struct pullkey_error *error);

/* The text of the file. */
int aws_login_write(const struct aws_login *login, struct buffer *ret, struct pullkey_error *error);

#define cleanup_login __attribute__((cleanup(aws_login_done)))

#endif
