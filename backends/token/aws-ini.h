/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files ~/.aws/config and ~/.aws/credentials: [sections] of "key = value" lines. Comments begin
 * with '#' or ';', in front of a line or after a blank. Lines with a blank in front are settings
 * inside a setting, which nothing here needs. Keys are read in any case; of several, the last one
 * counts.
 */
#ifndef PULLKEY_TOKEN_AWS_INI_H
#define PULLKEY_TOKEN_AWS_INI_H

#include "base/buffer.h"

#define AWS_INI_MAX (1024 * 1024)

struct aws_ini {
    char *text; /* what everything below points into */
    struct aws_ini_entry {
        const char *section, *key, *value; /* key NULL: the section begins here */
    } * entries;
    size_t count;
};

/* The error names `name` and the line, never what is in it. Release with aws_ini_done. */
int aws_ini_parse(const char *name, const char *text, size_t length, struct aws_ini *ret,
                  struct pullkey_error *error);
void aws_ini_done(struct aws_ini *ini);

/* `kind` is "profile", "sso-session" or "": [KIND NAME], or [NAME] for "". */
bool aws_ini_has(const struct aws_ini *ini, const char *kind, const char *name);

/* NULL where there is none, or it is empty. */
const char *aws_ini_get(const struct aws_ini *ini, const char *kind, const char *name,
                        const char *key);

#define cleanup_aws_ini __attribute__((cleanup(aws_ini_done)))

#endif
