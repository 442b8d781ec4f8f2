/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose keys a request to AWS is signed with. The first source that has some wins: environment, web
 * identity of the environment, profile, container, metadata of the machine. A profile that the
 * options name goes before the environment.
 * A source that should have keys and has none is an error, and not a reason to go on as somebody
 * else.
 */
#ifndef PULLKEY_TOKEN_AWS_KEYS_H
#define PULLKEY_TOKEN_AWS_KEYS_H

#include "aws-call.h"
#include "identity.h"

#define AWS_STS_VERSION "2011-06-15"

/* The options of the object "aws". */
int aws_options_check(const struct settings *settings, struct pullkey_error *error);

/*
 * -PULLKEY_NO_IDENTITY with all that was looked at. Release with aws_keys_done.
 */
int aws_keys_find(struct aws *aws, struct aws_keys *ret, struct pullkey_error *error);

/* For sources: what was looked at and had nothing. Returns -PULLKEY_NOT_FOUND. */
int aws_nothing(struct aws *aws, struct pullkey_error *error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* For sources: -PULLKEY_DENIED where a date is over. "" and what is no date say nothing. */
int aws_check_life(const struct aws *aws, const char *date, const char *what, const char *advice,
                   struct pullkey_error *error);

/* The sources that keys.c does not have itself: -PULLKEY_NOT_FOUND by way of aws_nothing. */
int aws_environment_keys(struct aws *aws, struct aws_keys *ret, struct pullkey_error *error);
int aws_container_keys(struct aws *aws, struct aws_keys *ret, struct pullkey_error *error);
int aws_machine_keys(struct aws *aws, bool is_wanted, struct aws_keys *ret,
                     struct pullkey_error *error);

/* `name` NULL: that of the environment, or "default". */
int aws_profile_keys(struct aws *aws, const char *name, struct aws_keys *ret,
                     struct pullkey_error *error);

/* A role, by keys, by the token in a file or by a token. What is not there is NULL. */
struct aws_role {
    const char *arn, *session_name, *external_id, *duration, *token_file;
    const struct identity_token *token;
};

int aws_assume_role(struct aws *aws, const struct aws_keys *keys, const struct aws_role *role,
                    struct aws_keys *ret, struct pullkey_error *error);

/* Output of a program: `command` is split as a shell would, and run without one. */
int aws_process_keys(struct aws *aws, const char *command, const char *profile,
                     struct aws_keys *ret, struct pullkey_error *error);

/* What "aws sso login" has left behind, renewed where that is possible. */
struct aws_sso {
    const char *profile, *session, *start_url, *region, *account, *role;
};

int aws_sso_keys(struct aws *aws, const struct aws_sso *sso, struct aws_keys *ret,
                 struct pullkey_error *error);

/* What "aws login" has left behind, which only AWS's own program renews. */
int aws_login_keys(struct aws *aws, const char *session, const char *profile, struct aws_keys *ret,
                   struct pullkey_error *error);

/* True for a container endpoint that may be plain http. */
bool aws_is_container_host(const struct url *url);

#endif
