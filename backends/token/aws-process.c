/* SPDX-License-Identifier: Apache-2.0 */
/* credential_process of a profile: a program whose output is the keys. */
#include "aws-keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "aws-reply.h"
#include "base/error.h"
#include "base/file.h"
#include "base/secret.h"
#include "program.h"

#define ARGUMENTS_MAX 64
#define OUTPUT_MAX (256 * 1024)

/* Words as a shell makes them: blanks, quotes, backslashes, and nothing else. In place. */
static int split(char *text, char *ret[ARGUMENTS_MAX + 1], struct pullkey_error *error)
{
    size_t count = 0;
    char *to = text;

    for (text += strspn(text, " \t"); *text != '\0'; text += strspn(text, " \t")) {
        char quote = '\0';

        if (count == ARGUMENTS_MAX)
            return error_set(error, PULLKEY_INVALID, "it has too many arguments");
        ret[count++] = to;
        for (; *text != '\0' && (quote != '\0' || !strchr(" \t", *text)); text++) {
            if (quote == '\0' && (*text == '"' || *text == '\'')) {
                quote = *text;
            } else if (quote != '\0' && *text == quote) {
                quote = '\0';
            } else {
                if (*text == '\\' && quote != '\'' && text[1] != '\0')
                    text++;
                *to++ = *text;
            }
        }
        if (quote != '\0')
            return error_set(error, PULLKEY_INVALID, "a quote of it has no end");
        text += *text != '\0';
        *to++ = '\0';
    }
    ret[count] = NULL;
    return count > 0 ? 0 : error_set(error, PULLKEY_INVALID, "it is empty");
}

/* An absolute path, or a name of PATH; never the present directory. */
static int find_program(const char *name, char ret[FILE_PATH_MAX], struct pullkey_error *error)
{
    const char *path = secure_getenv("PATH");
    char directory[FILE_PATH_MAX], found[FILE_PATH_MAX];

    if (name[0] == '/' && realpath(name, ret))
        return file_check(ret, FILE_LINKED, error);
    for (const char *at = path ? path : "/usr/bin:/bin"; !strchr(name, '/') && *at != '\0';) {
        const size_t length = strcspn(at, ":");

        if (at[0] == '/' && length < sizeof(directory)) {
            memcpy(mempcpy(directory, at, length), "", 1);
            if (file_join(found, directory, name, error) == 0 && access(found, X_OK) == 0 &&
                realpath(found, ret))
                return file_check(ret, FILE_LINKED, error);
        }
        at += length + (at[length] == ':');
    }
    return error_set(error, PULLKEY_INVALID,
                     "its program is not there; name it by its absolute path");
}

static int run(const struct aws *aws, const char *command, struct buffer *output,
               struct pullkey_error *error)
{
    char *arguments[ARGUMENTS_MAX + 1], path[FILE_PATH_MAX];
    cleanup_release char *text = secret_copy(command, strlen(command));
    const struct program program = { .path = path, .arguments = arguments };
    int status = 0, r;

    if (!text)
        return error_memory(error);
    r = split(text, arguments, error);
    if (r == 0)
        r = find_program(arguments[0], path, error);
    if (r == 0)
        r = program_run(aws->exchange, &program, output, &status, error);
    if (r == 0 && status != 0)
        r = error_set(error, PULLKEY_DENIED,
                      "its program ends with exit status %d; run it to see "
                      "why",
                      status);
    return r;
}

int aws_process_keys(struct aws *aws, const char *command, const char *profile,
                     struct aws_keys *ret, struct pullkey_error *error)
{
    cleanup_buffer struct buffer output = BUFFER_INIT(OUTPUT_MAX);
    char expiration[AWS_EXPIRATION_SIZE] = "";
    int r = run(aws, command, &output, error);

    (void)snprintf(ret->what, sizeof(ret->what), "the credential_process of the profile %.100s",
                   profile);
    if (r == 0)
        r = aws_read_json(AWS_JSON_PROCESS, &output, ret, expiration, error);
    if (r < 0)
        return error_wrap(error, "%s", ret->what);
    r = aws_check_life(aws, expiration, "what its program answers", "run it to see why", error);
    if (r < 0)
        aws_keys_done(ret);
    return r < 0 ? error_wrap(error, "%s", ret->what) : 0;
}
