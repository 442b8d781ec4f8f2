/* SPDX-License-Identifier: Apache-2.0 */
#include "admin.h"

#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/secret.h"

/* All of stdin, less one line end. */
static int read_stdin(struct pullkey_secret *ret, struct pullkey_error *error)
{
    cleanup_buffer struct buffer input = BUFFER_INIT(PULLKEY_SECRET_MAX + 2);
    int r;

    if (isatty(STDIN_FILENO))
        return admin_usage(error, "stdin is a terminal, which would show the password: leave out "
                                  "--password-stdin to be asked");
    r = buffer_read(&input, STDIN_FILENO, error);
    if (r < 0)
        return error_wrap(error, "cannot read the password from stdin");
    if (input.length > 0 && input.data[input.length - 1] == '\n')
        input.length--;
    if (input.length > 0 && input.data[input.length - 1] == '\r')
        input.length--;
    input.data[input.length] = '\0';
    return buffer_steal(&input, ret, error);
}

int admin_check_password(const struct pullkey_secret *secret, struct pullkey_error *error)
{
    if (secret->length == 0)
        return error_set(error, PULLKEY_INVALID, "the password is empty");
    if (secret->length > PULLKEY_SECRET_MAX)
        return error_set(error, PULLKEY_INVALID, "the password is longer than %d bytes",
                         PULLKEY_SECRET_MAX);
    /* NUL would cut it short, and a line end is a second line that came in by mistake. */
    for (size_t i = 0; i < secret->length; i++)
        if (strchr("\r\n", secret->bytes[i]))
            return error_set(error, PULLKEY_INVALID,
                             "the password has more than one line, or a NUL byte");
    return 0;
}

/* RFC 7617 section 2: no colon and no control characters in a user name. */
int admin_check_username(const char *username, struct pullkey_error *error)
{
    size_t length = strnlen(username, PULLKEY_USERNAME_MAX + 1);

    if (length > PULLKEY_USERNAME_MAX)
        return error_set(error, PULLKEY_INVALID, "the user name is longer than %d bytes",
                         PULLKEY_USERNAME_MAX);
    if (strchr(username, ':'))
        return error_set(error, PULLKEY_INVALID, "a user name cannot hold a colon");
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)username[i] < 0x20 || username[i] == 0x7f)
            return error_set(error, PULLKEY_INVALID, "the user name holds a control character");
    return 0;
}

int admin_read_password(struct pullkey_secret *ret, struct pullkey_error *error)
{
    cleanup_secret struct pullkey_secret secret = { 0 };
    int r = read_stdin(&secret, error);

    if (r == 0)
        r = admin_check_password(&secret, error);
    if (r < 0)
        return r;
    *ret = secret;
    secret = (struct pullkey_secret){ 0 };
    return 0;
}
