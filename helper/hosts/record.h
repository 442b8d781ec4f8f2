/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the process that asks a helper hands to the one that renders, through a pipe: one JSON
 * object, and nothing after it. The receiver trusts nothing in it: the header is visible ASCII of
 * the form that HTTP Basic authentication has (RFC 7617), and a message is one line.
 */
#ifndef PULLKEY_HOSTS_RECORD_H
#define PULLKEY_HOSTS_RECORD_H

#include "base/buffer.h"

#define RECORD_HEADER_MAX (6 + 4 * ((PULLKEY_USERNAME_MAX + 1 + PULLKEY_SECRET_MAX + 2) / 3))
#define RECORD_SIZE_MAX (RECORD_HEADER_MAX + 8192)

struct record {
    struct pullkey_error error;   /* code 0: there is a header */
    struct pullkey_secret header; /* "Basic ..." */
    int64_t expiry;               /* seconds since 1970, 0 where it is not known */
};

/*
 * "Basic " and base64 of "user:secret". -PULLKEY_UNSUPPORTED for an identity token, which no header
 * can carry; -PULLKEY_INVALID for a user name with a colon.
 */
int record_header(const struct pullkey_credential *credential, struct pullkey_secret *ret,
                  struct pullkey_error *error);

/* True for "Basic " and canonical base64 of something with a colon in it. */
bool record_is_header(const char *text, size_t length);

void record_write(const struct record *record, struct buffer *ret);
int record_read(const char *text, size_t length, struct record *ret, struct pullkey_error *error);
void record_done(struct record *record);

#define cleanup_record __attribute__((cleanup(record_done)))

#endif
