/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one get needs of AWS, and requests to its services: signed, sent again where AWS says that
 * it is busy, and signed once more where it says that this machine's clock is wrong.
 */
#ifndef PULLKEY_TOKEN_AWS_CALL_H
#define PULLKEY_TOKEN_AWS_CALL_H

#include "aws-host.h"
#include "aws-ini.h"
#include "aws-sign.h"
#include "exchange.h"

struct aws {
    struct exchange *exchange;
    const cJSON *options; /* the object "aws"; NULL */
    struct aws_registry registry;
    char region[AWS_REGION_SIZE]; /* where STS is asked */
    int64_t skew;                 /* what AWS's clock is ahead of this machine's, once it matters */
    struct buffer looked;         /* what had no identity, for the message that says so */
    struct aws_ini config, credentials;
    bool has_files;
    bool has_bundle; /* the exchange has the authorities of AWS_CA_BUNDLE, until aws_close */
};

/*
 * The region that the host does not name is that of the options or of the environment. Servers that
 * are asked first until aws_close are trusted by AWS_CA_BUNDLE, where "ca_file" is not there.
 */
void aws_open(struct exchange *exchange, const struct aws_registry *registry, struct aws *ret);
void aws_close(struct aws *aws);

#define cleanup_aws __attribute__((cleanup(aws_close)))

/* Now, by AWS's clock as far as it is known. */
int64_t aws_now(const struct aws *aws);

/* The text of an option of "aws"; NULL. */
const char *aws_option(const struct aws *aws, const char *name);

/*
 * Where a service is asked: "endpoints" of the options, AWS_ENDPOINT_URL_SERVICE, AWS_ENDPOINT_URL,
 * the partition's own. `path` replaces an empty one, and follows any other.
 */
int aws_endpoint(const struct aws *aws, enum aws_service service, const char *region,
                 const char *path, struct url *ret, struct pullkey_error *error);

struct aws_call {
    enum aws_service service;
    const char *region;
    const struct url *url;
    const char *target;                /* X-Amz-Target; NULL: none */
    const char *content_type;          /* of the body */
    const struct pullkey_secret *body; /* NULL: a GET */
    const char *query;                 /* made by http_query_add; NULL: none */
    const char *header;                /* one more line, which may hold a secret; NULL: none */
    const struct aws_keys *keys;       /* NULL: it is not signed */
    const char *who;                   /* for messages: whose request it is */
    const char *action;                /* what IAM calls it: "ecr:GetAuthorizationToken" */
};

/*
 * A reply with status 200. -PULLKEY_DENIED where AWS refuses, with its code and what to do; a code
 * that nobody knows is -PULLKEY_INVALID.
 */
int aws_call(struct aws *aws, const struct aws_call *call, struct http_response *ret,
             struct pullkey_error *error);

#endif
